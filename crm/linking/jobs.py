"""Tidying: waits that are over, nonces and wrong tries that serve nobody any more."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, delete, select

from core.db import table
from core.runtime import Runtime
from crm.linking import orders
from crm.linking.models import LinkAttempt, LinkNonce

KEEP = timedelta(days=7)
BATCH = 5_000


async def tidy_links(runtime: Runtime) -> int:
    """Expire waiting links; delete nonces and tries of more than a week ago; returns how many."""
    now = await runtime.clock.now()
    return await _expire(runtime, now) + sum(
        [await _delete(runtime, *old) for old in _old(now - KEEP)]
    )


def _old(before: datetime) -> tuple[tuple[Table, Column[Any], ColumnElement[bool]], ...]:
    nonce, attempt = table(LinkNonce), table(LinkAttempt)
    return (
        (nonce, nonce.c.nonce_hash, nonce.c.expires_at < before),
        (attempt, attempt.c.id, attempt.c.at < before),
    )


async def _expire(runtime: Runtime, now: datetime) -> int:
    total = 0
    while True:
        async with runtime.db.transaction() as session:
            ended = await orders.expire(session, now=now, limit=BATCH)
        total += ended
        if ended < BATCH:
            return total


async def _delete(
    runtime: Runtime, target: Table, key: Column[Any], old: ColumnElement[bool]
) -> int:
    total = 0
    while True:
        some = select(key).where(old).limit(BATCH)
        async with runtime.db.transaction() as session:
            gone = await session.execute(delete(target).where(key.in_(some)))
        last: int = gone.rowcount  # type: ignore[attr-defined]
        total += last
        if last < BATCH:
            return total
