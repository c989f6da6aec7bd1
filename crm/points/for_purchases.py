"""Points of purchases: what each should have granted by now, against what it has.

The one rule for grants, refunds, cancellations and corrections, in whatever order they arrive:

* A purchase that counts (paid, not cancelled) earns its share of `points_full`, which is decided
  once. One that does not count earns nothing.
* Granted beyond that is taken back: from its pending lots, from what is left in its own lots, then
  from the customer's other lots, the soonest to expire first; the rest is owed. What expired
  unused needs no taking back: the customer has had nothing of it.
* What was paid with points comes back into the lots that it came from: all of it when the purchase
  is cancelled; when it is refunded, what the refund exceeds the money that was paid.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from crm import policies
from crm.models import Customer
from crm.points import calendar, earning, ledger
from crm.points.book import Book, Entry, Lot, new_lot
from crm.points.calendar import JAPAN
from crm.points.models import (
    CLOSED,
    EXPIRE,
    GIVE_BACK,
    GRANT,
    OPEN,
    PENDING,
    SETTLE,
    SPEND,
    TAKE_BACK,
    PointDraw,
    PointEntry,
    PointLot,
)
from crm.points.policy import PointsPolicy
from crm.purchases.models import Purchase, PurchaseLine
from crm.ranks.policy import RankPolicy

GRANTED = "ご購入によるポイント／Points for a purchase"
TAKEN_BACK = "返品・取消による調整／Taken back for a refund"
GIVEN_BACK = "ご利用ポイントの返却／Points paid come back"
SETTLED = "不足分の精算／Owed points settled"
SPENT_AGAIN = "ご利用ポイント（取消の取消）／Points paid, as the order stands again"


@dataclass(slots=True)
class _Had:
    """What one customer has had of one purchase; sums of entries by kind."""

    sums: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    pending: list[Lot] = field(default_factory=list)
    expired: int = 0

    @property
    def granted(self) -> int:
        """Granted or pending, less what was taken back."""
        waiting = sum(lot.remaining for lot in self.pending)
        return self.sums[GRANT] + self.sums[TAKE_BACK] + waiting

    @property
    def paid(self) -> int:
        """Points paid for it and not given back."""
        return -self.sums[SPEND] - self.sums[GIVE_BACK]


@dataclass(slots=True)
class _Case:
    """The purchases at hand and all that is known of their points."""

    book: Book
    policy: PointsPolicy
    zone: ZoneInfo
    had: dict[tuple[int, int], _Had]
    written: dict[int, int]
    paid_from: dict[tuple[int, int], list[tuple[Lot, int]]]

    def next_source(self, what: str, purchase_id: int) -> str:
        """A natural key: of one purchase, the n-th that is written."""
        self.written[purchase_id] = self.written.get(purchase_id, 0) + 1
        number = self.written[purchase_id]
        return f"{what}:{purchase_id}:{number}"


async def recount(
    session: AsyncSession,
    purchase_ids: Collection[int],
    *,
    now: datetime,
    policy: PointsPolicy | None = None,
    zone: ZoneInfo = JAPAN,
) -> None:
    """Bring the points of these purchases to what they should be; again changes nothing.

    The customers are locked by the caller: those of the purchases, and those whose they were.
    """
    if not purchase_ids:
        return
    await session.flush()
    if policy is None:
        policy, _ = await policies.read(session, PointsPolicy)
    purchases = await _purchases(session, purchase_ids)
    await _decide(session, purchases, policy, zone)
    ids = [one["id"] for one in purchases]
    owners = await _owners(session, ids)
    customers = {one["customer_id"] for one in purchases} | {owner for _id, owner in owners}
    book = await Book.load(session, customers, now=now)
    case = await _case(session, book, ids, policy, zone)
    for one in sorted(purchases, key=lambda one: int(one["id"])):
        for owner in _in_order(one, owners):
            _recount_one(case, one, owner)
    await ledger.close(book, policy)


def _in_order(purchase: Mapping[str, Any], owners: set[tuple[int, int]]) -> list[int]:
    """Whoever had points of it, and last whose it is now."""
    now_of = int(purchase["customer_id"])
    others = {owner for id_, owner in owners if id_ == purchase["id"]} - {now_of}
    return [*sorted(others), now_of]


def _recount_one(case: _Case, purchase: Mapping[str, Any], owner: int) -> None:
    had = case.had.setdefault((purchase["id"], owner), _Had())
    theirs = owner == purchase["customer_id"]
    earned = _earned(purchase) if theirs else 0
    _pay_back(case, purchase, owner, had, theirs=theirs)
    begins_at = purchase["delivered_at"] or purchase["purchased_at"]
    usable = calendar.usable_from(begins_at, case.policy, case.zone)
    for lot in had.pending:
        _move_pending(case, lot, usable)
    used_up = had.granted - had.expired
    if used_up > earned:
        _take_back(case, purchase["id"], owner, had, used_up - earned)
    elif had.granted < earned:
        granted = _grant(case, purchase["id"], owner, earned - had.granted, usable)
        _clear_owed(case, purchase["id"], owner, had, granted)


def _earned(purchase: Mapping[str, Any]) -> int:
    if purchase["paid_at"] is None or purchase["cancelled_at"] is not None:
        return 0
    return earning.share_of(
        purchase["points_full"] or 0, purchase["points_full_for"] or 0,
        purchase["total"], purchase["refunded"],
    )  # fmt: skip


def _move_pending(case: _Case, lot: Lot, usable: datetime) -> None:
    """The delivery became known: the window runs from there."""
    if lot.available_at != usable and usable > case.book.now:
        lot.available_at = usable
        lot.expires_at = calendar.expiry_of(usable, case.policy, case.zone)
        lot.changed = True


def _grant(case: _Case, purchase_id: int, owner: int, points: int, usable: datetime) -> Lot | None:
    """Grant what is missing; nothing where it would have expired already."""
    expires_at = calendar.expiry_of(usable, case.policy, case.zone)
    if expires_at is not None and expires_at <= case.book.now:
        return None
    lot = new_lot(owner, points, source=case.next_source("purchase", purchase_id), reason=GRANTED,
                  now=case.book.now, available_at=usable, expires_at=expires_at,
                  purchase_id=purchase_id)  # fmt: skip
    case.book.grant(lot)
    return lot


def _take_back(case: _Case, purchase_id: int, owner: int, had: _Had, points: int) -> None:
    for lot in had.pending:
        amount = min(points, lot.remaining)
        points -= amount
        lot.remaining -= amount
        lot.granted -= amount
        lot.changed = True
        if lot.remaining == 0:
            lot.state = CLOSED
    if points:
        source = case.next_source("take_back", purchase_id)
        entry = Entry(owner, TAKE_BACK, -points, TAKEN_BACK, source, purchase_id=purchase_id)
        case.book.take(entry, first=purchase_id, lend=True)


def _pay_back(
    case: _Case, purchase: Mapping[str, Any], owner: int, had: _Had, *, theirs: bool
) -> None:
    wanted = _to_be_paid(purchase, -had.sums[SPEND], case.policy) if theirs else 0
    if had.paid > wanted:
        source = case.next_source("give_back", purchase["id"])
        entry = Entry(owner, GIVE_BACK, had.paid - wanted, GIVEN_BACK, source,
                      purchase_id=purchase["id"])  # fmt: skip
        today = calendar.day_of(case.book.now, case.zone)
        until = calendar.end_of(today + timedelta(days=case.policy.reopen_days), case.zone)
        into = _last_first(case.paid_from.get((purchase["id"], owner), []), had.paid - wanted)
        case.book.give_back(entry, into, until)
        _clear_owed(case, purchase["id"], owner, had, entry.lot)
    elif had.paid < wanted and had.sums[GIVE_BACK]:
        source = case.next_source("spend_again", purchase["id"])
        points = min(wanted - had.paid, had.sums[GIVE_BACK])
        entry = Entry(owner, SPEND, -points, SPENT_AGAIN, source, purchase_id=purchase["id"])
        case.book.take(entry, lend=True)


def _clear_owed(case: _Case, purchase_id: int, owner: int, had: _Had, lot: Lot | None) -> None:
    """What is owed for this very purchase is paid first when its points come (back)."""
    owed = min(had.sums[SETTLE], case.book.accounts[owner].owed, lot.remaining if lot else 0)
    if lot is not None and lot.state == OPEN and owed > 0:
        source = case.next_source("settle", purchase_id)
        entry = Entry(owner, SETTLE, -owed, SETTLED, source, purchase_id=purchase_id)
        case.book.collect(entry, [lot])
        had.sums[SETTLE] -= owed


def _to_be_paid(purchase: Mapping[str, Any], spent: int, policy: PointsPolicy) -> int:
    """Points that stay paid: a refund gives money back first, then points."""
    if purchase["cancelled_at"] is not None:
        return 0
    paid = min(int(purchase["points_used"]), spent)
    money = max(0, purchase["total"] - purchase["points_used"] * policy.yen_per_point)
    beyond = max(0, purchase["refunded"] - money)
    back = paid if purchase["refunded"] == purchase["total"] > 0 else beyond // policy.yen_per_point
    return max(0, paid - back)


def _last_first(drawn: Sequence[tuple[Lot, int]], points: int) -> list[tuple[Lot, int]]:
    """The lots that points go back to: those that last longest first, as they were taken last."""
    into = []
    for lot, amount in sorted(drawn, key=lambda one: one[0].turn, reverse=True):
        part = min(amount, points)
        if part > 0:
            into.append((lot, part))
            points -= part
    return into


async def _purchases(session: AsyncSession, ids: Collection[int]) -> list[dict[str, Any]]:
    purchase, customer = table(Purchase), table(Customer)
    query = (
        select(purchase, customer.c.rank.label("rank_now"))
        .join(customer, customer.c.id == purchase.c.customer_id)
        .where(bulk.is_one_of(session, purchase.c.id, sorted(set(ids))))
    )
    return [dict(row._mapping) for row in await session.execute(query)]  # noqa: SLF001


async def _decide(
    session: AsyncSession, purchases: Sequence[dict[str, Any]], policy: PointsPolicy, zone: ZoneInfo
) -> None:
    """Decide once what each purchase earns as a whole, when it first counts."""
    new = [
        one
        for one in purchases
        if one["paid_at"] is not None
        and one["cancelled_at"] is None
        and one["total"] > 0
        and not one["points_full_for"]
    ]
    if not new:
        return
    lines = await _lines(session, [one["id"] for one in new])
    ranks, _ = await policies.read(session, RankPolicy)
    rates = {tier.key: float(tier.point_rate) for tier in ranks.tiers}
    for one in new:
        rank = one["rank"] or one["rank_now"]
        full = earning.points_of(
            SimpleNamespace(**one),
            lines.get(one["id"], []),
            rank=rank,
            rates=rates,
            policy=policy,
            zone=zone,
        )
        one |= {"rank": rank, "points_full": full, "points_full_for": one["total"]}
    names = ("id", "rank", "points_full", "points_full_for")
    rows = [{name: one[name] for name in names} for one in new]
    await bulk.update_rows(session, table(Purchase), rows)


async def _lines(session: AsyncSession, ids: Collection[int]) -> dict[int, list[Any]]:
    line = table(PurchaseLine)
    query = select(line).where(bulk.is_one_of(session, line.c.purchase_id, ids))
    found: dict[int, list[Any]] = defaultdict(list)
    for row in await session.execute(query):
        found[row.purchase_id].append(row)
    return found


async def _owners(session: AsyncSession, ids: Collection[int]) -> set[tuple[int, int]]:
    """(purchase, customer) of all entries and lots that there are of these purchases."""
    found = set()
    for model in (PointEntry, PointLot):
        source = table(model)
        query = select(source.c.purchase_id, source.c.customer_id).distinct()
        here = bulk.is_one_of(session, source.c.purchase_id, ids)
        found |= {tuple(row) for row in await session.execute(query.where(here))}
    return found


async def _case(
    session: AsyncSession, book: Book, ids: Collection[int], policy: PointsPolicy, zone: ZoneInfo
) -> _Case:
    had: dict[tuple[int, int], _Had] = defaultdict(_Had)
    written: dict[int, int] = defaultdict(int)
    await book.fetch(bulk.is_one_of(session, table(PointLot).c.purchase_id, ids))
    for lot in book.lots.values():
        if lot.purchase_id is not None:
            written[lot.purchase_id] += 1
            if lot.state == PENDING:
                had[lot.purchase_id, lot.customer_id].pending.append(lot)
    entry = table(PointEntry)
    keys = (entry.c.purchase_id, entry.c.customer_id, entry.c.kind)
    query = select(*keys, func.sum(entry.c.delta).label("points"), func.count().label("number"))
    here = bulk.is_one_of(session, entry.c.purchase_id, ids)
    for row in await session.execute(query.where(here).group_by(*keys)):
        had[row.purchase_id, row.customer_id].sums[row.kind] = int(row.points)
        written[row.purchase_id] += row.number
    for purchase_id, customer_id, points in await _expired(session, ids):
        had[purchase_id, customer_id].expired = points
    paid_from = await _paid_from(session, book, ids)
    return _Case(book, policy, zone, dict(had), dict(written), paid_from)


async def _expired(session: AsyncSession, ids: Collection[int]) -> list[Any]:
    """Points of each purchase that expired unused."""
    entry, draw, lot = table(PointEntry), table(PointDraw), table(PointLot)
    points = func.sum(draw.c.amount)
    query = (
        select(lot.c.purchase_id, lot.c.customer_id, points)
        .join(draw, draw.c.lot_id == lot.c.id)
        .join(entry, (entry.c.id == draw.c.entry_id) & (entry.c.kind == EXPIRE))
        .where(bulk.is_one_of(session, lot.c.purchase_id, ids))
        .group_by(lot.c.purchase_id, lot.c.customer_id)
    )
    return [(row[0], row[1], int(row[2])) for row in await session.execute(query)]


async def _paid_from(
    session: AsyncSession, book: Book, ids: Collection[int]
) -> dict[tuple[int, int], list[tuple[Lot, int]]]:
    """The lots that each purchase was paid from, and how much of each has not come back."""
    entry, draw = table(PointEntry), table(PointDraw)
    keys = (entry.c.purchase_id, entry.c.customer_id, draw.c.lot_id)
    query = (
        select(*keys, func.sum(draw.c.amount).label("points"))
        .join(draw, draw.c.entry_id == entry.c.id)
        .where(bulk.is_one_of(session, entry.c.purchase_id, ids))
        .where(entry.c.kind.in_([SPEND, GIVE_BACK]))
        .group_by(*keys)
    )
    rows: list[Any] = [row for row in await session.execute(query) if row.points > 0]
    if not rows:
        return {}
    lot_ids = sorted({row.lot_id for row in rows})
    await book.fetch(bulk.is_one_of(session, table(PointLot).c.id, lot_ids))
    found: dict[tuple[int, int], list[tuple[Lot, int]]] = defaultdict(list)
    for row in rows:
        lot = book.lots[row.lot_id]
        found[row.purchase_id, row.customer_id].append((lot, int(row.points)))
    return found
