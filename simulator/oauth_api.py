"""Channel access tokens, ID tokens and a person's own profile.

Sources: https://developers.line.biz/en/reference/messaging-api/#channel-access-token and
https://developers.line.biz/en/reference/line-login/
"""

import hmac

from simulator.calls import Answer, Call, Endpoint, ok
from simulator.channels import Channel
from simulator.errors import LineError, OAuthError, unauthorized
from simulator.rate_limits import SECOND, Rate
from simulator.tokens import (
    ID_TOKEN_SECONDS,
    ISSUER,
    AccessToken,
    Kind,
    jwt_claims,
    read_id_token,
    sign_id_token as sign,
)

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ID_TOKEN_FIELDS = ("iss", "sub", "aud", "exp", "iat", "nonce", "amr", "name", "picture", "email")


def _client(call: Call) -> Channel:
    """The channel that shows its id and secret, or a JWT it issued. Raises `OAuthError`."""
    form = call.form()
    if form.get("client_assertion_type") == ASSERTION:
        return _asserted(call, form.get("client_assertion", ""))
    channel = call.platform.channels.get(form.get("client_id", ""))
    secret = form.get("client_secret", "").encode()
    if channel is None or not hmac.compare_digest(channel.secret, secret):
        raise OAuthError("invalid_client", "invalid client_id or client_secret", 400)
    return channel


def _asserted(call: Call, assertion: str) -> Channel:
    """Reads the JWT; its signature cannot be checked, as no public key is registered here."""
    claims = jwt_claims(assertion) or {}
    channel = call.platform.channels.get(str(claims.get("iss")))
    expires = claims.get("exp")
    now = call.platform.clock.ms() / 1_000
    if channel is None or claims.get("sub") != channel.id:
        raise OAuthError("invalid_client", "invalid client_assertion")
    if not isinstance(expires, int | float) or expires <= now:
        raise OAuthError("invalid_client", "the client_assertion has expired")
    return channel


def _issue(call: Call, kind: Kind) -> Answer:
    if call.form().get("grant_type") != "client_credentials":
        raise OAuthError("invalid_request", "grant_type must be client_credentials")
    tokens = call.platform.tokens
    token = tokens.issue(_client(call).id, kind)
    answer: dict[str, object] = {
        "access_token": token.token,
        "expires_in": tokens.expires_in(token),
        "token_type": "Bearer",
    }
    if token.key_id:
        answer["key_id"] = token.key_id
    return ok(answer)


def issue_short(call: Call) -> Answer:
    """30 days."""
    return _issue(call, "short")


def issue_v21(call: Call) -> Answer:
    """Up to 30 days, with a key id."""
    return _issue(call, "v2.1")


def issue_stateless(call: Call) -> Answer:
    """15 minutes."""
    return _issue(call, "stateless")


def _describe(call: Call, token: AccessToken | None, error: str) -> Answer:
    if token is None:
        raise OAuthError("invalid_request", error)
    seconds = call.platform.tokens.expires_in(token)
    scope = "profile openid" if token.kind == "person" else "P CM"
    return ok({"client_id": token.channel_id, "expires_in": seconds, "scope": scope})


def verify_short(call: Call) -> Answer:
    """Is a short- or long-lived token valid?"""
    token = call.platform.tokens.get(call.form().get("access_token", ""))
    return _describe(call, token, "access token expired")


def verify_v21(call: Call) -> Answer:
    """Is a token of v2.1, or a person's, valid?"""
    token = call.platform.tokens.get(call.query("access_token") or "")
    return _describe(call, token, "access token expired")


def revoke(call: Call) -> Answer:
    """No error for an unknown token."""
    call.platform.tokens.revoke(call.form().get("access_token", ""))
    return Answer(200, b"")


def key_ids(call: Call) -> Answer:
    """Of all valid v2.1 tokens."""
    channel = _asserted(call, call.query("client_assertion") or "")
    issued = call.platform.tokens.issued(channel.id, "v2.1")
    return ok({"kids": [token.key_id for token in issued]})


