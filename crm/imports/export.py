"""Customers and purchases written as CSV, in the form that an import with `plain` reads again."""

import csv
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import Database, table
from crm.customers import attributes, tags
from crm.customers.models import AttributeValue
from crm.imports.cells import RUNS
from crm.imports.mapping import ATTRIBUTE, CUSTOMERS, Kind
from crm.models import Customer
from crm.purchases.models import Purchase, PurchaseLine, PurchaseRefund
from crm.purchases.stubs import is_stub

BATCH = 1_000
CUSTOMER_COLUMNS = (
    "member_number", "name", "kana", "birthday", "phone", "email", "gender", "postal_code", "tags",
)  # fmt: skip
TOLD_ONLY = ("rank", "points")  # for whoever reads the file; an import leaves them
ORDER_COLUMNS = (
    "source", "order_id", "member_number", "name", "phone", "email", "postal_code", "purchased_at",
    "total", "adjustment", "points_used", "coupon_code", "store", "status", "paid_at", "shipped_at",
    "delivered_at", "cancelled_at", "refunds",
)  # fmt: skip
LINE_COLUMNS = ("line_sku", "line_name", "line_category", "line_quantity", "line_unit_price")
MOMENTS = ("purchased_at", "paid_at", "shipped_at", "delivered_at", "cancelled_at")
_NUMERIC = re.compile(r"[+-]?[\d.,\-]+")


@dataclass(slots=True)
class Written:
    """Some of the file's text, and how many records it holds."""

    text: str
    records: int


async def export(db: Database, kind: Kind, *, zone: ZoneInfo) -> AsyncIterator[Written]:
    """The file in pieces: first the headings, then some records at a time, by their ids."""
    async with db.reading() as session:
        own = list(await attributes.definitions(session)) if kind == CUSTOMERS else []
    columns = (
        [*CUSTOMER_COLUMNS, *(f"{ATTRIBUTE}{key}" for key in own), *TOLD_ONLY]
        if kind == CUSTOMERS
        else [*ORDER_COLUMNS, *LINE_COLUMNS]
    )
    yield Written(_csv([columns]), 0)
    after = 0
    while True:
        async with db.reading() as session:  # read piece by piece: no snapshot is held for long
            read = _customers if kind == CUSTOMERS else _purchases
            rows, last, count = await read(session, after, zone)
        if last is None:
            return
        after = last
        yield Written(_csv([[_cell(row.get(name)) for name in columns] for row in rows]), count)


Some = tuple[list[Mapping[str, Any]], int | None, int]


async def _customers(session: AsyncSession, after: int, zone: ZoneInfo) -> Some:
    """Members, as merged and erased records and anonymous customers cannot be told by a number."""
    customer, value = table(Customer), table(AttributeValue)
    query = (
        select(customer)
        .where(
            customer.c.id > after,
            customer.c.member_number.is_not(None),
            customer.c.merged_into_id.is_(None),
            customer.c.erased_at.is_(None),
        )
        .order_by(customer.c.id)
        .limit(BATCH)
    )
    people: list[Any] = list((await session.execute(query)).mappings())
    ids = [row["id"] for row in people]
    if not ids:
        return [], None, 0
    held = await tags.of(session, ids)
    rows = {row["id"]: {**row, "tags": ";".join(sorted(held.get(row["id"], ())))} for row in people}
    query = select(value).where(bulk.is_one_of(session, value.c.customer_id, ids))
    for found in await session.execute(query):
        told = found.text if found.text is not None else f"{found.number:.15g}"
        rows[found.customer_id][f"{ATTRIBUTE}{found.key}"] = told
    return list(rows.values()), ids[-1], len(ids)


async def _purchases(session: AsyncSession, after: int, zone: ZoneInfo) -> Some:
    """Orders with a row for each line; what belongs to the order stands on its first row."""
    purchase, customer = table(Purchase), table(Customer)
    query = (
        select(purchase, *(customer.c[n] for n in ("member_number", "name", "phone", "email")),
               customer.c.postal_code)
        .join(customer, customer.c.id == purchase.c.customer_id)
        .where(purchase.c.id > after)
        .order_by(purchase.c.id)
        .limit(BATCH)
    )  # fmt: skip
    orders: list[Any] = list(await session.execute(query))
    if not orders:
        return [], None, 0
    ids = [order.id for order in orders]
    lines = await _of(session, PurchaseLine, ids, "position")
    refunds = await _of(session, PurchaseRefund, ids, "id")
    whole = [order for order in orders if not is_stub(order)]
    rows = [
        row
        for order in whole
        for row in _rows(order, lines.get(order.id, []), refunds.get(order.id, []), zone)
    ]
    return rows, ids[-1], len(whole)


async def _of(
    session: AsyncSession,
    model: type[PurchaseLine | PurchaseRefund],
    ids: Sequence[int],
    order: str,
) -> dict[int, list[Any]]:
    rows = table(model)
    query = select(rows).where(bulk.is_one_of(session, rows.c.purchase_id, ids))
    found: dict[int, list[Any]] = {}
    for row in await session.execute(query.order_by(rows.c.purchase_id, rows.c[order])):
        found.setdefault(row.purchase_id, []).append(row)
    return found


def _rows(
    order: Any,  # noqa: ANN401
    lines: Sequence[Any],
    refunds: Sequence[Any],
    zone: ZoneInfo,
) -> list[Mapping[str, Any]]:
    head = {name: getattr(order, name, None) for name in ORDER_COLUMNS}
    for name in MOMENTS:
        moment = getattr(order, name)
        head[name] = moment.astimezone(zone).isoformat() if moment else None
    if order.paid_at is None:
        head["status"] = "unpaid"
    if lines and not order.warnings:
        amount = sum(line.quantity * line.unit_price for line in lines)
        head["adjustment"] = order.total - amount or None
    if refunds:
        told = [
            {"key": r.key, "amount": r.amount, "refunded_at": r.refunded_at.isoformat()}
            for r in refunds
        ]
        head["refunds"] = json.dumps(told, ensure_ascii=False)
    first = {name: head[name] for name in ("source", "order_id")}
    return [
        {**(first if n else head), **{f"line_{name}": getattr(line, name) for name in (
            "sku", "name", "category", "quantity", "unit_price")}}
        for n, line in enumerate(lines)
    ] or [head]  # fmt: skip


def _cell(value: object) -> str:
    """A value as text; what a spreadsheet would run as a formula is guarded by an apostrophe."""
    if value is None:
        return ""
    text = str(value)
    if isinstance(value, str) and RUNS.match(text) and not _NUMERIC.fullmatch(text):
        return f"'{text}"
    return text


def _csv(rows: Sequence[Sequence[str]]) -> str:
    written = StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue()
