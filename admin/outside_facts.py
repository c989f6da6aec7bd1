"""Facts from outside: what tills, carts and other systems tell of customers, taken in as sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from core.errors import Fault, Invalid
from crm import activities
from crm.customers import locking, reach, records
from crm.models import Activity

# What LINE tells us and what our own ledgers write is not for others to claim: it would start flows
# for things that never happened. Purchases come in here until they have a resource of their own.
KINDS_FROM_OUTSIDE = frozenset(
    {
        "purchased", "refunded", "shipped", "delivered", "cart_updated", "product_viewed",
        "restocked", "price_dropped", "subscription_upcoming", "subscription_cancelled",
    }
)  # fmt: skip
MAX_BATCH = 500
MAX_DATA_BYTES = 16_384
MAX_AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class OutsideFact:
    """A fact as it was told; the customer by id or by member number."""

    kind: str
    occurred_at: datetime
    customer_id: int | None = None
    member_number: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """The activities of the given facts, in their order, and how many of them are new."""

    rows: Sequence[Any]
    new: int


def check(facts: Sequence[OutsideFact], *, now: datetime, paths: Sequence[str]) -> None:
    """Raise `Invalid` for what is wrong in itself; `paths` begin each fault's path."""
    _refuse(f for fact, path in zip(facts, paths, strict=True) for f in _faults(fact, now, path))


async def record(
    session: AsyncSession, facts: Sequence[OutsideFact], *, now: datetime, paths: Sequence[str]
) -> Kept:
    """Record what is not known yet, in one statement, whatever their number.

    Raises `Invalid` for an unknown customer, and for a key that came with another fact before.
    """
    facts = await _with_customers(session, facts, paths)
    ids = {fact.customer_id for fact in facts if fact.customer_id is not None}
    friends = await reach.following_friend(session, ids)
    sources = [f"api:{fact.idempotency_key or f'~{uuid4().hex}'}" for fact in facts]
    rows = [_row(fact, source, friends) for fact, source in zip(facts, sources, strict=True)]
    new = await activities.record(session, rows, now=now)
    found = await _by_source(session, sources)
    kept = [found[source] for source in sources]
    _refuse(
        Fault(f"{path}idempotency_key", "this key was used for another activity before",
              "このキーは別の行動履歴で使用済みです")
        for fact, row, path in zip(facts, kept, paths, strict=True)
        if not _same(fact, row)
    )  # fmt: skip
    return Kept(kept, new)


def _faults(fact: OutsideFact, now: datetime, path: str) -> Iterable[Fault]:
    if fact.kind not in KINDS_FROM_OUTSIDE:
        listed = ", ".join(sorted(KINDS_FROM_OUTSIDE))
        yield Fault(f"{path}kind", f"{fact.kind!r} is ours to record; from outside: {listed}",
                    f"「{fact.kind}」は外部から記録できません。使えるもの: {listed}")  # fmt: skip
    if (fact.customer_id is None) == (fact.member_number is None):
        yield Fault(f"{path}customer_id", "give either customer_id or member_number",
                    "customer_id か member_number のどちらか一方を指定してください")  # fmt: skip
    if fact.occurred_at > now + MAX_AHEAD:
        yield Fault(f"{path}occurred_at", "is in the future", "未来の日時は記録できません")
    if len(orjson.dumps(fact.data)) > MAX_DATA_BYTES:
        yield Fault(f"{path}data", f"is over {MAX_DATA_BYTES} bytes of JSON",
                    f"JSONで{MAX_DATA_BYTES}バイトまでにしてください")  # fmt: skip


def _refuse(faults: Iterable[Fault]) -> None:
    found = list(faults)
    if found:
        raise Invalid(f"Nothing was recorded: there are {len(found)} fault(s).", found)


async def _with_customers(
    session: AsyncSession, facts: Sequence[OutsideFact], paths: Sequence[str]
) -> list[OutsideFact]:
    """The facts, each with the customer that its id or member number stands for today."""
    numbers = {fact.member_number for fact in facts if fact.member_number is not None}
    members = await records.by_member_number(session, numbers)
    told = {fact.customer_id for fact in facts if fact.customer_id is not None}
    today = await locking.resolve(session, told | set(members.values()))
    found = [_customer(fact, members, today) for fact in facts]
    _refuse(
        _unknown(fact, path)
        for fact, id_, path in zip(facts, found, paths, strict=True)
        if id_ is None
    )
    return [
        replace(fact, customer_id=id_, member_number=None)
        for fact, id_ in zip(facts, found, strict=True)
    ]


def _customer(
    fact: OutsideFact, members: Mapping[str, int], today: Mapping[int, int]
) -> int | None:
    id_ = fact.customer_id if fact.member_number is None else members.get(fact.member_number)
    return None if id_ is None else today.get(id_)


def _unknown(fact: OutsideFact, path: str) -> Fault:
    if fact.member_number is not None:
        return Fault(f"{path}member_number", "there is no member with this number",
                     "この会員番号の会員は登録されていません")  # fmt: skip
    return Fault(f"{path}customer_id", f"there is no customer {fact.customer_id}",
                 f"顧客 {fact.customer_id} は登録されていません")  # fmt: skip


def _row(fact: OutsideFact, source: str, friends: dict[int, int]) -> activities.Fact:
    assert fact.customer_id is not None  # checked before
    return activities.Fact(
        customer_id=fact.customer_id,
        friend_id=friends.get(fact.customer_id),
        kind=fact.kind,
        occurred_at=fact.occurred_at,
        data=fact.data,
        source=source,
    )


async def _by_source(session: AsyncSession, sources: Sequence[str]) -> dict[str, Any]:
    activity = table(Activity)
    query = select(activity).where(activity.c.source.in_(sources))
    return {row.source: row for row in await session.execute(query)}


def _same(fact: OutsideFact, row: Any) -> bool:  # noqa: ANN401
    """Whether the row is this fact; its moment may differ, as a repeat may take it anew."""
    told = (fact.kind, fact.customer_id, fact.data)
    return told == (row.kind, row.customer_id, row.data)
