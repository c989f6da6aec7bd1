"""LINE's monthly quota: every push is counted before it goes, and held when it does not fit.

LINE's own counter lags and includes what was sent from its manager, so we keep our own count and
believe the higher one. Months are calendar months in Japan
(https://developers.line.biz/en/docs/messaging-api/pricing/).
"""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import case, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import logs
from core.db import insert_new, table
from core.line.client import LineError
from core.runtime import Runtime
from crm import channels
from crm.channels import OpenChannel
from delivery.models import HELD, WAITING, Delivery, Quota

log = logs.get(__name__)

JAPAN = ZoneInfo("Asia/Tokyo")
RELEASE_WITHIN = timedelta(hours=24)


def month_of(moment: datetime) -> str:
    """The month that LINE counts a push to: `2026-11`."""
    return moment.astimezone(JAPAN).strftime("%Y-%m")


async def reserve(session: AsyncSession, channel_id: int, wanted: int, *, now: datetime) -> int:
    """Count up to `wanted` pushes against this month; returns how many fit.

    Until LINE has told the limit, everything fits: LINE itself then refuses what does not.
    """
    quota = table(Quota)
    month = month_of(now)
    here = (quota.c.channel_id == channel_id) & (quota.c.month == month)
    look = select(quota).where(here).with_for_update()
    row: Any = (await session.execute(look)).first()
    if row is None:  # the month's first
        new = insert_new(session, quota).values(channel_id=channel_id, month=month)
        new = new.values(limited=False, limit_value=0, line_usage=0, counted=0)
        await session.execute(new.on_conflict_do_nothing())
        row = (await session.execute(look)).one()
    room = max(0, row.limit_value - max(row.line_usage, row.counted))
    granted = min(wanted, room) if row.limited else wanted
    if granted:
        await session.execute(update(quota).where(here).values(counted=quota.c.counted + granted))
    return granted


async def give_back(
    session: AsyncSession, channel_id: int, count: int, *, reserved_at: datetime
) -> None:
    """Take back a reservation for pushes that LINE refused for sure."""
    quota = table(Quota)
    here = (quota.c.channel_id == channel_id) & (quota.c.month == month_of(reserved_at))
    less = case((quota.c.counted >= count, quota.c.counted - count), else_=0)
    await session.execute(update(quota).where(here).values(counted=less))


async def refresh(runtime: Runtime) -> int:
    """Ask LINE for each channel's limit and usage; returns how many channels answered."""
    answered = 0
    for channel in await channels.of(runtime).all():
        if channel.access_token:
            answered += await _refresh_one(runtime, channel)
    return answered


async def _refresh_one(runtime: Runtime, channel: OpenChannel) -> bool:
    try:
        limit = (await runtime.line.quota(channel.access_token)).limit
        usage = await runtime.line.quota_consumption(channel.access_token)
    except LineError as error:
        log.warning("quota.not_refreshed", channel=channel.channel_id, status=error.status)
        return False
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        await _store(session, channel.id, limit, usage, now)
        released = await _release_held(session, channel.id, now)
    if released:
        runtime.wakes.wake("dispatch")
    return True


async def _store(
    session: AsyncSession, channel_id: int, limit: int | None, usage: int, now: datetime
) -> None:
    quota = table(Quota)
    values = {
        "limited": limit is not None,
        "limit_value": limit or 0,
        "line_usage": usage,
        "refreshed_at": now,
    }
    query = insert_new(session, quota).values(
        channel_id=channel_id, month=month_of(now), counted=usage, **values
    )
    # What LINE's own manager has sent is known from LINE alone; our count goes on from there.
    counted = case((quota.c.counted < usage, usage), else_=quota.c.counted)
    await session.execute(
        query.on_conflict_do_update(
            index_elements=["channel_id", "month"], set_=values | {"counted": counted}
        )
    )


async def _release_held(session: AsyncSession, channel_id: int, now: datetime) -> int:
    """Let go what fell due within the last day and lacked quota, as far as there is room now.

    Older ones stay held for staff to decide: a greeting that comes weeks late helps nobody.
    """
    quota, delivery = table(Quota), table(Delivery)
    here = (quota.c.channel_id == channel_id) & (quota.c.month == month_of(now))
    row: Any = (await session.execute(select(quota).where(here))).one()
    room = row.limit_value - max(row.line_usage, row.counted) if row.limited else 1_000_000_000
    if room <= 0:
        return 0
    held = (
        select(delivery.c.id)
        .where(
            delivery.c.channel_id == channel_id,
            delivery.c.state == HELD,
            delivery.c.reason == "quota",
            delivery.c.due_at > now - RELEASE_WITHIN,
        )
        .order_by(delivery.c.id)
        .limit(min(room, 10_000))
    )
    query = (
        update(delivery)
        .where(delivery.c.id.in_(held))
        .values(state=WAITING, reason=None, detail=None, done_at=None, dispatch_id=None)
        .returning(delivery.c.id)
    )
    return len((await session.execute(query)).all())
