"""Where a benchmark runs: a database of each kind with a shop in it, and a LINE stand-in."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import children
from core import logs
from core.settings import Settings, load
from server.process import ready
from tests.realservers import PostgresServer, RedisServer

CHANNEL_ID = "1234567890"
CHANNEL_SECRET = "secret-of-the-bench-channel"
CHANNEL_TOKEN = "token-of-the-bench-channel"


@dataclass(frozen=True, slots=True)
class Bench:
    """What all benchmarks of one run share."""

    postgres: PostgresServer
    redis: RedisServer
    folder: Path
    pinned: bool
    quick: bool

    def rounds(self) -> int:
        """How often each thing is measured, floor and ours in turn."""
        return 2 if self.quick else 5


@contextmanager
def open_bench(*, quick: bool) -> Iterator[Bench]:
    """Real servers, durable as in production, on the core that is not measured."""
    pinned = children.can_pin()
    children.pin(children.AROUND, if_possible=pinned)
    folder = Path(tempfile.mkdtemp(prefix="okaeri-bench-"))
    try:
        with PostgresServer(durable=True) as postgres, RedisServer() as redis:
            yield Bench(postgres, redis, folder, pinned, quick)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def shop(bench: Bench, backend: str, *, line_url: str = "") -> Iterator[dict[str, str]]:
    """The environment of a shop on a new, migrated database with one channel."""
    environment = {
        "OKAERI_REDIS_URL": bench.redis.url if backend == "postgresql" else "",
        "OKAERI_SECRET_KEY": "a-secret-key-for-the-bench-only",
        "OKAERI_LINE_CHANNEL_ID": CHANNEL_ID,
        "OKAERI_LINE_CHANNEL_SECRET": CHANNEL_SECRET,
        "OKAERI_LINE_CHANNEL_ACCESS_TOKEN": CHANNEL_TOKEN,
        "OKAERI_LINE_API_URL": line_url or "http://127.0.0.1:9",
        "OKAERI_LINE_DATA_API_URL": line_url or "http://127.0.0.1:9",
        "OKAERI_LOG_LEVEL": "WARNING",
    }
    if backend == "sqlite":
        folder = Path(tempfile.mkdtemp(dir=bench.folder))
        environment["OKAERI_DATABASE_URL"] = f"sqlite+aiosqlite:///{folder / 'okaeri.db'}"
        yield _migrated(environment)
        return
    bench.redis.flush()
    url = bench.postgres.create_database()
    environment["OKAERI_DATABASE_URL"] = url
    try:
        yield _migrated(environment)
    finally:
        bench.postgres.drop_database(url)


def settings_of(environment: dict[str, str]) -> Settings:
    """The settings that a process with this environment has."""
    values = {name.removeprefix("OKAERI_").lower(): v for name, v in environment.items()}
    return load(_env_file=None, **values)


def _migrated(environment: dict[str, str]) -> dict[str, str]:
    settings = settings_of(environment)
    logs.set_up(settings)

    async def migrate() -> None:
        async with ready(settings):
            pass

    asyncio.run(migrate())
    return environment


@contextmanager
def stand_in(bench: Bench) -> Iterator[str]:
    """A LINE stand-in that takes any user id, knows no limits and forgets everything at its end."""
    port = children.free_port()
    arguments = ["-m", "simulator", "--port", str(port), "--no-rate-limits", "--quota", "0"]
    channel = {"SIMULATOR_CHANNELS": f"{CHANNEL_ID}:{CHANNEL_SECRET}:{CHANNEL_TOKEN}"}
    with children.started(
        [*arguments, "--everyone-is-a-friend"], channel, core=children.AROUND, pinned=bench.pinned
    ):
        url = f"http://127.0.0.1:{port}"
        children.wait_until_answers(f"{url}/simulator/accepted?limit=1")
        yield url
