"""Shopify's webhooks as orders and customers.

A customer of the online store is the member `shopify:<id>`; an order is known by its name as its
buyer sees it (`#1001`). Test orders are left out.
Source: https://shopify.dev/docs/api/webhooks and https://shopify.dev/docs/api/admin-rest/latest/resources/order
"""

import base64
import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from admin.api.fields import Moment
from crm.customers import contact
from crm.customers.records import UNSET, CustomerDraft
from crm.purchases.draft import MAX_YEN, LineDraft, PurchaseDraft, RefundDraft
from server.hook_news import News

OWN_ID = "shopify-order:"
PAID = {"paid", "partially_refunded", "refunded"}
ORDERS = {"orders/create", "orders/paid", "orders/updated", "orders/fulfilled", "orders/cancelled"}
PEOPLE = {"customers/create", "customers/update"}


def is_signed(secret: str, raw: bytes, headers: Mapping[str, str], *, now: datetime) -> bool:
    """Whether `X-Shopify-Hmac-Sha256` is the body's: Base64 of HMAC-SHA256 over its raw bytes."""
    wanted = base64.b64encode(hmac.digest(secret.encode(), raw, "sha256"))
    given = headers.get("x-shopify-hmac-sha256", "").encode("utf-8", "replace")
    return hmac.compare_digest(wanted, given)


def hook_id(headers: Mapping[str, str]) -> str | None:
    """By what Shopify's repetitions of one webhook are known."""
    return headers.get("x-shopify-webhook-id")


def read(source: str, body: object, headers: Mapping[str, str], *, now: datetime) -> News:
    """What a webhook tells; nothing for topics that are not ours. Raises `ValidationError`."""
    topic = headers.get("x-shopify-topic", "").strip().lower()
    if topic in ORDERS:
        order = _Order.model_validate(body)
        if order.test:
            return News()
        own_id = f"{OWN_ID}{order.id}"
        return News(orders=[_order(source, order)], paths=[""], names={own_id: order.name})
    if topic in PEOPLE:
        return News(people=[_person(_Customer.model_validate(body))], people_path="")
    if topic == "refunds/create":
        return _refunded(source, _Refund.model_validate(body))
    return News()


def _yen(value: Any) -> Any:  # noqa: ANN401
    """An amount of Shopify's, a text with decimals, in whole yen."""
    if value is None:
        return 0
    try:
        amount = Decimal(str(value))
        whole = int(amount)
    except (InvalidOperation, ValueError, OverflowError):
        whole, amount = 0, Decimal(1)
    if whole != amount:
        msg = "must be whole yen／円単位の金額にしてください"
        raise ValueError(msg)
    return whole


def _only_yen(value: Any) -> Any:  # noqa: ANN401
    if value not in {None, "JPY"}:
        msg = "only yen (JPY) can be taken／日本円（JPY）の注文だけを受け付けます"
        raise ValueError(msg)
    return value


