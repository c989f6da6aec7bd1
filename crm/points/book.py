"""The book of a few customers: read under their locks, changed in memory, written as sets.

However many customers and purchases are in it, reading and writing are a bounded number of
statements. What counts is kept true by construction: every change of a lot belongs to an entry,
and every entry changes the balance.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Self
from uuid import uuid4

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from crm.activities import Fact
from crm.models import Customer
from crm.points import due, news
from crm.points.models import (
    CLOSED,
    EXPIRE,
    GRANT,
    OPEN,
    PENDING,
    SETTLE,
    PointDraw,
    PointEntry,
    PointLot,
)

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
MAX_REASON = 200


@dataclass(slots=True, eq=False)
class Lot:
    """A lot in memory; `id` is None until it is written."""

    id: int | None
    customer_id: int
    state: str
    granted: int
    remaining: int
    reason: str
    source: str
    purchase_id: int | None
    granted_at: datetime
    available_at: datetime
    expires_at: datetime | None
    changed: bool = False

    @property
    def turn(self) -> tuple[datetime, datetime, int]:
        """Soonest to expire first, then the oldest."""
        return (self.expires_at or NEVER, self.granted_at, self.id or 1 << 62)


@dataclass(slots=True, eq=False)
class Entry:
    """An entry to be written, with what it takes of which lots (negative: gives back)."""

    customer_id: int
    kind: str
    delta: int
    reason: str
    source: str
    actor: str | None = None
    purchase_id: int | None = None
    lot: Lot | None = None
    draws: dict[Lot, int] = field(default_factory=dict)
    balance: int = 0


@dataclass(slots=True)
class Account:
    """One customer's points; `lots` are the open ones."""

    points: int
    owed: int
    lots: list[Lot] = field(default_factory=list)
    arrived: list[Lot] = field(default_factory=list)


