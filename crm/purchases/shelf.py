"""Purchases, lines and refunds read and written as sets: a bounded number of statements."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from zlib import crc32

from sqlalchemy import Integer, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import dialect_of, table
from crm.models import Customer
from crm.purchases import buyers
from crm.purchases.draft import RefundDraft
from crm.purchases.models import Purchase, PurchaseLine, PurchaseRefund
from crm.purchases.news import LINE, LineValues, News

Key = tuple[str, str]
LOCK_CLASS = 0x0CAE  # apart from whatever else may use advisory locks
LOCKS = 64


async def queue_up(session: AsyncSession, keys: Collection[Key]) -> None:
    """Let the news of an order that is not stored yet wait for each other; before any other lock.

    On SQLite the transaction itself is the lock.
    """
    if dialect_of(session) == "sqlite":
        return
    buckets = sorted({crc32("\n".join(key).encode()) % LOCKS for key in keys})
    bucket = func.unnest(literal(buckets, ARRAY(Integer))).column_valued("bucket")
    await session.execute(select(func.pg_advisory_xact_lock(LOCK_CLASS, bucket)))


async def known(session: AsyncSession, keys: Collection[Key]) -> dict[Key, Any]:
    """The rows of the orders that are stored."""
    purchase = table(Purchase)
    query = select(purchase).where(
        bulk.is_one_of(session, purchase.c.source, sorted({source for source, _ in keys})),
        bulk.is_one_of(session, purchase.c.order_id, sorted({order_id for _, order_id in keys})),
    )
    wanted = set(keys)
    rows = {(row.source, row.order_id): row for row in await session.execute(query)}
    return {key: row for key, row in rows.items() if key in wanted}


async def lines(session: AsyncSession, ids: Collection[int]) -> dict[int, list[LineValues]]:
    """The lines of purchases in their order, as `LINE` values."""
    line = table(PurchaseLine)
    query = select(line).where(bulk.is_one_of(session, line.c.purchase_id, sorted(ids)))
    found: dict[int, list[LineValues]] = {}
    for row in await session.execute(query.order_by(line.c.purchase_id, line.c.position)):
        values = tuple(getattr(row, name) for name in LINE)
        found.setdefault(row.purchase_id, []).append(values)
    return found


async def refunds(session: AsyncSession, ids: Collection[int]) -> dict[int, dict[str, int]]:
    """The refunds of purchases: amounts by key."""
    refund = table(PurchaseRefund)
    query = select(refund).where(bulk.is_one_of(session, refund.c.purchase_id, sorted(ids)))
    found: dict[int, dict[str, int]] = {}
    for row in await session.execute(query):
        found.setdefault(row.purchase_id, {})[row.key] = row.amount
    return found


async def rename(session: AsyncSession, was: Key, becomes: Key) -> None:
    """Put what waits under one order id under another; the caller holds the locks.

    Where that order is here already, the refunds that it lacks become its own, to be counted with
    the next news of it.
    """
    rows = await known(session, [was, becomes])
    if was not in rows:
        return
    purchase, refund, customer = table(Purchase), table(PurchaseRefund), table(Customer)
    mine = purchase.c.id == rows[was].id
    if becomes not in rows:
        await session.execute(update(purchase).where(mine).values(order_id=becomes[1]))
        return
    here = rows[becomes]
    has = select(refund.c.key).where(refund.c.purchase_id == here.id).scalar_subquery()
    waiting = refund.c.purchase_id == rows[was].id
    move = update(refund).where(waiting, refund.c.key.not_in(has))
    await session.execute(move.values(purchase_id=here.id))
    await session.execute(delete(refund).where(waiting))
    await session.execute(delete(purchase).where(mine))
    nobody = customer.c.id.in_(buyers.made_up(session, [rows[was].customer_id]))
    become = update(customer).where(nobody).values(merged_into_id=here.customer_id)
    await session.execute(become)


async def write(session: AsyncSession, news: Sequence[News], *, now: datetime) -> list[int]:
    """Store what the news make of their orders; returns the orders' ids."""
    purchase = table(Purchase)
    born = {"version": 1, "created_at": now}
    await bulk.insert_rows(
        session, purchase, [each.after | born for each in news if each.before is None]
    )
    await bulk.update_rows(
        session,
        purchase,
        [
            each.after | {"id": each.before.id, "version": each.before.version + each.changes}
            for each in news
            if each.before is not None
            and (each.changes or each.after["updated_at"] != each.before.updated_at)
        ],
    )
    rows = await known(session, [each.draft.key for each in news])
    ids = [rows[each.draft.key].id for each in news]
    by_id = dict(zip(ids, news, strict=True))
    await _write_lines(session, by_id)
    await add_refunds(session, {id_: each.refunds for id_, each in by_id.items()}, now=now)
    return ids


async def add_refunds(
    session: AsyncSession, given: Mapping[int, Sequence[RefundDraft]], *, now: datetime
) -> None:
    """Add refunds to purchases."""
    rows = [
        {
            "purchase_id": purchase_id,
            "key": refund.key,
            "amount": refund.amount,
            "refunded_at": refund.refunded_at,
            "created_at": now,
        }
        for purchase_id, refunds_ in given.items()
        for refund in refunds_
    ]
    await bulk.insert_rows(session, table(PurchaseRefund), rows)


async def _write_lines(session: AsyncSession, news: Mapping[int, News]) -> None:
    line = table(PurchaseLine)
    rewritten = {id_: each for id_, each in news.items() if each.rewrites_lines}
    old = [id_ for id_, each in rewritten.items() if each.lines_before]
    if old:
        await session.execute(
            delete(line).where(bulk.is_one_of(session, line.c.purchase_id, sorted(old)))
        )
    rows = [
        {"purchase_id": id_, "position": position} | dict(zip(LINE, values, strict=True))
        for id_, each in rewritten.items()
        for position, values in enumerate(each.lines, 1)
    ]
    await bulk.insert_rows(session, line, rows)
