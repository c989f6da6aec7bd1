"""The copies that a customer holds and can still use, as the chat shows them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from crm.coupons import codes
from crm.coupons.definition import conditions_of, discount_of
from crm.coupons.models import HELD, Coupon, CouponCode, IssuedCoupon

MOST = 100
WEEKDAYS = "月火水木金土日"


@dataclass(frozen=True, slots=True)
class HeldCoupon:
    """A copy that is not used up and not over; `code` as it is shown. Not usable before
    `valid_from`. `conditions` are lines in Japanese.
    """

    id: int
    key: str
    name: str
    description: str
    discount: str
    discount_en: str
    conditions: tuple[str, ...]
    code: str
    valid_from: datetime
    expires_at: datetime | None
    uses_left: int


async def held(session: AsyncSession, customer_id: int, *, now: datetime) -> list[HeldCoupon]:
    """What a customer holds, the soonest to expire first; at most 100."""
    copy, coupon, pooled = table(IssuedCoupon), table(Coupon), table(CouponCode)
    query = (
        select(copy, coupon.c.key, coupon.c.name, coupon.c.description)
        .add_columns(coupon.c.discount, coupon.c.conditions, pooled.c.code.label("given"))
        .join(coupon, coupon.c.id == copy.c.coupon_id)
        .outerjoin(pooled, pooled_of(copy, pooled))
        .where(copy.c.customer_id == customer_id, copy.c.state == HELD)
        .where(or_(copy.c.expires_at.is_(None), copy.c.expires_at > now))
        .order_by(copy.c.expires_at.is_(None), copy.c.expires_at, copy.c.id)
        .limit(MOST)
    )
    return [_read(row) for row in await session.execute(query)]


def shown_code(row: Any) -> str:  # noqa: ANN401
    """The code as the customer sees it: a pool's as the shop gave it, else in groups."""
    return row.given if row.given is not None else codes.shown(row.code)


def pooled_of(copy: Any, pooled: Any) -> Any:  # noqa: ANN401
    """How a copy finds the pool's code that it took."""
    return and_(pooled.c.issued_coupon_id == copy.c.id, pooled.c.coupon_id == copy.c.coupon_id)


def until_said(expires_at: datetime | None, zone: ZoneInfo) -> str:
    """Until when a copy is good, as customers read it: `12月31日(木)まで`."""
    if expires_at is None:
        return "期限なし"
    last = (expires_at - timedelta(seconds=1)).astimezone(zone)
    hour = "" if (last.hour, last.minute) == (23, 59) else f" {last + timedelta(seconds=1):%H:%M}"
    return f"{last.year}年{last.month}月{last.day}日({WEEKDAYS[last.weekday()]}){hour}まで"


def _read(row: Any) -> HeldCoupon:  # noqa: ANN401
    ja, en = discount_of(row).said()
    return HeldCoupon(
        id=row.id,
        key=row.key,
        name=row.name,
        description=row.description,
        discount=ja,
        discount_en=en,
        conditions=tuple(conditions_of(row).said()),
        code=shown_code(row),
        valid_from=row.valid_from,
        expires_at=row.expires_at,
        uses_left=row.max_uses - row.used,
    )
