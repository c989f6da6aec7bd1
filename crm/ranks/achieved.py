"""What customers have achieved within spans of time, as SQL: for a few, a batch, or for all."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)

from core.db import table
from crm.models import Customer
from crm.purchases.models import Purchase
from crm.ranks.policy import Basis, RankPolicy
from crm.ranks.terms import Span


def is_member() -> ColumnElement[bool]:
    """Who has a rank: whoever has a membership; nobody who is merged into another, or erased."""
    customer = table(Customer)
    return and_(
        customer.c.member_number.is_not(None),
        customer.c.merged_into_id.is_(None),
        customer.c.erased_at.is_(None),
    )


def counts() -> ColumnElement[bool]:
    """Which purchases count."""
    purchase = table(Purchase)
    return and_(purchase.c.paid_at.is_not(None), purchase.c.cancelled_at.is_(None))


def worth(basis: Basis) -> ColumnElement[int]:
    """What one purchase adds: yen after refunds, or one unless nothing is left of it."""
    left: ColumnElement[int] = table(Purchase).c.total - table(Purchase).c.refunded
    return left if basis == "amount" else case((left > 0, 1), else_=0)


def achieved(
    spans: Sequence[Span], basis: Basis, which: ColumnElement[bool] | None = None
) -> Subquery:
    """`customer_id`, and `in_0`, `in_1` … what each span holds; without those who have nothing."""
    purchase = table(Purchase)
    begin, end = min(span.begin for span in spans), max(span.end for span in spans)
    sums = [_sum(span, spans, basis).label(f"in_{n}") for n, span in enumerate(spans)]
    query = select(purchase.c.customer_id, *sums, func.min(purchase.c.purchased_at).label("oldest"))
    query = query.where(_within(begin, end), counts()).group_by(purchase.c.customer_id)
    return (query if which is None else query.where(which)).subquery("achieved")


def level(policy: RankPolicy, in_spans: Sequence[ColumnElement[Any]]) -> ColumnElement[int]:
    """The level that the best of these amounts earns."""
    steps = [
        (or_(*(amount >= tier.threshold for amount in in_spans)), n)
        for n, tier in reversed(list(enumerate(policy.tiers)))
        if n > 0
    ]
    return case(*steps, else_=0) if steps else literal(0)


def _sum(span: Span, spans: Sequence[Span], basis: Basis) -> ColumnElement[int]:
    value = worth(basis)
    if len(spans) > 1:
        value = case((_within(span.begin, span.end), value), else_=0)
    return cast(func.sum(value), BigInteger)


def _within(begin: datetime, end: datetime) -> ColumnElement[bool]:
    bought = table(Purchase).c.purchased_at
    return and_(bought >= begin, bought < end)
