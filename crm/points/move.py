"""Points when two records become one, and when they are parted again."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, case, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import insert_new, table
from crm import policies
from crm.models import Customer
from crm.points import calendar
from crm.points.book import Book, Entry, new_lot
from crm.points.calendar import JAPAN
from crm.points.models import OPEN, SETTLE, PointDraw, PointEntry, PointLot
from crm.points.policy import PointsPolicy
from crm.purchases.models import Purchase

PARTED = "名寄せの取消による調整／Merge undone"


async def move(
    session: AsyncSession, from_id: int, into_id: int, *, now: datetime
) -> dict[str, Any]:
    """Move all entries and lots to another record; returns what `move_back` needs, as JSON.

    Both customers are locked by the caller. Nothing is written anew: what both had is one ledger.
    """
    await (await Book.load(session, [from_id, into_id], now=now)).write()
    moved = {"lots": await _ids(session, PointLot, from_id),
             "entries": await _ids(session, PointEntry, from_id)}  # fmt: skip
    for model in (PointLot, PointEntry):
        source = table(model)
        theirs = update(source).where(source.c.customer_id == from_id)
        await session.execute(theirs.values(customer_id=into_id))
    await _write_sums(session, [from_id, into_id])
    return moved


async def move_back(
    session: AsyncSession,
    from_id: int,
    into_id: int,
    moved: Mapping[str, Any],
    *,
    now: datetime,
    zone: ZoneInfo = JAPAN,
) -> None:
    """Part what `move` has joined: each has what it had, and what came since where it came.

    Back go the entries and lots that were moved, and whatever was written since about those lots
    and about the purchases that go back (move the purchases first). Points that the one record has
    since spent out of the other's lots are put back there and taken from its own lots instead;
    what those lack is owed, whatever the policy says of refunds.
    """
    await (await Book.load(session, [from_id, into_id], now=now)).write()
    await _part(session, from_id, into_id, moved)
    needs = await _uncross(session, from_id, into_id, now=now, zone=zone)
    book = await Book.load(session, [from_id, into_id], now=now)
    for id_, (points, owed) in (await _sums(session, [from_id, into_id])).items():
        book.accounts[id_].points, book.accounts[id_].owed = points, owed
    await _redraw(book, needs)
    _return_overpaid(book, now)
    await book.write()


async def _part(
    session: AsyncSession, from_id: int, into_id: int, moved: Mapping[str, Any]
) -> None:
    lot, entry = table(PointLot), table(PointEntry)
    purchases = await _purchases_of(session, from_id, moved)
    lots = bulk.is_one_of(session, lot.c.id, moved["lots"])
    bought = bulk.is_one_of(session, lot.c.purchase_id, purchases)
    query = update(lot).where(lot.c.customer_id == into_id, or_(lots, bought))
    lot_ids = list(await session.scalars(query.values(customer_id=from_id).returning(lot.c.id)))
    about = or_(
        bulk.is_one_of(session, entry.c.id, moved["entries"]),
        bulk.is_one_of(session, entry.c.purchase_id, purchases),
        bulk.is_one_of(session, entry.c.lot_id, lot_ids),
    )
    theirs = update(entry).where(entry.c.customer_id == into_id, about)
    await session.execute(theirs.values(customer_id=from_id))


async def _purchases_of(session: AsyncSession, from_id: int, moved: Mapping[str, Any]) -> list[int]:
    """The purchases that go back, or have gone back by now."""
    purchase, entry, lot = table(Purchase), table(PointEntry), table(PointLot)
    queries = (
        select(purchase.c.id).where(purchase.c.customer_id == from_id),
        select(lot.c.purchase_id).where(bulk.is_one_of(session, lot.c.id, moved["lots"])),
        select(entry.c.purchase_id).where(bulk.is_one_of(session, entry.c.id, moved["entries"])),
    )
    found = {id_ for query in queries for id_ in await session.scalars(query)}
    return sorted(id_ for id_ in found if id_ is not None)


async def _uncross(
    session: AsyncSession, from_id: int, into_id: int, *, now: datetime, zone: ZoneInfo
) -> list[Any]:
    """Undo draws of one record's entries on the other's lots; returns those draws."""
    draw, entry, lot = table(PointDraw), table(PointEntry), table(PointLot)
    both = [from_id, into_id]
    query = (
        select(draw.c.entry_id, draw.c.lot_id, draw.c.amount, entry.c.customer_id,
               lot.c.remaining, lot.c.expires_at)
        .join(entry, entry.c.id == draw.c.entry_id)
        .join(lot, lot.c.id == draw.c.lot_id)
        .where(lot.c.customer_id.in_(both), entry.c.customer_id.in_(both))
        .where(lot.c.customer_id != entry.c.customer_id)
        .order_by(draw.c.entry_id, draw.c.lot_id)
    )  # fmt: skip
    crossing: list[Any] = list(await session.execute(query))
    policy, _ = await policies.read(session, PointsPolicy)
    today = calendar.day_of(now, zone)
    until = calendar.end_of(today + timedelta(days=policy.reopen_days), zone)
    lots: dict[int, dict[str, Any]] = {}
    for row in crossing:
        over = row.expires_at is not None and row.expires_at <= now
        start = {"id": row.lot_id, "remaining": row.remaining, "state": OPEN,
                 "expires_at": until if over else row.expires_at}  # fmt: skip
        lots.setdefault(row.lot_id, start)["remaining"] += row.amount
    for row in lots.values():
        row["state"] = OPEN if row["remaining"] else "closed"
    await bulk.update_rows(session, lot, list(lots.values()))
    here = bulk.is_one_of(session, draw.c.entry_id, sorted({row.entry_id for row in crossing}))
    there = bulk.is_one_of(session, draw.c.lot_id, sorted(lots))
    await session.execute(delete(draw).where(here, there))
    return crossing


async def _redraw(book: Book, crossing: Collection[Any]) -> None:
    """Let the entries draw on lots of their own record; what is missing is advanced and owed."""
    rows = []
    for one in crossing:
        account = book.accounts[one.customer_id]
        stand_in = Entry(one.customer_id, "", -one.amount, "", "")
        if one.amount > 0:
            held = sum(lot.remaining for lot in account.lots)
            missing = max(0, one.amount - held)
            in_turn = sorted(account.lots, key=lambda lot: lot.turn)
            book.draw(stand_in, in_turn, one.amount - missing)
        else:
            missing = 0
        if missing:
            account.owed += missing
            source = f"parted:{one.entry_id}:{one.lot_id}:{int(book.now.timestamp())}"
            book.enter(Entry(one.customer_id, SETTLE, missing, PARTED, source))
        rows += [
            {"entry_id": one.entry_id, "lot_id": lot.id, "amount": amount}
            for lot, amount in stand_in.draws.items()
        ]
    draw = table(PointDraw)
    for row in rows:
        query = insert_new(book.session, draw).values(row)
        more = draw.c.amount + query.excluded.amount
        await book.session.execute(
            query.on_conflict_do_update(index_elements=["entry_id", "lot_id"],
                                        set_={"amount": more})
        )  # fmt: skip


def _return_overpaid(book: Book, now: datetime) -> None:
    """Give back what one record has paid of the other's debt."""
    for id_, account in book.accounts.items():
        overpaid = -account.owed
        if overpaid > 0:
            source = f"parted:{id_}:{int(now.timestamp())}:{account.points}"
            lot = new_lot(id_, overpaid, source=source, reason=PARTED, now=now,
                          available_at=now, expires_at=None)  # fmt: skip
            account.owed = 0
            book.grant(lot, kind=SETTLE)


async def _ids(session: AsyncSession, model: Any, customer_id: int) -> list[int]:  # noqa: ANN401
    source = table(model)
    query = select(source.c.id).where(source.c.customer_id == customer_id).order_by(source.c.id)
    return list(await session.scalars(query))


async def _sums(session: AsyncSession, ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """Of each customer, what the entries say: the balance, and what is owed."""
    entry = table(PointEntry)
    owed: ColumnElement[int] = case((entry.c.kind == SETTLE, entry.c.delta), else_=0)
    query = (
        select(entry.c.customer_id, func.sum(entry.c.delta), func.sum(owed))
        .where(entry.c.customer_id.in_(ids))
        .group_by(entry.c.customer_id)
    )
    found = {row[0]: (int(row[1]), int(row[2])) for row in await session.execute(query)}
    return {id_: found.get(id_, (0, 0)) for id_ in ids}


async def _write_sums(session: AsyncSession, ids: Collection[int]) -> None:
    rows = [
        {"id": id_, "points": points, "points_owed": owed}
        for id_, (points, owed) in (await _sums(session, ids)).items()
    ]
    await bulk.update_rows(session, table(Customer), rows)
