"""Who stands behind an ID token of LINE Login or LIFF: asked of LINE, never believed unseen.

Source: https://developers.line.biz/en/reference/line-login/#verify-id-token
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from core.errors import OkaeriError, Unavailable
from core.line.answers import Outcome, Reply
from core.line.client import LineClient
from core.line.endpoints import Endpoint
from core.line.errors import LineError

ISSUER = "https://access.line.me"
MAX_LENGTH = 5_000
CLOCKS_DIFFER = timedelta(minutes=5)
VERIFY_ID_TOKEN = Endpoint("verifyIdToken", "POST", "/oauth2/v2.1/verify")
_FORM = "application/x-www-form-urlencoded"
_USER_ID = re.compile("U[0-9a-f]{32}")
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


class BadIdToken(OkaeriError):
    """The token does not say who this is: forged, expired, or made for another channel or user."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The LINE user who signed in; the same id as in webhooks of the same provider."""

    user_id: str


async def verify_id_token(
    line: LineClient,
    access_token: str,
    id_token: str,
    *,
    login_channel_id: str,
    now: datetime,
    user_id: str | None = None,
    nonce: str | None = None,
) -> Identity:
    """Have LINE check an ID token, and check again what must not slip: issuer, audience, end, user.

    `user_id` and `nonce` are what the token must hold, where they are known. Raises `BadIdToken`,
    or `Unavailable` when LINE gave no answer.
    """
    if len(id_token) > MAX_LENGTH or not _JWT.fullmatch(id_token):
        raise BadIdToken("This is no ID token.")
    asked = {"id_token": id_token, "client_id": login_channel_id, "user_id": user_id}
    form = {name: value for name, value in (asked | {"nonce": nonce}).items() if value}
    try:
        reply = await line.call(
            VERIFY_ID_TOKEN, access_token, data=urlencode(form).encode(), content_type=_FORM
        )
    except LineError as error:
        if error.outcome is Outcome.refused:
            raise BadIdToken("LINE does not accept this ID token.") from None
        raise Unavailable("LINE cannot be asked about the ID token right now.") from error
    return _checked(reply, login_channel_id, user_id, nonce, now)


def _checked(
    reply: Reply, login_channel_id: str, user_id: str | None, nonce: str | None, now: datetime
) -> Identity:
    claims = reply.json_object()
    sub, expires = claims.get("sub"), claims.get("exp")
    holds = (
        claims.get("iss") == ISSUER
        and claims.get("aud") == login_channel_id
        and isinstance(expires, int | float)
        and expires > (now - CLOCKS_DIFFER).timestamp()
        and isinstance(sub, str)
        and _USER_ID.fullmatch(sub) is not None
        and user_id in {None, sub}
        and nonce in {None, claims.get("nonce")}
    )
    if not holds:
        raise BadIdToken("The ID token is over, or for another channel or user.")
    return Identity(str(sub))
