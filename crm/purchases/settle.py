"""What follows from purchases: figures, activities, points and rank, settled as one with them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.clock import AT_ONCE
from core.db import table
from crm import activities
from crm.activities import Fact
from crm.customers.reach import following_friend
from crm.models import Activity
from crm.points import for_purchases
from crm.purchases.models import Purchase, PurchaseLine, PurchaseRefund
from crm.purchases.move import counted, recount_customers
from crm.purchases.stubs import is_stub
from crm.ranks import review

FACTS_AT_ONCE = 1_000
MAX_NAMED = 20  # items, categories and skus that an activity names
STEPS = ("placed", "purchased", "shipped", "delivered", "cancelled")


async def settle(
    session: AsyncSession,
    purchase_ids: Collection[int],
    *,
    now: datetime,
    zone: ZoneInfo,
    moved_from: Mapping[int, int] | None = None,
) -> None:
    """Bring everything in step with these purchases; doing it twice changes nothing.

    `moved_from`: purchases that were another customer's until now → whose. The caller holds the
    locks of all customers concerned. A purchase earns by the rank that the customer had before it.
    """
    if not purchase_ids:
        return
    told = await _read(session, sorted(set(purchase_ids)))
    customers = {p.customer_id for p in told.purchases} | set((moved_from or {}).values())
    await recount_customers(session, customers)
    friends = await following_friend(session, customers)
    if moved_from:
        await _move_activities(session, told, set(moved_from), friends)
    numbers = await _numbers(session, [p.id for p in told.purchases])
    facts = [f for p in told.purchases for f in _facts(p, told, numbers.get(p.id), friends)]
    for start in range(0, len(facts), FACTS_AT_ONCE):
        await activities.record(session, facts[start : start + FACTS_AT_ONCE], now=now)
    await for_purchases.recount(session, [p.id for p in told.purchases], now=now, zone=zone)
    await review.promote(session, sorted(customers), now=now, zone=zone)


@dataclass(frozen=True, slots=True)
class _Told:
    purchases: Sequence[Any]
    lines: Mapping[int, Sequence[Any]]
    refunds: Mapping[int, Sequence[Any]]


async def _read(session: AsyncSession, ids: Sequence[int]) -> _Told:
    purchase, line, refund = table(Purchase), table(PurchaseLine), table(PurchaseRefund)
    purchases = await session.execute(
        select(purchase).where(bulk.is_one_of(session, purchase.c.id, ids)).order_by(purchase.c.id)
    )
    lines = await session.execute(
        select(line)
        .where(bulk.is_one_of(session, line.c.purchase_id, ids))
        .order_by(line.c.purchase_id, line.c.position)
    )
    refunds = await session.execute(
        select(refund)
        .where(bulk.is_one_of(session, refund.c.purchase_id, ids))
        .order_by(refund.c.id)
    )
    here = [row for row in purchases if not is_stub(row)]
    return _Told(here, _by_purchase(lines), _by_purchase(refunds))


def _by_purchase(rows: Any) -> dict[int, list[Any]]:  # noqa: ANN401
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row.purchase_id, []).append(row)
    return found


async def _numbers(session: AsyncSession, ids: Sequence[int]) -> dict[int, int]:
    """Of each purchase that counts, the how-manieth of its customer it is, by time."""
    purchase = table(Purchase)
    theirs = select(purchase.c.customer_id).where(bulk.is_one_of(session, purchase.c.id, ids))
    number = func.row_number().over(
        partition_by=purchase.c.customer_id, order_by=(purchase.c.purchased_at, purchase.c.id)
    )
    all_ = select(purchase.c.id, number.label("number"))
    numbered = all_.where(purchase.c.customer_id.in_(theirs), counted()).subquery()
    mine = select(purchase.c.id).where(bulk.is_one_of(session, purchase.c.id, ids))
    query = select(numbered).where(numbered.c.id.in_(mine))
    return {row.id: row.number for row in await session.execute(query)}


def _facts(
    purchase: Any,  # noqa: ANN401
    told: _Told,
    number: int | None,
    friends: Mapping[int, int],
) -> list[Fact]:
    """The activities that the purchase as it stands now has brought about, each by its source.

    It is `purchased` when it is paid; an order that is paid at once was not placed before.
    """
    about = {
        "purchase_id": purchase.id,
        "order_id": purchase.order_id,
        "source": purchase.source,
        "total": purchase.total,
    }

    def fact(kind: str, step: str, at: datetime, data: dict[str, Any]) -> Fact:
        return Fact(
            customer_id=purchase.customer_id,
            kind=kind,
            occurred_at=at,
            friend_id=friends.get(purchase.customer_id),
            data=about | data,
            source=f"purchase:{purchase.id}:{step}",
        )

    facts = []
    bought = _bought(purchase, told.lines.get(purchase.id, ()))
    if purchase.paid_at != purchase.purchased_at:
        facts.append(fact("order_placed", "placed", purchase.purchased_at, bought))
    if number is not None:
        numbered = bought | {"number": number}
        facts.append(fact("purchased", "purchased", purchase.paid_at, numbered))
    for kind, at in (("shipped", purchase.shipped_at), ("delivered", purchase.delivered_at)):
        if at is not None:
            facts.append(fact(kind, kind, at, {}))
    if purchase.cancelled_at is not None:
        facts.append(fact("order_cancelled", "cancelled", purchase.cancelled_at, {}))
    for refund in told.refunds.get(purchase.id, ()):
        back = {"amount": refund.amount}
        facts.append(fact("refunded", f"refund:{refund.id}", refund.refunded_at, back))
    return facts


def _bought(purchase: Any, lines: Sequence[Any]) -> dict[str, Any]:  # noqa: ANN401
    named = {
        "items": _some(line.name for line in lines),
        "categories": _some(line.category for line in lines),
        "skus": _some(line.sku for line in lines),
    }
    return named | ({"store": purchase.store} if purchase.store else {})


def _some(values: Any) -> list[str]:  # noqa: ANN401
    return list(dict.fromkeys(value for value in values if value))[:MAX_NAMED]


async def _move_activities(
    session: AsyncSession, told: _Told, moved: set[int], friends: Mapping[int, int]
) -> None:
    """Give what was told of the wrong customer to the right one, for whom flows may then start."""
    rows = [
        {
            "source": f"purchase:{purchase.id}:{step}",
            "customer_id": purchase.customer_id,
            "friend_id": friends.get(purchase.customer_id),
            "react_at": AT_ONCE,
        }
        for purchase in told.purchases
        if purchase.id in moved
        for step in (*STEPS, *(f"refund:{r.id}" for r in told.refunds.get(purchase.id, ())))
    ]
    await bulk.update_rows(session, table(Activity), rows, key="source")
