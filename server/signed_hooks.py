"""Our own webhook, for any system that can sign: orders, customers and refunds in one body.

`X-Okaeri-Signature: sha256=<hex>` is the HMAC-SHA256 with the source's secret over the timestamp, a
full stop and the raw body. `X-Okaeri-Timestamp` (seconds since 1970) may be five minutes off, and
`X-Okaeri-Delivery` is the sender's own id of the webhook, under which it is taken once.
"""

import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import Field

from admin.api.customer_bodies import CustomerCreate
from admin.api.fields import Given, Moment
from admin.api.purchase_bodies import MAX_BATCH, OrderGiven, OrderId
from core.errors import Fault, Invalid
from crm.purchases.draft import MAX_YEN, PurchaseDraft, RefundDraft
from server.hook_news import News

CLOCKS_DIFFER = timedelta(minutes=5)
SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")


class Order(OrderGiven):
    """An order, with who has bought it where the member is not known yet."""

    customer: CustomerCreate | None = None


class Refund(Given):
    """Money given back for an order; once under its `key`."""

    order_id: OrderId
    key: str = Field(min_length=1, max_length=100)
    amount: int = Field(ge=1, le=MAX_YEN)
    refunded_at: Moment | None = None


class Body(Given):
    """What one webhook tells; all of it is taken in, or nothing."""

    purchases: list[Order] = Field(default=[], max_length=MAX_BATCH)
    customers: list[CustomerCreate] = Field(default=[], max_length=MAX_BATCH)
    refunds: list[Refund] = Field(default=[], max_length=MAX_BATCH)


def sign(secret: str, timestamp: int | str, raw: bytes) -> str:
    """The signature of a body."""
    digest = hmac.digest(secret.encode(), f"{timestamp}.".encode() + raw, "sha256")
    return f"sha256={digest.hex()}"


def is_signed(secret: str, raw: bytes, headers: Mapping[str, str], *, now: datetime) -> bool:
    """Whether the signature is the body's, and not an old one that somebody has kept."""
    timestamp = headers.get("x-okaeri-timestamp", "")
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        return False
    given = headers.get("x-okaeri-signature", "").strip().encode("utf-8", "replace")
    fits = hmac.compare_digest(sign(secret, timestamp, raw).encode(), given)
    return fits and abs(now.timestamp() - int(timestamp)) <= CLOCKS_DIFFER.total_seconds()


def hook_id(headers: Mapping[str, str]) -> str | None:
    """The sender's id of this webhook. Raises `Invalid` without one."""
    told = headers.get("x-okaeri-delivery", "").strip()
    if not told:
        raise Invalid("The webhook has no id.", [
            Fault("X-Okaeri-Delivery", "is needed: your own id of this webhook",
                  "Webhookごとに一意のIDを指定してください")])  # fmt: skip
    return told


def read(source: str, body: object, headers: Mapping[str, str], *, now: datetime) -> News:
    """What a webhook tells. Raises `ValidationError`."""
    told = Body.model_validate(body)
    orders = [_order(source, each) for each in told.purchases]
    refunds = [_refund(source, each, now) for each in told.refunds]
    return News(
        orders=[*orders, *refunds],
        paths=[
            *(f"purchases[{index}]." for index in range(len(orders))),
            *(f"refunds[{index}]." for index in range(len(refunds))),
        ],
        people=[each.draft() for each in told.customers],
    )


def _order(source: str, order: Order) -> PurchaseDraft:
    return order.draft(source, contact=order.customer.draft() if order.customer else None)


def _refund(source: str, refund: Refund, now: datetime) -> PurchaseDraft:
    at = refund.refunded_at or now
    back = RefundDraft(key=refund.key, amount=refund.amount, refunded_at=at)
    return PurchaseDraft(
        source=source, order_id=refund.order_id, purchased_at=at, total=None, refunds=[back]
    )
