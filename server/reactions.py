"""Who acts on activities: news goes up as rows, and this one list says to whom."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import logs
from core.clock import wall
from core.db import table
from core.jobs import Belt, Due
from core.runtime import Runtime
from crm.models import Activity, Customer
from flows import engine
from flows.jobs import STEPS
from server import link_reactions

log = logs.get(__name__)

BATCH = 500
PAUSE = timedelta(seconds=30)


class Reaction(Protocol):
    """Acts on a batch of activities in their transaction; returns how much came of it."""

    async def __call__(
        self, session: AsyncSession, activities: Sequence[Any], *, now: datetime
    ) -> int: ...


# Each with the belt that it wakes. Walks end before others begin.
REACTIONS: tuple[tuple[Reaction, str], ...] = (
    (link_reactions.stop_walks, STEPS.name),
    (engine.react, STEPS.name),
    (link_reactions.end_parted_links, "reactions"),
)


async def react(runtime: Runtime) -> int:
    """Let everybody act on up to 500 new activities; returns how many were acted on.

    When that fails, each activity is tried alone, and one that still fails waits half a minute.
    """
    try:
        return await _react(runtime, BATCH)
    except Exception:
        log.exception("reactions.batch_failed")
    return await _one_by_one(runtime)


async def due(session: AsyncSession, now: datetime) -> Due:
    """Activities that nobody has acted on yet."""
    activity = table(Activity)
    waiting = activity.c.react_at.is_not(None)
    query = select(func.count(), func.min(activity.c.recorded_at)).where(waiting)
    count, oldest = (await session.execute(query)).one()
    return Due(count, oldest, None)


BELT = Belt("reactions", react, due)


async def _react(runtime: Runtime, limit: int, only: int | None = None) -> int:
    now = await runtime.clock.now()
    activity, customer = table(Activity), table(Customer)
    query = (
        select(activity)
        .where(activity.c.react_at <= wall())
        .order_by(activity.c.react_at, activity.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if only is not None:
        query = query.where(activity.c.id == only)
    async with runtime.db.transaction() as session:
        rows: list[Any] = list(await session.execute(query))
        if not rows:
            return 0
        # One customer's activities act one after the other, also on two workers.
        people = select(customer.c.id).where(customer.c.id.in_({row.customer_id for row in rows}))
        await session.execute(people.order_by(customer.c.id).with_for_update(key_share=True))
        woken = [belt for act, belt in REACTIONS if await act(session, rows, now=now)]
        if await link_reactions.complete_links(runtime, session, rows, now=now):
            woken += [BELT.name, "dispatch"]
        done = update(activity).where(activity.c.id.in_([row.id for row in rows]))
        await session.execute(done.values(react_at=None))
    runtime.wakes.wake(*woken)
    return len(rows)


async def _one_by_one(runtime: Runtime) -> int:
    activity = table(Activity)
    query = select(activity.c.id).where(activity.c.react_at <= wall()).order_by(activity.c.id)
    async with runtime.db.reading() as session:
        ids = list(await session.scalars(query.limit(BATCH)))
    done = 0
    for id_ in ids:
        try:
            done += await _react(runtime, 1, only=id_)
        except Exception:
            log.exception("reaction.failed", activity=id_)
            async with runtime.db.transaction() as session:
                later = update(activity).where(activity.c.id == id_)
                await session.execute(later.values(react_at=wall() + PAUSE))
    return done
