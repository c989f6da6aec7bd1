"""What the admin API takes and tells of purchases."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from admin.api.fields import MAX_ID, Given, Moment, RowId, Told, like
from admin.api.paging import PageQuery
from crm.customers.records import CustomerDraft
from crm.purchases.draft import (
    MAX_LINES,
    MAX_QUANTITY,
    MAX_YEN,
    MOMENTS,
    LineDraft,
    PurchaseDraft,
)
from crm.purchases.stubs import is_stub

MAX_BATCH = 500
Status = Literal["awaited", "placed", "paid", "shipped", "delivered", "cancelled", "refunded"]
_LINES = [
    {"sku": "beans-200", "name": "みなとブレンド 200g", "category": "coffee", "quantity": 2,
     "unit_price": 1200},
    {"sku": "filter", "name": "フィルター", "category": "goods", "quantity": 1, "unit_price": 600},
]  # fmt: skip
_CREATE = {
    "source": "till", "order_id": "2-80211", "member_number": "M-10042",
    "purchased_at": "2026-11-22T10:00:00+09:00", "total": 3000, "lines": _LINES,
    "points_used": 200, "store": "yokohama",
}  # fmt: skip
_SUMMARY = {
    "id": 31, "source": "till", "order_id": "2-80211", "customer_id": 9,
    "member_number": "M-10042", "purchased_at": "2026-11-22T01:00:00Z", "status": "paid",
    "total": 3000, "refunded": 0, "points_used": 200, "points_earned": 28, "coupon_code": None,
    "store": "yokohama", "paid_at": "2026-11-22T01:00:00Z", "shipped_at": None,
    "delivered_at": None, "cancelled_at": None, "warnings": [], "version": 1,
    "created_at": "2026-11-22T01:00:01Z", "updated_at": "2026-11-22T01:00:01Z",
}  # fmt: skip
_REFUND = {"key": "r-1", "amount": 600, "refunded_at": "2026-11-23T01:00:00Z"}


def _written(value: str) -> str:
    if not value.strip():
        msg = "must not be empty／空にはできません"
        raise ValueError(msg)
    return value.strip()


OrderId = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_written)]
SourceName = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_written)]
Yen = Annotated[int, Field(ge=0, le=MAX_YEN)]


class LineGiven(Given):
    """One product of an order."""

    sku: str | None = Field(None, max_length=100)
    name: str = Field("", max_length=200)
    category: str | None = Field(None, max_length=100)
    quantity: int = Field(1, ge=-MAX_QUANTITY, le=MAX_QUANTITY)
    unit_price: int = Field(0, ge=-MAX_YEN, le=MAX_YEN, description="Yen, tax included")


class OrderGiven(Given):
    """An order as its sender knows it, without who the sender is."""

    order_id: OrderId
    member_number: str | None = Field(None, min_length=1, max_length=60)
    customer_id: RowId | None = None
    purchased_at: Moment = Field(description="When it was placed; not in the future")
    total: Yen = Field(
        description="Yen to be paid, tax included, also what is paid in points; after the coupon"
    )
    adjustment: int = Field(
        0, ge=-MAX_YEN, le=MAX_YEN,
        description="Shipping less discounts: what lies between the lines and the total",
    )  # fmt: skip
    lines: list[LineGiven] = Field(default_factory=list, max_length=MAX_LINES)
    points_used: Yen = Field(0, description="Points of this shop, spent with the purchase")
    coupon_code: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="A coupon of this shop by its code or as shown, redeemed with the purchase",
    )
    store: str | None = Field(None, max_length=60)
    paid: bool = Field(default=True, description="false: placed, and not paid yet")
    paid_at: Moment | None = Field(None, description="Where it was not paid when it was placed")
    shipped_at: Moment | None = None
    delivered_at: Moment | None = None
    cancelled_at: Moment | None = None
    updated_at: Moment | None = Field(
        None, description="When this was so; content that was so earlier replaces nothing"
    )

    def draft(self, source: str, *, contact: CustomerDraft | None = None) -> PurchaseDraft:
        """The order as crm takes it; `contact` is who has bought, where they are not known yet."""
        names = self.model_fields_set & set(PurchaseDraft.__dataclass_fields__) - {"lines"}
        values: dict[str, Any] = {name: getattr(self, name) for name in names - {"source"}}
        lines = [LineDraft(**line.model_dump()) for line in self.lines]
        return PurchaseDraft(
            **values,
            source=source,
            contact=contact,
            lines=lines,
            spends=True,
            as_of=self.updated_at,
        )


class PurchaseCreate(OrderGiven):
    """A purchase; say the customer by `member_number` or by `customer_id`."""

    model_config = like(_CREATE)

    source: SourceName = Field(description="The system that tells it: till, ec …")


class PurchaseBatch(Given):
    """Up to 500 purchases, recorded all or none."""

    model_config = like({"purchases": [_CREATE]})

    purchases: list[PurchaseCreate] = Field(min_length=1, max_length=MAX_BATCH)


class PurchaseUpdate(Given):
    """What has become of an order: a moment by its name, or a status that was reached `at`.

    null takes a moment back. What staff say stands, also against what the sender says later.
    """

    model_config = like({"status": "shipped", "at": "2026-11-23T15:00:00+09:00"})

    status: Literal["paid", "shipped", "delivered", "cancelled"] | None = None
    at: Moment | None = Field(None, description="When the status was reached; now if left out")
    paid_at: Moment | None = None
    shipped_at: Moment | None = None
    delivered_at: Moment | None = None
    cancelled_at: Moment | None = None

    def moments(self, now: datetime) -> dict[str, datetime | None]:
        """The moments by name."""
        told = {name: getattr(self, name) for name in MOMENTS if name in self.model_fields_set}
        return told | ({f"{self.status}_at": self.at or now} if self.status else {})


class RefundGiven(Given):
    """Money given back; all that is left without an amount."""

    model_config = like({"amount": 600, "key": "refund-7"})

    amount: int | None = Field(None, ge=1, le=MAX_YEN)
    key: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="The sender's own id: given back once under it",
    )
    refunded_at: Moment | None = Field(None, description="Now if left out")


class LineRead(Told):
    """One product of an order."""

    sku: str | None
    name: str
    category: str | None
    quantity: int
    unit_price: int


class RefundRead(Told):
    """Money given back."""

    model_config = like(_REFUND)

    key: str
    amount: int
    refunded_at: datetime


class PurchaseSummary(Told):
    """A purchase without its lines."""

    model_config = like(_SUMMARY)

    id: int
    source: str
    order_id: str
    customer_id: int
    member_number: str | None
    purchased_at: datetime
    status: Status = Field(
        description="awaited: something came before the order itself; refunded: wholly"
    )
    total: int
    refunded: int
    points_used: int
    points_earned: int | None = Field(description="What the order earns after refunds")
    coupon_code: str | None
    store: str | None
    paid_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None
    cancelled_at: datetime | None
    warnings: list[str]
    version: int
    created_at: datetime
    updated_at: datetime = Field(description="When the content was so that is told here")


class PurchaseRead(PurchaseSummary):
    """A purchase with its lines and refunds."""

    model_config = like(_SUMMARY | {"lines": _LINES, "refunds": [_REFUND]})

    lines: list[LineRead]
    refunds: list[RefundRead]


class PurchasesRecorded(Told):
    """What became of a batch."""

    model_config = like({"recorded": 1, "changed": 0, "known": 0, "ids": [31], "warnings": {}})

    recorded: int = Field(description="How many were new")
    changed: int = Field(description="How many were known and changed")
    known: int = Field(description="How many were known as they are")
    ids: list[int] = Field(description="Their ids, in the order given")
    warnings: dict[int, list[str]] = Field(description="What is odd about which, by id")


class PurchaseFilter(PageQuery):
    """Which purchases."""

    customer_id: int | None = Field(None, ge=1, le=MAX_ID)
    member_number: str | None = Field(None, max_length=60)
    source: str | None = Field(None, max_length=60)
    order_id: str | None = Field(None, max_length=100)
    since: Moment | None = Field(None, description="Purchased at or after")
    until: Moment | None = Field(None, description="Purchased before")


def status_of(row: Any) -> Status:  # noqa: ANN401
    """The furthest that an order has come."""
    if is_stub(row):
        return "awaited"
    if row.cancelled_at is not None:
        return "cancelled"
    if row.refunded and row.refunded == row.total:
        return "refunded"
    if row.delivered_at is not None:
        return "delivered"
    if row.shipped_at is not None:
        return "shipped"
    return "placed" if row.paid_at is None else "paid"


def summary(row: Any) -> PurchaseSummary:  # noqa: ANN401
    """A purchase's row with its `member_number`, as it is told."""
    return PurchaseSummary.model_validate(_told(row))


def whole(row: Any, lines: Sequence[Any], refunds: Sequence[Any]) -> PurchaseRead:  # noqa: ANN401
    """The same with its lines and refunds."""
    more = {
        "lines": [LineRead.model_validate(line) for line in lines],
        "refunds": [RefundRead.model_validate(refund) for refund in refunds],
    }
    return PurchaseRead.model_validate(dict(_told(row)) | more)


def _told(row: Any) -> Mapping[str, Any]:  # noqa: ANN401
    values = dict(row._mapping)  # noqa: SLF001 - the documented way to a row's values
    return values | {"status": status_of(row), "points_earned": _earned(row)}


def _earned(row: Any) -> int | None:  # noqa: ANN401
    if row.points_full is None or not row.points_full_for:
        return None
    if row.paid_at is None or row.cancelled_at is not None:
        return 0
    share: int = row.points_full * (row.total - row.refunded) // row.points_full_for
    return share
