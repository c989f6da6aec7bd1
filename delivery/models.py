"""Tables of what leaves for LINE: templates, text rules, outbox, dispatches, tokens, quota."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, Uuid, text
from sqlmodel import Field

from core.db import BigId, Json, Model, UtcDateTime

WAITING = "waiting"
SENDING = "sending"
SENT = "sent"
SUPPRESSED = "suppressed"
FAILED = "failed"
HELD = "held"
STATES = (WAITING, SENDING, SENT, SUPPRESSED, FAILED, HELD)

OPEN = "open"
DONE = "done"


def _only(condition: str) -> dict[str, Any]:
    return {"postgresql_where": text(condition), "sqlite_where": text(condition)}


class MessageTemplate(Model, table=True):
    """A reusable message: one to five LINE message objects with placeholders."""

    __tablename__ = "message_template"

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(max_length=60, unique=True)
    name: str = Field(default="", max_length=100)
    messages: list[Any] = Field(sa_column=Column(Json, nullable=False))
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class TextRule(Model, table=True):
    """A shop's own answer to what customers type; the highest priority that matches answers."""

    __tablename__ = "text_rule"

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(max_length=60, unique=True)
    match: str = Field(max_length=10)
    words: list[str] = Field(sa_column=Column(Json, nullable=False))
    priority: int = 0
    messages: list[Any] = Field(sa_column=Column(Json, nullable=False))
    enabled: bool = True
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class Delivery(Model, table=True):
    """One message for one friend: the outbox. `source` makes queueing it twice harmless."""

    __tablename__ = "delivery"
    __table_args__ = (
        CheckConstraint(f"state IN {STATES}", name="state"),
        Index("ix_delivery_waiting", "due_at", "id", **_only(f"state = '{WAITING}'")),
        Index("ix_delivery_waiting_friend", "friend_id", **_only(f"state = '{WAITING}'")),
        Index("ix_delivery_sending_friend", "friend_id", **_only(f"state = '{SENDING}'")),
        Index("ix_delivery_dispatch_id", "dispatch_id"),
        Index("ix_delivery_friend_id", "friend_id", "id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    channel_id: int = Field(foreign_key="channel.id")
    friend_id: int = Field(sa_column=Column(BigId, ForeignKey("friend.id"), nullable=False))
    source: str = Field(max_length=120, unique=True)
    purpose: str = Field(default="marketing", max_length=20)
    topic: str | None = Field(default=None, max_length=60)
    messages: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    message_count: int = 1
    state: str = Field(default=WAITING, max_length=12)
    reason: str | None = Field(default=None, max_length=40)
    detail: str | None = Field(default=None, max_length=500)
    due_at: datetime = Field(sa_type=UtcDateTime)
    dispatch_id: UUID | None = Field(default=None, sa_column=Column(Uuid, nullable=True))
    attempts: int = 0
    request_id: str | None = Field(default=None, max_length=64)
    created_at: datetime = Field(sa_type=UtcDateTime)
    done_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Dispatch(Model, table=True):
    """One call to LINE; its id is the retry key, its body the exact bytes.

    `retry_at` is machine time: a claim moves it on, so that crash, retry and rate limit are one
    mechanism. `uncertain` says that some attempt may have reached LINE without our knowing.
    """

    __tablename__ = "dispatch"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'done')", name="state"),
        Index("ix_dispatch_open", "retry_at", **_only("state = 'open'")),
    )

    id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    channel_id: int = Field(foreign_key="channel.id")
    endpoint: str = Field(max_length=12)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    recipients: int = 1
    state: str = Field(default=OPEN, max_length=8)
    outcome: str | None = Field(default=None, max_length=24)
    status: int | None = None
    detail: str | None = Field(default=None, max_length=500)
    request_id: str | None = Field(default=None, max_length=64)
    attempts: int = 0
    uncertain: bool = False
    retry_at: datetime = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    first_attempt_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    reply_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    done_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ReplyToken(Model, table=True):
    """A token that came with an event: good for one free reply within a minute."""

    __tablename__ = "reply_token"
    __table_args__ = (
        Index("ix_reply_token_fresh", "friend_id", "usable_until", **_only("used_at IS NULL")),
    )

    token: str = Field(primary_key=True, max_length=64)
    friend_id: int = Field(sa_column=Column(BigId, ForeignKey("friend.id"), nullable=False))
    usable_until: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Quota(Model, table=True):
    """What LINE lets one channel push in one month, and what was counted against it.

    `counted` is our own count of pushes that may have gone; `line_usage` is LINE's figure, which
    lags and includes what was sent from LINE's own manager. The higher of the two is believed.
    """

    __tablename__ = "quota"

    channel_id: int = Field(primary_key=True, foreign_key="channel.id")
    month: str = Field(primary_key=True, max_length=7)
    limited: bool = False
    limit_value: int = 0
    line_usage: int = 0
    counted: int = 0
    refreshed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
