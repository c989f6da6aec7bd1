"""One person and one channel: friendship, and what was said."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from simulator.clock import iso
from simulator.errors import LineError

Status = Literal["none", "friend", "blocked"]
Message = dict[str, object]
WROTE_LATELY_MS = 7 * 24 * 60 * 60 * 1_000
_PREVIEWS = {
    "sticker": "スタンプ",
    "image": "写真",
    "video": "動画",
    "audio": "ボイスメッセージ",
    "location": "位置情報",
    "coupon": "クーポン",
    "unsent": "送信を取り消しました",
}


@dataclass(slots=True)
class Said:
    """What a person (or LINE itself: `system`) put into a chat. `order` is the place in time."""

    id: str
    channel_id: str
    user_id: str
    at: int
    order: int
    message: Message
    by: Literal["person", "system"] = "person"

    @property
    def is_unsent(self) -> bool:
        """Whether the person took it back."""
        return self.message["type"] == "unsent"


@dataclass(slots=True)
class Accepted:
    """One message request LINE accepted, with whom it reached. `ids` are those of the messages."""

    n: int
    at: int
    order: int
    channel_id: str
    endpoint: str
    request_id: str
    retry_key: str | None
    to: list[str]
    delivered_to: list[str]
    messages: list[Message]
    ids: list[str]
    unit: str | None = None
    silent: bool = False

    def public(self) -> dict[str, object]:
        """As `GET /simulator/accepted` shows it."""
        return {
            "n": self.n,
            "at": iso(self.at),
            "channel_id": self.channel_id,
            "endpoint": self.endpoint,
            "retry_key": self.retry_key,
            "request_id": self.request_id,
            "to": self.to,
            "delivered_to": self.delivered_to,
            "messages": self.messages,
            "unit": self.unit,
            "notification_disabled": self.silent,
        }


@dataclass(slots=True)
class Friend:
    """One person as one channel sees them; times in milliseconds since 1970."""

    channel_id: str
    user_id: str
    status: Status = "none"
    followed_at: int | None = None
    blocked_at: int | None = None
    talked_at: int | None = None
    rich_menu_id: str | None = None
    read_to: str | None = None
    chat: list[Said | Accepted] = field(default_factory=list)
    typing_until: float = 0.0

    @property
    def key(self) -> str:
        """Where the friendship stands in the state."""
        return f"{self.channel_id}/{self.user_id}"

    def document(self) -> dict[str, object]:
        """What is kept; the chat is kept line by line elsewhere."""
        return {
            "channel_id": self.channel_id,
            "user_id": self.user_id,
            "status": self.status,
            "followed_at": self.followed_at,
            "blocked_at": self.blocked_at,
            "talked_at": self.talked_at,
            "rich_menu_id": self.rich_menu_id,
            "read_to": self.read_to,
        }

    def wrote_lately(self, now: int) -> bool:
        """Whether a push reaches this person although they are no friend."""
        return self.talked_at is not None and now - self.talked_at <= WROTE_LATELY_MS

    def said(self, message_id: str) -> Said | None:
        """The person's own message with this id."""
        return next((s for s in self.chat if isinstance(s, Said) and s.id == message_id), None)

    def entries(self) -> Iterator[dict[str, object]]:
        """The chat as the phone shows it, oldest first."""
        for item in self.chat:
            if isinstance(item, Said):
                yield _entry(item.id, item.by, item.at, None, item.message)
            else:
                for message_id, message in zip(item.ids, item.messages, strict=True):
                    yield _entry(message_id, "bot", item.at, item.endpoint, message)

    def last(self) -> tuple[str | None, str | None]:
        """A preview of the newest entry and when it came."""
        for item in reversed(self.chat):
            if isinstance(item, Accepted):
                return preview(item.messages[-1]), iso(item.at)
            if item.by == "person":
                return preview(item.message), iso(item.at)
        return None, None

    def require_able_to_talk(self) -> None:
        """Raises `LineError` when the person has blocked the channel."""
        if self.status == "blocked":
            raise LineError(409, "The person has blocked this account")


def _entry(
    message_id: str, by: str, at: int, via: str | None, message: Message
) -> dict[str, object]:
    via = "broadcast" if via == "narrowcast" else via
    return {"id": message_id, "from": by, "at": iso(at), "via": via, "message": message}


def preview(message: Message) -> str:
    """One line that stands for a message in a list of chats."""
    if message["type"] in {"text", "textV2", "system"}:
        return str(message["text"])
    return str(message.get("altText") or _PREVIEWS.get(str(message["type"]), "メッセージ"))
