"""A shop of whole processes around a LINE stand-in of its own, and their logs when a test fails."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest

from admin import tokens
from core.clock import wall
from core.db import Database
from core.sealing import Seal
from core.settings import Settings, load
from crm import channels, friends
from delivery import text_rules
from delivery.text_rules import RuleDraft
from flows import store
from flows.definition import FlowDefinition
from server import migrations
from tests.conftest import CHANNEL_ID, CHANNEL_SECRET, CHANNEL_TOKEN, SECRET_KEY, free_port
from tests.kill.books import come_to_rest
from tests.kill.processes import Process
from tests.kill.town import FRIENDS_A_CALL, GREETING, THANKS, WORDS, Town, answer_to

LOGS = pytest.StashKey[Path]()
LOG_BYTES = 20_000
NEWS = tuple(f"お知らせ{number}" for number in range(1, 5))


@pytest.fixture
def seed() -> int:
    """What the random moments come from; another one tries other moments."""
    return int(os.environ.get("OKAERI_TEST_SEED", "1"))


@pytest.fixture
def chance(seed: int) -> random.Random:
    """Chance that comes again."""
    return random.Random(seed)


class Stage:
    """The shop's settings and processes, its stand-in, its town, and a look into its database."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        line: Process,
        port: int,
        http: aiohttp.ClientSession,
    ) -> None:
        self.folder, self.settings, self.line, self._port, self._http = (
            folder, settings, line, port, http,
        )  # fmt: skip
        self.processes: list[Process] = []
        self.old_friends: list[str] = []
        self.friend_ids: list[int] = []
        self.db = Database(settings)
        self.town = Town(http, settings.line_api_url, f"http://127.0.0.1:{port}", "")

    @property
    def killed_at(self) -> list[datetime]:
        """When one of the processes was killed, the stand-in's included."""
        everything = (*self.processes, self.line)
        return [moment for process in everything for moment in process.killed_at]

    async def open(self, old_friends: int) -> None:
        """Make the shop's database: tables, channel, token, flows, rules, and old friends."""
        self.old_friends = await self.town.crowd(old_friends)
        db, now = Database(self.settings), wall()
        await migrations.upgrade(db)
        async with db.transaction() as session:
            await channels.ensure_first(session, Seal(self.settings.key), self.settings, now=now)
            token = await tokens.create(session, name="staff", role="marketer", now=now)
            for definition in _flows():
                await store.save(session, definition, now=now)
                await session.flush()
                await store.publish(session, definition.key, now=now)
            for number, word in enumerate(WORDS):
                rule = RuleDraft(words=[word], say=answer_to(word))
                await text_rules.save(session, f"q{number + 1}", rule, now=now)
            known = await friends.recognise(session, 1, self.old_friends, now=now)
            self.friend_ids = [known[user_id].id or 0 for user_id in self.old_friends]
        await db.close()
        self.town = Town(
            self._http, self.settings.line_api_url, f"http://127.0.0.1:{self._port}", token
        )

    def start(self, name: str, *command: str, up: str) -> Process:
        """Start one of the shop's processes: `python -m server COMMAND`."""
        process = Process(
            name, ["server", *command], _environment(self.settings), self.folder, up=up
        )
        self.processes.append(process)
        process.start()
        return process

    def serve(self, *options: str) -> Process:
        """Start the process that answers HTTP."""
        return self.start("serve", "serve", "--port", str(self._port), *options, up='"serving"')

    async def a_busy_day(self, chance: random.Random, *, guests: int, seconds: float) -> None:
        """New people ask their questions while staff write to the old friends."""
        calls = len(NEWS) * len(self.friend_ids) / FRIENDS_A_CALL
        await asyncio.gather(
            self.town.come_and_ask(guests, chance, seconds=seconds),
            self.town.write_to(self.friend_ids, NEWS, pause=seconds / calls / 2),
        )

    async def evening(self) -> Counter[tuple[str, str]]:
        """LINE's faults end, and all that is left gets done; returns what struck during the day."""
        for process in (self.line, *self.processes):
            await process.is_up()
        struck = await self.town.clears_up()
        await come_to_rest(self.town, self.db)
        return struck

    def close(self) -> None:
        """End everything that still runs."""
        for process in (*self.processes, self.line):
            process.kill()


def _flows() -> Sequence[FlowDefinition]:
    return [
        FlowDefinition.model_validate(
            {"key": "greeting", "name": "ごあいさつ", "trigger": {"on": "followed"},
             "steps": [{"say": GREETING}]}
        ),
        FlowDefinition.model_validate(
            {"key": "thanks", "name": "お礼", "entry": {"once": "always"},
             "trigger": {"on": "replied", "where": {"rule": {"eq": f"q{len(WORDS)}"}}},
             "steps": [{"say": THANKS}]}
        ),
    ]  # fmt: skip


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "OKAERI_DATABASE_URL": settings.database_url,
        "OKAERI_REDIS_URL": settings.redis_url,
        "OKAERI_SECRET_KEY": SECRET_KEY,
        "OKAERI_LINE_API_URL": settings.line_api_url,
        "OKAERI_LINE_DATA_API_URL": settings.line_api_url,
        "OKAERI_LINE_CHANNEL_ID": CHANNEL_ID,
        "OKAERI_LINE_CHANNEL_SECRET": CHANNEL_SECRET,
        "OKAERI_LINE_CHANNEL_ACCESS_TOKEN": CHANNEL_TOKEN,
    }


@asynccontextmanager
async def staged(
    folder: Path, database_url: str, redis_url: str = "", *, old_friends: int = 500
) -> AsyncIterator[Stage]:
    """A stand-in that runs, and a shop whose processes are still to be started."""
    shop_port, line_port = free_port(), free_port()
    line_url = f"http://127.0.0.1:{line_port}"
    line = Process(
        "line",
        ["simulator", "--port", str(line_port), "--shop-url", f"http://127.0.0.1:{shop_port}",
         "--no-rate-limits", "--quota", "0", "--state", str(folder / "line.journal")],
        {"SIMULATOR_CHANNELS": f"{CHANNEL_ID}:{CHANNEL_SECRET}:{CHANNEL_TOKEN}"},
        folder,
        up="LINE on your desk",
    )  # fmt: skip
    settings = load(
        _env_file=None, database_url=database_url, redis_url=redis_url, secret_key=SECRET_KEY,
        line_api_url=line_url, line_data_api_url=line_url, line_channel_id=CHANNEL_ID,
        line_channel_secret=CHANNEL_SECRET, line_channel_access_token=CHANNEL_TOKEN,
    )  # fmt: skip
    async with aiohttp.ClientSession() as http:
        stage = Stage(folder, settings, line, shop_port, http)
        try:
            line.start()
            await line.is_up()
            await stage.open(old_friends)
            yield stage
        finally:
            stage.close()
            await stage.db.close()


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Where the processes write; their logs are shown when the test fails."""
    request.node.stash[LOGS] = tmp_path
    return tmp_path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the ends of the processes' logs to the report of a test that failed."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed and LOGS in item.stash:
        for log in sorted(item.stash[LOGS].glob("*.log")):
            end = log.read_bytes()[-LOG_BYTES:].decode(errors="replace")
            report.sections.append((f"log of {log.stem}", end))
    return report  # type: ignore[return-value]
