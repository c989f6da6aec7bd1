"""The demo in one command: the server, the LINE stand-in with its phone, and a sample shop.

Both run as processes of their own, with HTTP between them as with LINE. When one dies it is started
again; nothing is lost by that.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin import tokens
from core import logs
from core.db import Database, table
from core.errors import StartError
from core.runtime import Runtime
from core.settings import Settings, load
from crm.models import Channel
from delivery import text_rules
from flows import files, store
from server import demo_content, demo_folder, migrations
from server.children import Child, keep_running
from server.demo_folder import Secrets
from server.process import only_process, ready
from server.tasks import read_rules

LIBRARY = Path(store.__file__).parent / "library"
SAMPLE = Path(__file__).parent / "sample"
DATABASE_URL = "OKAERI_DATABASE_URL"
START_SECONDS = 60

out = Console()


async def run_demo(*, host: str, port: int, phone_port: int, folder: Path, fresh: bool) -> None:
    """Start everything, say where to click, and stop cleanly when told to."""
    port, phone_port = _ports(host, port, phone_port)
    url, phone = f"http://{_shown(host)}:{port}", f"http://{_shown(host)}:{phone_port}"
    with demo_folder.held(folder, fresh=fresh) as home:
        kept = demo_folder.read_secrets(home)
        environment = _environment(home, kept, url, phone)
        own_database = DATABASE_URL not in os.environ
        os.environ.update(environment)
        settings = load()
        logs.set_up(settings)
        with only_process(settings):
            if not own_database and not kept.admin_token:
                await _refuse_a_shop_in_use(settings)
            kept = await _seed(settings, home, kept)
        environment |= {
            "SIMULATOR_SHOP_TOKEN": kept.admin_token,
            "SIMULATOR_CHANNELS": f"{kept.channel_id}:{kept.channel_secret}:{kept.access_token}",
        }
        server = ["-m", "server", "serve", "--host", host, "--port", str(port)]
        simulator = [
            "-m", "simulator", "--host", host, "--port", str(phone_port), "--shop-url", url,
            "--state", str(home / "simulator.db"),
            "--sample-shop", "--simulated-clock", "--allow-http-urls",
        ]  # fmt: skip
        await _run(
            Child("server", [sys.executable, *server], environment),
            Child("simulator", [sys.executable, *simulator], environment),
            lambda stop: _welcome(url, phone, home, stop),
        )
    out.print("\nまたどうぞ。/ Stopped; your data is kept.")


async def _run(
    server: Child, simulator: Child, welcome: Callable[[asyncio.Event], Coroutine[Any, Any, None]]
) -> None:
    """Both until a signal. The server stops first: what it has begun still reaches its LINE."""
    stop, served = asyncio.Event(), asyncio.Event()
    failures: list[StartError] = []
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)

    async def keep(child: Child, until: asyncio.Event) -> None:
        try:
            await keep_running(child, until, lambda line: out.print(f"[yellow]{line}[/]"))
        except StartError as error:
            failures.append(error)
        finally:
            stop.set()
            if child is server:
                served.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(keep(simulator, served))
        group.create_task(keep(server, stop))
        group.create_task(welcome(stop))
    if failures:
        raise failures[0]


async def _welcome(url: str, phone: str, folder: Path, stop: asyncio.Event) -> None:
    out.print("起動しています… / Starting …")
    async with aiohttp.ClientSession() as session:
        for address in (f"{url}/readyz", f"{phone}/phone"):
            if not await _answers(session, address, stop):
                return
    out.print(
        f"\n[bold green]おかえりの準備ができました / Okaeri is ready[/]\n\n"
        f"  📱 スマホ / the phone        [bold]{phone}/phone[/]\n"
        f"  🏠 スタートページ / start     {url}/\n"
        f"  📖 管理API / admin API       {url}/api/v1/docs\n\n"
        f"  データ / data: {folder}   トークン / owner token: {folder / 'owner-token.txt'}\n"
        f"  終了 / stop: Ctrl-C\n",
        highlight=False,
    )


async def _answers(session: aiohttp.ClientSession, address: str, stop: asyncio.Event) -> bool:
    for _ in range(START_SECONDS * 5):
        if stop.is_set():
            return False
        with suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(address) as response:
                if response.ok:
                    return True
        await asyncio.sleep(0.2)
    out.print(f"[red]{address} が応答しません / does not answer[/]")
    return False


async def _seed(settings: Settings, folder: Path, kept: Secrets) -> Secrets:
    """Give the shop its name, flows, text rules and an owner token, unless it has them."""
    async with ready(settings) as runtime:
        if kept.admin_token and await _is_known(runtime, kept.admin_token):
            return kept
        now = await runtime.clock.now()
        async with runtime.db.transaction() as session:
            token = await tokens.create(session, name="demo", role="owner", now=now)
            await _first_content(session, now)
    kept = replace(kept, admin_token=token)
    demo_folder.keep_secrets(folder, kept)
    return kept


async def _is_known(runtime: Runtime, token: str) -> bool:
    now = await runtime.clock.now()
    return await tokens.Tokens(runtime.db).find(token, now=now) is not None


async def _refuse_a_shop_in_use(settings: Settings) -> None:
    """The demo brings 240 friends and its own flows: never into the database of a real shop."""
    db = Database(settings)
    try:
        if await migrations.current(db) is None:
            return
        async with db.reading() as session:
            channels = await session.scalar(select(func.count()).select_from(table(Channel)))
    finally:
        await db.close()
    if channels:
        raise StartError(
            f"{DATABASE_URL} names a database that a shop uses already. Give the demo an empty "
            "one, or unset it: the demo then keeps its data in a file."
        )


async def _first_content(session: AsyncSession, now: datetime) -> None:
    for file in files.files_under(LIBRARY):
        definition = files.read(file.read_text(encoding="utf-8"))
        await store.save(session, definition, now=now)
        await session.flush()
        await store.publish(session, definition.key, now=now)
    for _file, rules in read_rules(SAMPLE / "replies.yaml", allow_http=True):
        for key, draft in rules.items():
            await text_rules.save(session, key, draft, now=now, allow_http=True)
    await demo_content.decide(session, now)


def _environment(folder: Path, kept: Secrets, url: str, phone: str) -> dict[str, str]:
    """Settings of the demo; what the caller has set of database and queue is kept."""
    given = os.environ
    return {
        DATABASE_URL: given.get(DATABASE_URL, f"sqlite+aiosqlite:///{folder / 'okaeri.db'}"),
        "OKAERI_REDIS_URL": given.get("OKAERI_REDIS_URL", ""),
        "OKAERI_PUBLIC_URL": url,
        "OKAERI_LINE_API_URL": phone,
        "OKAERI_LINE_DATA_API_URL": phone,
        "OKAERI_LINE_ACCESS_URL": phone,
        "OKAERI_LINE_CHANNEL_ID": kept.channel_id,
        "OKAERI_LINE_CHANNEL_SECRET": kept.channel_secret,
        "OKAERI_LINE_CHANNEL_ACCESS_TOKEN": kept.access_token,
        "OKAERI_SECRET_KEY": kept.secret_key,
        "OKAERI_CLOCK": "simulated",
        "OKAERI_ALLOW_HTTP_URLS": "true",
        "OKAERI_PHONE_URL": f"{phone}/phone",
        "OKAERI_LOG_FORMAT": "text",
        "OKAERI_LOG_LEVEL": given.get("OKAERI_LOG_LEVEL", "WARNING"),
    }


def _ports(host: str, port: int, phone_port: int) -> tuple[int, ...]:
    """The ports to use; 0 stands for any that is free. Raises `StartError`."""
    if port == phone_port != 0:
        raise StartError(f"Server and phone both want port {port}; give them two different ones.")
    with ExitStack() as held:
        return tuple(_free_port(host, port, held) for port in (port, phone_port))


def _free_port(host: str, port: int, held: ExitStack) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    probe = held.enter_context(socket.socket(family))
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((host, port))
        probe.listen()
    except (OSError, OverflowError) as error:
        raise StartError(
            f"Port {port} on {host} cannot be used ({getattr(error, 'strerror', error)}). "
            "Is the demo running already? Else choose others with --port and --phone-port."
        ) from None
    return int(probe.getsockname()[1])


def _shown(host: str) -> str:
    return "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - only shown
