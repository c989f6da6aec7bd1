"""Rows turned into drafts of customers and orders, with what is wrong beside its cell."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from core.errors import Fault
from core.text import fold
from crm.customers.records import UNSET, CustomerDraft
from crm.imports import cells
from crm.imports.mapping import ATTRIBUTE, LINE_FIELDS, STATUSES, FileMapping
from crm.imports.rows import Row
from crm.purchases.draft import LineDraft, PurchaseDraft, RefundDraft

T = TypeVar("T")
CONTACT = ("name", "phone", "email", "postal_code")
PARTS = {"name": ("family_name", "given_name"), "kana": ("family_kana", "given_kana")}
MOMENTS = ("paid_at", "shipped_at", "delivered_at", "cancelled_at")


@dataclass(slots=True)
class Draft:
    """What one record's rows say. `refunded` is all that was given back so far, where told."""

    rows: Sequence[Row]
    customer: CustomerDraft | None = None
    purchase: PurchaseDraft | None = None
    refunded: int = 0
    faults: list[Fault] = field(default_factory=list)


class Reader:
    """Reads rows of one file by its mapping."""

    def __init__(
        self, mapping: FileMapping, headings: Sequence[str], *, zone: ZoneInfo, source: str = ""
    ) -> None:
        self.mapping, self.headings, self.zone = mapping, headings, zone
        self.places = mapping.places(headings)
        self._values = {
            name: {fold(told): ours for told, ours in known.items()}
            for name, known in mapping.values.items()
        }
        self._source = source or mapping.source or "csv"

    def key(self, row: Row) -> str:
        """What tells an order's rows from others; empty where the cell is."""
        place = self.places.get("order_id", -1)
        return cells.text(row.cells[place]) if 0 <= place < len(row.cells) else ""

    def fault(self, row: Row, name: str, message: str, message_ja: str) -> Fault:
        """What is wrong with a field of a row, by line, column and heading."""
        place = self.places.get(name)
        heading = self.headings[place] if place is not None else name
        column = place + 1 if place is not None else None
        return Fault(heading, message, message_ja, row.line, column)

    def place_of(self, path: str, draft: Draft) -> tuple[Row, str]:
        """The row and field that a path within a draft means: `lines[2].quantity`."""
        row = draft.rows[0]
        name = path.removeprefix("customer.")
        if name.startswith("lines["):
            index, _, part = name.removeprefix("lines[").partition("].")
            lines = [r for r in draft.rows if self._has_line(r)]
            if index.isdigit() and int(index) < len(lines):
                row = lines[int(index)]
            name = f"line_{part}"
        elif not name.startswith(ATTRIBUTE):
            name = name.partition("[")[0]
        if name == "refunds" and name not in self.places:
            name = "refunded"
        for part in PARTS.get(name, ()):
            name = name if name in self.places else part
        return row, name

    def customer(self, row: Row) -> Draft:
        """A row of a customers' file."""
        draft = Draft([row], faults=self._ragged([row]))
        values: dict[str, Any] = {
            name: self.text(row, name) or UNSET
            for name in ("member_number", "birthday", "phone", "email", "gender", "postal_code")
        }
        for name in PARTS:
            values[name] = self.joined(row, name) or UNSET
        tags = [tag.strip() for tag in self.text(row, "tags").replace(",", ";").split(";")]
        own = {
            name.removeprefix(ATTRIBUTE): told
            for name in self.places
            if name.startswith(ATTRIBUTE) and (told := self.text(row, name))
        }
        if values["member_number"] is UNSET and not draft.faults:
            draft.faults.append(self.empty(row, "member_number"))
        draft.customer = CustomerDraft(
            **values, attributes=own, tags=[tag for tag in tags if tag] or None
        )
        return draft

    def purchase(self, rows: Sequence[Row], now: datetime) -> Draft:
        """The rows of one order; what belongs to the order stands on the first that has it."""
        draft = Draft(rows, faults=self._ragged(rows))
        if draft.faults:
            return draft
        told = _Order(self, rows, draft.faults)
        purchased_at = told.moment("purchased_at", "purchased_time", needed=True)
        total = told.total()
        status = told.status()
        moments: dict[str, Any] = {name: told.moment(name) for name in MOMENTS}
        if status == "cancelled" and moments["cancelled_at"] is None:
            moments["cancelled_at"] = now
        if status == "unpaid":
            moments["paid_at"] = None
        draft.refunded = told.number("refunded") or 0
        lines = [self._line(row, draft.faults) for row in rows if self._has_line(row)]
        refunds = told.refunds()
        if draft.faults or purchased_at is None or total is None:
            return draft
        contact: dict[str, Any] = {name: told.contact(name) or UNSET for name in CONTACT}
        draft.purchase = PurchaseDraft(
            source=told.text("source") or self._source,
            order_id=self.key(rows[0]),
            purchased_at=purchased_at,
            total=total,
            member_number=told.text("member_number") or None,
            contact=CustomerDraft(**contact),
            lines=lines,
            adjustment=told.number("adjustment") or 0,
            points_used=told.number("points_used") or 0,
            coupon_code=told.text("coupon_code") or None,
            store=told.text("store") or None,
            paid=status != "unpaid",
            refunds=refunds,
            **moments,
        )
        return draft

    def _ragged(self, rows: Sequence[Row]) -> list[Fault]:
        """Rows that have not one cell for each heading."""
        needs = len(self.headings)
        return [
            Fault("", f"has {has} cells, and the heading {needs}; is a quote or comma missing?",
                  f"列の数が見出しと違います（{has}列、見出しは{needs}列）。"
                  "引用符やカンマを確認してください", row.line)
            for row in rows
            if (has := len(row.cells)) != needs
        ]  # fmt: skip

    def _line(self, row: Row, faults: list[Fault]) -> LineDraft:
        order = _Order(self, [row], faults)
        quantity = order.number("line_quantity")
        return LineDraft(
            sku=self.text(row, "line_sku") or None,
            name=self.text(row, "line_name"),
            category=self.text(row, "line_category") or None,
            quantity=1 if quantity is None else quantity,
            unit_price=order.number("line_unit_price") or 0,
        )

    def _has_line(self, row: Row) -> bool:
        return any(self.text(row, name) for name in LINE_FIELDS)

    def text(self, row: Row, name: str) -> str:
        """A field's text, in our words where the mapping translates; empty without a column."""
        place = self.places.get(name)
        if place is None or place >= len(row.cells):
            return ""
        told = cells.text(row.cells[place])
        known = self._values.get(name)
        return known.get(fold(told), told) if known and told else told

    def joined(self, row: Row, name: str) -> str:
        """A name that stands in one cell, or in two: family name first."""
        whole = self.text(row, name)
        return whole or " ".join(filter(None, (self.text(row, part) for part in PARTS[name])))

    def empty(self, row: Row, name: str) -> Fault:
        """That a field which is needed is empty."""
        return self.fault(row, name, "must not be empty", "空にはできません")


