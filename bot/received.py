"""What friends wrote, kept until they take it back.

Unsent messages must not be kept or shown
(https://developers.line.biz/en/docs/messaging-api/receiving-messages/#processing-on-receipt-of-unsend-event).
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.models import ReceivedMessage, WebhookEvent
from bot.turn import Turn
from core import bulk
from core.db import insert_new, table

CONTENT = (
    "text",
    "packageId",
    "stickerId",
    "fileName",
    "title",
    "address",
    "latitude",
    "longitude",
)


class Keeper:
    """Keeps the messages of a batch: new ones in one statement, edits and unsends as they come."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._new: list[dict[str, Any]] = []
        self._dropped: list[int] = []

    async def keep(self, turn: Turn, row: Any) -> None:  # noqa: ANN401
        """Keep a message, its newest edit, or the fact that it was taken back."""
        kind = row.payload.get("type")
        if kind == "unsend":
            await self.flush()
            await _unsend(turn, row)
        elif isinstance(row.payload.get("message"), dict):
            if kind == "message":
                self._new.append(_values(turn, row))
            elif kind == "messageEdited":
                await self.flush()
                await _edit(turn, row)

    def drop(self, row: Any) -> None:  # noqa: ANN401
        """Do not keep what is said in groups and rooms: nobody of ours acts on it."""
        if isinstance(row.payload.get("message"), dict):
            self._dropped.append(row.id)

    async def flush(self) -> None:
        """Write the new messages; one that was edited or taken back before it came is not kept."""
        dropped, self._dropped = self._dropped, []
        new, self._new = self._new, []
        if new:
            await bulk.insert_rows(self._session, table(ReceivedMessage), new)
            dropped += await self._late(new)
        await _scrub(self._session, dropped)

    async def _late(self, new: list[dict[str, Any]]) -> list[int]:
        received = table(ReceivedMessage)
        events = {row["event_id"] for row in new}
        kept = select(received.c.event_id).where(
            received.c.channel_id.in_({row["channel_id"] for row in new}),
            received.c.message_id.in_([row["message_id"] for row in new]),
            received.c.event_id.in_(events),
        )
        return sorted(events - set(await self._session.scalars(kept)))


def _values(turn: Turn, row: Any) -> dict[str, Any]:  # noqa: ANN401
    message = row.payload["message"]
    return {
        "channel_id": turn.channel.id,
        "friend_id": turn.friend.id,
        "message_id": str(message.get("id", ""))[:40],
        "event_id": row.id,
        "type": str(message.get("type", "unknown"))[:20],
        "content": {name: message[name] for name in CONTENT if name in message},
        "sent_at": turn.at,
    }


async def _edit(turn: Turn, row: Any) -> None:  # noqa: ANN401
    """Replace the content; of several edits the one with the latest time stays.

    What was replaced goes from its webhook, too, so that one stored event at most holds a message.
    """
    values = _values(turn, row) | {"edited_at": turn.at}
    received = table(ReceivedMessage)
    before = await _event_of(turn, values["message_id"])
    newer = or_(received.c.edited_at.is_(None), received.c.edited_at < turn.at)
    query = insert_new(turn.session, received).values(values)
    changed = await turn.session.scalar(
        query.on_conflict_do_update(
            index_elements=["channel_id", "message_id"],
            set_={name: values[name] for name in ("content", "edited_at", "event_id")},
            where=received.c.unsent_at.is_(None) & newer,
        ).returning(received.c.id)
    )
    await _scrub(turn.session, before if changed is not None else [row.id])


async def _event_of(turn: Turn, message_id: str) -> list[int]:
    """The stored event that holds this message's content, if one does."""
    received = table(ReceivedMessage)
    query = select(received.c.event_id).where(
        received.c.channel_id == turn.channel.id, received.c.message_id == message_id
    )
    return [event_id for event_id in await turn.session.scalars(query) if event_id]


async def _unsend(turn: Turn, row: Any) -> None:  # noqa: ANN401
    unsend = row.payload.get("unsend")
    message_id = str(unsend.get("messageId", "") if isinstance(unsend, dict) else "")[:40]
    received = table(ReceivedMessage)
    events = await _event_of(turn, message_id)
    gone = {"content": {}, "unsent_at": datetime.fromtimestamp(row.timestamp / 1000, UTC)}
    new = insert_new(turn.session, received).values(
        channel_id=turn.channel.id, friend_id=turn.friend.id, message_id=message_id,
        type="unknown", sent_at=turn.at, **gone,
    )  # fmt: skip
    await turn.session.execute(
        new.on_conflict_do_update(index_elements=["channel_id", "message_id"], set_=gone)
    )
    await _scrub(turn.session, events)


async def _scrub(session: AsyncSession, event_ids: list[int]) -> None:
    """Take the content out of the stored webhook, too."""
    if not event_ids:
        return
    event = table(WebhookEvent)
    await session.execute(
        update(event).where(event.c.id.in_(event_ids)).values(payload={"type": "message"})
    )
