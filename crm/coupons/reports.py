"""What became of coupons: issued, held, used, expired, and what was bought with them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import String, case, cast, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from crm.coupons.models import HELD, REVOKED, USED, IssuedCoupon, Redemption
from crm.purchases.models import Purchase


@dataclass(frozen=True, slots=True)
class Usage:
    """Copies by what became of them, which add up to `issued`; uses; and yen, tax included.

    `sales`: of orders that a coupon was used for, each once, after refunds and without those that
    were cancelled; for an order that is not known here, the total said at its use.
    """

    issued: int = 0
    held: int = 0
    used: int = 0
    expired: int = 0
    revoked: int = 0
    redemptions: int = 0
    customers: int = 0
    sales: int = 0
    discount: int = 0


async def usage(
    session: AsyncSession, coupon_ids: Collection[int], *, now: datetime
) -> dict[int, Usage]:
    """The figures of some coupons, in three statements."""
    figures: dict[int, dict[str, int]] = {id_: {} for id_ in coupon_ids}
    for query in (_copies(coupon_ids, now), _uses(coupon_ids), _sales(coupon_ids)):
        for row in await session.execute(query):
            found = {name: int(value or 0) for name, value in row._mapping.items()}  # noqa: SLF001
            figures[found.pop("coupon_id")] |= found
    return {id_: Usage(**found) for id_, found in figures.items()}


def _copies(coupon_ids: Collection[int], now: datetime) -> Any:  # noqa: ANN401
    copy = table(IssuedCoupon)
    alive = or_(copy.c.expires_at.is_(None), copy.c.expires_at > now)
    open_ = copy.c.state == HELD
    return (
        select(
            copy.c.coupon_id,
            func.count().label("issued"),
            func.count().filter(open_, alive).label("held"),
            func.count().filter(copy.c.state == USED).label("used"),
            func.count().filter(open_, ~alive).label("expired"),
            func.count().filter(copy.c.state == REVOKED).label("revoked"),
        )
        .where(copy.c.coupon_id.in_(coupon_ids))
        .group_by(copy.c.coupon_id)
    )


def _uses(coupon_ids: Collection[int]) -> Any:  # noqa: ANN401
    use = table(Redemption)
    return (
        select(
            use.c.coupon_id,
            func.count().label("redemptions"),
            func.count(use.c.customer_id.distinct()).label("customers"),
            func.sum(use.c.discount).label("discount"),
        )
        .where(use.c.coupon_id.in_(coupon_ids), use.c.undone_at.is_(None))
        .group_by(use.c.coupon_id)
    )


def _sales(coupon_ids: Collection[int]) -> Any:  # noqa: ANN401
    use, purchase = table(Redemption), table(Purchase)
    kept = case(
        (purchase.c.cancelled_at.is_(None), purchase.c.total - purchase.c.refunded), else_=0
    )
    known = select(func.max(kept)).where(
        purchase.c.order_id == use.c.order_id, purchase.c.customer_id == use.c.customer_id
    )
    amount = func.coalesce(known.scalar_subquery(), use.c.total, 0)
    order = func.coalesce(use.c.order_id, cast(use.c.id, String))
    each = (
        select(use.c.coupon_id, func.max(amount).label("amount"))
        .where(use.c.coupon_id.in_(coupon_ids), use.c.undone_at.is_(None))
        .group_by(use.c.coupon_id, use.c.customer_id, use.c.order_id.is_(None), order)
        .subquery()
    )
    total = func.sum(each.c.amount).label("sales")
    return select(each.c.coupon_id, total).group_by(each.c.coupon_id)