@dataclass(frozen=True, slots=True)
class _Order:
    """An order's fields over its rows."""

    reader: Reader
    rows: Sequence[Row]
    faults: list[Fault]

    def text(self, name: str) -> str:
        return self._first(name)[1]

    def contact(self, name: str) -> str:
        if name in PARTS:
            return next(filter(None, (self.reader.joined(r, name) for r in self.rows)), "")
        return self.text(name)

    def number(self, name: str) -> int | None:
        row, told = self._first(name)
        return self._read(row, name, lambda: cells.number(told)) if told else None

    def moment(self, name: str, time: str = "", *, needed: bool = False) -> datetime | None:
        row, told = self._first(name)
        if not told:
            if needed:
                self.faults.append(self.reader.empty(row, name))
            return None
        clock = self.text(time) if time and ":" not in told else ""
        return self._read(
            row, name, lambda: cells.moment(f"{told} {clock}".strip(), self.reader.zone)
        )

    def total(self) -> int | None:
        """The order's total: the same on each row that has one."""
        row, told = self._first("total")
        if not told:
            self.faults.append(self.reader.empty(row, "total"))
            return None
        total = self.number("total")
        for other in self.rows:
            said = self.reader.text(other, "total")
            if total is None or said in {"", told}:
                continue
            if self._read(other, "total", partial(cells.number, said)) != total:
                self.faults.append(self.reader.fault(
                    other, "total", "the rows of this order say different totals",
                    "同じ注文番号の行で合計金額が違います"))  # fmt: skip
                return None
        return total

    def status(self) -> str:
        row, told = self._first("status")
        plain = fold(told)
        if told and plain not in STATUSES:
            self.faults.append(self.reader.fault(
                row, "status",
                "this status is unknown; a mapping's `values` say what it means: "
                f"{', '.join(STATUSES)}",
                "このステータスの意味がわかりません。対応表（values）で "
                f"{', '.join(STATUSES)} のどれにあたるかを指定してください"))  # fmt: skip
        return plain or "paid"

    def refunds(self) -> list[RefundDraft]:
        """Refunds one by one, as our export writes them."""
        row, told = self._first("refunds")
        return (self._read(row, "refunds", lambda: list(_refunds(told))) or []) if told else []

    def _first(self, name: str) -> tuple[Row, str]:
        for row in self.rows:
            if told := self.reader.text(row, name):
                return row, told
        return self.rows[0], ""

    def _read(self, row: Row, name: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ValueError as error:
            english, _, japanese = str(error).partition("／")
            self.faults.append(self.reader.fault(row, name, english, japanese))
            return None


def _refunds(told: str) -> Iterator[RefundDraft]:
    msg = "is not a list of refunds as the export writes it／書き出した形式の返金一覧ではありません"
    try:
        given: list[Mapping[str, Any]] = json.loads(told)
        for one in given:
            at = datetime.fromisoformat(one["refunded_at"])
            if at.tzinfo is None or not isinstance(one["amount"], int):
                raise ValueError(msg)  # noqa: TRY301
            yield RefundDraft(key=str(one["key"]), amount=one["amount"], refunded_at=at)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(msg) from None
