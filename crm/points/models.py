"""Tables of the points ledger.

The sum of a customer's entries, what is left in their open lots, and `customer.points` are always
the same number.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, text
from sqlmodel import Field

from core.db import BigId, Model, UtcDateTime

PENDING = "pending"
OPEN = "open"
CLOSED = "closed"
LOT_STATES = (PENDING, OPEN, CLOSED)

GRANT = "grant"  # points came in: a lot was opened
SPEND = "spend"  # the customer paid with points
EXPIRE = "expire"
TAKE_BACK = "take_back"  # a refund takes back what its purchase had granted
GIVE_BACK = "give_back"  # what was paid with points comes back when its purchase is undone
CORRECT = "correct"  # staff, with a reason
SETTLE = "settle"  # owed points taken from a later grant
TRANSFER = "transfer"  # between two records when a merge is undone
ENTRY_KINDS = (GRANT, SPEND, EXPIRE, TAKE_BACK, GIVE_BACK, CORRECT, SETTLE, TRANSFER)


def _only(condition: str) -> dict[str, Any]:
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


class PointLot(Model, table=True):
    """Points granted together that expire together.

    `pending`: not the customer's yet (return window), not in any balance, no entry; it becomes
    `open` at `available_at`, with a `grant` entry. `closed`: nothing is left.
    """

    __tablename__ = "point_lot"
    __table_args__ = (
        CheckConstraint(f"state IN {LOT_STATES}", name="state"),
        CheckConstraint("remaining >= 0 AND remaining <= granted", name="remaining"),
        Index("ix_point_lot_customer", "customer_id", "expires_at"),
        Index("ix_point_lot_pending", "available_at", "id", **_only(f"state = '{PENDING}'")),
        Index("ix_point_lot_expiring", "expires_at", "id", **_only(f"state = '{OPEN}'")),
        Index("ix_point_lot_purchase_id", "purchase_id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    customer_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    state: str = Field(default=OPEN, max_length=8)
    granted: int
    remaining: int
    reason: str = Field(default="", max_length=200)
    source: str = Field(max_length=160, unique=True)
    purchase_id: int | None = Field(
        default=None, sa_column=Column(BigId, ForeignKey("purchase.id"), nullable=True)
    )
    granted_at: datetime = Field(sa_type=UtcDateTime)
    available_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class PointEntry(Model, table=True):
    """One line of the ledger; never changed. `source` is its natural key: it is written once."""

    __tablename__ = "point_entry"
    __table_args__ = (
        CheckConstraint(f"kind IN {ENTRY_KINDS}", name="kind"),
        CheckConstraint("delta <> 0", name="delta"),
        Index("ix_point_entry_customer", "customer_id", "occurred_at", "id"),
        Index("ix_point_entry_purchase_id", "purchase_id"),
        Index("ix_point_entry_actor", "actor", "occurred_at", **_only("actor IS NOT NULL")),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    customer_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    kind: str = Field(max_length=12)
    delta: int
    reason: str = Field(default="", max_length=200)
    actor: str | None = Field(default=None, max_length=60)
    source: str = Field(max_length=160, unique=True)
    purchase_id: int | None = Field(
        default=None, sa_column=Column(BigId, ForeignKey("purchase.id"), nullable=True)
    )
    lot_id: int | None = Field(
        default=None, sa_column=Column(BigId, ForeignKey("point_lot.id"), nullable=True)
    )
    occurred_at: datetime = Field(sa_type=UtcDateTime)


class PointDraw(Model, table=True):
    """How much of a lot an entry took (positive), or gave back to it (negative)."""

    __tablename__ = "point_draw"
    __table_args__ = (Index("ix_point_draw_lot_id", "lot_id"),)

    entry_id: int = Field(sa_column=Column(BigId, ForeignKey("point_entry.id"), primary_key=True))
    lot_id: int = Field(sa_column=Column(BigId, ForeignKey("point_lot.id"), primary_key=True))
    amount: int
