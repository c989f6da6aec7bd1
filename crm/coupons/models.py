"""Tables of coupons: definitions, pools of codes, issued copies, redemptions."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, text
from sqlmodel import Field

from core.db import BigId, Json, Model, UtcDateTime

ACTIVE = "active"
ARCHIVED = "archived"
COUPON_STATES = (ACTIVE, ARCHIVED)

HELD = "held"
USED = "used"
REVOKED = "revoked"
ISSUED_STATES = (HELD, USED, REVOKED)

GENERATED = "generated"
POOL = "pool"
CODE_SOURCES = (GENERATED, POOL)


class Coupon(Model, table=True):
    """A coupon as the shop defines it.

    `discount` and `conditions` are checked by `crm/coupons/definition.py`. A copy is good for
    `max_uses` uses; all copies together for `max_redemptions`, of which `redeemed` are used up.
    """

    __tablename__ = "coupon"
    __table_args__ = (
        CheckConstraint(f"state IN {COUPON_STATES}", name="state"),
        CheckConstraint(f"code_source IN {CODE_SOURCES}", name="code_source"),
        CheckConstraint(
            "max_redemptions IS NULL OR redeemed <= max_redemptions", name="max_redemptions"
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(max_length=60, unique=True)
    name: str = Field(max_length=60)
    description: str = Field(default="", max_length=500)
    discount: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    conditions: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    valid_from: datetime | None = Field(default=None, sa_type=UtcDateTime)
    valid_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    valid_days: int | None = None
    max_uses: int = 1
    per_customer: int = 1
    max_redemptions: int | None = None
    redeemed: int = 0
    remind_days: int | None = None
    code_source: str = Field(default=GENERATED, max_length=12)
    pool_warning: int = 0
    state: str = Field(default=ACTIVE, max_length=12)
    line_coupon_ids: dict[str, str] = Field(
        default_factory=dict, sa_column=Column(Json, nullable=False)
    )
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class IssuedCoupon(Model, table=True):
    """One customer's copy. `source` is why it was issued, once for that reason."""

    __tablename__ = "issued_coupon"
    __table_args__ = (
        CheckConstraint(f"state IN {ISSUED_STATES}", name="state"),
        CheckConstraint("used >= 0 AND used <= max_uses", name="used"),
        Index("ix_issued_coupon_customer", "customer_id", "expires_at"),
        Index("ix_issued_coupon_coupon", "coupon_id", "customer_id"),
        Index(
            "ix_issued_coupon_remind",
            "remind_at",
            postgresql_where=text("remind_at IS NOT NULL AND state = 'held'"),
            sqlite_where=text("remind_at IS NOT NULL AND state = 'held'"),
        ),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    coupon_id: int = Field(foreign_key="coupon.id")
    customer_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    code: str = Field(max_length=40, unique=True)
    state: str = Field(default=HELD, max_length=8)
    max_uses: int = 1
    used: int = 0
    source: str = Field(max_length=160, unique=True)
    issued_at: datetime = Field(sa_type=UtcDateTime)
    valid_from: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    remind_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class CouponCode(Model, table=True):
    """A code of a pool that the shop has filled; taken once."""

    __tablename__ = "coupon_code"
    __table_args__ = (
        Index(
            "ix_coupon_code_free",
            "coupon_id",
            "id",
            postgresql_where=text("issued_coupon_id IS NULL"),
            sqlite_where=text("issued_coupon_id IS NULL"),
        ),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    coupon_id: int = Field(foreign_key="coupon.id")
    code: str = Field(max_length=40, unique=True)
    issued_coupon_id: int | None = Field(
        default=None, sa_column=Column(BigId, ForeignKey("issued_coupon.id"), nullable=True)
    )


class Redemption(Model, table=True):
    """One use of a copy, by whom and for which order; undone with a reason, never deleted."""

    __tablename__ = "redemption"
    __table_args__ = (
        Index("ix_redemption_issued_coupon_id", "issued_coupon_id"),
        Index("ix_redemption_customer", "customer_id", "redeemed_at"),
        Index("ix_redemption_coupon", "coupon_id", "redeemed_at"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    issued_coupon_id: int = Field(
        sa_column=Column(BigId, ForeignKey("issued_coupon.id"), nullable=False)
    )
    coupon_id: int = Field(foreign_key="coupon.id")
    customer_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    source: str | None = Field(default=None, max_length=160, unique=True)
    order_id: str | None = Field(default=None, max_length=100)
    store: str | None = Field(default=None, max_length=60)
    total: int | None = None
    discount: int | None = None
    actor: str = Field(max_length=60)
    redeemed_at: datetime = Field(sa_type=UtcDateTime)
    undone_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    undone_by: str | None = Field(default=None, max_length=60)
    undo_reason: str | None = Field(default=None, max_length=200)
