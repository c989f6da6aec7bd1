"""The outbox: deliveries are queued in the transaction that decided on them, once per source."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import metrics
from core.db import insert_new, table
from core.errors import Conflict, Invalid, NotFound
from core.jobs import Due
from core.line.messages import check_messages
from delivery.models import (
    FAILED,
    HELD,
    SENDING,
    SUPPRESSED,
    WAITING,
    Delivery,
)

MARKETING = "marketing"
TRANSACTIONAL = "transactional"
ANSWER = "answer"
CHUNK = 500  # both databases take at most some 32,000 values in one statement


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message to be queued for one friend: one to five LINE message objects, ready to go.

    `source` is its natural key (`event:12`, `enrolment:7:step:2`): the same source is queued once.
    `purpose`: an answer and a transactional message are exempt from quiet hours and caps.
    `topic`: it is not pushed to who has refused to hear of that; None is for everybody.
    """

    channel_id: int
    friend_id: int
    source: str
    messages: Sequence[dict[str, Any]]
    due_at: datetime
    purpose: str = MARKETING
    topic: str | None = None


async def queue(
    session: AsyncSession, parcels: Sequence[Parcel], *, now: datetime, allow_http: bool = False
) -> int:
    """Queue what is not queued yet; returns how many were new.

    Raises `Invalid` when a message breaks one of LINE's limits: nothing malformed ever waits.
    """
    if not parcels:
        return 0
    for parcel in parcels:
        check(parcel, allow_http=allow_http)
    rows = [_row(parcel, now) for parcel in parcels]
    chunks = (rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK))
    new = sum([await _insert(session, chunk) for chunk in chunks])
    metrics.DELIVERIES.labels(WAITING).inc(new)
    return new


async def _insert(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> int:
    delivery = table(Delivery)
    query = insert_new(session, delivery).on_conflict_do_nothing(index_elements=["source"])
    made = await session.execute(query.values(rows).returning(delivery.c.id))
    return len(made.all())


async def cancel(
    session: AsyncSession, friend_ids: Sequence[int], *, reason: str, now: datetime
) -> int:
    """Suppress everything that waits for these friends; returns how many deliveries."""
    delivery = table(Delivery)
    query = (
        update(delivery)
        .where(delivery.c.friend_id.in_(friend_ids), delivery.c.state == WAITING)
        .values(state=SUPPRESSED, reason=reason, done_at=now)
        .returning(delivery.c.id)
    )
    cancelled = len((await session.execute(query)).all())
    metrics.DELIVERIES.labels(SUPPRESSED).inc(cancelled)
    return cancelled


async def retry(session: AsyncSession, delivery_id: int, *, now: datetime) -> None:
    """Let staff send a delivery once more that failed or is held, as a new call with a new key.

    Raises `NotFound`, or `Conflict` where it is on its way, sent or suppressed.
    """
    delivery = await session.get(Delivery, delivery_id, with_for_update=True)
    if delivery is None:
        raise NotFound("delivery", delivery_id)
    if delivery.state not in {FAILED, HELD}:
        raise Conflict(
            f"Delivery {delivery_id} is {delivery.state}; only failed and held ones can be retried."
        )
    delivery.state, delivery.reason, delivery.detail = WAITING, None, None
    delivery.due_at, delivery.done_at, delivery.dispatch_id = now, None, None


async def due(session: AsyncSession, now: datetime) -> Due:
    """What waits in the outbox or is under way."""
    delivery = table(Delivery)
    waiting = delivery.c.state == WAITING
    count = select(func.count(), func.min(delivery.c.due_at)).select_from(delivery)
    ready, oldest = (await session.execute(count.where(waiting, delivery.c.due_at <= now))).one()
    sending = await session.scalar(
        select(func.count()).select_from(delivery).where(delivery.c.state == SENDING)
    )
    later = select(func.min(delivery.c.due_at)).where(waiting, delivery.c.due_at > now)
    return Due(ready + (sending or 0), oldest, await session.scalar(later))


def check(parcel: Parcel, *, allow_http: bool = False) -> None:
    """Raise `Invalid` when a message breaks one of LINE's limits."""
    problems = check_messages(list(parcel.messages), allow_http=allow_http)
    if problems:
        first = problems[0]
        raise Invalid(f"{parcel.source}: {first.path}: {first.message}")


def _row(parcel: Parcel, now: datetime) -> dict[str, Any]:
    return {
        "channel_id": parcel.channel_id,
        "friend_id": parcel.friend_id,
        "source": parcel.source,
        "purpose": parcel.purpose,
        "topic": parcel.topic,
        "messages": orjson.dumps(list(parcel.messages)),
        "message_count": len(parcel.messages),
        "state": WAITING,
        "due_at": parcel.due_at,
        "attempts": 0,
        "created_at": now,
    }
