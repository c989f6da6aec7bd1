"""Tables of what the shop knows: channels, customers, friends, activities."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, UniqueConstraint, text
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


class Customer(Model, table=True):
    """The person. Anonymous until linked to a membership."""

    __tablename__ = "customer"

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    created_at: datetime = Field(sa_type=UtcDateTime)


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
