"""Access tokens of channels and people, link tokens, ID tokens.

Sources: https://developers.line.biz/en/reference/messaging-api/#issue-channel-access-token-v2-1,
https://developers.line.biz/en/docs/line-login/verify-id-token/
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Literal

import orjson

from simulator.clock import Clock
from simulator.errors import OAuthError
from simulator.settings import ChannelSettings
from simulator.state import Documents, Store

Kind = Literal["long", "short", "v2.1", "stateless", "person"]
DAY_MS = 24 * 60 * 60 * 1_000
LIFE_MS: dict[Kind, int] = {
    "short": 30 * DAY_MS,
    "v2.1": 30 * DAY_MS,
    "stateless": 15 * 60 * 1_000,
    "person": 30 * DAY_MS,
}
MAX_ISSUED = 30
ID_TOKEN_SECONDS = 3_600
LINK_TOKEN_MS = 10 * 60 * 1_000
ISSUER = "https://access.line.me"


@dataclass(slots=True)
class AccessToken:
    """Opens the API for a channel, or for a person (`user_id`). Times in milliseconds."""

    token: str
    kind: Kind
    channel_id: str
    expires_at: int | None = None
    user_id: str | None = None
    key_id: str | None = None


@dataclass(slots=True)
class LinkToken:
    """Ties one browser to one person for ten minutes, once."""

    token: str
    channel_id: str
    user_id: str
    expires_at: int
    used: bool = False


class Tokens:
    """All tokens of all channels."""

    def __init__(self, channels: tuple[ChannelSettings, ...], store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._channels = channels
        self._tokens: dict[str, AccessToken] = {}
        self._links: dict[str, LinkToken] = {}
        self.clear()

    def clear(self) -> None:
        """Only the long-lived tokens of the settings are left."""
        self._tokens = {c.token: AccessToken(c.token, "long", c.id) for c in self._channels}
        self._links = {}

    def load(self, documents: Documents) -> None:
        """Take over what an earlier life has kept."""
        for document in documents.get("access_token", {}).values():
            token = AccessToken(**document)  # type: ignore[arg-type]
            self._tokens[token.token] = token
        for document in documents.get("link_token", {}).values():
            link = LinkToken(**document)  # type: ignore[arg-type]
            self._links[link.token] = link

    def get(self, token: str) -> AccessToken | None:
        """A token that is valid now."""
        found = self._tokens.get(token)
        if found is None or found.expires_at is None or self._clock.ms() < found.expires_at:
            return found
        return None

    def issue(self, channel_id: str, kind: Kind, user_id: str | None = None) -> AccessToken:
        """A new token. The 31st short-lived one revokes the oldest, the 31st v2.1 is refused."""
        if kind in {"short", "v2.1"}:
            self._make_room(channel_id, kind)
        key_id = secrets.token_urlsafe(12) if kind == "v2.1" else None
        token = AccessToken(
            secrets.token_urlsafe(48),
            kind,
            channel_id,
            self._clock.ms() + LIFE_MS[kind],
            user_id,
            key_id,
        )
        self._tokens[token.token] = token
        self._store.put("access_token", token.token, token)
        return token

    def _make_room(self, channel_id: str, kind: Kind) -> None:
        issued = self.issued(channel_id, kind)
        if len(issued) < MAX_ISSUED:
            return
        if kind == "v2.1":
            raise OAuthError("invalid_request", "The maximum number of tokens has been issued")
        self.revoke(issued[0].token)

    def issued(self, channel_id: str, kind: Kind) -> list[AccessToken]:
        """The valid tokens of a kind, oldest first."""
        return [
            t
            for t in self._tokens.values()
            if t.channel_id == channel_id and t.kind == kind and self.get(t.token)
        ]

    def revoke(self, token: str) -> None:
        """No error for a token that is not there."""
        if self._tokens.pop(token, None):
            self._store.delete("access_token", token)

    def expires_in(self, token: AccessToken) -> int:
        """Seconds left; 0 for a token without an end."""
        return 0 if token.expires_at is None else (token.expires_at - self._clock.ms()) // 1_000

    def issue_link(self, channel_id: str, user_id: str) -> LinkToken:
        """A link token for a person."""
        expires_at = self._clock.ms() + LINK_TOKEN_MS
        link = LinkToken(secrets.token_urlsafe(24), channel_id, user_id, expires_at)
        self._links[link.token] = link
        self._store.put("link_token", link.token, link)
        return link

    def use_link(self, token: str) -> LinkToken | None:
        """Spend a link token; None when it is unknown, used or expired."""
        link = self._links.get(token)
        if link is None or link.used or self._clock.ms() >= link.expires_at:
            return None
        link.used = True
        self._store.put("link_token", link.token, link)
        return link


def sign_id_token(secret: bytes, claims: dict[str, object]) -> str:
    """A JWT with HS256, as web login gets it."""
    head = _b64(orjson.dumps({"typ": "JWT", "alg": "HS256"}))
    signed = head + b"." + _b64(orjson.dumps(claims))
    return (signed + b"." + _b64(hmac.digest(secret, signed, hashlib.sha256))).decode()


def read_id_token(secret: bytes, token: str) -> dict[str, object] | None:
    """The claims of a token signed with `secret`; None for any other text."""
    signed, _, signature = token.rpartition(".")
    expected = _b64(hmac.digest(secret, signed.encode(), hashlib.sha256)).decode()
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        return None
    return jwt_claims(token)


def jwt_claims(token: str) -> dict[str, object] | None:
    """The claims of a JWT, unverified; None for any other text."""
    parts = token.split(".")
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=="))
    except (IndexError, ValueError):
        return None
    return claims if isinstance(claims, dict) else None


def _b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
