"""`okaeri serve` with a LINE stand-in beside it: stopping, starting again, refusing to start."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select

from bot.models import WebhookEvent
from core.db import Database, table
from core.settings import PREFIX, Settings
from delivery.models import Delivery
from tests.conftest import CHANNEL_SECRET, CHANNEL_TOKEN, StandIn
from tests.shop import Person

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
A_WHILE = 90


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The environment of a process with these settings."""
    given = settings.model_dump(mode="json", exclude_defaults=True)
    given |= {
        "secret_key": settings.secret_key.get_secret_value(),
        "line_channel_secret": CHANNEL_SECRET,
        "line_channel_access_token": CHANNEL_TOKEN,
        "allow_http_urls": "true",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return kept | {PREFIX + name.upper(): str(value) for name, value in (given | more).items()}


class Process:
    """One `okaeri serve`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def stop(self, name: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; returns the exit code and what was logged."""
        self.process.send_signal(name)
        return await self.end()

    async def end(self) -> tuple[int, str]:
        """Wait for the end; returns the exit code and what was logged."""
        try:
            _out, said = await asyncio.wait_for(self.process.communicate(), A_WHILE)
        finally:
            if self.process.returncode is None:
                self.process.kill()
        assert self.process.returncode is not None
        return self.process.returncode, said.decode()


@asynccontextmanager
async def serving(env: Mapping[str, str], port: int, *more: str) -> AsyncIterator[Process]:
    """A server process, ready to answer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "serve", "--port", str(port), *more, env=env, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await ready(port)
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ready(port: int) -> None:
    """Wait until `/readyz` says so."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(A_WHILE):
        while True:
            try:
                async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


@asynccontextmanager
async def somebody(line: StandIn, name: str) -> AsyncIterator[Person]:
    """A person with a phone."""
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{line.url}/simulator/people", json={"name": name}) as response:
            user_id = (await response.json())["user_id"]
        yield Person(http, line.url, user_id)


async def wait_for(person: Person, messages: int) -> list[str]:
    """Wait until so many messages have come."""
    async with asyncio.timeout(A_WHILE):
        while len(await person.texts()) < messages:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return await person.texts()


async def rows(settings: Settings, model: Any) -> list[Any]:
    db = Database(settings)
    async with db.reading() as session:
        found = list(await session.execute(select(table(model))))
    await db.close()
    return found


async def test_a_server_answers_and_stops_cleanly_and_starts_again(
    settings: Settings, line: StandIn, shop_port: int
) -> None:
    env = environment(settings)
    async with somebody(line, "花") as hana:
        async with serving(env, shop_port) as server:
            await hana.say("ひとつ")
            await wait_for(hana, 1)
            code, said = await server.stop()
        await hana.say("ふたつ")  # nobody answers; LINE brings it again
        async with serving(env, shop_port):
            texts = await wait_for(hana, 2)

    assert code == 0, said
    assert "Traceback" not in said
    assert '"event": "stopped"' in said
    assert len(texts) == 2


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
async def test_what_is_under_way_at_the_stop_is_finished_or_handed_back_and_sent_once(
    settings: Settings, line: StandIn, shop_port: int, name: signal.Signals
) -> None:
    env = environment(settings)
    slow = {"kind": "slow", "endpoint": "reply", "delay_seconds": 2.0, "times": 1}
    line.platform.faults.set({"rules": [slow]})
    async with somebody(line, "花") as hana:
        async with serving(env, shop_port) as server:
            await hana.say("こんにちは")
            async with asyncio.timeout(A_WHILE):
                while not line.platform.faults.rules[0].struck:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            code, said = await server.stop(name)
        after_stop = await rows(settings, Delivery)
        line.platform.faults.clear()
        async with serving(env, shop_port):
            await asyncio.sleep(3)
            texts = await hana.texts()

    assert code == 0, said
    assert "Traceback" not in said
    assert [row.state for row in after_stop] == ["sent"]
    assert len(texts) == 1


async def test_a_second_term_does_not_wait(
    settings: Settings, line: StandIn, shop_port: int
) -> None:
    async with serving(environment(settings), shop_port) as server:
        server.process.send_signal(signal.SIGTERM)
        code, _said = await server.stop()

    assert code in {0, -signal.SIGTERM}


async def test_a_server_without_worker_only_stores(
    settings: Settings, line: StandIn, shop_port: int
) -> None:
    async with somebody(line, "花") as hana:
        env = environment(settings)
        async with serving(env, shop_port, "--no-worker", "--no-clock") as server:
            await hana.say("こんにちは")
            async with asyncio.timeout(A_WHILE):
                while not await rows(settings, WebhookEvent):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            await server.stop()

    assert [row.state for row in await rows(settings, WebhookEvent)] == ["received"]


async def test_another_secret_key_is_refused_at_the_start_in_a_sentence(
    settings: Settings, line: StandIn, shop_port: int
) -> None:
    env = environment(settings)
    async with serving(env, shop_port) as server:
        await server.stop()
    without_channel = {n: v for n, v in env.items() if "_CHANNEL_" not in n}
    wrong = {"OKAERI_SECRET_KEY": "another-secret-key-for-tests"}

    for changed in (env | wrong, without_channel | wrong):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server", "serve", "--port", str(shop_port), env=changed,
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        code, said = await Process(process).end()
        assert code == 1, said
        assert "cannot be read with this OKAERI_SECRET_KEY" in said
        assert "Traceback" not in said


async def test_a_server_whose_redis_is_away_answers_and_stops(
    settings: Settings, line: StandIn, shop_port: int
) -> None:
    env = environment(settings, redis_url="redis://127.0.0.1:9/0")
    async with somebody(line, "花") as hana, serving(env, shop_port) as server:
        await hana.say("こんにちは")
        texts = await wait_for(hana, 1)
        code, said = await server.stop()

    assert len(texts) == 1
    assert code == 0, said
