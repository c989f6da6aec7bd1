"""A turn: one event of one friend, all that a handler needs to know, and what it wants done."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core.runtime import Runtime
from core.text import fold
from crm.activities import Fact
from crm.channels import OpenChannel
from crm.models import Friend

Replies = Sequence[dict[str, Any]]


@dataclass(slots=True)
class Turn:
    """`at` is when it happened by LINE's clock, `now` the shop's time, `text` what was typed.

    `word` is set when a tapped button counts as this word being typed.
    """

    runtime: Runtime
    session: AsyncSession
    channel: OpenChannel
    friend: Friend
    event_id: int
    event: dict[str, Any]
    at: datetime
    now: datetime
    rules: Sequence[Any] = ()
    facts: list[Fact] = field(default_factory=list)
    word: str | None = None

    @property
    def type(self) -> str:
        """LINE's event type."""
        return str(self.event.get("type", ""))

    @property
    def message(self) -> dict[str, Any]:
        """The message object of a message event; empty otherwise."""
        message = self.event.get("message")
        return message if self.type == "message" and isinstance(message, dict) else {}

    @property
    def text(self) -> str | None:
        """What the friend typed; None for everything else."""
        text = self.message.get("text")
        return text if self.message.get("type") == "text" and isinstance(text, str) else None

    @property
    def folded(self) -> str | None:
        """The text (or word of a button) in the one form in which texts are compared."""
        words = self.text if self.word is None else self.word
        return None if words is None else fold(words)

    @property
    def postback(self) -> str | None:
        """The data of a tapped button, as it came."""
        postback = self.event.get("postback")
        data = postback.get("data") if isinstance(postback, dict) else None
        return data if self.type == "postback" and isinstance(data, str) else None

    def note(self, kind: str, **data: Any) -> None:  # noqa: ANN401
        """Record an activity of this friend, once for this event."""
        assert self.friend.id is not None
        self.facts.append(
            Fact(
                customer_id=self.friend.customer_id,
                friend_id=self.friend.id,
                kind=kind,
                occurred_at=self.at,
                data=data,
                source=f"{kind}:event:{self.event_id}",
            )
        )
