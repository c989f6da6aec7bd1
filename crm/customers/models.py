"""Tables of what the shop notes on customers: attributes, tags, topics, merges, likely doubles."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, UniqueConstraint, text
from sqlmodel import Field

from core.db import BigId, Json, Model, UtcDateTime

ATTRIBUTE_TYPES = ("text", "number", "date", "choice", "yes_no")

SUSPECTED = "open"
DISMISSED = "dismissed"
MERGED = "merged"
DOUBLE_STATES = (SUSPECTED, DISMISSED, MERGED)


class AttributeDefinition(Model, table=True):
    """An attribute that the shop notes on its customers, and of what type its values are."""

    __tablename__ = "attribute_definition"
    __table_args__ = (CheckConstraint(f"type IN {ATTRIBUTE_TYPES}", name="type"),)

    key: str = Field(primary_key=True, max_length=60)
    name: str = Field(max_length=100)
    type: str = Field(max_length=12)
    choices: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    position: int = 0
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class AttributeValue(Model, table=True):
    """One customer's value: `text` for text, choice and date (YYYY-MM-DD), `number` for the others.

    Yes is 1 and no is 0; what was never noted has no row.
    """

    __tablename__ = "attribute_value"
    __table_args__ = (
        Index("ix_attribute_value_text", "key", "text"),
        Index("ix_attribute_value_number", "key", "number"),
    )

    customer_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), primary_key=True))
    key: str = Field(sa_column=Column(ForeignKey("attribute_definition.key"), primary_key=True))
    text: str | None = Field(default=None, max_length=1000)
    number: float | None = None
    source: str = Field(default="", max_length=60)
    set_at: datetime = Field(sa_type=UtcDateTime)


class CustomerTag(Model, table=True):
    """A tag on a customer."""

    __tablename__ = "customer_tag"
    __table_args__ = (Index("ix_customer_tag_tag", "tag", "customer_id"),)

    customer_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), primary_key=True))
    tag: str = Field(primary_key=True, max_length=60)
    source: str = Field(default="", max_length=60)
    added_at: datetime = Field(sa_type=UtcDateTime)


class Topic(Model, table=True):
    """What customers can choose to hear about: news, sales …"""

    __tablename__ = "topic"

    key: str = Field(primary_key=True, max_length=40)
    name: str = Field(max_length=40)
    description: str = Field(default="", max_length=200)
    position: int = 0
    version: int = 1
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class Consent(Model, table=True):
    """A customer's own word on a topic; without a row they hear of it, as friends do."""

    __tablename__ = "consent"
    __table_args__ = (
        Index(
            "ix_consent_refused",
            "topic",
            "customer_id",
            postgresql_where=text("NOT granted"),
            sqlite_where=text("NOT granted"),
        ),
    )

    customer_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), primary_key=True))
    topic: str = Field(primary_key=True, max_length=40)
    granted: bool
    source: str = Field(default="", max_length=60)
    decided_at: datetime = Field(sa_type=UtcDateTime)


class CustomerMerge(Model, table=True):
    """Two records that became one. `moved` and `kept` hold what it takes to part them again.

    `moved`: ids by table; `kept`: the fields of both as they were.
    """

    __tablename__ = "customer_merge"
    __table_args__ = (
        Index("ix_customer_merge_from_id", "from_id"),
        Index("ix_customer_merge_into_id", "into_id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    from_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    into_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    reason: str = Field(max_length=200)
    evidence: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    moved: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    kept: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    actor: str = Field(max_length=60)
    merged_at: datetime = Field(sa_type=UtcDateTime)
    undone_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    undone_by: str | None = Field(default=None, max_length=60)


class SuspectedDouble(Model, table=True):
    """Two records that may be one person, with the evidence; `first_id` is the lower id."""

    __tablename__ = "suspected_double"
    __table_args__ = (
        UniqueConstraint("first_id", "second_id"),
        CheckConstraint(f"state IN {DOUBLE_STATES}", name="state"),
        Index("ix_suspected_double_state", "state", "id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    first_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    second_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    evidence: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    state: str = Field(default=SUSPECTED, max_length=12)
    found_at: datetime = Field(sa_type=UtcDateTime)
    decided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    decided_by: str | None = Field(default=None, max_length=60)
