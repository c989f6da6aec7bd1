"""Belts and wake-ups: within their width, nothing missed, nothing dies of a failure."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from core import jobs
from core.jobs import Belt, BeltRunner, Due, WakeUps
from core.runtime import Runtime
from tests import realservers
from tests.conftest import free_port

NO_RUNTIME = cast("Runtime", None)  # these belts ask it nothing
A_WHILE = 10


async def nothing_due(_session: AsyncSession, _now: datetime) -> Due:
    return Due(0, None, None)


def belt(work: Callable[[], Awaitable[int]], *, name: str = "belt", width: int = 1) -> Belt:
    return Belt(name, lambda _runtime: work(), nothing_due, width)


def runner_of(*belts: Belt) -> BeltRunner:
    return BeltRunner(NO_RUNTIME, belts)


class Rows:
    """Rows that are worked off ten at a time, and how many batches ran at once."""

    def __init__(self, count: int) -> None:
        self.left, self.at_once, self.most, self.batches = count, 0, 0, 0

    async def work(self) -> int:
        self.at_once += 1
        self.batches += 1
        self.most = max(self.most, self.at_once)
        taken = min(10, self.left)
        self.left -= taken
        await asyncio.sleep(0.001)
        self.at_once -= 1
        return taken


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(A_WHILE):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def _short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "FAILURE_PAUSE_SECONDS", 0.01)


async def test_a_belt_runs_until_nothing_is_due_and_says_how_much_it_moved() -> None:
    rows = Rows(25)

    assert await runner_of(belt(rows.work)).run("belt") == 25
    assert rows.batches == 4  # 10, 10, 5, and the look that finds nothing


@pytest.mark.parametrize("width", [1, 3])
async def test_however_often_it_is_asked_a_belt_stays_within_its_width(width: int) -> None:
    rows = Rows(500)
    runner = runner_of(belt(rows.work, width=width))

    moved = await asyncio.gather(*(runner.run("belt") for _ in range(20)))

    assert sum(moved) == 500
    assert rows.most == width


async def test_rows_that_come_during_the_last_look_are_not_missed() -> None:
    waiting, looked = [1], asyncio.Event()

    async def work() -> int:
        taken = len(waiting)
        waiting.clear()
        if not taken:
            looked.set()
            await asyncio.sleep(0.01)  # its answer is on the way while the next row is committed
        return taken

    runner = runner_of(belt(work))
    first = asyncio.create_task(runner.run("belt"))
    await looked.wait()
    waiting.append(2)

    assert await runner.run("belt") == 0
    assert await first == 2
    assert not waiting


async def test_belts_do_not_wait_for_each_other() -> None:
    held = asyncio.Event()

    async def stuck() -> int:
        await held.wait()
        return 0

    rows = Rows(10)
    runner = runner_of(belt(stuck, name="stuck"), belt(rows.work))
    waiting = asyncio.create_task(runner.run("stuck"))

    assert await runner.run("belt") == 10
    held.set()
    await waiting


@pytest.mark.parametrize(
    "error", [ValueError("hunter2"), OperationalError("SELECT 1", None, Exception("gone"))]
)
async def test_a_belt_that_fails_does_not_die(error: Exception) -> None:
    answers: list[Any] = [3, error, 4, 0]

    async def work() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    runner = runner_of(belt(work))

    assert await runner.run("belt") == 3
    assert await runner.run("belt") == 4


async def test_stopping_waits_for_the_batch_under_way_and_starts_no_new_one() -> None:
    rows = Rows(1_000)
    runner = runner_of(belt(rows.work))
    running = asyncio.create_task(runner.run("belt"))
    await eventually(lambda: rows.at_once)

    await runner.stop(patience=timedelta(seconds=A_WHILE))
    batches = rows.batches

    assert rows.at_once == 0
    assert await running < 1_000
    assert await runner.run("belt") == 0
    assert rows.batches == batches


async def test_stopping_does_not_wait_for_ever() -> None:
    started = asyncio.Event()

    async def endless() -> int:
        started.set()
        await asyncio.Event().wait()
        return 0

    runner = runner_of(belt(endless))
    running = asyncio.create_task(runner.run("belt"))
    await started.wait()

    await asyncio.wait_for(runner.stop(patience=timedelta(seconds=0.05)), A_WHILE)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_stopping_an_idle_runner_returns_at_once() -> None:
    await asyncio.wait_for(runner_of().stop(patience=timedelta(days=1)), A_WHILE)


async def test_a_wake_up_makes_the_belt_run_and_many_at_once_are_few(redis_url: str) -> None:
    rows = Rows(0)
    async with WakeUps(redis_url) as wakes:
        working = asyncio.create_task(wakes.work(runner_of(belt(rows.work))))
        for _ in range(1_000):
            wakes.wake("belt")
        await eventually(lambda: rows.batches)
        for _ in range(1_000):
            wakes.wake("belt")
        await asyncio.sleep(0.3)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    assert 1 <= rows.batches <= 6


async def test_a_wake_up_for_a_belt_of_another_version_hurts_nobody(redis_url: str) -> None:
    rows = Rows(10)
    async with WakeUps(redis_url) as wakes:
        working = asyncio.create_task(wakes.work(runner_of(belt(rows.work))))
        wakes.wake("belt-of-tomorrow")
        await asyncio.sleep(0.1)
        wakes.wake("belt")
        await eventually(lambda: not rows.left)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_wake_ups_without_redis_neither_raise_nor_wait() -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"

    async with WakeUps(url) as wakes:
        wakes.wake("belt", "other")
        await asyncio.sleep(0.05)
        wakes.wake("belt")

        assert not await wakes.answers()


@pytest.mark.slow
async def test_wake_ups_recover_when_redis_comes_and_when_it_comes_back() -> None:
    rows = Rows(0)

    async def wake_until_it_runs(wakes: WakeUps) -> None:
        before = rows.batches

        def woken() -> bool:
            wakes.wake("belt")
            return rows.batches > before

        await eventually(woken)

    with realservers.redis_server() as redis:
        redis.kill()
        async with WakeUps(redis.url) as wakes:
            working = asyncio.create_task(wakes.work(runner_of(belt(rows.work))))
            for _ in range(2):
                wakes.wake("belt")
                await asyncio.sleep(0.1)
                assert not await wakes.answers()
                redis.start()
                await wake_until_it_runs(wakes)
                assert await wakes.answers()
                redis.kill()
            assert not working.done()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
