"""PostgreSQL and Redis, one process that answers, two that work, two that plan."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import realservers
from tests.kill import books
from tests.kill.conftest import Stage, staged
from tests.kill.processes import kill_in_turn

KILLS = 10
GUESTS = 200
NEWS = tuple(f"お知らせ{number}" for number in range(1, 5))
JOBS = {"ask_line", "forget_reply_tokens", "forget_old_rows"}
FRIENDLY = {"duplicate_probability": 0.05, "events_per_body": 3, "timeout_seconds": 2.0}


@pytest.fixture
def database(postgres: realservers.PostgresServer) -> Iterator[str]:
    """An empty PostgreSQL database."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


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
    """Empty Redis, kill it, start it again, empty it."""
    await asyncio.sleep(6)
    redis.flush()
    await asyncio.sleep(6)
    redis.kill()
    await asyncio.sleep(4)
    redis.start()
    await asyncio.sleep(6)
    redis.flush()


@pytest.mark.slow
async def test_processes_that_are_killed_while_redis_forgets_everything_lose_and_double_nothing(
    folder: Path, chance: random.Random, database: str, own_redis: realservers.RedisServer
) -> None:
    async with staged(folder, database, own_redis.url) as stage:
        town = stage.town
        await town.weather(FRIENDLY)
        await _start_all(stage)

        await asyncio.gather(
            kill_in_turn(stage.processes, chance, times=KILLS),
            town.come_and_ask(GUESTS, chance, seconds=30),
            town.write_to(stage.friend_ids, NEWS, pause=0.05),
            _shake(own_redis),
        )
        for process in stage.processes:
            await process.is_up()
        await books.come_to_rest(town, stage.db)

        end = await books.read(town, stage.db)
        strikes = await books.stormy(town)
        print("held", len(end.held), "strikes", strikes, "accepted", len(end.accepted))
        print("runs", await books.runs(stage.db))
        assert (await town.line("GET", "/simulator/violations"))["items"] == []
        end.every_event_was_acted_on_once()
        end.every_message_was_queued_once(stage.old_friends, NEWS)
        end.every_message_arrived_once()
        end.every_held_one_has_its_reason(strikes=strikes, kills=stage.kills, at_a_kill=48)
        end.answers_came_in_order()
        end.every_push_was_counted()


@pytest.mark.slow
async def test_two_workers_and_two_clocks_at_once_double_nothing(
    folder: Path, chance: random.Random, database: str, own_redis: realservers.RedisServer
) -> None:
    async with staged(folder, database, own_redis.url) as stage:
        town = stage.town
        await town.line("PUT", "/simulator/webhook-behaviour", FRIENDLY)
        await _start_all(stage)

        await asyncio.gather(
            town.come_and_ask(GUESTS, chance, seconds=10),
            town.write_to(stage.friend_ids, NEWS[:2], pause=0.0),
        )
        await books.come_to_rest(town, stage.db)

        end = await books.read(town, stage.db)
        assert (await town.line("GET", "/simulator/violations"))["items"] == []
        end.every_event_was_acted_on_once()
        end.every_message_was_queued_once(stage.old_friends, NEWS[:2])
        end.every_message_arrived_once()
        assert end.held == []
        end.answers_came_in_order()
        end.every_push_was_counted()
        runs = await books.runs(stage.db)
        print("runs", runs)
        assert {job for job, _slot in runs} == JOBS
        assert set(runs.values()) == {1}
