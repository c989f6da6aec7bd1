"""Who would move under a rank policy, without moving anybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, case, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from crm.models import Customer
from crm.ranks import achieved
from crm.ranks.policy import RankPolicy
from crm.ranks.terms import windows

SAMPLE = 20
NO_TIER = -1  # the rank that a customer has is none of the policy's


@dataclass(frozen=True, slots=True)
class Count:
    """So many would move from one rank to another. `before` None: they have none yet."""

    before: str | None
    after: str
    direction: str
    customers: int


@dataclass(frozen=True, slots=True)
class Example:
    """One who would move; `at` is when: now, or when the term of the rank ends."""

    customer_id: int
    member_number: str
    before: str | None
    after: str
    direction: str
    achieved: int
    at: datetime


@dataclass(frozen=True, slots=True)
class DryRun:
    """All moves in numbers, some of them by name."""

    members: int
    moves: Sequence[Count]
    sample: Sequence[Example]


async def dry_run(
    session: AsyncSession, policy: RankPolicy, *, now: datetime, zone: ZoneInfo
) -> DryRun:
    """What would come of this policy with the purchases up to now: promotions at once, demotions
    when the term ends, if nothing is bought until then.
    """
    found = _each(policy, now, zone).subquery("each")
    kinds = select(found.c.rank, found.c.has, found.c.earned, func.count().label("customers"))
    kinds = kinds.group_by(found.c.rank, found.c.has, found.c.earned)
    rows: list[Any] = list(await session.execute(kinds))
    counts = [
        Count(row.rank, policy.tiers[row.earned].key, _direction(row), row.customers)
        for row in rows
        if row.has != row.earned
    ]
    some = select(found).where(found.c.has != found.c.earned).order_by(found.c.id).limit(SAMPLE)
    sample = [
        Example(
            row.id, row.member_number, row.rank, policy.tiers[row.earned].key, _direction(row),
            row.achieved or 0, (row.rank_until or now) if row.has > row.earned else now,
        )
        for row in await session.execute(some)
    ]  # fmt: skip
    counts.sort(key=lambda c: (-c.customers, c.before or "", c.after))
    return DryRun(sum(row.customers for row in rows), counts, sample)


def _each(policy: RankPolicy, now: datetime, zone: ZoneInfo) -> Select[Any]:
    """Every member with the level that they have and the one that they would get."""
    customer, spans = table(Customer), windows(policy, now, zone)
    sums = achieved.achieved(spans, policy.basis)
    in_spans = [sums.c[f"in_{n}"] for n in range(len(spans))]
    has = [(customer.c.rank == tier.key, n) for n, tier in enumerate(policy.tiers)]
    return (
        select(
            customer.c.id, customer.c.member_number, customer.c.rank, customer.c.rank_until,
            case((customer.c.rank.is_(None), 0), *has, else_=literal(NO_TIER)).label("has"),
            achieved.level(policy, in_spans).label("earned"),
            in_spans[0].label("achieved"),
        )
        .select_from(customer.outerjoin(sums, sums.c.customer_id == customer.c.id))
        .where(achieved.is_member())
    )  # fmt: skip


def _direction(row: Any) -> str:  # noqa: ANN401
    if row.has == NO_TIER:
        return "moved"
    return "up" if row.earned > row.has else "down"
