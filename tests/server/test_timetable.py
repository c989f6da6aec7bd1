"""The timetable: each slot runs once, whoever plans it and whoever dies over it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from sqlalchemy import select, update

from core.clock import AT_ONCE, SimulatedClock
from core.db import table
from core.models import JobRun
from core.runtime import Runtime, running
from server import timetable
from server.timetable import MAX_ATTEMPTS, Entry, newest_passed, next_slot, plan, run_due
from tests.breaking import Stopped, dying_at_commit

TOKYO = ZoneInfo("Asia/Tokyo")
SLOT = datetime(2027, 1, 10, 3, 10, tzinfo=TOKYO)


class Work:
    """A job that counts its runs and fails where told."""

    def __init__(self, *fails: bool) -> None:
        self.fails, self.runs = list(fails), 0

    async def __call__(self, _runtime: Runtime) -> int:
        self.runs += 1
        await asyncio.sleep(0)
        if self.fails and self.fails.pop(0):
            raise ValueError("hunter2")
        return 42


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """The timetable has this one job, at ten past three."""
    made = Work()
    entry = Entry("job", CronTrigger(hour=3, minute=10, timezone=TOKYO), made)
    monkeypatch.setattr(timetable, "entries", lambda _runtime: (entry,))
    return made


async def runs(runtime: Runtime) -> list[Any]:
    async with runtime.db.reading() as session:
        return list(await session.execute(select(table(JobRun)).order_by(table(JobRun).c.slot_at)))


async def lease_ends(runtime: Runtime) -> None:
    async with runtime.db.transaction() as session:
        await session.execute(update(table(JobRun)).values(retry_at=AT_ONCE))


async def test_a_slot_that_many_clocks_plan_at_once_runs_once(runtime: Runtime, work: Work) -> None:
    async with running(runtime.settings) as other:
        await asyncio.gather(*(plan(clock, [("job", SLOT)]) for clock in (runtime, other) * 5))
        moved = await asyncio.gather(*(run_due(clock) for clock in (runtime, other) * 5))
        await plan(other, [("job", SLOT)])

    assert sum(moved) == work.runs == 1
    [run] = await runs(runtime)
    assert (run.slot_at, run.attempts, run.result) == (SLOT.astimezone(UTC), 1, 42)
    assert run.done_at is not None


async def test_a_run_that_died_between_claim_and_end_runs_again_after_its_lease(
    runtime: Runtime, work: Work
) -> None:
    await plan(runtime, [("job", SLOT)])

    with pytest.raises(Stopped), dying_at_commit(runtime, 2):
        await run_due(runtime)
    during_the_lease = await run_due(runtime)
    await lease_ends(runtime)
    after_it = await run_due(runtime)

    assert (during_the_lease, after_it) == (0, 1)
    assert work.runs == 2
    [run] = await runs(runtime)
    assert (run.attempts, run.result) == (2, 42)


async def test_a_claim_that_was_not_committed_is_no_claim(runtime: Runtime, work: Work) -> None:
    await plan(runtime, [("job", SLOT)])

    with pytest.raises(Stopped), dying_at_commit(runtime, 1):
        await run_due(runtime)

    assert work.runs == 0
    assert await run_due(runtime) == 1


async def test_a_job_that_fails_is_tried_again_and_then_given_up_for_this_slot(
    runtime: Runtime, work: Work
) -> None:
    work.fails = [True] * 10
    await plan(runtime, [("job", SLOT)])

    for _ in range(MAX_ATTEMPTS + 2):
        await run_due(runtime)
        await lease_ends(runtime)
    work.fails = []
    await plan(runtime, [("job", SLOT + timedelta(days=1))])
    await run_due(runtime)

    first, second = await runs(runtime)
    assert (first.attempts, first.error, first.result) == (MAX_ATTEMPTS, "ValueError", None)
    assert first.done_at is not None
    assert (second.error, second.result) == (None, 42)


async def test_a_job_of_another_version_is_ended_and_holds_up_nobody(
    runtime: Runtime, work: Work
) -> None:
    await plan(runtime, [("job-of-tomorrow", SLOT), ("job", SLOT)])

    assert [await run_due(runtime) for _ in range(3)] == [1, 1, 0]
    found = {run.job: run.error for run in await runs(runtime)}
    assert found == {"job": None, "job-of-tomorrow": "no such job in this version"}


async def test_what_was_missed_is_made_up_for_once(runtime: Runtime, work: Work) -> None:
    assert isinstance(runtime.clock, SimulatedClock)
    await plan(runtime, [("job", SLOT)])
    await run_due(runtime)

    await runtime.clock.move_to(SLOT + timedelta(days=30, hours=5))
    for _ in range(3):
        await timetable.plan_missed(runtime)
        while await run_due(runtime):
            pass

    slots = [run.slot_at for run in await runs(runtime)]
    assert slots == [SLOT.astimezone(UTC), (SLOT + timedelta(days=30)).astimezone(UTC)]
    assert work.runs == 2


@pytest.mark.parametrize(
    ("trigger", "after", "expected"),
    [
        (CronTrigger(hour=3, minute=10, timezone=TOKYO), SLOT, SLOT + timedelta(days=1)),
        (CronTrigger(hour=3, minute=10, timezone=TOKYO), SLOT - timedelta(seconds=1), SLOT),
        (CronTrigger(minute=5, timezone=TOKYO), SLOT, SLOT + timedelta(minutes=55)),
        (CronTrigger(hour=3, minute=10, timezone=TOKYO),
         datetime(2027, 1, 9, 18, 9, 59, tzinfo=UTC), SLOT),  # 03:09:59 in Tokyo
    ],
)  # fmt: skip
def test_the_next_slot_is_later_and_in_the_shops_time(
    trigger: CronTrigger, after: datetime, expected: datetime
) -> None:
    assert next_slot(Entry("job", trigger, Work()), after) == expected


def test_slots_do_not_drift_over_a_year_of_summer_times() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    entry = Entry("job", CronTrigger(hour=3, minute=10, timezone=berlin), Work())
    slot = datetime(2027, 1, 1, tzinfo=berlin)

    seen = []
    for _ in range(366):
        following = next_slot(entry, slot)
        assert following is not None
        slot = following
        seen.append(slot.astimezone(berlin))

    assert {(s.hour, s.minute) for s in seen} == {(3, 10)}
    assert len({s.date() for s in seen}) == 366


def test_the_newest_slot_that_passed_is_found_and_none_where_none_did() -> None:
    entry = Entry("job", CronTrigger(hour=3, minute=10, timezone=TOKYO), Work())

    assert newest_passed(entry, SLOT, SLOT + timedelta(hours=23)) is None
    assert newest_passed(entry, SLOT - timedelta(days=9), SLOT) == SLOT


def test_every_job_has_its_own_name_that_fits_its_column(runtime: Runtime) -> None:
    names = [entry.name for entry in timetable.entries(runtime)]

    assert len(set(names)) == len(names)
    assert all(0 < len(name) <= 60 for name in names)
