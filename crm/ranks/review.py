"""Who has which rank: promotion at once, demotion when the term ends, for sets of customers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from core.errors import NotFound
from core.runtime import Runtime
from crm import policies
from crm.models import Customer
from crm.purchases.models import Purchase
from crm.ranks import achieved, moves
from crm.ranks.policy import AppliedRanks, Basis, RankPolicy, Tier
from crm.ranks.terms import holds_until, windows, windows_at_end

BATCH = 5_000
Ended: TypeAlias = dict[datetime, list[int]]  # customers by when their term ended


class Work(Protocol):
    """What is done for locked customers; returns how many have another rank then."""

    async def __call__(
        self, session: AsyncSession, locked: Sequence[Any], /, *, now: datetime, zone: ZoneInfo
    ) -> int: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a customer stands; `rank` is None for those who are no members.

    The rank is kept until `until` (None: for good). `achieved` and `missing` are yen or purchases,
    by `basis`; without more purchases or refunds they stay so until `period_end`. Both ends are
    moments that belong to what follows: `crm.ranks.terms.last_day` has the day before.
    """

    rank: Tier | None
    since: datetime | None
    until: datetime | None
    basis: Basis
    achieved: int
    next: Tier | None
    missing: int
    period_end: datetime | None

    def hint(self) -> str | None:
        """あと1,200円でゴールド; None on top and for those who are no members."""
        if self.rank is None or self.next is None:
            return None
        unit = "円" if self.basis == "amount" else "回"
        return f"あと{self.missing:,}{unit}で{self.next.name}"

    def hint_en(self) -> str | None:
        """The same in English."""
        if self.rank is None or self.next is None:
            return None
        if self.basis == "amount":
            return f"¥{self.missing:,} more for {self.next.name}"
        return f"{self.missing:,} more purchase{'s' * (self.missing > 1)} for {self.next.name}"


async def promote(
    session: AsyncSession, customer_ids: Collection[int], *, now: datetime, zone: ZoneInfo
) -> int:
    """Give each member the rank that they have earned, at once, where it is higher than theirs.

    To be called when their purchases, membership or the policy have changed; the caller has locked
    them. A term that ended unseen is reviewed first. Returns how many have another rank now.
    """
    policy, _ = await policies.read(session, RankPolicy)
    changed = await review(session, customer_ids, policy, now=now, zone=zone)
    return len(changed | await _promote(session, customer_ids, policy, now=now, zone=zone))


async def review(
    session: AsyncSession,
    customer_ids: Collection[int],
    policy: RankPolicy,
    *,
    now: datetime,
    zone: ZoneInfo,
) -> set[int]:
    """For those of the customers whose term has ended: the rank becomes what the window earned.

    A new term begins where the last one ended. The caller has locked them. Terms that ended one
    after the other while nobody looked are reviewed in turn. Returns whose rank changed.
    """
    ended = await _ended(session, customer_ids, now)
    return await _review(session, ended, policy, now=now, zone=zone)


async def _review(
    session: AsyncSession,
    ended: Ended,
    policy: RankPolicy,
    *,
    now: datetime,
    zone: ZoneInfo,
) -> set[int]:
    changed: set[int] = set()
    while ended:
        again: Ended = {}
        for end, ids in ended.items():
            spans = windows_at_end(policy, end, zone)
            customers = await moves.held(session, ids, policy, spans)
            found = moves.outcomes(customers, policy, end, zone)
            changed |= await moves.carry_out(session, found, policy, now=now)
            for move in found:
                if move.until is not None and move.until <= now:
                    again.setdefault(move.until, []).append(move.customer_id)
        ended = again
    return changed


async def _promote(
    session: AsyncSession,
    customer_ids: Collection[int],
    policy: RankPolicy,
    *,
    now: datetime,
    zone: ZoneInfo,
) -> set[int]:
    spans = windows(policy, now, zone)
    customers = await moves.held(session, customer_ids, policy, spans)
    found = [move for one in customers if (move := moves.promotion(one, policy, spans, now, zone))]
    return await moves.carry_out(session, found, policy, now=now)


