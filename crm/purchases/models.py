"""Tables of purchases, their lines and refunds, and of the systems that tell of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, UniqueConstraint
from sqlmodel import Field

from core.db import BigId, Json, Model, UtcDateTime

SOURCE_KINDS = ("shopify", "signed")


class Purchase(Model, table=True):
    """One order; amounts in yen, tax included.

    It counts once `paid_at` is known and while it is not cancelled. `points_full` is what the whole
    order earns, decided once, for a total of `points_full_for`; what a refund leaves is its share.
    `rank` is the customer's when that was decided.
    """

    __tablename__ = "purchase"
    __table_args__ = (
        UniqueConstraint("source", "order_id"),
        CheckConstraint("total >= 0", name="total"),
        CheckConstraint("refunded >= 0 AND refunded <= total", name="refunded"),
        Index("ix_purchase_customer", "customer_id", "purchased_at"),
        Index("ix_purchase_purchased_at", "purchased_at"),
        Index("ix_purchase_order_id", "order_id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    source: str = Field(max_length=60)
    order_id: str = Field(max_length=100)
    customer_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    purchased_at: datetime = Field(sa_type=UtcDateTime)
    total: int
    refunded: int = 0
    points_used: int = 0
    coupon_code: str | None = Field(default=None, max_length=40)
    store: str | None = Field(default=None, max_length=60)
    paid_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    shipped_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    delivered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    cancelled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    rank: str | None = Field(default=None, max_length=40)
    points_full: int | None = None
    points_full_for: int | None = None
    warnings: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class PurchaseLine(Model, table=True):
    """One product of an order; `unit_price` in yen, tax included."""

    __tablename__ = "purchase_line"
    __table_args__ = (
        Index("ix_purchase_line_sku", "sku", "purchase_id"),
        Index("ix_purchase_line_category", "category", "purchase_id"),
    )

    purchase_id: int = Field(sa_column=Column(BigId, ForeignKey("purchase.id"), primary_key=True))
    position: int = Field(primary_key=True)
    sku: str | None = Field(default=None, max_length=100)
    name: str = Field(default="", max_length=200)
    category: str | None = Field(default=None, max_length=100)
    quantity: int = 1
    unit_price: int = 0


class PurchaseRefund(Model, table=True):
    """Money given back for an order; `key` is the sender's own, under which it counts once."""

    __tablename__ = "purchase_refund"
    __table_args__ = (
        UniqueConstraint("purchase_id", "key"),
        CheckConstraint("amount > 0", name="amount"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    purchase_id: int = Field(sa_column=Column(BigId, ForeignKey("purchase.id"), nullable=False))
    key: str = Field(max_length=100)
    amount: int
    refunded_at: datetime = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)


class PurchaseSource(Model, table=True):
    """A system that sends orders by webhook, and the sealed secret with which it signs them."""

    __tablename__ = "purchase_source"
    __table_args__ = (CheckConstraint(f"kind IN {SOURCE_KINDS}", name="kind"),)

    key: str = Field(primary_key=True, max_length=60)
    kind: str = Field(max_length=12)
    name: str = Field(max_length=100)
    sealed_secret: str
    version: int = 1
    received_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class ReceivedHook(Model, table=True):
    """A webhook of a source that was acted on; its repetition is answered and does nothing."""

    __tablename__ = "received_hook"
    __table_args__ = (Index("ix_received_hook_received_at", "received_at"),)

    source: str = Field(primary_key=True, max_length=60)
    hook_id: str = Field(primary_key=True, max_length=100)
    received_at: datetime = Field(sa_type=UtcDateTime)


class ImportMapping(Model, table=True):
    """Which column of a CSV file is what, saved by name.

    `columns`: our field → the file's heading; `values`: our field → {what stands there: ours}.
    """

    __tablename__ = "import_mapping"

    name: str = Field(primary_key=True, max_length=60)
    kind: str = Field(max_length=12)
    encoding: str = Field(default="", max_length=20)
    columns: dict[str, str] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    values: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
