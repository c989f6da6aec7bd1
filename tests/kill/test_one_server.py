"""SQLite, everything in one process, which is killed again and again."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.kill import books
from tests.kill.conftest import NEWS, Stage, staged
from tests.kill.processes import kill_in_turn

KILLS = 8
GUESTS = 200  # with ten events each, and 500 old friends who get four messages each
FEWER_GUESTS, FEWER_FRIENDS = 80, 150
UNFRIENDLY = {
    "duplicate_probability": 0.05, "shuffle": True, "events_per_body": 3, "timeout_seconds": 2.0,
}  # fmt: skip


@pytest.mark.slow
async def test_a_server_that_is_killed_again_and_again_acts_once_and_sends_once(
    folder: Path, chance: random.Random
) -> None:
    async with staged(folder, f"sqlite+aiosqlite:///{folder}/okaeri.db") as stage:
        await stage.town.weather(UNFRIENDLY)
        server = stage.serve()
        await server.is_up()

        await asyncio.gather(
            kill_in_turn([server], chance, stage.town.calls, each=KILLS),
            stage.a_busy_day(chance, guests=GUESTS, seconds=30),
        )

        await _the_books_agree(stage)


@pytest.mark.slow
async def test_line_itself_may_die_and_come_back_as_well(
    folder: Path, chance: random.Random
) -> None:
    database = f"sqlite+aiosqlite:///{folder}/okaeri.db"
    async with staged(folder, database, old_friends=FEWER_FRIENDS) as stage:
        server = stage.serve()
        await server.is_up()

        await asyncio.gather(
            kill_in_turn([server, stage.line], chance, stage.town.calls, each=3),
            stage.a_busy_day(chance, guests=FEWER_GUESTS, seconds=15),
        )

        await _the_books_agree(stage, stormy=False)


async def _the_books_agree(stage: Stage, *, stormy: bool = True) -> None:
    struck = await stage.evening()
    end = await books.read(stage.town, stage.db)
    assert (await stage.town.line("GET", "/simulator/violations"))["items"] == []
    end.every_event_was_acted_on_once()
    end.every_message_was_queued_once(stage.old_friends, NEWS)
    end.every_message_arrived_once()
    end.every_held_one_has_its_reason(struck, stage.killed_at)
    end.every_push_was_counted()
    if stormy:
        books.was_stormy(struck)
