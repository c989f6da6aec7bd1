"""Likely doubles: records that share a phone number or an address wait for staff to look."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, literal, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import insert_new, table
from core.errors import Conflict, NotFound
from crm.customers.models import DISMISSED, MERGED, SUSPECTED, SuspectedDouble
from crm.models import Customer

SHARED = ("phone", "email")
MAX_PAIRS = 2_000  # at a time: a number that a thousand share is a shop's own, and no evidence


async def suspect(session: AsyncSession, customer_ids: Collection[int], *, now: datetime) -> int:
    """Note who shares a phone number or address with these customers; returns how many pairs do.

    A pair that staff have dismissed stays dismissed; nothing is merged.
    """
    pairs = await _pairs(session, sorted(set(customer_ids)))
    if not pairs:
        return 0
    rows = [
        {
            "first_id": first, "second_id": second, "evidence": evidence, "state": SUSPECTED,
            "found_at": now,
        }
        for (first, second), evidence in sorted(pairs.items())
    ]  # fmt: skip
    double = table(SuspectedDouble)
    new = insert_new(session, double).values(rows)
    known = new.on_conflict_do_update(
        index_elements=["first_id", "second_id"],
        set_={"evidence": new.excluded.evidence},
        where=double.c.state == SUSPECTED,
    )
    await session.execute(known)
    return len(rows)


async def dismiss(session: AsyncSession, double_id: int, *, actor: str, now: datetime) -> None:
    """Say that a pair are two people: it is not suggested again."""
    await _decide(session, double_id, DISMISSED, actor, now)


async def merged(session: AsyncSession, ids: tuple[int, int], *, actor: str, now: datetime) -> None:
    """Note that a suspected pair became one record."""
    double = table(SuspectedDouble)
    pair = (double.c.first_id == min(ids)) & (double.c.second_id == max(ids))
    done = {"state": MERGED, "decided_at": now, "decided_by": actor[:60]}
    await session.execute(update(double).where(pair).values(done))


async def parted(session: AsyncSession, ids: tuple[int, int], *, actor: str, now: datetime) -> None:
    """Note that a merge was undone: staff have said that they are two people."""
    double = table(SuspectedDouble)
    pair = (double.c.first_id == min(ids)) & (double.c.second_id == max(ids))
    done = {"state": DISMISSED, "decided_at": now, "decided_by": actor[:60]}
    await session.execute(update(double).where(pair, double.c.state == MERGED).values(done))


async def find(session: AsyncSession, double_id: int) -> SuspectedDouble:
    """A pair that waits for a decision, locked; raises `NotFound` or `Conflict`."""
    found = await session.get(SuspectedDouble, double_id, with_for_update=True)
    if found is None:
        raise NotFound("suspected double", double_id)
    if found.state != SUSPECTED:
        raise Conflict("この候補は対応済みです。 This pair has been decided on already.")
    return found


def query_open() -> Select[Any]:
    """Pairs that wait for a decision, both of whom are still records of their own."""
    double, first, second = table(SuspectedDouble), *_two()
    return (
        select(double)
        .join(first, first.c.id == double.c.first_id)
        .join(second, second.c.id == double.c.second_id)
        .where(_live(first), _live(second))
    )


async def _decide(
    session: AsyncSession, double_id: int, state: str, actor: str, now: datetime
) -> None:
    found = await find(session, double_id)
    found.state, found.decided_at, found.decided_by = state, now, actor[:60]
    await session.flush()


async def _pairs(session: AsyncSession, ids: list[int]) -> dict[tuple[int, int], list[str]]:
    """Pairs of live records (lower id first) → what they share; one statement."""
    if not ids:
        return {}
    one, other = _two()
    shared = [
        select(one.c.id, other.c.id.label("other"), literal(name).label("what"))
        .join(other, and_(other.c[name] == one.c[name], other.c.id != one.c.id))
        .where(bulk.is_one_of(session, one.c.id, ids), _live(one), _live(other))
        for name in SHARED
    ]
    found: dict[tuple[int, int], list[str]] = {}
    for row in await session.execute(union_all(*shared).limit(2 * MAX_PAIRS)):
        evidence = found.setdefault((min(row.id, row.other), max(row.id, row.other)), [])
        if row.what not in evidence:
            evidence.append(row.what)
    return dict(list(found.items())[:MAX_PAIRS])


def _two() -> tuple[Any, Any]:
    return table(Customer).alias("one"), table(Customer).alias("other")


def _live(customer: Any) -> Any:  # noqa: ANN401
    return and_(customer.c.merged_into_id.is_(None), customer.c.erased_at.is_(None))
