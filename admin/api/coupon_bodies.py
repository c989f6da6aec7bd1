"""What the coupon resources take and tell."""

import re
from datetime import date, datetime, time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from admin.api.fields import Given, Moment, RowId, Told, like
from crm.coupons import codes
from crm.coupons.definition import (
    Conditions,
    CouponDraft,
    Discount,
    conditions_of,
    discount_of,
    midnight,
)
from crm.coupons.held import shown_code
from crm.coupons.issuing import MAX_REASON
from crm.coupons.models import HELD
from crm.coupons.redeeming import Line
from flows.definition import KEY_PATTERN

DAY = re.compile(r"\d{4}-\d\d-\d\d")
MAX_CUSTOMERS = 500
MAX_LINES = 500
MAX_TOTAL = 1_000_000_000


def _day_or_moment(value: Any) -> date:  # noqa: ANN401
    """A plain day, or a moment with its zone."""
    if isinstance(value, date):
        return value
    try:
        if isinstance(value, str) and DAY.fullmatch(value):
            return date.fromisoformat(value)
        return _MOMENT.validate_python(value)
    except ValidationError as error:
        msg = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise ValueError(msg) from None
    except ValueError:
        msg = "is no day of the calendar／存在しない日付です"
        raise ValueError(msg) from None


_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
_DAY_SCHEMA = {
    "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]
}
DayOrMoment = Annotated[
    date, PlainValidator(_day_or_moment), WithJsonSchema(_DAY_SCHEMA, mode="validation")
]
Key = Annotated[str, Field(pattern=KEY_PATTERN, max_length=60)]
Plain = Annotated[str, Field(min_length=1, max_length=100)]
Reason = Annotated[str, Field(min_length=1, max_length=200)]
Code = Annotated[
    str,
    Field(min_length=1, max_length=100, description="As typed, in any width and case, or scanned"),
]

_DRAFT: dict[str, Any] = {
    "name": "お誕生日クーポン", "discount": {"amount": 500}, "valid_days": 30, "max_uses": 1,
    "conditions": {"minimum_total": 3000}, "remind_days": 3,
}  # fmt: skip
_COUPON: dict[str, Any] = {
    "key": "birthday-500", "name": "お誕生日クーポン", "description": "", "state": "active",
    "discount": {"amount": 500}, "discount_text": "500円引き", "discount_text_en": "¥500 off",
    "conditions": {"minimum_total": 3000}, "valid_from": None, "valid_until": None,
    "valid_days": 30, "max_uses": 1, "per_customer": 1, "max_redemptions": None, "redeemed": 0,
    "remind_days": 3, "code_source": "generated", "pool_warning": 0, "line_coupon_ids": {},
    "version": 1, "created_at": "2026-11-22T01:00:00Z", "updated_at": "2026-11-22T01:00:00Z",
}  # fmt: skip
_COPY: dict[str, Any] = {
    "id": 31, "coupon": "birthday-500", "name": "お誕生日クーポン", "discount_text": "500円引き",
    "customer_id": 9, "code": "7KQM-2X9D-WRT4B", "state": "held", "uses_left": 1, "used": 0,
    "issued_at": "2026-11-22T01:00:00Z", "valid_from": "2026-11-22T01:00:00Z",
    "expires_at": "2026-12-22T15:00:00Z",
}  # fmt: skip
_USE: dict[str, Any] = {
    "id": 5, "coupon": "birthday-500", "name": "お誕生日クーポン", "discount_text": "500円引き",
    "issued_id": 31, "customer_id": 9, "member_number": "M-1001", "discount": 500,
    "uses_left": 0, "order_id": "R-80211", "store": "横浜本店", "total": 3200,
    "actor": "token:till", "redeemed_at": "2026-11-22T01:00:00Z", "undone_at": None,
    "undone_by": None, "undo_reason": None,
}  # fmt: skip


class CouponSave(CouponDraft):
    """A coupon as it shall be; a plain day is a day of the shop, the last one included."""

    model_config = like(_DRAFT) | {"extra": "forbid"}

    valid_from: DayOrMoment | None = None  # type: ignore[assignment]
    valid_until: DayOrMoment | None = None  # type: ignore[assignment]

    @model_validator(mode="after")
    def _fits(self) -> "CouponSave":
        return self  # checked once days are moments of the shop

    def draft(self, zone: ZoneInfo) -> CouponDraft:
        """With days turned into moments. Raises pydantic's ValidationError."""
        given = {name: getattr(self, name) for name in CouponDraft.model_fields}
        if type(self.valid_from) is date:
            given["valid_from"] = datetime.combine(self.valid_from, time(), zone)
        if type(self.valid_until) is date:
            start = datetime.combine(self.valid_until, time(), zone)
            given["valid_until"] = midnight(start, zone, days=1)
        return CouponDraft.model_validate(given)


class CouponCreate(CouponSave):
    """A new coupon."""

    model_config = like({"key": "birthday-500", **_DRAFT}) | {"extra": "forbid"}

    key: Key


