"""Tables of links between friends and members, and of the ways there."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, text
from sqlmodel import Field

from core.db import BigId, Model, UtcDateTime

METHODS = ("account_link", "page", "line_login", "order", "staff")

WAITING = "waiting"
DONE = "done"
EXPIRED = "expired"
PENDING_STATES = (WAITING, DONE, EXPIRED)


class MemberLink(Model, table=True):
    """That a friend is this member, from when until when; a friend is one member at a time."""

    __tablename__ = "member_link"
    __table_args__ = (
        CheckConstraint(f"method IN {METHODS}", name="method"),
        Index(
            "ix_member_link_friend",
            "friend_id",
            unique=True,
            postgresql_where=text("unlinked_at IS NULL"),
            sqlite_where=text("unlinked_at IS NULL"),
        ),
        Index("ix_member_link_customer_id", "customer_id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    friend_id: int = Field(sa_column=Column(BigId, ForeignKey("friend.id"), nullable=False))
    customer_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    method: str = Field(max_length=12)
    linked_at: datetime = Field(sa_type=UtcDateTime)
    unlinked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    unlinked_by: str | None = Field(default=None, max_length=60)


class LinkNonce(Model, table=True):
    """A nonce of LINE's account link, by its hash: the member it stands for, once, for a while."""

    __tablename__ = "link_nonce"
    __table_args__ = (Index("ix_link_nonce_expires_at", "expires_at"),)

    nonce_hash: str = Field(primary_key=True, max_length=64)
    customer_id: int = Field(sa_column=Column(BigId, ForeignKey("customer.id"), nullable=False))
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class PendingLink(Model, table=True):
    """A friend named an order that is not here yet; the link completes when it comes."""

    __tablename__ = "pending_link"
    __table_args__ = (
        CheckConstraint(f"state IN {PENDING_STATES}", name="state"),
        Index(
            "ix_pending_link_order_id",
            "order_id",
            postgresql_where=text("state = 'waiting'"),
            sqlite_where=text("state = 'waiting'"),
        ),
        Index("ix_pending_link_friend_id", "friend_id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    friend_id: int = Field(sa_column=Column(BigId, ForeignKey("friend.id"), nullable=False))
    order_id: str = Field(max_length=100)
    state: str = Field(default=WAITING, max_length=8)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    done_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class LinkAttempt(Model, table=True):
    """A wrong try to prove a membership; too many of one friend, or on one member, are stopped."""

    __tablename__ = "link_attempt"
    __table_args__ = (Index("ix_link_attempt_subject", "subject", "at"),)

    id: int | None = Field(default=None, sa_column=Column(BigId, primary_key=True))
    subject: str = Field(max_length=80)
    at: datetime = Field(sa_type=UtcDateTime)


class LinkThanks(Model, table=True):
    """That a member, or a LINE user, was thanked for linking: once, whatever is unlinked later."""

    __tablename__ = "link_thanks"

    subject: str = Field(primary_key=True, max_length=80)
    thanked_at: datetime = Field(sa_type=UtcDateTime)
