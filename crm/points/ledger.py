"""The ledger: points granted, spent and corrected; balances now and at any past moment.

Everything that changes points writes an entry under a `source` of its own: the same source again
changes nothing. Whoever calls holds the customer's lock (`crm.customers.locking`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import dialect_of, table
from core.errors import Conflict, Fault, Invalid
from crm import policies
from crm.customers import locking
from crm.points import calendar
from crm.points.book import Book, Entry, Lot, new_lot
from crm.points.calendar import JAPAN
from crm.points.models import (
    CORRECT,
    OPEN,
    PENDING,
    SETTLE,
    SPEND,
    PointEntry,
    PointLot,
)
from crm.points.policy import MAX_POINTS, PointsPolicy


class _Unset(Enum):
    UNSET = "the policy decides"


UNSET: Final = _Unset.UNSET


class Overdrawn(Conflict):
    """More points were asked for than there are; nothing was changed."""

    def __init__(self, *, balance: int, wanted: int) -> None:
        super().__init__(
            f"ポイントが足りません。残高は{balance:,}ポイント、必要なのは{wanted:,}ポイントです。／"
            f"Not enough points: {balance} held, {wanted} wanted."
        )
        self.balance, self.wanted = balance, wanted


class OverDailyLimit(Conflict):
    """A member of staff has corrected as many points today as the policy allows."""

    def __init__(self, *, limit: int, used: int) -> None:
        super().__init__(
            f"1日に修正できるポイントの上限（{limit:,}ポイント）を超えます。"
            f"今日はすでに{used:,}ポイントを修正しています。／"
            f"Over the daily limit of {limit} corrected points; {used} are used today."
        )
        self.limit, self.used = limit, used


@dataclass(frozen=True, slots=True)
class Grant:
    """Points for one customer; `source` is their natural key.

    `available_at` later than now makes them pending. `expires_at` UNSET is as the policy says,
    None is never. `occurred_at` is the moment of what earned them: their time runs from there.
    """

    customer_id: int
    points: int
    source: str
    reason: str
    available_at: datetime | None = None
    expires_at: datetime | _Unset | None = UNSET
    purchase_id: int | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """What a customer holds: usable now, pending, owed, and what expires next and when."""

    points: int
    pending: int
    owed: int
    next_expiry: tuple[datetime, int] | None


async def grant(
    session: AsyncSession, grants: Sequence[Grant], *, now: datetime, zone: ZoneInfo = JAPAN
) -> int:
    """Grant points; returns how many of these grants were new.

    Grants whose points would have expired already add nothing.
    """
    _check_amounts(one.points for one in grants)
    fresh = await _not_granted(session, grants)
    if not fresh:
        return 0
    policy, _ = await policies.read(session, PointsPolicy)
    book = await Book.load(session, {one.customer_id for one in fresh}, now=now)
    lots = [lot for one in fresh if (lot := _lot(one, policy, now, zone)) is not None]
    for lot in lots:
        book.grant(lot)
    await close(book, policy)
    return len(lots)


async def spend(
    session: AsyncSession,
    customer_id: int,
    points: int,
    *,
    source: str,
    reason: str,
    now: datetime,
    actor: str | None = None,
    purchase_id: int | None = None,
) -> PointEntry:
    """Pay with points, the soonest to expire first. Raises `Overdrawn`, changing nothing.

    The same `source` again is the entry of the first time.
    """
    _check_amounts([points])
    await locking.lock(session, [customer_id])
    earlier = await _known(session, source, customer_id, -points)
    if earlier is not None:
        return earlier
    book = await _holding(session, customer_id, points, now)
    book.take(Entry(customer_id, SPEND, -points, reason, source, actor, purchase_id))
    return await _written(book, source)


async def correct(
    session: AsyncSession,
    customer_id: int,
    delta: int,
    *,
    reason: str,
    actor: str,
    now: datetime,
    expires_on: date | None = None,
    source: str,
    zone: ZoneInfo = JAPAN,
) -> PointEntry:
    """Add or take points by hand, for a reason.

    `expires_on` is the last day on which added points are good; without it the policy decides.
    Raises `Invalid` without a reason or for a day that is over, `Overdrawn` when more is taken than
    there is, `OverDailyLimit`; nothing is changed then.
    """
    _check_correction(delta, reason, expires_on, calendar.day_of(now, zone))
    await locking.lock(session, [customer_id])
    earlier = await _known(session, source, customer_id, delta)
    if earlier is not None:
        return earlier
    policy, _ = await policies.read(session, PointsPolicy)
    await _check_daily_limit(session, policy, abs(delta), actor, now, zone)
    if delta < 0:
        book = await _holding(session, customer_id, -delta, now)
        book.take(Entry(customer_id, CORRECT, delta, reason, source, actor))
    else:
        until = calendar.end_of(expires_on, zone) if expires_on else UNSET
        wanted = Grant(customer_id, delta, source, reason, expires_at=until)
        lot = _lot(wanted, policy, now, zone)
        assert lot is not None, "checked before"
        book = await Book.load(session, [customer_id], now=now)
        book.grant(lot, kind=CORRECT, actor=actor)
    return await _written(book, source, policy)


async def collect_owed(
    session: AsyncSession, customer_id: int, points: int, *, actor: str, reason: str, source: str,
    now: datetime,
) -> PointEntry:  # fmt: skip
    """Take owed points out of the balance, as staff decided. Raises `Overdrawn`, `Conflict`."""
    _check_amounts([points])
    await locking.lock(session, [customer_id])
    earlier = await _known(session, source, customer_id, -points)
    if earlier is not None:
        return earlier
    book = await _holding(session, customer_id, points, now)
    _check_owed(book, customer_id, points)
    book.collect(Entry(customer_id, SETTLE, -points, reason, source, actor))
    return await _written(book, source)


async def waive_owed(
    session: AsyncSession, customer_id: int, points: int, *, actor: str, reason: str, source: str,
    now: datetime,
) -> PointEntry:  # fmt: skip
    """Forgive owed points: staff add them, and what was owed is settled with them at once."""
    _check_amounts([points])
    await locking.lock(session, [customer_id])
    earlier = await _known(session, source, customer_id, points)
    if earlier is not None:
        return earlier
    book = await Book.load(session, [customer_id], now=now)
    _check_owed(book, customer_id, points)
    book.enter(Entry(customer_id, CORRECT, points, reason, source, actor))
    book.accounts[customer_id].owed -= points
    book.enter(Entry(customer_id, SETTLE, -points, reason, f"waived:{source}", actor))
    return await _written(book, source)


async def balance_at(session: AsyncSession, customer_id: int, moment: datetime) -> int:
    """The balance at a past moment: the sum of all entries until then."""
    entry = table(PointEntry)
    query = select(func.coalesce(func.sum(entry.c.delta), 0))
    query = query.where(entry.c.customer_id == customer_id, entry.c.occurred_at <= moment)
    return int(await session.scalar(query) or 0)


async def standing(session: AsyncSession, customer_id: int, *, now: datetime) -> Balance:
    """What a customer holds now; what has expired does not count, whether the job has run or not.

    Pending points count once they are confirmed.
    """
    lot = table(PointLot)
    query = (
        select(lot.c.state, lot.c.expires_at, func.sum(lot.c.remaining).label("points"))
        .where(lot.c.customer_id == customer_id, lot.c.state.in_([OPEN, PENDING]))
        .group_by(lot.c.state, lot.c.expires_at)
    )
    rows: list[Any] = [
        row
        for row in await session.execute(query)
        if row.points and (row.expires_at is None or row.expires_at > now)
    ]
    held = [row for row in rows if row.state == OPEN]
    ends = sorted((row.expires_at, int(row.points)) for row in held if row.expires_at is not None)
    return Balance(
        points=sum(int(row.points) for row in held),
        pending=sum(int(row.points) for row in rows if row.state == PENDING),
        owed=await _owed(session, customer_id),
        next_expiry=ends[0] if ends else None,
    )


async def entries(session: AsyncSession, customer_id: int, limit: int) -> list[PointEntry]:
    """The last entries, the newest first."""
    entry = table(PointEntry)
    query = select(PointEntry).where(entry.c.customer_id == customer_id)
    query = query.order_by(entry.c.occurred_at.desc(), entry.c.id.desc()).limit(limit)
    return list(await session.scalars(query))


async def close(book: Book, policy: PointsPolicy) -> None:
    """Settle what is owed where the policy says so, and write the book."""
    if policy.overdraw == "settle":
        book.settle()
    await book.write()


async def _holding(session: AsyncSession, customer_id: int, points: int, now: datetime) -> Book:
    book = await Book.load(session, [customer_id], now=now)
    policy, _ = await policies.read(session, PointsPolicy)
    if policy.overdraw == "settle":
        book.settle()
    held = book.accounts[customer_id].points
    if points > held:
        raise Overdrawn(balance=held, wanted=points)
    return book


async def _written(book: Book, source: str, policy: PointsPolicy | None = None) -> PointEntry:
    if policy is None:
        await book.write()
    else:
        await close(book, policy)
    found = await _by_source(book.session, source)
    assert found is not None, "written just now"
    return found


async def _by_source(session: AsyncSession, source: str) -> PointEntry | None:
    query = select(PointEntry).where(table(PointEntry).c.source == source)
    found: PointEntry | None = await session.scalar(query)
    return found


async def _known(
    session: AsyncSession, source: str, customer_id: int, delta: int
) -> PointEntry | None:
    found = await _by_source(session, source)
    if found is not None and (found.customer_id, found.delta) != (customer_id, delta):
        raise Conflict(
            "このキーは別のポイント取引で使用済みです。／"
            "This source was used for another entry of points before."
        )
    return found


async def _not_granted(session: AsyncSession, grants: Collection[Grant]) -> list[Grant]:
    """Those that are not known yet, each source once."""
    lot, by_source = table(PointLot), {one.source: one for one in grants}
    if not by_source:
        return []
    here = bulk.is_one_of(session, lot.c.source, list(by_source))
    known = set(await session.scalars(select(lot.c.source).where(here)))
    return [one for source, one in by_source.items() if source not in known]


def _lot(wanted: Grant, policy: PointsPolicy, now: datetime, zone: ZoneInfo) -> Lot | None:
    """The lot of a grant; None where it would have expired already."""
    available_at = wanted.available_at or wanted.occurred_at or now
    expires_at = (
        calendar.expiry_of(available_at, policy, zone)
        if isinstance(wanted.expires_at, _Unset)
        else wanted.expires_at
    )
    if expires_at is not None and expires_at <= now:
        return None
    return new_lot(
        wanted.customer_id, wanted.points, source=wanted.source, reason=wanted.reason, now=now,
        available_at=available_at, expires_at=expires_at, purchase_id=wanted.purchase_id,
    )  # fmt: skip


async def _owed(session: AsyncSession, customer_id: int) -> int:
    entry = table(PointEntry)
    query = select(func.coalesce(func.sum(entry.c.delta), 0))
    query = query.where(entry.c.customer_id == customer_id, entry.c.kind == SETTLE)
    return int(await session.scalar(query) or 0)


async def _check_daily_limit(
    session: AsyncSession,
    policy: PointsPolicy,
    points: int,
    actor: str,
    now: datetime,
    zone: ZoneInfo,
) -> None:
    if policy.staff_daily_limit is None:
        return
    if dialect_of(session) == "postgresql":  # two at once by one person, on two customers
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtext(actor))))
    entry = table(PointEntry)
    query = select(func.coalesce(func.sum(func.abs(entry.c.delta)), 0)).where(
        entry.c.actor == actor,
        entry.c.kind == CORRECT,
        entry.c.occurred_at >= calendar.start_of(calendar.day_of(now, zone), zone),
    )
    used = int(await session.scalar(query) or 0)
    if used + points > policy.staff_daily_limit:
        raise OverDailyLimit(limit=policy.staff_daily_limit, used=used)


def _check_amounts(amounts: Any) -> None:  # noqa: ANN401
    if not all(0 < points <= MAX_POINTS for points in amounts):
        raise Invalid("Nothing was changed: the number of points cannot be used.", [
            Fault("points", f"must be 1 to {MAX_POINTS}",
                  f"1から{MAX_POINTS}までの整数にしてください")])  # fmt: skip


def _check_correction(delta: int, reason: str, expires_on: date | None, today: date) -> None:
    faults = []
    if not 0 < abs(delta) <= MAX_POINTS:
        faults.append(Fault("delta", f"must not be 0, nor beyond {MAX_POINTS}",
                            f"0以外で、{MAX_POINTS}までの整数にしてください"))  # fmt: skip
    if not reason.strip():
        faults.append(Fault("reason", "say why", "理由を入力してください"))
    if expires_on is not None and expires_on < today:
        faults.append(Fault("expires_on", "is over already", "すでに過ぎた日です"))
    if expires_on is not None and delta < 0:
        faults.append(Fault("expires_on", "is for points that are added",
                            "ポイントを加算するときだけ指定できます"))  # fmt: skip
    if expires_on is not None and expires_on.year >= calendar.LAST_YEAR:
        faults.append(Fault("expires_on", "is too far away", "日付が遠すぎます"))
    if faults:
        raise Invalid("No points were changed.", faults)


def _check_owed(book: Book, customer_id: int, points: int) -> None:
    owed = book.accounts[customer_id].owed
    if points > owed:
        raise Conflict(
            f"精算待ちは{owed:,}ポイントです。／Only {owed} points are owed, {points} were given."
        )
