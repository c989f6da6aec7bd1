"""What an order looks like once news of it has been taken in; nothing here touches the database."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from core.clock import AT_ONCE
from core.errors import Fault
from crm.purchases.draft import MOMENTS, PurchaseDraft, RefundDraft, warnings_of
from crm.purchases.stubs import NOT_HERE, is_stub

CONTENT = (
    "customer_id", "purchased_at", "total", "points_used", "coupon_code", "store", "warnings",
)  # fmt: skip
LINE = ("sku", "name", "category", "quantity", "unit_price")
LineValues = tuple[Any, ...]
TOO_MUCH_BACK = "返金の合計が注文の合計を超えています／The refunds are more than the order's total"


@dataclass
class News:
    """One draft beside what is known of its order: the row, its lines, its refunds by key.

    `owner` is the customer whom the draft names, None where it names nobody.
    """

    draft: PurchaseDraft
    path: str
    owner: int | None
    now: datetime
    before: Any = None
    lines_before: Sequence[LineValues] = ()
    refunds_before: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def after(self) -> dict[str, Any]:
        """The order's row as it is to be."""
        row = self._content()
        row |= {name: _earliest(row[name], self.draft.moment(name)) for name in MOMENTS}
        back = sum(self.refunds_before.values()) + sum(refund.amount for refund in self.refunds)
        row["refunded"] = min(back, row["total"])
        odd = [w for w in row["warnings"] if w != TOO_MUCH_BACK]
        too_much = back > row["total"] and NOT_HERE not in odd
        row["warnings"] = [*odd, TOO_MUCH_BACK] if too_much else odd
        return row

    @cached_property
    def replaces(self) -> bool:
        """Whether the draft's content is to stand: there was none, or it was true later."""
        if self.draft.total is None:
            return False
        if self.before is None or is_stub(self.before):
            return True
        return bool(self._as_of >= self.before.updated_at)

    @cached_property
    def refunds(self) -> list[RefundDraft]:
        """The draft's refunds that are not known yet."""
        new = {r.key: r for r in self.draft.refunds if r.key not in self.refunds_before}
        return list(new.values())

    @property
    def lines(self) -> list[LineValues]:
        """The draft's lines as they are stored."""
        return [tuple(getattr(line, name) for name in LINE) for line in self.draft.lines]

    @property
    def rewrites_lines(self) -> bool:
        """Whether lines are to be written."""
        return self.replaces and self.lines != list(self.lines_before)

    @property
    def changes(self) -> bool:
        """Whether anything is new; when content was true last is not news in itself."""
        if self.before is None or self.rewrites_lines or self.refunds:
            return True
        row = {name: value for name, value in self.after.items() if name != "updated_at"}
        return any(getattr(self.before, name) != value for name, value in row.items())

    @property
    def moves_from(self) -> int | None:
        """The customer whose the order was, where it becomes another's."""
        if self.before is None or self.before.customer_id == self.after["customer_id"]:
            return None
        found: int = self.before.customer_id
        return found

    @property
    def cancels(self) -> bool:
        """Whether the order is cancelled by this."""
        was = self.before is not None and self.before.cancelled_at is not None
        return self.after["cancelled_at"] is not None and not was

    def faults(self) -> Iterator[Fault]:
        """What of the draft does not go with what is known of its order."""
        for index, refund in enumerate(self.draft.refunds):
            earlier = self.refunds_before.get(refund.key, refund.amount)
            if earlier != refund.amount:
                yield Fault(f"{self.path}refunds[{index}].key",
                            f"this key was told before with {earlier} yen",
                            f"このキーは{earlier:,}円の返金で使用済みです")  # fmt: skip
        if self.refunds and TOO_MUCH_BACK in self.after["warnings"]:
            left = self.after["total"] - sum(self.refunds_before.values())
            yield Fault(f"{self.path}refunds", f"more than what is left of the order: {left} yen",
                        f"返金できる残額（{left:,}円）を超えています")  # fmt: skip

    @property
    def _as_of(self) -> datetime:
        return min(self.draft.as_of or self.now, self.now)

    def _content(self) -> dict[str, Any]:
        draft, before = self.draft, self.before
        row: dict[str, Any] = {"source": draft.source, "order_id": draft.order_id}
        if before is not None:
            row |= {n: getattr(before, n) for n in (*CONTENT, *MOMENTS, "updated_at")}
        else:
            row |= dict.fromkeys(MOMENTS)
            row |= self._stub()
        if self.replaces:
            row |= {
                "customer_id": row["customer_id"] if self.owner is None else self.owner,
                "purchased_at": draft.purchased_at,
                "total": draft.total,
                "points_used": draft.points_used,
                "coupon_code": draft.coupon_code,
                "store": draft.store,
                "warnings": warnings_of(draft),
                "updated_at": self._stamp(),
            }
        return row

    def _stub(self) -> dict[str, Any]:
        return {
            "customer_id": self.owner,
            "purchased_at": self.draft.purchased_at,
            "total": 0,
            "points_used": 0,
            "coupon_code": None,
            "store": None,
            "warnings": [NOT_HERE],
            "updated_at": AT_ONCE,
        }

    def _stamp(self) -> datetime:
        """When the content was true; a mere repeat that does not say leaves this as it is."""
        if self.before is None or is_stub(self.before) or self.draft.as_of is not None:
            return self._as_of
        content = {
            "purchased_at": self.draft.purchased_at,
            "total": self.draft.total,
            "points_used": self.draft.points_used,
            "coupon_code": self.draft.coupon_code,
            "store": self.draft.store,
        }
        same = all(getattr(self.before, name) == value for name, value in content.items())
        same = same and self.owner in {None, self.before.customer_id}
        stamp: datetime = self.before.updated_at
        return stamp if same and not self.rewrites_lines else self._as_of


def _earliest(known: datetime | None, told: datetime | None) -> datetime | None:
    moments = [moment for moment in (known, told) if moment is not None]
    return min(moments, default=None)
