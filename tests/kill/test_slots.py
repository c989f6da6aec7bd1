"""Two clocks and one timetable: each slot has one run, however late a clock wakes."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from core.clock import SimulatedClock
from core.db import table
from core.models import JobRun
from core.runtime import Runtime
from server import timetable

NIGHT = datetime(2027, 3, 1, 18, 10, tzinfo=UTC)  # 03:10 in Tokyo, when old reply tokens go


async def test_a_clock_that_wakes_two_minutes_late_plans_the_slot_that_is_planned_already(
    runtime: Runtime,
) -> None:
    await _at(runtime, NIGHT + timedelta(seconds=1))
    await timetable.plan_missed(runtime)

    await _at(runtime, NIGHT + timedelta(minutes=2, seconds=3))
    await timetable.plan_missed(runtime)

    assert await _slots(runtime, "forget_reply_tokens") == [NIGHT]


async def test_a_slot_in_which_no_clock_could_plan_is_planned_by_the_next_look(
    runtime: Runtime,
) -> None:
    await _at(runtime, NIGHT - timedelta(minutes=1))
    await timetable.plan_missed(runtime)

    await _at(runtime, NIGHT + timedelta(minutes=1))
    await timetable.plan_missed(runtime)

    yesterday = NIGHT - timedelta(days=1)
    assert await _slots(runtime, "forget_reply_tokens") == [yesterday, NIGHT]


async def _at(runtime: Runtime, moment: datetime) -> None:
    assert isinstance(runtime.clock, SimulatedClock)
    await runtime.clock.move_to(moment)


async def _slots(runtime: Runtime, job: str) -> list[datetime]:
    run = table(JobRun)
    query = select(run.c.slot_at).where(run.c.job == job).order_by(run.c.slot_at)
    async with runtime.db.reading() as session:
        return list(await session.scalars(query))
