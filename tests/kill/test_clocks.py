"""Clocks that differ: each slot still has one run, and answers still come in order."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from core.clock import SimulatedClock
from core.db import table
from core.models import JobRun
from core.runtime import Runtime
from crm import friends
from delivery import outbox
from delivery.dispatcher import dispatch
from server import timetable
from tests.conftest import StandIn

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


async def test_answers_come_in_the_order_of_the_questions_from_workers_whose_clocks_differ(
    runtime: Runtime, line: StandIn
) -> None:
    hana = line.platform.people.invite("花").user_id
    line.platform.first_channel.friend(hana).status = "friend"
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        friend = (await friends.recognise(session, 1, [hana], now=now))[hana]
        for text, clock_is_behind in (("一", 0), ("二", 2), ("三", 1)):
            due_at = now - timedelta(seconds=clock_is_behind)
            said = [{"type": "text", "text": text}]
            parcel = outbox.Parcel(1, friend.id or 0, f"event:{text}", said, due_at)
            await outbox.queue(session, [parcel], now=now)

    await dispatch(runtime)

    (accepted,) = line.platform.accepted
    assert [message["text"] for message in accepted.messages] == ["一", "二", "三"]


async def _at(runtime: Runtime, moment: datetime) -> None:
    assert isinstance(runtime.clock, SimulatedClock)
    await runtime.clock.move_to(moment)


async def _slots(runtime: Runtime, job: str) -> list[datetime]:
    run = table(JobRun)
    query = select(run.c.slot_at).where(run.c.job == job).order_by(run.c.slot_at)
    async with runtime.db.reading() as session:
        return list(await session.scalars(query))