def verify_id_token(call: Call) -> Answer:
    """The claims of an ID token, or one of six reasons why not."""
    form = call.form()
    if "id_token" not in form or "client_id" not in form:
        raise OAuthError("invalid_request", "id_token and client_id are required")
    claims = _claims_of_any_channel(call, form["id_token"])
    _require(claims is not None, "Invalid IdToken.")
    assert claims is not None
    _require(claims["iss"] == ISSUER, "Invalid IdToken Issuer.")
    _require(float(str(claims["exp"])) > call.platform.clock.ms() / 1_000, "IdToken expired.")
    _require(claims["aud"] == form["client_id"], "Invalid IdToken Audience.")
    _require(form.get("nonce") in {None, claims.get("nonce")}, "Invalid IdToken Nonce.")
    _require(form.get("user_id") in {None, claims["sub"]}, "Invalid IdToken Subject Identifier.")
    return ok({name: claims[name] for name in _ID_TOKEN_FIELDS if claims.get(name) is not None})


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise OAuthError("invalid_request", otherwise)


def _claims_of_any_channel(call: Call, token: str) -> dict[str, object] | None:
    for channel in call.platform.channels.values():
        claims = read_id_token(channel.secret, token)
        if claims is not None:
            return claims
    return None


def id_token(
    channel: Channel, user_id: str, name: str, now_ms: int, *, client_id: str, nonce: str | None
) -> str:
    """An ID token as LINE Login would give it to a person's browser; valid for an hour."""
    now = now_ms // 1_000
    claims: dict[str, object] = {
        "iss": ISSUER,
        "sub": user_id,
        "aud": client_id,
        "exp": now + ID_TOKEN_SECONDS,
        "iat": now,
        "amr": ["linesso"],
        "name": name,
    }
    if nonce:
        claims["nonce"] = nonce
    return sign(channel.secret, claims)


def own_profile(call: Call) -> Answer:
    """Of the person whose access token was shown."""
    if call.token is None or call.token.user_id is None:
        raise unauthorized()
    person = call.platform.person(call.token.user_id)
    if person is None:
        raise LineError(404, "Not found")
    picture = f"{call.base_url}/simulator/people/{person.user_id}/picture.svg"
    return ok({"userId": person.user_id, "displayName": person.name, "pictureUrl": picture})


def friendship(call: Call) -> Answer:
    """Whether the person is a friend of the channel."""
    if call.token is None or call.token.user_id is None:
        raise unauthorized()
    friend = call.platform.channels[call.token.channel_id].friends.get(call.token.user_id)
    return ok({"friendFlag": friend is not None and friend.status == "friend"})


_FORM = "application/x-www-form-urlencoded"
ENDPOINTS = (
    Endpoint(
        "oauth/issue",
        "POST",
        "/v2/oauth/accessToken",
        issue_short,
        Rate(370, SECOND),
        _FORM,
        access="nobody",
    ),
    Endpoint(
        "oauth/verify", "POST", "/v2/oauth/verify", verify_short, takes=_FORM, access="nobody"
    ),
    Endpoint("oauth/revoke", "POST", "/v2/oauth/revoke", revoke, takes=_FORM, access="nobody"),
    Endpoint("oauth/v21", "POST", "/oauth2/v2.1/token", issue_v21, takes=_FORM, access="nobody"),
    Endpoint("oauth/v3", "POST", "/oauth2/v3/token", issue_stateless, takes=_FORM, access="nobody"),
    Endpoint("oauth/v21/verify", "GET", "/oauth2/v2.1/verify", verify_v21, access="nobody"),
    Endpoint(
        "oauth/id-token",
        "POST",
        "/oauth2/v2.1/verify",
        verify_id_token,
        takes=_FORM,
        access="nobody",
    ),
    Endpoint(
        "oauth/v21/revoke", "POST", "/oauth2/v2.1/revoke", revoke, takes=_FORM, access="nobody"
    ),
    Endpoint("oauth/kids", "GET", "/oauth2/v2.1/tokens/kid", key_ids, access="nobody"),
    Endpoint("own-profile", "GET", "/v2/profile", own_profile, access="person"),
    Endpoint("friendship", "GET", "/friendship/v1/status", friendship, access="person"),
)
