"""The timetable: what runs by the shop's clock, planned once per slot however many clocks tick.

A due slot is inserted as a row whose primary key is (job, slot): of several clocks one succeeds.
The `jobs` belt then works the row like any other, so that a crash in between loses no run.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from sqlalchemy import func, select, update

from core import bulk, logs, metrics
from core.clock import AT_ONCE
from core.db import table
from core.jobs import Belt, Due
from core.models import JobRun
from core.runtime import Runtime
from crm import channels
from crm.coupons import jobs as coupons
from crm.linking.jobs import tidy_links
from crm.points import jobs as points
from crm.points.proof import prove
from crm.ranks import review
from delivery.jobs import forget_reply_tokens, refresh_quota
from server import appointments
from server.housekeeping import forget_old_rows

log = logs.get(__name__)

LEASE = timedelta(minutes=5)
MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timetable. The work returns how much it did.

    Housekeeping that was missed is made up for once, however often. Work whose moment matters to
    customers is not `housekeeping`: a simulated clock then stops at its slots, at those from the
    moment on that it `waits_for` where that is told (None: there is nothing to wait for).
    """

    name: str
    trigger: BaseTrigger
    work: Callable[[Runtime], Awaitable[int]]
    housekeeping: bool = True
    waits_for: Callable[[Runtime], Awaitable[datetime | None]] | None = None


def entries(runtime: Runtime) -> tuple[Entry, ...]:
    """The timetable in the shop's time zone."""
    zone = runtime.settings.zone
    return (
        Entry("ask_line", CronTrigger(minute=5, timezone=zone), ask_line),
        Entry("review_ranks", CronTrigger(hour=0, minute=5, timezone=zone), review.review_due,
              housekeeping=False, waits_for=appointments.review),
        Entry("confirm_points", CronTrigger(hour=0, minute=5, timezone=zone), points.confirm_due,
              housekeeping=False, waits_for=appointments.confirmation),
        Entry("expire_points", CronTrigger(hour=0, minute=5, timezone=zone), points.expire_due,
              housekeeping=False, waits_for=appointments.expiry),
        Entry("notify_expiring_points", CronTrigger(hour=10, timezone=zone),
              points.notify_expiring, housekeeping=False, waits_for=appointments.notice),
        Entry("remind_of_coupons", CronTrigger(hour=10, timezone=zone), coupons.remind_due,
              housekeeping=False, waits_for=appointments.reminder),
        Entry("prove_points", CronTrigger(hour=3, minute=40, timezone=zone), prove),
        Entry("tidy_links", CronTrigger(hour=3, minute=15, timezone=zone), tidy_links),
        Entry("forget_reply_tokens", CronTrigger(hour=3, minute=10, timezone=zone),
              forget_reply_tokens),
        Entry("forget_old_rows", CronTrigger(hour=3, minute=20, timezone=zone), forget_old_rows),
    )  # fmt: skip


async def ask_line(runtime: Runtime) -> int:
    """Ask what only LINE knows: who the channels are, limits and usage; returns the answers."""
    return await channels.introduce(runtime) + await refresh_quota(runtime)


def next_slot(entry: Entry, after: datetime) -> datetime | None:
    """The first slot later than a moment."""
    found: datetime | None = entry.trigger.get_next_fire_time(None, after + timedelta(seconds=1))
    return found


def newest_passed(entry: Entry, after: datetime, until: datetime) -> datetime | None:
    """The last slot that is later than `after` and not later than `until`."""
    newest, slot = None, next_slot(entry, after)
    while slot is not None and slot <= until:
        newest, slot = slot, next_slot(entry, slot)
    return newest


async def plan(runtime: Runtime, slots: Sequence[tuple[str, datetime]]) -> None:
    """Make sure that each (job, slot) has its row; slots that have one stay as they are."""
    rows = [
        {"job": job, "slot_at": slot, "retry_at": AT_ONCE, "attempts": 0} for job, slot in slots
    ]
    async with runtime.db.transaction() as session:
        await bulk.insert_rows(session, table(JobRun), rows)
    runtime.wakes.wake("jobs")


async def plan_missed(runtime: Runtime) -> None:
    """Plan the last slot of each job that has passed without a run, once.

    The slot comes from the timetable, never from when a clock wakes: however late each of several
    clocks is, all mean the same slot.
    """
    now = await runtime.clock.now()
    run = table(JobRun)
    async with runtime.db.reading() as session:
        query = select(run.c.job, func.max(run.c.slot_at).label("last")).group_by(run.c.job)
        last = {row.job: row.last for row in await session.execute(query)}
    missed = []
    for entry in entries(runtime):
        newest = newest_passed(entry, last.get(entry.name, now - timedelta(days=1)), now)
        if newest is not None:
            missed.append((entry.name, newest))
    if missed:
        await plan(runtime, missed)


async def run_due(runtime: Runtime) -> int:
    """Run one planned job; returns 1, or 0 when none is due."""
    run = table(JobRun)
    wall = runtime.clock.wall()
    query = (
        select(run)
        .where(run.c.done_at.is_(None), run.c.retry_at <= wall)
        .order_by(run.c.retry_at, run.c.slot_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    async with runtime.db.transaction() as session:
        row: Any = (await session.execute(query)).first()
        if row is None:
            return 0
        here = (run.c.job == row.job) & (run.c.slot_at == row.slot_at)
        claim = update(run).where(here)
        await session.execute(claim.values(retry_at=wall + LEASE, attempts=row.attempts + 1))
    values = await _run(runtime, row)
    async with runtime.db.transaction() as session:
        await session.execute(update(run).where(here).values(values))
    return 1


async def due(session: Any, now: datetime) -> Due:  # noqa: ANN401
    """Planned jobs that have not run."""
    run = table(JobRun)
    query = select(func.count(), func.min(run.c.slot_at)).where(run.c.done_at.is_(None))
    count, oldest = (await session.execute(query)).one()
    return Due(count, oldest, None)


BELT = Belt("jobs", run_due, due)


async def _run(runtime: Runtime, row: Any) -> dict[str, Any]:  # noqa: ANN401
    work = {entry.name: entry.work for entry in entries(runtime)}.get(row.job)
    now = await runtime.clock.now()
    if work is None:
        return {"done_at": now, "error": "no such job in this version"}
    try:
        result = await work(runtime)
    except Exception as error:
        log.exception("job.failed", job=row.job)
        metrics.JOB_RUNS.labels(row.job, "failed").inc()
        given_up = row.attempts + 1 >= MAX_ATTEMPTS
        return {"error": type(error).__name__} | ({"done_at": now} if given_up else {})
    metrics.JOB_RUNS.labels(row.job, "done").inc()
    return {"done_at": now, "result": result, "error": None}
