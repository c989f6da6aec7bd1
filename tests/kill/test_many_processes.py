"""PostgreSQL and Redis, one process that answers, two that work, two that plan."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import realservers
from tests.kill import books
from tests.kill.conftest import NEWS, Stage, staged
from tests.kill.processes import kill_in_turn

GUESTS = 200  # with ten events each, and 500 old friends who get four messages each
FEWER_GUESTS, FEWER_FRIENDS = 80, 150
JOBS = {"ask_line", "forget_reply_tokens", "forget_old_rows"}
FRIENDLY = {"duplicate_probability": 0.05, "events_per_body": 3, "timeout_seconds": 2.0}
PAUSE_SECONDS = 5.0


@pytest.fixture
def own_postgres() -> Iterator[realservers.PostgresServer]:
    """A PostgreSQL that may be killed."""
    with realservers.postgres_server() as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[realservers.RedisServer]:
    """A Redis that may be emptied and killed."""
    with realservers.redis_server() as server:
        yield server


async def _start_all(stage: Stage) -> None:
    stage.serve("--no-worker", "--no-clock")
    for number in (1, 2):
        stage.start(f"worker-{number}", "worker", up='"working"')
        stage.start(f"clock-{number}", "clock", up='"ticking"')
    for process in stage.processes:
        await process.is_up()


async def _shake(redis: realservers.RedisServer) -> None:
    """Empty Redis, kill it, start it again, empty it again."""
    await asyncio.sleep(PAUSE_SECONDS)
    redis.flush()
    await asyncio.sleep(PAUSE_SECONDS)
    redis.kill()
    await asyncio.sleep(PAUSE_SECONDS)
    redis.start()
    await asyncio.sleep(PAUSE_SECONDS)
    redis.flush()


@pytest.mark.slow
async def test_processes_that_are_killed_while_redis_forgets_everything_lose_and_double_nothing(
    folder: Path,
    chance: random.Random,
    own_postgres: realservers.PostgresServer,
    own_redis: realservers.RedisServer,
) -> None:
    async with staged(folder, own_postgres.create_database(), own_redis.url) as stage:
        await stage.town.weather(FRIENDLY)
        await _start_all(stage)

        await asyncio.gather(
            kill_in_turn(stage.processes, chance, stage.town.calls, each=2),
            stage.a_busy_day(chance, guests=GUESTS, seconds=30),
            _shake(own_redis),
        )

        struck = await stage.evening()
        end = await books.read(stage.town, stage.db)
        await _nothing_was_lost_or_doubled(stage, end)
        end.every_held_one_has_its_reason(struck, stage.killed_at)
        books.was_stormy(struck)
        assert {job for job, _slot in await books.runs(stage.db)} >= JOBS


@pytest.mark.slow
async def test_two_workers_and_two_clocks_at_once_double_nothing(
    folder: Path,
    chance: random.Random,
    own_postgres: realservers.PostgresServer,
    own_redis: realservers.RedisServer,
) -> None:
    async with staged(
        folder, own_postgres.create_database(), own_redis.url, old_friends=FEWER_FRIENDS
    ) as stage:
        await stage.town.line("PUT", "/simulator/webhook-behaviour", FRIENDLY)
        await _start_all(stage)

        await stage.a_busy_day(chance, guests=FEWER_GUESTS, seconds=10)

        await stage.evening()
        end = await books.read(stage.town, stage.db)
        await _nothing_was_lost_or_doubled(stage, end)
        assert end.held == []
        runs = await books.runs(stage.db)
        assert {job for job, _slot in runs} >= JOBS
        assert set(runs.values()) == {1}


@pytest.mark.slow
async def test_postgresql_may_crash_under_all_of_them(
    folder: Path,
    chance: random.Random,
    own_postgres: realservers.PostgresServer,
    own_redis: realservers.RedisServer,
) -> None:
    async with staged(
        folder, own_postgres.create_database(), own_redis.url, old_friends=FEWER_FRIENDS
    ) as stage:
        await stage.town.line("PUT", "/simulator/webhook-behaviour", FRIENDLY)
        await _start_all(stage)

        await asyncio.gather(
            stage.a_busy_day(chance, guests=FEWER_GUESTS, seconds=15), _crash(own_postgres)
        )

        struck = await stage.evening()
        end = await books.read(stage.town, stage.db)
        await _nothing_was_lost_or_doubled(stage, end)
        assert struck == {}
        assert {job for job, _slot in await books.runs(stage.db)} >= JOBS


async def _crash(postgres: realservers.PostgresServer) -> None:
    """Kill PostgreSQL twice; it is back at once, as under a supervisor."""
    for _ in range(2):
        await asyncio.sleep(PAUSE_SECONDS)
        postgres.kill()
        postgres.start()


async def _nothing_was_lost_or_doubled(stage: Stage, end: books.Books) -> None:
    assert (await stage.town.line("GET", "/simulator/violations"))["items"] == []
    end.every_event_was_acted_on_once()
    end.every_message_was_queued_once(stage.old_friends, NEWS)
    end.every_message_arrived_once()
    end.answers_came_in_order()
    end.every_push_was_counted()
