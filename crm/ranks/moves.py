"""One change of rank after another: who is to have which, and the writing down of it."""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from crm import activities
from crm.customers import reach
from crm.models import Customer
from crm.purchases.models import Purchase
from crm.ranks import achieved
from crm.ranks.policy import RankPolicy
from crm.ranks.terms import Span, term_end

FACTS_AT_ONCE = 1_000
MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Held:
    """The rank that a customer has now, and what their windows hold, the current one first."""

    id: int
    rank: str | None
    until: datetime | None
    amounts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Move:
    """A rank that is given: where from, where to, and until when it is kept.

    `of` is the end of the term that led to it, None for a promotion.
    """

    customer_id: int
    before: str | None
    after: str
    direction: str
    until: datetime | None
    of: datetime | None


def promotion(
    held: Held, policy: RankPolicy, spans: Sequence[Span], now: datetime, zone: ZoneInfo
) -> Move | None:
    """A higher rank, or the first one ever; one of a tier that is no more is replaced."""
    level = policy.earned(max(held.amounts))
    has = policy.level(held.rank)
    if has is not None and level <= has:
        return None
    by_now = policy.earned(held.amounts[0]) == level
    since = now if by_now else spans[1].end - MOMENT  # told late: kept as if it had come in time
    until = None if level == 0 else term_end(policy, since, zone)
    if until is not None and held.until is not None:
        until = max(until, held.until)
    direction = "up" if held.rank is None or has is not None else "moved"
    return Move(held.id, held.rank, policy.tiers[level].key, direction, until, of=None)


def outcomes(
    customers: Sequence[Held], policy: RankPolicy, end: datetime, zone: ZoneInfo
) -> list[Move]:
    """What the end of their terms brings to those whose terms end together."""
    next_end = term_end(policy, end, zone)
    levels = {tier.key: n for n, tier in enumerate(policy.tiers)}
    thresholds = [tier.threshold for tier in policy.tiers]
    found = []
    for one in customers:
        level = bisect_right(thresholds, max(one.amounts)) - 1
        has = levels.get(one.rank or "")
        direction = "moved" if has is None else "up" if level > has else "down"
        until = next_end if level else None
        after = policy.tiers[level].key
        found.append(Move(one.id, one.rank, after, direction, until, of=end))
    return found


async def held(
    session: AsyncSession, customer_ids: Collection[int], policy: RankPolicy, spans: Sequence[Span]
) -> list[Held]:
    customer = table(Customer)
    theirs = bulk.is_one_of(session, table(Purchase).c.customer_id, customer_ids)
    sums = achieved.achieved(spans, policy.basis, theirs)
    query = (
        select(customer.c.id, customer.c.rank, customer.c.rank_until,
               *(sums.c[f"in_{n}"] for n in range(len(spans))))
        .select_from(customer.outerjoin(sums, sums.c.customer_id == customer.c.id))
        .where(bulk.is_one_of(session, customer.c.id, customer_ids), achieved.is_member())
    )  # fmt: skip
    rows: list[Any] = list(await session.execute(query))
    return [Held(row[0], row[1], row[2], [amount or 0 for amount in row[3:]]) for row in rows]


async def carry_out(
    session: AsyncSession, moves: Sequence[Move], policy: RankPolicy, *, now: datetime
) -> set[int]:
    """Write ranks and terms, and an activity for each change; returns who has another rank now."""
    changed = [move for move in moves if move.after != move.before]
    kept = [move for move in moves if move.after == move.before]
    await bulk.update_rows(session, table(Customer), [
        {"id": m.customer_id, "rank": m.after, "rank_until": m.until, "rank_since": now}
        for m in changed])  # fmt: skip
    await bulk.update_rows(session, table(Customer), [
        {"id": m.customer_id, "rank_until": m.until} for m in kept])  # fmt: skip
    first = policy.tiers[0].key
    news = [move for move in changed if move.before is not None or move.after != first]
    await _tell(session, news, first, now=now)
    return {move.customer_id for move in changed}


async def _tell(session: AsyncSession, news: Sequence[Move], first: str, *, now: datetime) -> None:
    """Record the changes; whoever had no rank yet stood on the first one, which is no news."""
    friends = await reach.following_friend(session, [m.customer_id for m in news]) if news else {}
    facts = [
        activities.Fact(
            customer_id=move.customer_id,
            friend_id=friends.get(move.customer_id),
            kind="rank_changed",
            occurred_at=now,
            data={"from": move.before or first, "to": move.after, "direction": move.direction},
            source=f"rank:{move.customer_id}:{move.after}:{(move.of or now).isoformat()}",
        )
        for move in news
    ]
    for start in range(0, len(facts), FACTS_AT_ONCE):
        await activities.record(session, facts[start : start + FACTS_AT_ONCE], now=now)
