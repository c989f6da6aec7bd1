"""Nightly tidying: rows that can serve nobody any more."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, delete, select, tuple_

from admin.models import IdempotentAnswer
from bot.models import HANDLED, IGNORED, WebhookEvent
from core.db import table
from core.models import JobRun
from core.runtime import Runtime
from crm.purchases.models import ReceivedHook
from delivery.models import DONE, Dispatch
from server.shopify import OWN_ID

KEEP_ANSWERS = timedelta(days=7)
KEEP_RUNS = timedelta(days=30)
# Long enough to look into what went wrong last month. What happened to a customer stays as
# activities, received messages and deliveries.
KEEP_EVENTS = timedelta(days=90)
KEEP_CALLS = timedelta(days=90)
KEEP_HOOKS = timedelta(days=30)
BATCH = 5_000


async def forget_old_rows(runtime: Runtime) -> int:
    """Delete old stored answers, job runs, handled events, calls and webhooks; returns how many."""
    now = await runtime.clock.now()
    return sum([await _forget(runtime, *old) for old in _old(now)])


def _old(now: datetime) -> Sequence[tuple[Table, Sequence[Column[Any]], ColumnElement[bool]]]:
    answer, run = table(IdempotentAnswer), table(JobRun)
    event, call, hook = table(WebhookEvent), table(Dispatch), table(ReceivedHook)
    return (
        (answer, [answer.c.actor, answer.c.key], answer.c.created_at < now - KEEP_ANSWERS),
        (run, [run.c.job, run.c.slot_at], run.c.done_at < now - KEEP_RUNS),
        (event, [event.c.id],
         event.c.state.in_([HANDLED, IGNORED]) & (event.c.received_at < now - KEEP_EVENTS)),
        (call, [call.c.id], (call.c.state == DONE) & (call.c.done_at < now - KEEP_CALLS)),
        (hook, [hook.c.source, hook.c.hook_id],
         hook.c.source.not_like(f"{OWN_ID}%") & (hook.c.received_at < now - KEEP_HOOKS)),
    )  # fmt: skip


async def _forget(
    runtime: Runtime, target: Table, key: Sequence[Column[Any]], old: ColumnElement[bool]
) -> int:
    """Delete in batches, so that no transaction holds its locks for long."""
    some = select(*key).where(old).limit(BATCH)
    gone = 0
    while True:
        async with runtime.db.transaction() as session:
            deleted = await session.execute(delete(target).where(tuple_(*key).in_(some)))
        last: int = deleted.rowcount  # type: ignore[attr-defined]
        gone += last
        if last < BATCH:
            return gone