class CouponRead(Told):
    """A coupon's definition."""

    model_config = like(_COUPON)

    key: str
    name: str
    description: str
    state: str
    discount: Discount
    discount_text: str = Field(description="What it gives, as customers read it")
    discount_text_en: str
    conditions: Conditions
    valid_from: datetime | None
    valid_until: datetime | None = Field(description="Exclusive")
    valid_days: int | None
    max_uses: int
    per_customer: int
    max_redemptions: int | None
    redeemed: int = Field(description="Uses so far, without those undone")
    remind_days: int | None
    code_source: str
    pool_warning: int
    line_coupon_ids: dict[str, str] = Field(description="LINE's own coupon objects, by channel id")
    version: int
    created_at: datetime
    updated_at: datetime


class PoolRead(Told):
    """How many codes the pool has left."""

    free: int
    low: bool = Field(description="At or under `pool_warning`")


class CouponDetail(CouponRead):
    """A coupon's definition, with its pool of codes where it has one."""

    model_config = like(_COUPON | {"pool": None})

    pool: PoolRead | None


class IssueWanted(Given):
    """Who gets a copy: `customer_id`, or up to 500 `customer_ids`."""

    model_config = like({"customer_id": 9})

    customer_id: RowId | None = None
    customer_ids: list[RowId] | None = Field(None, min_length=1, max_length=MAX_CUSTOMERS)
    reason: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_REASON - 4,
        description="Your own: the same reason gives a customer one copy, however often it comes",
    )

    @model_validator(mode="after")
    def _one(self) -> "IssueWanted":
        if (self.customer_id is None) == (self.customer_ids is None):
            msg = (
                "give either customer_id or customer_ids"
                "／customer_id か customer_ids のどちらか一方を指定してください"
            )
            raise ValueError(msg)
        return self

    def ids(self) -> list[int]:
        """The customers."""
        return self.customer_ids or [self.customer_id or 0]


class CopyRead(Told):
    """One customer's copy of a coupon."""

    model_config = like(_COPY)

    id: int
    coupon: str = Field(description="The coupon's key")
    name: str
    discount_text: str
    customer_id: int
    code: str
    state: str = Field(description="held, used, expired or revoked")
    uses_left: int
    used: int
    issued_at: datetime
    valid_from: datetime
    expires_at: datetime | None = Field(description="Exclusive")


class IssueRead(Told):
    """What became of an issue; `id`, `code` and `expires_at` where one customer was asked for."""

    model_config = like(
        {
            "issued": [_COPY],
            "already": [],
            "full": [],
            "pool": None,
            "id": 31,
            "code": "7KQM-2X9D-WRT4B",
            "expires_at": "2026-12-22T15:00:00Z",
        }
    )

    issued: list[CopyRead] = Field(description="The new copies")
    already: list[CopyRead] = Field(description="Copies that the same reason had issued before")
    full: list[int] = Field(description="Customers who have as many copies as one may get")
    pool: PoolRead | None
    id: int | None
    code: str | None
    expires_at: datetime | None


class CodesGiven(Given):
    """Codes for the pool."""

    model_config = like({"codes": ["AUTUMN-0001", "AUTUMN-0002"]})

    codes: list[Annotated[str, Field(max_length=100)]] = Field(
        min_length=1, max_length=codes.MAX_POOL_CODES
    )


class CodesTaken(Told):
    """What became of them."""

    model_config = like({"added": 2, "duplicates": [], "free": 2, "low": False})

    added: int
    duplicates: list[str] = Field(description="Were there already; left out")
    free: int
    low: bool


class LineGiven(Given):
    """One product of the order; `unit_price` in yen, tax included."""

    sku: Plain | None = None
    name: str | None = Field(None, max_length=200)
    category: Plain | None = None
    quantity: int = Field(1, ge=1, le=100_000)
    unit_price: int = Field(0, ge=0, le=MAX_TOTAL)

    def line(self) -> Line:
        """For the rules."""
        return Line(self.sku, self.category, self.quantity, self.unit_price)


class RedeemWanted(Given):
    """A copy to be used; conditions on the order need `total`, `store` and `lines`."""

    model_config = like(
        {"code": "7KQM-2X9D-WRT4B", "order_id": "R-80211", "total": 3200, "store": "横浜本店"}
    )

    code: Code
    order_id: Plain | None = Field(None, description="Of a known order, the rest need not be said")
    total: int | None = Field(None, ge=0, le=MAX_TOTAL, description="Yen, tax included")
    store: str | None = Field(None, min_length=1, max_length=60)
    lines: list[LineGiven] | None = Field(None, max_length=MAX_LINES)
    customer_id: RowId | None = Field(None, description="Refuse copies of anybody else")


class RedemptionRead(Told):
    """One use of a copy."""

    model_config = like(_USE)

    id: int
    coupon: str = Field(description="The coupon's key")
    name: str
    discount_text: str
    issued_id: int
    customer_id: int
    member_number: str | None
    discount: int | None = Field(description="Yen off; null for gifts and unknown totals")
    uses_left: int = Field(description="Of this copy, now")
    order_id: str | None
    store: str | None
    total: int | None
    actor: str
    redeemed_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    undo_reason: str | None


