"""Reminders of copies that expire soon: an activity, once, while the copy can still be used."""

from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from core.runtime import Runtime
from crm.coupons import news
from crm.coupons.definition import discount_of
from crm.coupons.models import HELD, Coupon, IssuedCoupon

BATCH = 5_000


async def remind_due(runtime: Runtime) -> int:
    """Tell of every copy whose reminder is due; returns how many were told of.

    A copy that is used up, revoked or over at that moment is passed over.
    """
    now, told = await runtime.clock.now(), 0
    while True:
        async with runtime.db.transaction() as session:
            found, live = await _remind(session, now)
        if live:
            runtime.wakes.wake("reactions")
        told += live
        if found < BATCH:
            return told


async def _remind(session: AsyncSession, now: datetime) -> tuple[int, int]:
    """One batch: how many were due, and how many of them were told of.

    The copies' rows are locked, so that one which is being used at this moment is used first.
    """
    copy, coupon = table(IssuedCoupon), table(Coupon)
    query = (
        select(copy.c.id, copy.c.customer_id, copy.c.expires_at, copy.c.max_uses, copy.c.used)
        .add_columns(copy.c.coupon_id)
        .where(copy.c.remind_at <= now, copy.c.state == HELD)
        .order_by(copy.c.remind_at, copy.c.id)
        .limit(BATCH)
        .with_for_update(key_share=True, skip_locked=True)
    )
    rows: list[Any] = list(await session.execute(query))
    if not rows:
        return 0, 0
    done = update(copy).where(bulk.is_one_of(session, copy.c.id, [row.id for row in rows]))
    await session.execute(done.values(remind_at=None))
    defined = select(coupon).where(coupon.c.id.in_({row.coupon_id for row in rows}))
    coupons = {row.id: _said(row) for row in await session.execute(defined)}
    live = [row for row in rows if row.expires_at is None or row.expires_at > now]
    copies = [
        news.Copy(row.id, row.customer_id, coupons[row.coupon_id] | {
            "issued_id": row.id, "expires_at": news.told(row.expires_at),
            "uses_left": row.max_uses - row.used,
        })
        for row in live
    ]  # fmt: skip
    await news.tell(session, "coupon_expiring", copies, now=now)
    return len(rows), len(live)


def _said(coupon: Any) -> dict[str, Any]:  # noqa: ANN401
    ja, en = discount_of(coupon).said()
    return {"coupon": coupon.key, "name": coupon.name, "discount": ja, "discount_en": en}
