"""SQLite, everything in one process, which is killed again and again."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.kill import books
from tests.kill.conftest import staged
from tests.kill.processes import kill_in_turn

KILLS = 8
GUESTS = 200
NEWS = tuple(f"お知らせ{number}" for number in range(1, 5))
UNFRIENDLY = {
    "duplicate_probability": 0.05, "shuffle": True, "events_per_body": 3, "timeout_seconds": 2.0,
}  # fmt: skip


@pytest.mark.slow
async def test_a_server_that_is_killed_again_and_again_acts_once_and_sends_once(
    folder: Path, chance: random.Random
) -> None:
    async with staged(folder, f"sqlite+aiosqlite:///{folder}/okaeri.db") as stage:
        town = stage.town
        await town.weather(UNFRIENDLY)
        server = stage.serve()
        await server.is_up()

        await asyncio.gather(
            kill_in_turn([server], chance, times=KILLS),
            town.come_and_ask(GUESTS, chance, seconds=30),
            town.write_to(stage.friend_ids, NEWS, pause=0.05),
        )
        await server.is_up()
        await books.come_to_rest(town, stage.db)

        end = await books.read(town, stage.db)
        strikes = await books.stormy(town)
        print("held", len(end.held), "strikes", strikes, "accepted", len(end.accepted))
        assert (await town.line("GET", "/simulator/violations"))["items"] == []
        end.every_event_was_acted_on_once()
        end.every_message_was_queued_once(stage.old_friends, NEWS)
        end.every_message_arrived_once()
        end.every_held_one_has_its_reason(strikes=strikes, kills=stage.kills, at_a_kill=48)
        end.every_push_was_counted()
