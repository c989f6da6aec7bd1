"""Nightly tidying takes what is old and done, and nothing else."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update

from bot.models import HANDLED, PARKED, RECEIVED, WebhookEvent
from core.clock import AT_ONCE
from core.db import table
from core.models import JobRun
from core.runtime import Runtime
from delivery.models import Delivery, Dispatch
from server import housekeeping
from server.housekeeping import KEEP_EVENTS, KEEP_RUNS, forget_old_rows
from tests.shop import Shop


async def _event(runtime: Runtime, name: str, state: str, age: timedelta) -> None:
    now = await runtime.clock.now()
    row = {
        "webhook_event_id": name, "channel_id": 1, "lane": "1:-", "type": "message",
        "timestamp": 1, "payload": {}, "received_at": now - age, "state": state, "attempts": 1,
        "retry_at": AT_ONCE,
    }  # fmt: skip
    async with runtime.db.transaction() as session:
        await session.execute(insert(table(WebhookEvent)).values(row))


async def _names(runtime: Runtime) -> set[str]:
    async with runtime.db.reading() as session:
        return set(await session.scalars(select(table(WebhookEvent).c.webhook_event_id)))


async def test_handled_events_go_after_their_time_and_parked_or_open_ones_stay(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 2)  # several batches
    old, young = KEEP_EVENTS + timedelta(hours=1), KEEP_EVENTS - timedelta(hours=1)
    for number in range(5):
        await _event(runtime, f"old-{number}", HANDLED, old)
    await _event(runtime, "young", HANDLED, young)
    await _event(runtime, "parked", PARKED, old)
    await _event(runtime, "open", RECEIVED, old)

    gone = await forget_old_rows(runtime)

    assert gone == 5
    assert await _names(runtime) == {"young", "parked", "open"}


async def test_finished_calls_and_job_runs_go_and_what_customers_got_stays(shop: Shop) -> None:
    hana = await shop.new_person("花")
    await shop.publish_library()
    await hana.follow()
    await shop.work()
    runtime = shop.runtime
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        slot = {"job": "ask_line", "slot_at": now, "retry_at": AT_ONCE, "attempts": 1,
                "done_at": now - KEEP_RUNS - timedelta(hours=1)}  # fmt: skip
        await session.execute(insert(table(JobRun)).values(slot))
        long_ago = now - housekeeping.KEEP_CALLS - timedelta(hours=1)
        await session.execute(update(table(Dispatch)).values(done_at=long_ago))

    gone = await forget_old_rows(runtime)

    assert gone == 2
    async with runtime.db.reading() as session:
        assert (await session.execute(select(table(Dispatch)))).first() is None
        assert (await session.execute(select(table(Delivery)))).first() is not None
