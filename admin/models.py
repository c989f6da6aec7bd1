"""Tables of the staff's door: tokens, the audit log, answers kept for repeated requests."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Column, Index
from sqlmodel import Field

from core.db import BigId, Json, Model, UtcDateTime

ROLES = ("viewer", "clerk", "marketer", "owner")


class ApiToken(Model, table=True):
    """A bearer token of the admin API; only its hash is kept."""

    __tablename__ = "api_token"
    __table_args__ = (CheckConstraint(f"role IN {ROLES}", name="role"),)

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=100)
    role: str = Field(max_length=12)
    token_hash: str = Field(max_length=64, unique=True)
    hint: str = Field(default="", max_length=12)
    created_at: datetime = Field(sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class AuditEntry(Model, table=True):
    """Who changed what, when; rows are only added."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_subject", "subject", "id"),)

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    at: datetime = Field(sa_type=UtcDateTime)
    actor: str = Field(max_length=120)
    action: str = Field(max_length=60)
    subject: str = Field(max_length=120)
    data: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))


class IdempotentAnswer(Model, table=True):
    """What a POST with an Idempotency-Key was answered, for its repetitions."""

    __tablename__ = "idempotent_answer"
    __table_args__ = (Index("ix_idempotent_answer_created_at", "created_at"),)

    actor: str = Field(primary_key=True, max_length=120)
    key: str = Field(primary_key=True, max_length=255)
    request_hash: str = Field(max_length=64)
    status: int
    body: str
    created_at: datetime = Field(sa_type=UtcDateTime)
