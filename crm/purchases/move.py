"""What a customer's record says of their purchases, counted anew from the purchases themselves."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from crm.models import Customer
from crm.purchases.models import Purchase

NOTHING = {
    "purchase_count": 0, "purchase_total": 0, "first_purchased_at": None,
    "last_purchased_at": None,
}  # fmt: skip


def counted() -> ColumnElement[bool]:
    """Which purchases count: those that are paid and not cancelled."""
    purchase = table(Purchase)
    return and_(purchase.c.paid_at.is_not(None), purchase.c.cancelled_at.is_(None))


async def recount_customers(session: AsyncSession, customer_ids: Collection[int]) -> None:
    """Put count, sum (net of refunds), first and last purchase of customers right.

    The caller holds their locks.
    """
    purchase = table(Purchase)
    ids = sorted(set(customer_ids))
    query = (
        select(
            purchase.c.customer_id.label("id"),
            func.count().label("purchase_count"),
            func.sum(purchase.c.total - purchase.c.refunded).label("purchase_total"),
            func.min(purchase.c.purchased_at).label("first_purchased_at"),
            func.max(purchase.c.purchased_at).label("last_purchased_at"),
        )
        .where(bulk.is_one_of(session, purchase.c.customer_id, ids), counted())
        .group_by(purchase.c.customer_id)
    )
    found: dict[int, dict[str, Any]] = {
        row["id"]: dict(row) for row in (await session.execute(query)).mappings()
    }
    rows = [found.get(id_) or {"id": id_, **NOTHING} for id_ in ids]
    await bulk.update_rows(session, table(Customer), rows)
