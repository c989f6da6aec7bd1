"""Reply tokens: one use, one minute.

Source: https://developers.line.biz/en/reference/messaging-api/#send-reply-message-reply-token
"""

from dataclasses import dataclass

from simulator import ids
from simulator.clock import Clock
from simulator.state import Documents, Store

USABLE_MS = 60 * 1_000
USABLE_AFTER_REDELIVERY_MS = 20 * 60 * 1_000
_SWEEP_ABOVE = 20_000
_KIND = "reply_token"


@dataclass(slots=True)
class ReplyToken:
    """Opens one reply to one event. `sent_at` is when the webhook last went out."""

    token: str
    channel_id: str
    user_id: str
    event_at: int
    sent_at: int | None = None
    used: bool = False

    def is_usable(self, now: int) -> bool:
        """A minute from the sending; after a redelivery up to 20 minutes from the event."""
        sent_at = self.sent_at or self.event_at
        lately = now - sent_at <= USABLE_MS
        return not self.used and lately and now - self.event_at <= USABLE_AFTER_REDELIVERY_MS


class ReplyTokens:
    """All reply tokens that may still be usable."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._tokens: dict[str, ReplyToken] = {}

    def load(self, documents: Documents) -> None:
        """Take over what an earlier life has kept."""
        for document in documents.get(_KIND, {}).values():
            token = ReplyToken(**document)  # type: ignore[arg-type]
            self._tokens[token.token] = token
        self._sweep()

    def issue(self, channel_id: str, user_id: str, event_at: int) -> ReplyToken:
        """A token for an event; the caller keeps it with the event."""
        token = ReplyToken(ids.new_reply_token(), channel_id, user_id, event_at)
        self._tokens[token.token] = token
        if len(self._tokens) > _SWEEP_ABOVE:
            self._sweep()
        return token

    def adopt(self, token: str, channel_id: str, user_id: str, event_at: int) -> None:
        """Let replies use the token of an event that was written by hand."""
        if token not in self._tokens:
            self._tokens[token] = ReplyToken(token, channel_id, user_id, event_at)

    def change(self, token: ReplyToken) -> tuple[str, str, object]:
        """What the store must keep."""
        return _KIND, token.token, token

    def sent(self, token: object) -> None:
        """The webhook with this token goes out now."""
        found = self._tokens.get(token) if isinstance(token, str) else None
        if found is not None:
            found.sent_at = self._clock.ms()

    def usable(self, channel_id: str, token: str) -> ReplyToken | None:
        """The token if a reply may use it now."""
        found = self._tokens.get(token)
        if found is None or found.channel_id != channel_id:
            return None
        return found if found.is_usable(self._clock.ms()) else None

    def clear(self) -> None:
        """No token is left."""
        self._tokens.clear()

    def _sweep(self) -> None:
        limit = self._clock.ms() - USABLE_AFTER_REDELIVERY_MS
        for token in [t for t in self._tokens.values() if t.event_at < limit]:
            del self._tokens[token.token]
            self._store.delete(_KIND, token.token)
