"""Tables of what LINE told us: the webhook inbox and received messages."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, UniqueConstraint, text
from sqlmodel import Field

from core.db import BigId, Json, Model, UtcDateTime

RECEIVED = "received"
HANDLED = "handled"
IGNORED = "ignored"
PARKED = "parked"
EVENT_STATES = (RECEIVED, HANDLED, IGNORED, PARKED)

IS_RECEIVED = text("state = 'received'")


class WebhookEvent(Model, table=True):
    """One event as LINE sent it, stored before LINE gets its 200.

    `lane` is whose event it is; one lane's events act in order of `timestamp`, LINE's milliseconds.
    """

    __tablename__ = "webhook_event"
    __table_args__ = (
        CheckConstraint(f"state IN {EVENT_STATES}", name="state"),
        Index(
            "ix_webhook_event_open",
            "retry_at",
            "id",
            postgresql_where=IS_RECEIVED,
            sqlite_where=IS_RECEIVED,
        ),
        Index(
            "ix_webhook_event_lane",
            "lane",
            "timestamp",
            "id",
            postgresql_where=IS_RECEIVED,
            sqlite_where=IS_RECEIVED,
        ),
        Index("ix_webhook_event_received_at", "received_at"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    webhook_event_id: str = Field(max_length=80, unique=True)
    channel_id: int = Field(foreign_key="channel.id")
    lane: str = Field(max_length=80)
    type: str = Field(max_length=40)
    timestamp: int = Field(sa_column=Column(BigId, nullable=False))
    payload: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    received_at: datetime = Field(sa_type=UtcDateTime)
    state: str = Field(default=RECEIVED, max_length=12)
    reason: str | None = Field(default=None, max_length=200)
    attempts: int = 0
    retry_at: datetime = Field(sa_type=UtcDateTime)
    handled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ReceivedMessage(Model, table=True):
    """What a friend wrote, until they take it back."""

    __tablename__ = "received_message"
    __table_args__ = (
        UniqueConstraint("channel_id", "message_id"),
        Index("ix_received_message_friend_id", "friend_id", "id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    channel_id: int = Field(foreign_key="channel.id")
    friend_id: int | None = Field(
        default=None, sa_column=Column(BigId, ForeignKey("friend.id"), nullable=True)
    )
    message_id: str = Field(max_length=40)
    event_id: int | None = Field(default=None, sa_column=Column(BigId, nullable=True))
    type: str = Field(max_length=20)
    content: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    sent_at: datetime = Field(sa_type=UtcDateTime)
    edited_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    unsent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
