"""Lots whose moment has come: pending ones become usable, old ones expire. Statements over sets."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    String,
    cast,
    extract,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import UtcDateTime, table
from crm.models import Customer
from crm.points.models import CLOSED, EXPIRE, GRANT, OPEN, PENDING, PointDraw, PointEntry, PointLot


def is_usable(now: datetime) -> ColumnElement[bool]:
    """Pending lots whose return window is over."""
    lot = table(PointLot)
    return (lot.c.state == PENDING) & (lot.c.available_at <= now)


def is_over(now: datetime) -> ColumnElement[bool]:
    """Open lots whose time is over."""
    lot = table(PointLot)
    return (lot.c.state == OPEN) & (lot.c.expires_at <= now)


async def open_lots(
    session: AsyncSession, which: ColumnElement[bool], *, now: datetime
) -> Sequence[Any]:
    """Give customers their pending points that are due; returns the entries made.

    The customers are locked by the caller.
    """
    lot, due = table(PointLot), which & is_usable(now)
    entries = await _enter(session, GRANT, lot.c.granted, lot.c.source, lot.c.reason, due, now)
    if entries:
        await _add_to_balances(session, lot.c.granted, due)
    await session.execute(update(lot).where(due).values(state=OPEN))
    return entries


async def expire_lots(
    session: AsyncSession, which: ColumnElement[bool], *, now: datetime
) -> Sequence[Any]:
    """Take what is left in lots whose time is over; returns the entries made.

    The customers are locked by the caller. The entry's key holds the moment, as a lot that is
    reopened expires once more.
    """
    lot, due = table(PointLot), which & is_over(now)
    moment = cast(cast(extract("epoch", lot.c.expires_at), BigInteger), String)
    source = literal("expire:") + cast(lot.c.id, String) + ":" + moment
    entries = await _enter(
        session, EXPIRE, -lot.c.remaining, source, literal("有効期限／Expired"), due, now
    )
    if entries:
        rows = [{"entry_id": e.id, "lot_id": e.lot_id, "amount": -e.delta} for e in entries]
        await bulk.insert_rows(session, table(PointDraw), rows)
        await _add_to_balances(session, -lot.c.remaining, due)
        await session.execute(update(lot).where(due).values(state=CLOSED, remaining=0))
    return entries


async def _enter(
    session: AsyncSession,
    kind: str,
    delta: ColumnElement[int],
    source: ColumnElement[str],
    reason: ColumnElement[str],
    due: ColumnElement[bool],
    now: datetime,
) -> Sequence[Any]:
    lot, entry = table(PointLot), table(PointEntry)
    values = {
        "customer_id": lot.c.customer_id,
        "kind": literal(kind),
        "delta": delta,
        "reason": reason,
        "source": source,
        "purchase_id": lot.c.purchase_id,
        "lot_id": lot.c.id,
        "occurred_at": literal(now, UtcDateTime),
    }
    query = Insert(entry).from_select(list(values), select(*values.values()).where(due))
    told = (entry.c.id, entry.c.customer_id, entry.c.lot_id, entry.c.delta, entry.c.purchase_id,
            entry.c.source, entry.c.reason)  # fmt: skip
    return list(await session.execute(query.returning(*told)))


async def _add_to_balances(
    session: AsyncSession, amount: ColumnElement[int], due: ColumnElement[bool]
) -> None:
    lot, customer = table(PointLot), table(Customer)
    total = cast(func.sum(amount), BigInteger).label("total")
    added = select(lot.c.customer_id, total).where(due).group_by(lot.c.customer_id).subquery()
    query = update(customer).where(customer.c.id == added.c.customer_id)
    await session.execute(query.values(points=customer.c.points + added.c.total))
