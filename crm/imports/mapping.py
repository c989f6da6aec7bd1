"""Mappings: which column of a file is which of our fields, ready-made or saved by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from core.errors import Fault, Invalid
from crm.imports.rows import plain

Kind = Literal["customers", "purchases"]
CUSTOMERS: Kind = "customers"
PURCHASES: Kind = "purchases"
ATTRIBUTE = "attributes."

CUSTOMER_FIELDS = (
    "member_number", "name", "family_name", "given_name", "kana", "family_kana", "given_kana",
    "birthday", "phone", "email", "gender", "postal_code", "tags",
)  # fmt: skip
LINE_FIELDS = ("line_sku", "line_name", "line_category", "line_quantity", "line_unit_price")
PURCHASE_FIELDS = (
    "order_id", "purchased_at", "purchased_time", "total", "member_number", "name", "family_name",
    "given_name", "phone", "email", "postal_code", "source", "store", "status", "paid_at",
    "shipped_at", "delivered_at", "cancelled_at", "refunded", "refunds", "adjustment",
    "points_used", "coupon_code", *LINE_FIELDS,
)  # fmt: skip
NEEDED = {CUSTOMERS: ("member_number",), PURCHASES: ("order_id", "purchased_at", "total")}
# What a status may mean; a field's `values` translate the file's own words into these.
STATUSES = ("paid", "unpaid", "cancelled")


@dataclass(frozen=True, slots=True)
class FileMapping:
    """`columns`: our field → headings that it may stand under, the first found is taken;
    `values`: our field → {what stands there: what we take it for}.
    """

    name: str
    kind: Kind
    columns: Mapping[str, Sequence[str]]
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    encoding: str = ""
    title: str = ""
    source: str = ""

    def places(self, headings: Sequence[str]) -> dict[str, int]:
        """Our field → its column. Raises `Invalid` where one that is needed is missing."""
        at: dict[str, int] = {}
        for index, heading in enumerate(headings):
            at.setdefault(plain(heading), index)
        found = {
            name: next((at[plain(h)] for h in wanted if plain(h) in at), None)
            for name, wanted in self.columns.items()
        }
        missing = [name for name in NEEDED[self.kind] if found.get(name) is None]
        if missing:
            said = [self._missing(name, headings) for name in missing]
            raise Invalid("A column is missing; nothing was changed.", said)
        places = {name: place for name, place in found.items() if place is not None}
        return places | self._attributes(headings)

    def _attributes(self, headings: Sequence[str]) -> dict[str, int]:
        """The shop's own attributes, as the export writes them: `attributes.KEY`."""
        if self.kind != CUSTOMERS:
            return {}
        return {h: n for n, h in enumerate(headings) if h.startswith(ATTRIBUTE) and h != ATTRIBUTE}

    def _missing(self, name: str, headings: Sequence[str]) -> Fault:
        wanted = " / ".join(self.columns.get(name, ())) or name
        there = ", ".join(headings[:12])[:300]
        return Fault(
            name,
            f"the mapping {self.name} wants a column “{wanted}”; the file has: {there}",
            f"「{wanted}」の列がありません（対応表: {self.name}）。ファイルの列: {there}",
            1,
        )


@dataclass(frozen=True, slots=True)
class MappingDraft:
    """A mapping as staff save it: each field with the one heading of their file."""

    kind: Kind
    columns: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    encoding: str = ""


def check(draft: MappingDraft) -> None:
    """Raise `Invalid` for a mapping that cannot work."""
    known = CUSTOMER_FIELDS if draft.kind == CUSTOMERS else PURCHASE_FIELDS
    faults = [
        Fault(f"columns.{name}", f"there is no such field; there are: {', '.join(known)}",
              f"この項目はありません。使えるもの: {', '.join(known)}")
        for name in draft.columns
        if name not in known and not (draft.kind == CUSTOMERS and name.startswith(ATTRIBUTE))
    ]  # fmt: skip
    faults += [
        Fault(f"columns.{name}", "is needed: say under which heading it stands",
              "この項目は必須です。見出しを指定してください")
        for name in NEEDED[draft.kind]
        if not draft.columns.get(name, "").strip()
    ]  # fmt: skip
    faults += [
        Fault(f"values.{name}", "has no column", "この項目の列が指定されていません")
        for name in draft.values
        if name not in draft.columns
    ]
    faults += [
        Fault(f"values.status.{told}", f"must be one of {', '.join(STATUSES)}",
              f"{', '.join(STATUSES)} のどれかにしてください")
        for told, ours in draft.values.get("status", {}).items()
        if ours not in STATUSES
    ]  # fmt: skip
    if faults:
        raise Invalid(f"The mapping has {len(faults)} fault(s).", faults)
