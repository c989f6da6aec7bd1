"""When the jobs of the timetable will next have something to do: a journey can skip the rest.

A year has 365 slots of each daily job; a moved clock stops only at those that change something.
"""

from datetime import datetime, timedelta

from sqlalchemy import Column, ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from core.runtime import Runtime
from crm import policies
from crm.coupons.models import HELD, IssuedCoupon
from crm.models import Customer
from crm.points.models import OPEN, PENDING, PointLot
from crm.points.policy import PointsPolicy


async def confirmation(runtime: Runtime) -> datetime | None:
    """When the next pending points become usable."""
    lot = table(PointLot)
    return await _first(runtime, lot.c.available_at, lot.c.state == PENDING)


async def expiry(runtime: Runtime) -> datetime | None:
    """When the next points expire."""
    lot = table(PointLot)
    return await _first(runtime, lot.c.expires_at, lot.c.state == OPEN)


async def notice(runtime: Runtime) -> datetime | None:
    """From when on the next notice of expiring points can be due: at most a day too early."""
    lot, now = table(PointLot), await runtime.clock.now()
    async with runtime.db.reading() as session:
        policy, _ = await policies.read(session, PointsPolicy)
        found = []
        for days in policy.expiry_notice_days:
            ahead = timedelta(days=days)
            later = (lot.c.state == OPEN) & (lot.c.expires_at > now + ahead)
            if (first := await _least(session, lot.c.expires_at, later)) is not None:
                found.append(first - ahead - timedelta(days=1))
    return min(found, default=None)


async def reminder(runtime: Runtime) -> datetime | None:
    """When the next reminder of an unused coupon is due."""
    copy = table(IssuedCoupon)
    return await _first(runtime, copy.c.remind_at, copy.c.state == HELD)


async def review(runtime: Runtime) -> datetime | None:
    """When the next rank's term ends."""
    customer = table(Customer)
    return await _first(runtime, customer.c.rank_until, customer.c.rank.is_not(None))


async def _first(
    runtime: Runtime, moment: Column[datetime], which: ColumnElement[bool]
) -> datetime | None:
    async with runtime.db.reading() as session:
        return await _least(session, moment, which)


async def _least(
    session: AsyncSession, moment: Column[datetime], which: ColumnElement[bool]
) -> datetime | None:
    found: datetime | None = await session.scalar(select(func.min(moment)).where(which))
    return found
