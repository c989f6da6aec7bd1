"""Policies: sets of rules that the shop steers by, each one checked document with a version."""

from datetime import datetime
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import insert_new, table
from core.errors import StaleVersion
from crm.models import Policy


class PolicyDocument(BaseModel):
    """Base of all policies: each has a key, and defaults that hold until something is saved."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    key: ClassVar[str]


P = TypeVar("P", bound=PolicyDocument)


async def read(session: AsyncSession, kind: type[P]) -> tuple[P, int]:
    """The policy in force and its version; the defaults at version 0 while none is saved."""
    policy = table(Policy)
    query = select(policy.c.value, policy.c.version).where(policy.c.key == kind.key)
    row: Any = (await session.execute(query)).first()
    return (kind(), 0) if row is None else (kind.model_validate(row.value), row.version)


async def save(
    session: AsyncSession, value: PolicyDocument, *, expected: int | None, now: datetime
) -> int:
    """Put a policy in force; returns its new version.

    Raises `StaleVersion` when it is not at the `expected` version any more; None expects nothing.
    """
    policy = table(Policy)
    document = value.model_dump(mode="json")
    row = {"key": value.key, "value": document, "version": 1, "updated_at": now}
    new = insert_new(session, policy).values(row).on_conflict_do_nothing()
    if (await session.execute(new.returning(policy.c.version))).first() is not None:
        if expected:
            raise StaleVersion(current=0)
        return 1
    change = update(policy).where(policy.c.key == value.key)
    if expected is not None:
        change = change.where(policy.c.version == expected)
    change = change.values(value=document, version=policy.c.version + 1, updated_at=now)
    version: int | None = await session.scalar(change.returning(policy.c.version))
    if version is None:
        found = select(policy.c.version).where(policy.c.key == value.key)
        raise StaleVersion(current=int(await session.scalar(found) or 0))
    return version
