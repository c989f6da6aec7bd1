"""The demo in one command: the server, the LINE stand-in with its phone, and a sample shop.

Both run as processes of their own, with HTTP between them as with LINE. When one dies it is started
again; nothing is lost by that.
"""

import asyncio
import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiohttp
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncSession

from admin import tokens
from core import logs
from core.errors import StartError
from core.settings import Settings, load
from delivery import text_rules
from flows import files, store
from server.process import only_process, ready
from server.tasks import read_rules

LIBRARY = Path(store.__file__).parent / "library"
SAMPLE = Path(__file__).parent / "sample"
MAX_RESTARTS = 5
START_SECONDS = 60
STOP_SECONDS = 25
PR_SET_PDEATHSIG = 1

out = Console()


@dataclass(frozen=True, slots=True)
class _Secrets:
    """Made at the first start and kept in the demo's folder, readable by its owner only."""

    secret_key: str
    channel_id: str
    channel_secret: str
    access_token: str
    admin_token: str = ""


async def run_demo(*, host: str, port: int, phone_port: int, folder: Path, fresh: bool) -> None:
    """Start everything, say where to click, and stop cleanly when told to."""
    for wanted in (port, phone_port):
        _port_is_free(host, wanted)
    folder = _make_folder(folder, fresh=fresh)
    kept = _secrets(folder)
    url, phone = f"http://{_shown(host)}:{port}", f"http://{_shown(host)}:{phone_port}"
    environment = _environment(folder, kept, url, phone)
    os.environ.update(environment)
    settings = load()
    logs.set_up(settings)
    with only_process(settings):
        kept = await _seed(settings, folder, kept)
    environment |= {
        "SIMULATOR_SHOP_TOKEN": kept.admin_token,
        "SIMULATOR_CHANNELS": f"{kept.channel_id}:{kept.channel_secret}:{kept.access_token}",
    }
    server = [sys.executable, "-m", "server", "serve", "--host", host, "--port", str(port)]
    simulator = [
        sys.executable, "-m", "simulator", "--host", host, "--port", str(phone_port),
        "--shop-url", url, "--state", str(folder / "simulator.db"),
        "--sample-shop", "--simulated-clock", "--allow-http-urls",
    ]  # fmt: skip
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with asyncio.TaskGroup() as group:
        group.create_task(_keep_running("simulator", simulator, environment, stop))
        group.create_task(_keep_running("server", server, environment, stop))
        group.create_task(_welcome(url, phone, folder, stop))
    out.print("\nまたどうぞ。/ Stopped; your data is kept.")


async def _keep_running(
    name: str, command: list[str], environment: dict[str, str], stop: asyncio.Event
) -> None:
    for attempt in range(MAX_RESTARTS + 1):
        if attempt:
            out.print(f"[yellow]{name} が止まったので、もう一度起動します / restarting {name}[/]")
        process = await asyncio.create_subprocess_exec(
            *command,
            env=os.environ | environment,
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop the children in order
            preexec_fn=_die_with_parent,
        )
        ended, stopped = asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if stop.is_set():
            await _stop(process)
            return
        await asyncio.sleep(1)
    stop.set()
    raise StartError(f"The demo's {name} does not stay up; what it said last stands above.")


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()


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


async def _seed(settings: Settings, folder: Path, kept: _Secrets) -> _Secrets:
    """Give the shop its name, flows, text rules and an owner token; once."""
    async with ready(settings) as runtime:
        now = await runtime.clock.now()
        token = kept.admin_token
        async with runtime.db.transaction() as session:
            if not token:
                token = await tokens.create(session, name="demo", role="owner", now=now)
                await _first_content(session, now)
    if token != kept.admin_token:
        kept = _Secrets(**{**_as_dict(kept), "admin_token": token})
        _write_private(folder / "secrets.json", json.dumps(_as_dict(kept)))
        _write_private(folder / "owner-token.txt", token + "\n")
    return kept


async def _first_content(session: AsyncSession, now: datetime) -> None:
    for file in files.files_under(LIBRARY):
        definition = files.read(file.read_text(encoding="utf-8"))
        await store.save(session, definition, now=now)
        await session.flush()
        await store.publish(session, definition.key, now=now)
    for _file, rules in read_rules(SAMPLE / "replies.yaml", allow_http=True):
        for key, draft in rules.items():
            await text_rules.save(session, key, draft, now=now, allow_http=True)


def _environment(folder: Path, kept: _Secrets, url: str, phone: str) -> dict[str, str]:
    """Settings of the demo; what the caller has set of database and queue is kept."""
    given = os.environ
    return {
        "OKAERI_DATABASE_URL": given.get(
            "OKAERI_DATABASE_URL", f"sqlite+aiosqlite:///{folder / 'okaeri.db'}"
        ),
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


def _secrets(folder: Path) -> _Secrets:
    path = folder / "secrets.json"
    try:
        return _Secrets(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass
    except (ValueError, TypeError, OSError):
        raise StartError(f"{path} cannot be read. Start anew with: okaeri demo --fresh") from None
    made = _Secrets(
        secret_key=secrets.token_hex(32),
        channel_id=str(2_000_000_000 + secrets.randbelow(9_999_999)),
        channel_secret=secrets.token_hex(16),
        access_token=secrets.token_urlsafe(64),
    )
    _write_private(path, json.dumps(_as_dict(made)))
    return made


def _as_dict(kept: _Secrets) -> dict[str, str]:
    return {name: getattr(kept, name) for name in kept.__slots__}


def _write_private(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(text)
    new.replace(path)


def _make_folder(folder: Path, *, fresh: bool) -> Path:
    try:
        if fresh and folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StartError(
            f"The demo cannot write to {folder.absolute()} ({error.strerror}). "
            "Choose another folder with --data."
        ) from None
    return folder.absolute()


def _port_is_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise StartError(
                f"Port {port} on {host} cannot be used ({getattr(error, 'strerror', error)}). "
                "Is the demo running already? Else choose others with --port and --phone-port."
            ) from None


def _shown(host: str) -> str:
    return "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - only shown


def _die_with_parent() -> None:
    """Linux: have the child ended when the demo dies without having stopped it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