async def standing(
    session: AsyncSession, customer_id: int, *, now: datetime, zone: ZoneInfo
) -> Standing:
    """A customer's rank and the way to the next. Raises `NotFound`."""
    policy, _ = await policies.read(session, RankPolicy)
    customer = table(Customer)
    spans = windows(policy, now, zone)
    sums = achieved.achieved(spans, policy.basis, table(Purchase).c.customer_id == customer_id)
    query = (
        select(customer.c.rank, customer.c.rank_since, customer.c.rank_until,
               achieved.is_member().label("is_member"), sums.c.in_0, sums.c.oldest)
        .select_from(customer.outerjoin(sums, sums.c.customer_id == customer.c.id))
        .where(customer.c.id == customer_id)
    )  # fmt: skip
    row: Any = (await session.execute(query)).first()
    if row is None:
        raise NotFound("customer", customer_id)
    level = policy.level(row.rank) or 0
    above = policy.tiers[level + 1] if level + 1 < len(policy.tiers) else None
    amount = row.in_0 or 0
    return Standing(
        rank=policy.tiers[level] if row.is_member else None,
        since=row.rank_since if row.is_member else None,
        until=row.rank_until if row.is_member else None,
        basis=policy.basis,
        achieved=amount,
        next=above,
        missing=max(0, above.threshold - amount) if above else 0,
        period_end=holds_until(policy, row.oldest, now, zone),
    )


async def review_due(runtime: Runtime) -> int:
    """Review whose term has ended, and give members their first rank; after a change of the policy,
    promote whoever it promotes. Returns how many ranks changed.
    """
    now, zone = await runtime.clock.now(), runtime.settings.zone
    customer = table(Customer)
    async with runtime.db.reading() as session:
        policy, version = await policies.read(session, RankPolicy)
        applied, _ = await policies.read(session, AppliedRanks)
    known = customer.c.rank.in_([tier.key for tier in policy.tiers])
    ended = known & (customer.c.rank_until <= now)
    changed = await _in_batches(runtime, _review_ended, ended, now=now, zone=zone)
    if applied.version == version:
        newcomer = customer.c.rank.is_(None)
        return changed + await _in_batches(runtime, _promote_all, newcomer, now=now, zone=zone)
    changed += await _in_batches(runtime, _promote_all, true(), now=now, zone=zone)
    async with runtime.db.transaction() as session:
        await policies.save(session, AppliedRanks(version=version), expected=None, now=now)
    return changed


async def _review_ended(
    session: AsyncSession, locked: Sequence[Any], *, now: datetime, zone: ZoneInfo
) -> int:
    """Review without a look at everybody's present window.

    Whoever kept their rank cannot have earned a higher one unseen; who lost it while the review was
    late may have earned it again since.
    """
    policy, _ = await policies.read(session, RankPolicy)
    changed = await _review(session, _by_end(locked), policy, now=now, zone=zone)
    if changed:
        await _promote(session, changed, policy, now=now, zone=zone)
    return len(changed)


async def _promote_all(
    session: AsyncSession, locked: Sequence[Any], *, now: datetime, zone: ZoneInfo
) -> int:
    return await promote(session, [row.id for row in locked], now=now, zone=zone)


async def _in_batches(
    runtime: Runtime, work: Work, which: ColumnElement[bool], *, now: datetime, zone: ZoneInfo
) -> int:
    """Do it for these members, locked, a batch and a transaction at a time, by ids."""
    customer = table(Customer)
    changed, after = 0, 0
    while True:
        query = select(customer.c.id, customer.c.rank_until).where(
            which, customer.c.id > after, achieved.is_member()
        )
        query = query.order_by(customer.c.id).limit(BATCH).with_for_update(key_share=True)
        async with runtime.db.transaction() as session:
            locked: list[Any] = list(await session.execute(query))
            if locked:
                changed += await work(session, locked, now=now, zone=zone)
        if len(locked) < BATCH:
            return changed
        after = locked[-1].id


async def _ended(session: AsyncSession, customer_ids: Collection[int], now: datetime) -> Ended:
    """Whose term has ended, by its end; those who are no members have none to review."""
    customer = table(Customer)
    query = select(customer.c.id, customer.c.rank_until).where(
        bulk.is_one_of(session, customer.c.id, customer_ids), customer.c.rank_until <= now,
        achieved.is_member(),
    )  # fmt: skip
    return _by_end(list(await session.execute(query)))


def _by_end(rows: Sequence[Any]) -> Ended:
    ended: Ended = {}
    for row in rows:
        ended.setdefault(row.rank_until, []).append(row.id)
    return ended
