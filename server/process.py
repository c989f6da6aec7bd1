"""Starting and stopping a process: what must be true before it begins, and who else may run."""

import asyncio
import fcntl
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from prometheus_client import start_http_server

from core import logs, metrics
from core.db import Database
from core.errors import StartError
from core.jobs import BeltRunner
from core.runtime import Runtime, running, settle_memory
from core.settings import Settings
from crm import channels
from server import migrations, worker
from server.app import Server
from server.travel import Traveller

log = logs.get(__name__)

STOP_SECONDS = 20


async def serve(
    settings: Settings, *, host: str, port: int, with_worker: bool, with_clock: bool
) -> None:
    """Answer HTTP, and by default work and tick in the same process, until told to stop.

    Raises `StartError` with a sentence when something stands in the way.
    """
    with _listening(host, port) as listener, only_process(settings):
        async with ready(settings) as runtime, AsyncExitStack() as stack:
            runner = BeltRunner(runtime, worker.BELTS)
            if with_worker:
                runner = await stack.enter_async_context(worker.working(runtime))
            traveller = Traveller(runtime, runner) if runtime.clock.simulated else None
            if with_clock:
                await stack.enter_async_context(worker.ticking(runtime))
            server = Server(runtime, traveller)
            settle_memory()
            log.info("serving", host=host, port=listener.getsockname()[1])
            await _answer(server, listener)
    log.info("stopped")


class _Quiet(uvicorn.Server):
    """uvicorn, without its own signals: it would end the process before the belts have stopped."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _answer(app: Server, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = _Quiet(config)

    def leave() -> None:
        server.should_exit = True

    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, leave)
    await server.serve(sockets=[listener])
    await app.settled()


async def work(settings: Settings, *, stop: asyncio.Event, metrics_port: int = 0) -> None:
    """Work the belts until told to stop; metrics for Prometheus on their own port, if given."""
    with only_process(settings), _metrics(metrics_port):
        async with ready(settings) as runtime, worker.working(runtime):
            settle_memory()
            log.info("working")
            await stop.wait()
    log.info("stopped")


@contextmanager
def _metrics(port: int) -> Iterator[None]:
    if not port:
        yield
        return
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=metrics.REGISTRY)
    except OSError as error:
        raise StartError(f"Port {port} for metrics cannot be used ({error.strerror}).") from None
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


async def tick(settings: Settings, *, stop: asyncio.Event) -> None:
    """Plan the timetable until told to stop."""
    with only_process(settings):
        async with ready(settings) as runtime, worker.ticking(runtime):
            log.info("ticking")
            await stop.wait()
    log.info("stopped")


@asynccontextmanager
async def ready(settings: Settings) -> AsyncIterator[Runtime]:
    """A runtime over a migrated database that has the first channel of the settings."""
    await check_migrated(settings)
    async with running(settings) as runtime:
        now = await runtime.clock.now()
        async with runtime.db.transaction() as session:
            if await channels.ensure_first(session, runtime.seal, settings, now=now):
                log.info("channel.set_up", channel_id=settings.line_channel_id)
        await channels.of(runtime).all()  # says at once when the secret key is another one now
        yield runtime


async def check_migrated(settings: Settings) -> None:
    """Migrate an empty database or a file; a PostgreSQL in use is migrated on purpose only."""
    db = Database(settings)
    try:
        at = await migrations.current(db)
        if at == migrations.head():
            return
        if at is None or settings.is_sqlite:
            await migrations.upgrade(db)
            return
    finally:
        await db.close()
    raise StartError(
        f"The database is at version {at}, this Okaeri wants {migrations.head()}. "
        "Back it up, then run: okaeri migrate"
    )


@contextmanager
def only_process(settings: Settings) -> Iterator[None]:
    """Hold the SQLite file for this process; PostgreSQL may be shared by any number."""
    path = settings.sqlite_path
    if path is None:
        yield
        return
    with _open_lock(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartError(
                f"Another Okaeri process already works on {path}. Stop that one first; "
                "several processes need PostgreSQL (OKAERI_DATABASE_URL) and Redis."
            ) from None
        yield


@contextmanager
def _open_lock(path: Path) -> Iterator[int]:
    lock = path.with_name(path.name + ".lock")
    try:
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(
            f"The folder {path.parent.absolute()} cannot be written ({error.strerror}). Check that "
            "it exists and that this user may write there, or set OKAERI_DATABASE_URL elsewhere."
        ) from None
    try:
        yield file
    finally:
        os.close(file)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        raise StartError(
            f"Port {port} on {host} cannot be used ({getattr(error, 'strerror', error)}). "
            "Is another program using it? Choose another one with --port."
        ) from None
    with listener:
        yield listener
