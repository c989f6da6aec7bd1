"""What works: the belts of one process, woken by hints and by a sweep each second."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from bot import handling, profiles
from bot.conversation import converse
from core.jobs import Belt, BeltRunner
from core.runtime import Runtime
from delivery import dispatcher
from delivery.jobs import DISPATCH
from flows.jobs import STEPS
from server import reactions, timetable

SWEEP_SECONDS = 1
PLAN_SECONDS = 60
STOP_PATIENCE = timedelta(seconds=15)
QUEUE_PATIENCE_SECONDS = 5

EVENTS = handling.belt(converse)
BELTS: tuple[Belt, ...] = (
    EVENTS, profiles.PROFILES, reactions.BELT, STEPS, DISPATCH, timetable.BELT,
)  # fmt: skip


@asynccontextmanager
async def working(runtime: Runtime) -> AsyncIterator[BeltRunner]:
    """Work the belts until the block ends; then finish what is under way, or leave it as rows."""
    runner = BeltRunner(runtime, BELTS)
    if runtime.settings.is_sqlite:
        await dispatcher.release_claims(runtime)  # a file serves one process: no other is sending
    waking = asyncio.create_task(runtime.wakes.work(runner))
    sweep = _scheduler()
    for belt in BELTS:
        sweep.add_job(
            runner.run, IntervalTrigger(seconds=SWEEP_SECONDS), [belt.name], max_instances=10
        )
    sweep.start()
    first = asyncio.create_task(timetable.ask_line(runtime))
    try:
        yield runner
    finally:
        first.cancel()
        # The belts first: shutting the sweep down cancels what it has begun, mid-call or not.
        await runner.stop(patience=STOP_PATIENCE)
        sweep.shutdown(wait=False)
        waking.cancel()
        await asyncio.wait({waking}, timeout=QUEUE_PATIENCE_SECONDS)


@asynccontextmanager
async def ticking(runtime: Runtime) -> AsyncIterator[None]:
    """Plan the timetable's slots as they come. A simulated clock plans them when it is moved."""
    if runtime.clock.simulated:
        yield
        return
    scheduler = _scheduler()
    # Each minute as well: the database may be away at the moment of a slot.
    triggers = [entry.trigger for entry in timetable.entries(runtime)]
    for trigger in (*triggers, IntervalTrigger(seconds=PLAN_SECONDS)):
        scheduler.add_job(timetable.plan_missed, trigger, [runtime], coalesce=True)
    scheduler.start()
    await timetable.plan_missed(runtime)
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)


async def look(runtime: Runtime, now: datetime) -> Sequence[tuple[Belt, int, datetime | None]]:
    """Each belt with what is due on it now and when the next row falls due."""
    found = []
    async with runtime.db.reading() as session:
        for belt in BELTS:
            due = await belt.due(session, now)
            found.append((belt, due.count, due.next_at))
    return found


def _scheduler() -> AsyncIOScheduler:
    # Late runs are made up for once: by default APScheduler drops what is a second late.
    return AsyncIOScheduler(job_defaults={"misfire_grace_time": None, "coalesce": True})