class UndoWanted(Given):
    """Why a use is taken back."""

    model_config = like({"reason": "会計のやり直し"})

    reason: Reason


class CheckRead(Told):
    """What a code is, and whether it can be used now."""

    model_config = like(
        {
            "usable": False,
            "reason": "expired",
            "message": "このクーポンの有効期限（2026年11月21日 23:59）は過ぎています。",
            "message_en": "This coupon expired on 2026-11-21 23:59.",
            "coupon": "birthday-500",
            "name": "お誕生日クーポン",
            "discount_text": "500円引き",
            "conditions": ["3,000円（税込）以上のお買い物"],
            "member_number": "M-1001",
            "uses_left": 1,
            "valid_from": "2026-10-22T01:00:00Z",
            "expires_at": "2026-11-21T15:00:00Z",
            "discount": None,
        }
    )

    usable: bool
    reason: str | None = Field(description="Why not, by name")
    message: str | None
    message_en: str | None
    coupon: str | None
    name: str | None
    discount_text: str | None
    conditions: list[str]
    member_number: str | None = Field(description="Whose it is; null while anonymous")
    uses_left: int
    valid_from: datetime | None
    expires_at: datetime | None
    discount: int | None = Field(description="Yen off the given total")


class UsageRead(Told):
    """What became of a coupon's copies; amounts in yen, tax included."""

    model_config = like(
        {
            "key": "birthday-500",
            "name": "お誕生日クーポン",
            "issued": 120,
            "held": 70,
            "used": 40,
            "expired": 9,
            "revoked": 1,
            "redemptions": 40,
            "customers": 40,
            "sales": 184000,
            "discount": 20000,
        }
    )

    key: str
    name: str
    issued: int
    held: int = Field(description="Can still be used")
    used: int = Field(description="Copies that are used up")
    expired: int
    revoked: int
    redemptions: int = Field(description="Uses, without those undone")
    customers: int = Field(description="Who used it")
    sales: int = Field(description="Of the orders it was used for, after refunds")
    discount: int = Field(description="Yen given")


class LineCouponWanted(Given):
    """In which channel."""

    model_config = like({"channel_id": "1234567890", "ends_at": "2026-12-31T23:59:59+09:00"})

    channel_id: str = Field(pattern=r"^[0-9]{1,32}$", description="LINE's channel id")
    ends_at: Moment | None = Field(
        None, description="Until when LINE has it; needed where the coupon has no `valid_until`"
    )


class LineCouponClosed(Given):
    """In which channel."""

    model_config = like({"channel_id": "1234567890"})

    channel_id: str = Field(pattern=r"^[0-9]{1,32}$", description="LINE's channel id")


class LineCouponRead(Told):
    """LINE's own coupon object."""

    model_config = like(
        {
            "coupon": "birthday-500",
            "channel_id": "1234567890",
            "line_coupon_id": "01JYNW8JMQVFBNWF1APF8Z3FS7",
            "state": "running",
            "message": {"type": "coupon", "couponId": "01JYNW8JMQVFBNWF1APF8Z3FS7"},
        }
    )

    coupon: str
    channel_id: str
    line_coupon_id: str
    state: str = Field(description="running, or closed for good")
    message: dict[str, str] = Field(description="The message object that sends it")


def coupon_values(row: Any) -> dict[str, Any]:  # noqa: ANN401
    """A definition's row as it is told."""
    discount = discount_of(row)
    ja, en = discount.said()
    own = {name: getattr(row, name) for name in CouponRead.model_fields if hasattr(row, name)}
    more = {"discount": discount, "conditions": conditions_of(row)}
    return own | more | {"discount_text": ja, "discount_text_en": en}


def read_coupon(row: Any) -> CouponRead:  # noqa: ANN401
    """A definition's row as it is told in lists."""
    return CouponRead(**coupon_values(row))


def read_copy(row: Any, *, now: datetime) -> CopyRead:  # noqa: ANN401
    """A copy's row, with its coupon's `key`, `name`, `discount` and the pool's `given` code."""
    over = row.state == HELD and row.expires_at is not None and row.expires_at <= now
    return CopyRead(
        id=row.id,
        coupon=row.key,
        name=row.name,
        discount_text=discount_of(row).said()[0],
        customer_id=row.customer_id,
        code=shown_code(row),
        state="expired" if over else row.state,
        uses_left=0 if over else row.max_uses - row.used,
        used=row.used,
        issued_at=row.issued_at,
        valid_from=row.valid_from,
        expires_at=row.expires_at,
    )


def read_use(row: Any) -> RedemptionRead:  # noqa: ANN401
    """A use's row, joined with its coupon, copy and customer."""
    names = ("id", "customer_id", "member_number", "discount", "order_id", "store", "total",
             "actor", "redeemed_at", "undone_at", "undone_by", "undo_reason", "name")  # fmt: skip
    return RedemptionRead(
        **{name: getattr(row, name) for name in names},
        coupon=row.key,
        discount_text=Discount.model_validate(row.gives).said()[0],
        issued_id=row.issued_coupon_id,
        uses_left=row.uses_left,
    )
