"""Tables of what the shop knows: channels, customers, friends, activities."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from core.db import BigId, Json, Model, UtcDateTime

FOLLOWING = "following"
BLOCKED = "blocked"


class Channel(Model, table=True):
    """One LINE Messaging API channel. Secrets are encrypted with the server's secret key."""

    __tablename__ = "channel"

    id: int | None = Field(default=None, primary_key=True)
    channel_id: str = Field(max_length=32, unique=True)
    name: str = Field(default="", max_length=100)
    bot_user_id: str | None = Field(default=None, max_length=33)
    basic_id: str | None = Field(default=None, max_length=40)
    sealed_secret: str
    sealed_previous_secret: str | None = None
    sealed_access_token: str = ""
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)


def _counter() -> Any:  # noqa: ANN401
    return Field(default=0, sa_column=Column(BigId, nullable=False, server_default="0"))


class Customer(Model, table=True):
    """The person. Anonymous until linked to a membership, which has a `member_number`.

    Whoever changes what counts (purchases, points, rank, coupons, merges) locks this row first, in
    order of ids (`crm.customers.locking.lock`): it is the one lock for a person.

    `birthday` is YYYY-MM-DD, or --MM-DD without the year; `birth_md` is month * 100 + day. `phone`
    is E.164, `email` in small letters. `points`, `points_owed` and the purchase figures are kept in
    step with their tables in the same transaction. A merged record points to the one it became.
    """

    __tablename__ = "customer"
    __table_args__ = (
        CheckConstraint("points >= 0", name="points"),
        CheckConstraint("points_owed >= 0", name="points_owed"),
        Index("ix_customer_phone", "phone"),
        Index("ix_customer_email", "email"),
        Index("ix_customer_birth_md", "birth_md"),
        Index("ix_customer_last_purchased_at", "last_purchased_at"),
        Index("ix_customer_rank", "rank", "rank_until"),
        Index("ix_customer_merged_into_id", "merged_into_id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    member_number: str | None = Field(default=None, max_length=60, unique=True)
    name: str | None = Field(default=None, max_length=100)
    kana: str | None = Field(default=None, max_length=100)
    birthday: str | None = Field(default=None, max_length=10)
    birth_md: int | None = None
    phone: str | None = Field(default=None, max_length=20)
    email: str | None = Field(default=None, max_length=254)
    gender: str | None = Field(default=None, max_length=20)
    postal_code: str | None = Field(default=None, max_length=8)
    rank: str | None = Field(default=None, max_length=40)
    rank_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    rank_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    points: int = _counter()
    points_owed: int = _counter()
    purchase_count: int = _counter()
    purchase_total: int = _counter()
    first_purchased_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_purchased_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    merged_into_id: int | None = Field(
        default=None, sa_column=Column(BigId, ForeignKey("customer.id"), nullable=True)
    )
    erased_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    version: int = Field(default=1, sa_column=Column(Integer, nullable=False, server_default="1"))
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Friend(Model, table=True):
    """One LINE user as seen on one channel.

    `status_at` is when LINE says the status came about: news older than that changes nothing.
    `profile_due_at` asks for the profile to be fetched; None means nothing is to be done.
    """

    __tablename__ = "friend"
    __table_args__ = (
        UniqueConstraint("channel_id", "user_id"),
        CheckConstraint(f"status IN ('{FOLLOWING}', '{BLOCKED}')", name="status"),
        Index(
            "ix_friend_profile_due",
            "profile_due_at",
            postgresql_where=text("profile_due_at IS NOT NULL"),
            sqlite_where=text("profile_due_at IS NOT NULL"),
        ),
        Index("ix_friend_customer_id", "customer_id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    channel_id: int = Field(foreign_key="channel.id")
    user_id: str = Field(max_length=33)
    customer_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    status: str = Field(default=FOLLOWING, max_length=12)
    status_at: datetime = Field(sa_type=UtcDateTime)
    followed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    follow_count: int = 0
    blocked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    display_name: str | None = Field(default=None, max_length=100)
    picture_url: str | None = Field(default=None, max_length=2000)
    language: str | None = Field(default=None, max_length=35)
    profile_fetched_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    profile_due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    profile_attempts: int = 0
    created_at: datetime = Field(sa_type=UtcDateTime)


class Activity(Model, table=True):
    """One append-only fact about a customer.

    `react_at` is when what must act on it (flows, menu rules) is to act, in machine time; None
    once it has.
    """

    __tablename__ = "activity"
    __table_args__ = (
        Index(
            "ix_activity_react_at",
            "react_at",
            postgresql_where=text("react_at IS NOT NULL"),
            sqlite_where=text("react_at IS NOT NULL"),
        ),
        Index("ix_activity_customer", "customer_id", "occurred_at"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    customer_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    friend_id: int | None = Field(
        default=None, sa_column=Column(BigId, ForeignKey("friend.id"), nullable=True)
    )
    kind: str = Field(max_length=40)
    occurred_at: datetime = Field(sa_type=UtcDateTime)
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    data: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    source: str | None = Field(default=None, max_length=255, unique=True)
    react_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Policy(Model, table=True):
    """A set of rules that the shop steers by (points, ranks, linking), as one checked document."""

    __tablename__ = "policy"

    key: str = Field(primary_key=True, max_length=40)
    value: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    version: int = 1
    updated_at: datetime = Field(sa_type=UtcDateTime)
