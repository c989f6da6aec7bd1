"""What happens to points by the shop's calendar, in batches, each a few statements over sets."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import Column, ColumnElement, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from core.runtime import Runtime
from crm import policies
from crm.activities import Fact
from crm.customers import locking
from crm.models import Customer
from crm.points import calendar, due, news
from crm.points.book import Book
from crm.points.models import EXPIRE, GRANT, OPEN, PointLot
from crm.points.policy import PointsPolicy

BATCH = 5_000
CATCH_UP_DAYS = 3  # a notice that the job missed is made up for within so many days


async def confirm_due(runtime: Runtime) -> int:
    """Make points usable whose return window is over; returns how many lots."""
    now = await runtime.clock.now()
    lot = table(PointLot)
    return await _in_batches(runtime, lot.c.available_at, due.is_usable(now), _confirm, now)


async def expire_due(runtime: Runtime) -> int:
    """Take what is left in lots whose time is over; returns how many lots."""
    now = await runtime.clock.now()
    lot = table(PointLot)
    return await _in_batches(runtime, lot.c.expires_at, due.is_over(now), _expire, now)


async def notify_expiring(runtime: Runtime) -> int:
    """Record `points_expiring` for whoever loses points soon; returns how many.

    Once for each customer, day of expiry and notice day of the policy, with the points of all
    lots that expire then.
    """
    now = await runtime.clock.now()
    zone = runtime.settings.zone
    async with runtime.db.reading() as session:
        policy, _ = await policies.read(session, PointsPolicy)
    told = 0
    for days in policy.expiry_notice_days:
        async for rows in _expiring(runtime, days, now, zone):
            facts = [_notice(row, days, now, zone) for row in rows]
            async with runtime.db.transaction() as session:
                told += await news.tell(session, facts, now=now)
    if told:
        runtime.wakes.wake("reactions")
    return told


class _Work(Protocol):
    def __call__(
        self, session: AsyncSession, which: ColumnElement[bool], now: datetime
    ) -> Awaitable[None]: ...


async def _in_batches(
    runtime: Runtime,
    moment: Column[Any],
    is_due: ColumnElement[bool],
    work: _Work,
    now: datetime,
) -> int:
    """Work off due lots in the order of their moments, each batch a transaction of its own."""
    lot, done = table(PointLot), 0
    after: tuple[Any, ...] | None = None
    query = select(lot.c.id, lot.c.customer_id, moment.label("moment")).where(is_due)
    query = query.order_by(moment, lot.c.id).limit(BATCH)
    while True:
        async with runtime.db.transaction() as session:
            later = query if after is None else query.where(tuple_(moment, lot.c.id) > after)
            rows: list[Any] = list(await session.execute(later))
            if rows:
                await locking.lock(session, {row.customer_id for row in rows})
                ids = [row.id for row in rows]
                await work(session, bulk.is_one_of(session, lot.c.id, ids), now)
        done += len(rows)
        if len(rows) < BATCH:
            break
        after = (rows[-1].moment, rows[-1].id)
    if done:
        runtime.wakes.wake("reactions")
    return done


async def _confirm(session: AsyncSession, which: ColumnElement[bool], now: datetime) -> None:
    opened = await due.open_lots(session, which, now=now)
    await _tell(session, GRANT, opened, now)
    policy, _ = await policies.read(session, PointsPolicy)
    if policy.overdraw != "settle" or not opened:
        return
    customer = table(Customer)
    here = bulk.is_one_of(session, customer.c.id, sorted({row.customer_id for row in opened}))
    debtors = select(customer.c.id).where(here, customer.c.points_owed > 0)
    ids = list(await session.scalars(debtors))
    if ids:
        book = await Book.load(session, ids, now=now)
        for row in opened:
            if row.customer_id in book.accounts and row.lot_id in book.lots:
                book.accounts[row.customer_id].arrived.append(book.lots[row.lot_id])
        book.settle()
        await book.write()


async def _expire(session: AsyncSession, which: ColumnElement[bool], now: datetime) -> None:
    await _tell(session, EXPIRE, await due.expire_lots(session, which, now=now), now)


async def _tell(
    session: AsyncSession, entry_kind: str, entries: Sequence[Any], now: datetime
) -> None:
    facts = [
        Fact(row.customer_id, news.KIND_OF[entry_kind], now, source=f"points:{row.source}",
             data={"points": abs(row.delta), "reason": row.reason})
        for row in entries
    ]  # fmt: skip
    await news.tell(session, facts, now=now)


async def _expiring(
    runtime: Runtime, days: int, now: datetime, zone: ZoneInfo
) -> AsyncIterator[Sequence[Any]]:
    """Customers, and the points that they lose when that day (or one just before) ends."""
    lot = table(PointLot)
    last: date = calendar.day_of(now, zone) + timedelta(days=days)
    since = max(now, calendar.end_of(last - timedelta(days=CATCH_UP_DAYS), zone))
    query = (
        select(lot.c.customer_id, lot.c.expires_at, func.sum(lot.c.remaining).label("points"))
        .where(lot.c.state == OPEN, lot.c.expires_at > since)
        .where(lot.c.expires_at <= calendar.end_of(last, zone))
        .group_by(lot.c.customer_id, lot.c.expires_at)
    )
    async with runtime.db.reading() as session:
        found = await session.stream(query)
        async for rows in found.partitions(BATCH):
            yield rows


def _notice(row: Any, days: int, now: datetime, zone: ZoneInfo) -> Fact:  # noqa: ANN401
    last_day = calendar.day_of(row.expires_at - timedelta(seconds=1), zone)
    data = {
        "points": int(row.points),
        "expires_on": last_day.isoformat(),
        "expires_at": row.expires_at.isoformat(),
        "days": days,
    }
    source = f"points_expiring:{row.customer_id}:{last_day.isoformat()}:{days}"
    return Fact(row.customer_id, "points_expiring", now, data=data, source=source)
