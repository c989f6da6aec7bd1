"""Tables of flows: the flow, its published versions, and each customer's walk through one."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, UniqueConstraint, text
from sqlmodel import Field

from core.db import BigId, Json, Model, UtcDateTime

DRAFT = "draft"
PUBLISHED = "published"
PAUSED = "paused"
FLOW_STATES = (DRAFT, PUBLISHED, PAUSED)

ACTIVE = "active"
FINISHED = "finished"
EXITED = "exited"
STOPPED = "stopped"
ON_HOLD = "on_hold"  # while the flow is paused
ENROLMENT_STATES = (ACTIVE, ON_HOLD, FINISHED, EXITED, STOPPED)


class Flow(Model, table=True):
    """A flow as staff edit it; `definition` is the draft, `version` is for If-Match."""

    __tablename__ = "flow"
    __table_args__ = (CheckConstraint(f"state IN {FLOW_STATES}", name="state"),)

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(max_length=60, unique=True)
    name: str = Field(max_length=100)
    definition: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    state: str = Field(default=DRAFT, max_length=12)
    published_version_id: int | None = None
    published_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class FlowVersion(Model, table=True):
    """A published version; its row never changes."""

    __tablename__ = "flow_version"
    __table_args__ = (UniqueConstraint("flow_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    flow_id: int = Field(foreign_key="flow.id")
    number: int
    definition: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    published_at: datetime = Field(sa_type=UtcDateTime)


class Enrolment(Model, table=True):
    """One customer's walk through one flow version.

    `step` counts the steps that are done, so it is also the index of the next one, due at `due_at`.
    """

    __tablename__ = "enrolment"
    __table_args__ = (
        UniqueConstraint("flow_id", "activity_id"),
        CheckConstraint(f"state IN {ENROLMENT_STATES}", name="state"),
        Index(
            "ix_enrolment_due",
            "due_at",
            postgresql_where=text("state = 'active'"),
            sqlite_where=text("state = 'active'"),
        ),
        Index("ix_enrolment_customer", "customer_id", "flow_id"),
        Index("ix_enrolment_friend", "friend_id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    flow_id: int = Field(foreign_key="flow.id")
    flow_version_id: int = Field(foreign_key="flow_version.id")
    customer_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    friend_id: int = Field(sa_column=Column(BigId, ForeignKey("friend.id"), nullable=False))
    activity_id: int | None = Field(
        default=None, sa_column=Column(BigId, ForeignKey("activity.id"), nullable=True)
    )
    state: str = Field(default=ACTIVE, max_length=12)
    reason: str | None = Field(default=None, max_length=60)
    step: int = 0
    due_at: datetime = Field(sa_type=UtcDateTime)
    retry_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    attempts: int = 0
    entered_at: datetime = Field(sa_type=UtcDateTime)
    done_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
