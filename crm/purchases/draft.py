"""Purchases as others tell of them, and what is wrong or odd about them in themselves."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.errors import Fault, Invalid
from crm.customers.records import CustomerDraft

MAX_YEN = 1_000_000_000
MAX_QUANTITY = 1_000_000
MAX_LINES = 500
MAX_REFUNDS = 100
MAX_AHEAD = timedelta(minutes=5)
WIDTHS = {"source": 60, "order_id": 100, "coupon_code": 40, "store": 60}
LINE_WIDTHS = {"sku": 100, "name": 200, "category": 100}
MOMENTS = ("paid_at", "shipped_at", "delivered_at", "cancelled_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDraft:
    """One product of an order; `unit_price` in yen, tax included."""

    sku: str | None = None
    name: str = ""
    category: str | None = None
    quantity: int = 1
    unit_price: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundDraft:
    """Money given back; under the same `key` it counts once for its order."""

    key: str
    amount: int
    refunded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseDraft:
    """What is told of one order, known by `source` and `order_id`.

    `total` is what is to be paid in yen, tax included, after `adjustment` (shipping, discounts:
    what lies between the lines and the total), and also what is paid in points. None tells of an
    order without its content: refunds and moments that may come before the order itself.

    The customer is said by `customer_id` or `member_number`; by neither for a guest, whom `contact`
    may describe. `contact` is also who a member is that is not known yet.

    `spends`: `points_used` and `coupon_code` are this shop's own, to be spent and redeemed together
    with the purchase, all or nothing. Without it they are only noted, as another shop's.

    `paid=False` tells of an order that is placed and not paid; else it is paid when it is placed
    unless `paid_at` says when. Moments are kept as the earliest told, so their order of arrival
    does not matter. The content that was true last counts: `as_of` says when this was (the sender's
    time of change); without it, it is true now.
    """

    source: str
    order_id: str
    purchased_at: datetime
    total: int | None
    member_number: str | None = None
    customer_id: int | None = None
    contact: CustomerDraft | None = None
    lines: Sequence[LineDraft] = ()
    adjustment: int = 0
    points_used: int = 0
    coupon_code: str | None = None
    spends: bool = False
    store: str | None = None
    paid: bool = True
    paid_at: datetime | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    cancelled_at: datetime | None = None
    refunds: Sequence[RefundDraft] = ()
    as_of: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What makes two drafts news of the same order."""
        return (self.source, self.order_id)

    def moment(self, name: str) -> datetime | None:
        """One of `MOMENTS`, as told."""
        if name == "paid_at" and self.paid and self.total is not None:
            return self.paid_at or self.purchased_at
        told: datetime | None = getattr(self, name)
        return told


def refuse(faults: Iterable[Fault]) -> None:
    """Raise `Invalid` where there are faults."""
    found = list(faults)
    if found:
        raise Invalid(f"Nothing was recorded: there are {len(found)} fault(s).", found)


def check(drafts: Sequence[PurchaseDraft], paths: Sequence[str], *, now: datetime) -> None:
    """Raise `Invalid` for what is wrong in itself; `paths` begin each fault's path."""
    refuse(f for draft, path in zip(drafts, paths, strict=True) for f in _faults(draft, path, now))


def warnings_of(draft: PurchaseDraft) -> list[str]:
    """What is odd and kept as it was sent; Japanese first, English beside it."""
    if not draft.lines or draft.total is None:
        return []
    lines = sum(line.quantity * line.unit_price for line in draft.lines) + draft.adjustment
    if lines == draft.total or (draft.coupon_code and lines > draft.total):
        return []
    return [
        f"明細の合計 {lines:,}円 が注文の合計 {draft.total:,}円 と一致しません"
        f"／The lines add up to {lines} yen, but the total says {draft.total} yen"
    ]


def _faults(draft: PurchaseDraft, path: str, now: datetime) -> Iterator[Fault]:
    yield from _text_faults(draft, path, WIDTHS, needed=("source", "order_id"))
    yield from _money_faults(draft, path)
    if draft.customer_id is not None and draft.member_number is not None:
        yield Fault(f"{path}customer_id", "give either customer_id or member_number",
                    "customer_id か member_number のどちらか一方を指定してください")  # fmt: skip
    for name in ("purchased_at", *MOMENTS):
        yield from _moment_faults(getattr(draft, name), f"{path}{name}", now)
    if draft.total is None and draft.paid_at is not None:
        yield Fault(f"{path}paid_at", "a payment comes with its order: give the total too",
                    "入金は注文の内容（total）と一緒に送ってください")  # fmt: skip
    for index, line in enumerate(draft.lines):
        yield from _line_faults(line, f"{path}lines[{index}].")
    for index, refund in enumerate(draft.refunds):
        yield from _refund_faults(refund, f"{path}refunds[{index}].", now)


def _money_faults(draft: PurchaseDraft, path: str) -> Iterator[Fault]:
    yield from _range_fault(draft.total or 0, f"{path}total", 0, MAX_YEN)
    yield from _range_fault(draft.points_used, f"{path}points_used", 0, MAX_YEN)
    if draft.spends and draft.total is not None and draft.points_used > draft.total:
        yield Fault(f"{path}points_used", "more points than the total",
                    "使用ポイントが合計金額を超えています")  # fmt: skip
    if len(draft.lines) > MAX_LINES:
        yield Fault(f"{path}lines", f"more than {MAX_LINES} lines",
                    f"明細は{MAX_LINES}行までです")  # fmt: skip
    if len(draft.refunds) > MAX_REFUNDS:
        yield Fault(f"{path}refunds", f"more than {MAX_REFUNDS} refunds",
                    f"返金は{MAX_REFUNDS}件までです")  # fmt: skip


def _line_faults(line: LineDraft, path: str) -> Iterator[Fault]:
    yield from _text_faults(line, path, LINE_WIDTHS)
    yield from _range_fault(line.quantity, f"{path}quantity", -MAX_QUANTITY, MAX_QUANTITY)
    yield from _range_fault(line.unit_price, f"{path}unit_price", -MAX_YEN, MAX_YEN)


def _refund_faults(refund: RefundDraft, path: str, now: datetime) -> Iterator[Fault]:
    yield from _text_faults(refund, path, {"key": 100}, needed=("key",))
    yield from _range_fault(refund.amount, f"{path}amount", 1, MAX_YEN)
    yield from _moment_faults(refund.refunded_at, f"{path}refunded_at", now)


def _text_faults(
    told: object, path: str, widths: dict[str, int], needed: Sequence[str] = ()
) -> Iterator[Fault]:
    for name, width in widths.items():
        value: str = getattr(told, name) or ""
        if name in needed and not value.strip():
            yield Fault(f"{path}{name}", "must not be empty", "空にはできません")
        if len(value) > width:
            yield Fault(f"{path}{name}", f"longer than {width} characters",
                        f"{width}文字までにしてください")  # fmt: skip
        if "\x00" in value:
            yield Fault(f"{path}{name}", "holds a NUL character", "使えない文字が含まれています")


def _range_fault(value: int, path: str, lowest: int, highest: int) -> Iterator[Fault]:
    if not lowest <= value <= highest:
        yield Fault(path, f"must be from {lowest} to {highest}, not {value}",
                    f"{lowest:,}から{highest:,}までにしてください（{value:,}）")  # fmt: skip


def _moment_faults(moment: datetime | None, path: str, now: datetime) -> Iterator[Fault]:
    if moment is not None and moment > now + MAX_AHEAD:
        yield Fault(path, "is in the future", "未来の日時は記録できません")
