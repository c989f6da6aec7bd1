"""Clocks: a simulated one stands still, is shared by all processes and never goes back."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core.clock import RealClock, SimulatedClock, wall
from core.db import Database
from core.errors import Conflict


async def test_a_simulated_clock_stands_still_until_it_is_moved(db: Database) -> None:
    clock = SimulatedClock(db)
    began = await clock.now()

    await asyncio.sleep(0.01)
    stood = await clock.now()
    moved = await clock.move_to(began + timedelta(days=365))

    assert stood == began
    assert moved == await clock.now() == began + timedelta(days=365)


async def test_a_simulated_clock_begins_at_the_machines_time_to_the_second(db: Database) -> None:
    before = wall()

    began = await SimulatedClock(db).now()

    assert before - timedelta(seconds=1) < began <= wall()
    assert began.microsecond == 0


async def test_all_processes_share_one_simulated_time(db: Database) -> None:
    clocks = [SimulatedClock(db) for _ in range(5)]

    began = await asyncio.gather(*(clock.now() for clock in clocks))
    await clocks[0].move_to(began[0] + timedelta(hours=1))
    later = await asyncio.gather(*(clock.now() for clock in clocks))

    assert len(set(began)) == 1
    assert set(later) == {began[0] + timedelta(hours=1)}


async def test_time_does_not_go_back(db: Database) -> None:
    clock = SimulatedClock(db)
    now = await clock.now()

    with pytest.raises(Conflict, match="cannot go back"):
        await clock.move_to(now - timedelta(seconds=1))

    assert await clock.now() == now


async def test_of_two_who_move_the_clock_the_later_moment_stays(db: Database) -> None:
    clock = SimulatedClock(db)
    now = await clock.now()
    moments = [now + timedelta(minutes=minutes) for minutes in (60, 5, 30, 1, 59)]

    await asyncio.gather(*(clock.move_to(m) for m in moments), return_exceptions=True)

    assert await clock.now() == now + timedelta(minutes=60)


async def test_leases_are_in_machine_time_whatever_the_shops_time_does(db: Database) -> None:
    clock = SimulatedClock(db)
    await clock.move_to(await clock.now() + timedelta(days=365))

    assert abs(clock.wall() - wall()) < timedelta(minutes=1)


async def test_a_real_clock_goes_by_itself_in_utc() -> None:
    clock = RealClock()

    first = await clock.now()
    await asyncio.sleep(0.001)
    second = await clock.now()

    assert first < second
    assert first.tzinfo is UTC
    assert not clock.simulated
    assert abs(datetime.now(UTC) - second) < timedelta(minutes=1)
