"""What the shop owes its customers in points, by the month in which they expire."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from crm import policies
from crm.models import Customer
from crm.points.models import OPEN, PENDING, PointLot
from crm.points.policy import PointsPolicy


@dataclass(frozen=True, slots=True)
class Month:
    """Points that expire in a month of the shop's calendar (YYYY-MM); None is never."""

    month: str | None
    points: int
    yen: int


@dataclass(frozen=True, slots=True)
class Liability:
    """Usable points by month of expiry, and all of them; pending and owed ones stand apart."""

    months: list[Month]
    points: int
    yen: int
    pending_points: int
    pending_yen: int
    owed_points: int


async def report(session: AsyncSession, *, now: datetime, zone: ZoneInfo) -> Liability:
    """The liability now. A point is worth the policy's `yen_per_point`."""
    policy, _ = await policies.read(session, PointsPolicy)
    lot, customer = table(PointLot), table(Customer)
    query = (
        select(lot.c.state, lot.c.expires_at, func.sum(lot.c.remaining).label("points"))
        .where(lot.c.state.in_([OPEN, PENDING]))
        .where(or_(lot.c.expires_at.is_(None), lot.c.expires_at > now))
        .group_by(lot.c.state, lot.c.expires_at)
    )
    rows: list[Any] = list(await session.execute(query))
    points: dict[str | None, int] = defaultdict(int)
    for row in rows:
        if row.state == OPEN:
            points[_month(row.expires_at, zone)] += int(row.points)
    pending = sum(int(row.points) for row in rows if row.state == PENDING)
    owed = select(func.coalesce(func.sum(customer.c.points_owed), 0))
    worth = policy.yen_per_point
    return Liability(
        months=[
            Month(month, points[month], points[month] * worth)
            for month in sorted(points, key=lambda month: (month is None, month or ""))
            if points[month]
        ],
        points=sum(points.values()),
        yen=sum(points.values()) * worth,
        pending_points=pending,
        pending_yen=pending * worth,
        owed_points=int(await session.scalar(owed.where(customer.c.points_owed > 0)) or 0),
    )


def _month(expires_at: datetime | None, zone: ZoneInfo) -> str | None:
    """The month of the last day on which the points are good."""
    if expires_at is None:
        return None
    return (expires_at - timedelta(seconds=1)).astimezone(zone).strftime("%Y-%m")