Yen = Annotated[int, BeforeValidator(_yen), Field(ge=-MAX_YEN, le=MAX_YEN)]
Currency = Annotated[str | None, BeforeValidator(_only_yen)]
Text = Annotated[str | None, Field(max_length=10_000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Line(_Part):
    sku: Text = None
    name: Text = None
    title: Text = None
    product_type: Text = None
    quantity: int = Field(1, ge=-1_000_000, le=1_000_000)
    price: Yen = 0


class _Money(_Part):
    amount: Yen = 0


class _MoneySet(_Part):
    shop_money: _Money = _Money()


class _Address(_Part):
    zip: Text = None
    phone: Text = None


class _Customer(_Part):
    id: int
    email: Text = None
    phone: Text = None
    first_name: Text = None
    last_name: Text = None
    tags: Text = None
    default_address: _Address | None = None


class _Fulfillment(_Part):
    created_at: Moment
    updated_at: Moment | None = None
    status: Text = None
    shipment_status: Text = None


class _Transaction(_Part):
    kind: Text = None
    status: Text = None
    amount: Yen = 0


class _Refund(_Part):
    id: int
    order_id: int
    created_at: Moment
    processed_at: Moment | None = None
    transactions: list[_Transaction] = []


class _Order(_Part):
    id: int
    name: str = Field(min_length=1, max_length=100)
    created_at: Moment
    processed_at: Moment | None = None
    updated_at: Moment | None = None
    cancelled_at: Moment | None = None
    currency: Currency = None
    financial_status: Text = None
    fulfillment_status: Text = None
    total_price: Annotated[int, BeforeValidator(_yen), Field(ge=0, le=MAX_YEN)]
    total_discounts: Yen = 0
    total_tax: Yen = 0
    total_tip_received: Yen = 0
    total_shipping_price_set: _MoneySet | None = None
    taxes_included: bool = True
    test: bool = False
    email: Text = None
    phone: Text = None
    customer: _Customer | None = None
    line_items: list[_Line] = Field(default=[], max_length=500)
    fulfillments: list[_Fulfillment] = []
    refunds: list[_Refund] = []


def _order(source: str, order: _Order) -> PurchaseDraft:
    told_at = order.updated_at or order.processed_at or order.created_at
    paid = order.financial_status in PAID
    shipping = order.total_shipping_price_set or _MoneySet()
    tax = 0 if order.taxes_included else order.total_tax
    extra = shipping.shop_money.amount + order.total_tip_received + tax - order.total_discounts
    who = order.customer
    return PurchaseDraft(
        source=source,
        order_id=order.name,
        purchased_at=order.processed_at or order.created_at,
        total=order.total_price,
        member_number=_number(who) if who else None,
        contact=_person(who) if who else _guest(order),
        lines=[_line(line) for line in order.line_items],
        adjustment=extra,
        paid=paid,
        paid_at=told_at if paid else None,
        shipped_at=_shipped_at(order),
        delivered_at=_delivered_at(order),
        cancelled_at=order.cancelled_at,
        refunds=[back for refund in order.refunds if (back := _refund(refund))],
        as_of=told_at,
    )


def _line(line: _Line) -> LineDraft:
    return LineDraft(
        sku=(line.sku or "")[:100] or None,
        name=(line.name or line.title or "")[:200],
        category=(line.product_type or "")[:100] or None,
        quantity=line.quantity,
        unit_price=line.price,
    )


def _shipped_at(order: _Order) -> datetime | None:
    if order.fulfillment_status != "fulfilled":
        return None
    return min((f.created_at for f in order.fulfillments), default=order.updated_at)


def _delivered_at(order: _Order) -> datetime | None:
    sent = [f for f in order.fulfillments if f.status in {None, "success"}]
    if not sent or any(f.shipment_status != "delivered" for f in sent):
        return None
    return max(f.updated_at or f.created_at for f in sent)


def _refunded(source: str, refund: _Refund) -> News:
    back = _refund(refund)
    if back is None:  # goods went back to the shelf, and no money to the customer
        return News()
    draft = PurchaseDraft(
        source=source, order_id=f"{OWN_ID}{refund.order_id}", purchased_at=back.refunded_at,
        total=None, refunds=[back],
    )  # fmt: skip
    return News(orders=[draft], paths=[""])


def _refund(refund: _Refund) -> RefundDraft | None:
    """Money that has gone back; one that is under way will be told of again."""
    done = [t for t in refund.transactions if t.kind == "refund" and t.status == "success"]
    amount = sum(transaction.amount for transaction in done)
    at = refund.processed_at or refund.created_at
    return RefundDraft(key=str(refund.id), amount=amount, refunded_at=at) if amount > 0 else None


def _number(customer: _Customer) -> str:
    return f"shopify:{customer.id}"


def _person(customer: _Customer) -> CustomerDraft:
    address = customer.default_address or _Address()
    name = " ".join(part for part in (customer.last_name, customer.first_name) if part)
    return CustomerDraft(
        member_number=_number(customer),
        name=_readable(contact.name, name),
        phone=_readable(contact.phone, customer.phone or address.phone),
        email=_readable(contact.email, customer.email),
        postal_code=_readable(contact.postal_code, address.zip),
        tags=[tag.strip()[:60] for tag in (customer.tags or "").split(",") if tag.strip()],
    )


def _guest(order: _Order) -> CustomerDraft:
    return CustomerDraft(
        phone=_readable(contact.phone, order.phone), email=_readable(contact.email, order.email)
    )


def _readable(normal: Callable[[str], str], text: str | None) -> Any:  # noqa: ANN401
    """A contact in our form; one that we cannot read is no reason to lose an order."""
    with suppress(ValueError):
        return normal(text) if text else UNSET
    return UNSET
