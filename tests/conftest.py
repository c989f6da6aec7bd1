"""What all tests share: databases of both kinds, a runtime over them, and a LINE stand-in."""

import asyncio
import random
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import aiohttp
import pytest
import structlog
import uvicorn
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import Database
from core.jobs import BeltRunner
from core.runtime import Runtime, running
from core.settings import Settings, load
from crm import channels
from server import migrations
from server.app import Server
from server.travel import Traveller
from server.worker import BELTS
from simulator.app import create_app
from simulator.platform import Platform
from simulator.settings import ChannelSettings, Settings as SimulatorSettings
from tests import realservers
from tests.shop import Shop

CHANNEL_ID = "1234567890"
CHANNEL_SECRET = "secret-of-the-test-channel"
CHANNEL_TOKEN = "token-of-the-test-channel"
SECRET_KEY = "a-secret-key-for-tests-only"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--sqlite-only`: the quick inner loop, without real servers."""
    parser.addoption("--sqlite-only", action="store_true", help="leave PostgreSQL and Redis out")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run whatever asks for `backend` on every database there is."""
    if "backend" in metafunc.fixturenames:
        quick = metafunc.config.getoption("--sqlite-only")
        backends = ["sqlite"] if quick else ["sqlite", "postgresql"]
        metafunc.parametrize("backend", backends, scope="session")


@pytest.fixture(scope="session", autouse=True)
def _plain_logs() -> None:
    """Logs without pictures of every local variable: drawing them takes seconds."""
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
    )


@pytest.fixture(scope="session")
def postgres() -> Iterator[realservers.PostgresServer]:
    """A real PostgreSQL for the whole run."""
    with realservers.postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[realservers.RedisServer]:
    """A real Redis for the whole run."""
    with realservers.redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(
    backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A migrated, empty database of this kind, to be copied: a file path or a database's URL."""
    if backend == "sqlite":
        path = tmp_path_factory.mktemp("template") / "template.db"
        asyncio.run(_migrate(f"sqlite+aiosqlite:///{path}"))
        return str(path)
    server: realservers.PostgresServer = request.getfixturevalue("postgres")
    url = server.create_database()
    asyncio.run(_migrate(url))
    return url


async def _migrate(url: str) -> None:
    db = Database(load(database_url=url, clock="simulated"))
    await migrations.upgrade(db)
    await db.close()


@pytest.fixture
def database_url(
    backend: str, migrated: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[str]:
    """A fresh migrated database for one test, on each kind."""
    if backend == "sqlite":
        path = tmp_path / "okaeri.db"
        shutil.copy(migrated, path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    server: realservers.PostgresServer = request.getfixturevalue("postgres")
    url = server.create_database(template=migrated)
    yield url
    server.drop_database(url)


@pytest.fixture
def redis_url(backend: str, request: pytest.FixtureRequest) -> str:
    """Redis where the database is PostgreSQL; nothing where it is a file."""
    if backend == "sqlite":
        return ""
    server: realservers.RedisServer = request.getfixturevalue("redis")
    server.flush()
    return server.url


# Below the ports that the system gives to connections: one of them must not take a server's port
# before the server does, or while it is down.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A port on loopback that nobody uses, and that no connection is given by chance."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@asynccontextmanager
async def serving(app: Any, port: int, lifespan: Literal["on", "off"] = "on") -> AsyncIterator[str]:
    """An ASGI application on a real port, in this loop."""
    config = uvicorn.Config(
        app, port=port, log_config=None, lifespan=lifespan, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())  # noqa: SLF001 - serve() takes the signals over
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


class StandIn:
    """LINE on loopback: the platform's state to look into, and where it listens."""

    def __init__(self, platform: Platform, url: str) -> None:
        self.platform, self.url = platform, url


@pytest.fixture
def shop_port() -> int:
    """Where the shop's server listens in this test."""
    return free_port()


@pytest.fixture
async def line(shop_port: int) -> AsyncIterator[StandIn]:
    """A LINE stand-in without rate limits, with one channel, over real HTTP."""
    app = create_app(
        SimulatorSettings(
            channels=(ChannelSettings(CHANNEL_ID, CHANNEL_SECRET, CHANNEL_TOKEN),),
            shop_url=f"http://127.0.0.1:{shop_port}",
            rate_limits=False,
            allow_http_urls=True,
        )
    )
    async with serving(app, free_port()) as url:
        yield StandIn(app.state.platform, url)


@pytest.fixture
def settings(database_url: str, redis_url: str, line: StandIn) -> Settings:
    """Settings of a shop whose LINE is the stand-in, with a simulated clock."""
    return load(
        _env_file=None,
        database_url=database_url,
        redis_url=redis_url,
        secret_key=SECRET_KEY,
        clock="simulated",
        line_api_url=line.url,
        line_data_api_url=line.url,
        line_channel_id=CHANNEL_ID,
        line_channel_secret=CHANNEL_SECRET,
        line_channel_access_token=CHANNEL_TOKEN,
        allow_http_urls=True,
    )


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """A runtime over a fresh database with the test channel."""
    async with running(settings) as made:
        now = await made.clock.now()
        async with made.db.transaction() as session:
            await channels.ensure_first(session, made.seal, settings, now=now)
        yield made


@pytest.fixture
async def shop(runtime: Runtime, line: StandIn, shop_port: int) -> AsyncIterator[Shop]:
    """A whole shop over real HTTP, whose belts move when the test says so."""
    runner = BeltRunner(runtime, BELTS)
    app = Server(runtime, Traveller(runtime, runner))
    async with aiohttp.ClientSession() as http, serving(app, shop_port, lifespan="off"):
        await channels.introduce(runtime)
        yield Shop(runtime, runner, line.url, http)


@pytest.fixture
async def session(runtime: Runtime) -> AsyncIterator[AsyncSession]:
    """A session in a transaction that is committed at the end of the test."""
    async with runtime.db.transaction() as made:
        yield made