@dataclass(slots=True)
class Book:
    """What some customers hold. They are locked by whoever loads it."""

    session: AsyncSession
    now: datetime
    accounts: dict[int, Account]
    lots: dict[int, Lot] = field(default_factory=dict)
    _new: list[Lot] = field(default_factory=list)
    _entries: list[Entry] = field(default_factory=list)
    _facts: list[Fact] = field(default_factory=list)

    @classmethod
    async def load(
        cls, session: AsyncSession, customer_ids: Collection[int], *, now: datetime
    ) -> Self:
        """Read accounts and open lots, after what is due until now has become usable or expired."""
        await session.flush()
        lot, customer = table(PointLot), table(Customer)
        ids = sorted(set(customer_ids))
        theirs = bulk.is_one_of(session, lot.c.customer_id, ids)
        opened = await due.open_lots(session, theirs, now=now)
        expired = await due.expire_lots(session, theirs, now=now)
        query = select(customer.c.id, customer.c.points, customer.c.points_owed)
        here = bulk.is_one_of(session, customer.c.id, ids)
        accounts = {
            row.id: Account(row.points, row.points_owed)
            for row in await session.execute(query.where(here))
        }
        book = cls(session, now, accounts)
        await book.fetch(theirs & (lot.c.state == OPEN))
        book._note_due(opened, expired)
        return book

    async def fetch(self, which: Any) -> None:  # noqa: ANN401
        """Bring further lots in, such as closed ones that points come back to."""
        lot = table(PointLot)
        columns = [lot.c[field.name] for field in fields(Lot) if field.name in lot.c]
        for row in await self.session.execute(select(*columns).where(which)):
            if row.id not in self.lots:
                found = Lot(*row)  # the columns stand as the fields do
                self.lots[row.id] = found
                account = self.accounts.get(found.customer_id)
                if found.state == OPEN and account is not None:
                    account.lots.append(found)

    def grant(self, lot: Lot, *, kind: str = GRANT, actor: str | None = None) -> None:
        """Add a lot: pending without an entry, open with one."""
        self._new.append(lot)
        if lot.state == OPEN:
            account = self.accounts[lot.customer_id]
            account.lots.append(lot)
            account.arrived.append(lot)
            self._enter(Entry(lot.customer_id, kind, lot.granted, lot.reason, lot.source,
                              actor, lot.purchase_id, lot))  # fmt: skip

    def take(self, entry: Entry, *, first: int | None = None, lend: bool = False) -> None:
        """Take `-entry.delta` points: from lots of the purchase `first`, then as their turn comes.

        What is missing is an error, or with `lend` it is advanced by the shop and owed from now on.
        """
        account = self.accounts[entry.customer_id]
        wanted = -entry.delta
        missing = max(0, wanted - account.points)
        if missing:
            assert lend, "checked by the caller"
            account.owed += missing
            source = f"advance:{entry.source}"
            self._enter(Entry(entry.customer_id, SETTLE, missing, entry.reason, source,
                              entry.actor, entry.purchase_id))  # fmt: skip
        in_turn = sorted(account.lots, key=lambda lot: lot.turn)
        if first is not None:
            in_turn.sort(key=lambda lot: lot.purchase_id != first)
        self.draw(entry, in_turn, wanted - missing)
        self._enter(entry)

    def give_back(self, entry: Entry, into: Sequence[tuple[Lot, int]], until: datetime) -> None:
        """Put points back into the lots that they came from; what is over is open `until` then.

        What the shop had advanced came from no lot, and becomes one.
        """
        account = self.accounts[entry.customer_id]
        lent = entry.delta - sum(amount for _lot, amount in into)
        if lent:
            entry.lot = new_lot(entry.customer_id, lent, source=entry.source, reason=entry.reason,
                                now=self.now, available_at=self.now, expires_at=until)  # fmt: skip
            self._new.append(entry.lot)
            account.lots.append(entry.lot)
            account.arrived.append(entry.lot)
        for lot, amount in into:
            entry.draws[lot] = entry.draws.get(lot, 0) - amount
            lot.remaining += amount
            if lot.expires_at is not None and lot.expires_at <= self.now:
                lot.expires_at = until
            if lot.state != OPEN:
                lot.state = OPEN
                account.lots.append(lot)
            lot.changed = True
            account.arrived.append(lot)
        self._enter(entry)

    def settle(self) -> None:
        """Pay what customers owe out of what has just arrived."""
        for customer_id, account in self.accounts.items():
            arrived = sorted(dict.fromkeys(account.arrived), key=lambda lot: lot.turn)
            account.arrived = []
            paid = min(account.owed, sum(lot.remaining for lot in arrived))
            if paid > 0:
                entry = Entry(customer_id, SETTLE, -paid, "不足分の精算／Owed points settled",
                              f"settle:{uuid4().hex}")  # fmt: skip
                self.collect(entry, arrived)

    def collect(self, entry: Entry, lots: Sequence[Lot] = ()) -> None:
        """Pay `-entry.delta` of what is owed, out of these lots or of all."""
        account = self.accounts[entry.customer_id]
        account.owed += entry.delta
        in_turn = lots or sorted(account.lots, key=lambda lot: lot.turn)
        self.draw(entry, in_turn, -entry.delta)
        self._enter(entry)

    def enter(self, entry: Entry) -> None:
        """Add an entry that touches no lot; its counterpart is the caller's."""
        self._enter(entry)

    async def write(self) -> None:
        """Write all of it down, and tell of it."""
        await self._write_lots()
        await self._write_entries()
        rows = [
            {"id": id_, "points": account.points, "points_owed": account.owed}
            for id_, account in self.accounts.items()
        ]
        await bulk.update_rows(self.session, table(Customer), rows)
        await news.tell(self.session, self._facts, now=self.now)
        self._facts = []

    def draw(self, entry: Entry, lots: Sequence[Lot], wanted: int) -> None:
        """Take so many points out of these lots, in their order."""
        for lot in lots:
            amount = min(lot.remaining, wanted)
            if amount == 0:
                continue
            entry.draws[lot] = entry.draws.get(lot, 0) + amount
            wanted -= amount
            lot.remaining -= amount
            lot.changed = True
            if lot.remaining == 0:
                lot.state = CLOSED
        account = self.accounts[entry.customer_id]
        account.lots = [lot for lot in account.lots if lot.state == OPEN]
        assert wanted == 0, "the lots hold less than the balance says"

    def _enter(self, entry: Entry) -> None:
        account = self.accounts[entry.customer_id]
        account.points += entry.delta
        entry.reason = entry.reason[:MAX_REASON]
        entry.balance = account.points
        self._entries.append(entry)
        kind = news.kind_of(entry.kind, entry.delta)
        if kind is not None:
            self._tell(kind, entry.customer_id, entry.delta, entry.reason, entry.source,
                       entry.purchase_id, account.points)  # fmt: skip

    def _tell(
        self,
        kind: str,
        customer_id: int,
        delta: int,
        reason: str,
        source: str,
        purchase_id: int | None,
        balance: int,
    ) -> None:
        data = {"points": abs(delta), "balance": balance, "reason": reason}
        if purchase_id is not None:
            data["purchase_id"] = purchase_id
        self._facts.append(Fact(customer_id, kind, self.now, data=data, source=f"points:{source}"))

    def _note_due(self, opened: Sequence[Any], expired: Sequence[Any]) -> None:
        for row in opened:
            account = self.accounts[row.customer_id]
            found = self.lots.get(row.lot_id)
            if found is not None:  # it may have expired at once
                account.arrived.append(found)
        for kind, rows in ((GRANT, opened), (EXPIRE, expired)):
            for row in rows:
                self._tell(news.KIND_OF[kind], row.customer_id, row.delta, row.reason, row.source,
                           row.purchase_id, self.accounts[row.customer_id].points)  # fmt: skip

    async def _write_lots(self) -> None:
        lot = table(PointLot)
        if self._new:
            made = insert(lot).returning(lot.c.id, lot.c.source, sort_by_parameter_order=True)
            rows = await self.session.execute(made, [_lot_row(new) for new in self._new])
            by_source = {row.source: row.id for row in rows}
            for new in self._new:
                new.id = by_source[new.source]
                new.changed = False
                self.lots[new.id] = new
            self._new = []
        changed = [known for known in self.lots.values() if known.changed]
        names = ("id", "state", "granted", "remaining", "available_at", "expires_at")
        await bulk.update_rows(
            self.session, lot, [{name: getattr(one, name) for name in names} for one in changed]
        )
        for one in changed:
            one.changed = False

    async def _write_entries(self) -> None:
        entry = table(PointEntry)
        if not self._entries:
            return
        made = insert(entry).returning(entry.c.id, entry.c.source, sort_by_parameter_order=True)
        rows = await self.session.execute(made, [self._row(new) for new in self._entries])
        by_source = {row.source: row.id for row in rows}
        draws = [
            {"entry_id": by_source[new.source], "lot_id": lot.id, "amount": amount}
            for new in self._entries
            for lot, amount in new.draws.items()
        ]
        await bulk.insert_rows(self.session, table(PointDraw), draws)
        self._entries = []

    def _row(self, entry: Entry) -> dict[str, Any]:
        return {
            "customer_id": entry.customer_id,
            "kind": entry.kind,
            "delta": entry.delta,
            "reason": entry.reason,
            "actor": entry.actor,
            "source": entry.source,
            "purchase_id": entry.purchase_id,
            "lot_id": entry.lot.id if entry.lot else None,
            "occurred_at": self.now,
        }


def _lot_row(lot: Lot) -> dict[str, Any]:
    names = (f.name for f in fields(lot) if f.name not in {"id", "changed"})
    return {name: getattr(lot, name) for name in names}


def new_lot(
    customer_id: int,
    points: int,
    *,
    source: str,
    reason: str,
    now: datetime,
    available_at: datetime,
    expires_at: datetime | None,
    purchase_id: int | None = None,
) -> Lot:
    """A lot of so many points, pending when it is not available yet."""
    return Lot(
        id=None,
        customer_id=customer_id,
        state=OPEN if available_at <= now else PENDING,
        granted=points,
        remaining=points,
        reason=reason[:MAX_REASON],
        source=source,
        purchase_id=purchase_id,
        granted_at=now,
        available_at=available_at,
        expires_at=expires_at,
    )
