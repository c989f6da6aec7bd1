"""What follows from links: walks that end with one, and links that an order completes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot import linking
from core.db import table
from core.runtime import Runtime
from crm.linking import links, orders
from crm.linking.orders import Completed
from crm.models import Channel, Friend
from delivery import outbox
from flows.engine import OPEN
from flows.models import EXITED, Enrolment

ORDER_KINDS = frozenset({"order_placed", "purchased", "shipped", "delivered"})


async def stop_walks(session: AsyncSession, activities: Sequence[Any], *, now: datetime) -> int:
    """End what flows had begun for a member, for the friend who is that member no longer.

    It comes before flows let anybody in, so that one that starts from `unlinked` can go on.
    """
    left = [
        (a.customer_id, a.friend_id)
        for a in activities
        if a.kind == "unlinked" and a.friend_id is not None
    ]
    if not left:
        return 0
    walk = table(Enrolment)
    theirs = tuple_(walk.c.customer_id, walk.c.friend_id).in_(left) & walk.c.state.in_(OPEN)
    ended = update(walk).where(theirs).values(state=EXITED, reason="unlinked", done_at=now)
    return len((await session.execute(ended.returning(walk.c.id))).all())


async def complete_links(
    runtime: Runtime, session: AsyncSession, activities: Sequence[Any], *, now: datetime
) -> int:
    """Complete links that waited for an order that is here now, and say so; returns how many."""
    arrived = {
        str(a.data["order_id"])
        for a in activities
        if a.kind in ORDER_KINDS and a.data.get("order_id")
    }
    if not arrived:
        return 0
    zone = runtime.settings.zone
    done = await orders.complete(session, arrived, now=now, zone=zone)
    parcels = await _news(session, done, now) if done else []
    await outbox.queue(session, parcels, now=now, allow_http=runtime.settings.allow_http_urls)
    return len(done)


async def _news(
    session: AsyncSession, done: Sequence[Completed], now: datetime
) -> list[outbox.Parcel]:
    friend, channel = table(Friend), table(Channel)
    query = (
        select(friend.c.id, friend.c.channel_id, channel.c.name)
        .join(channel, channel.c.id == friend.c.channel_id)
        .where(friend.c.id.in_([one.friend_id for one in done]))
    )
    rows = {row.id: row for row in await session.execute(query)}
    return [
        outbox.Parcel(
            channel_id=rows[one.friend_id].channel_id,
            friend_id=one.friend_id,
            source=f"pending-link:{one.pending_id}",
            messages=[linking.completed(one.linked, rows[one.friend_id].name)],
            due_at=now,
            purpose=outbox.TRANSACTIONAL,
        )
        for one in done
    ]


async def end_parted_links(
    session: AsyncSession, activities: Sequence[Any], *, now: datetime
) -> int:
    """End the links that came with a merge which staff have undone."""
    parted = {a.customer_id for a in activities if a.kind == "merge_undone"}
    return await links.end_parted(session, parted, now=now) if parted else 0
