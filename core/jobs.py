"""Belts: loops that work off rows that are due, in batches, woken by a hint or found by a sweep.

The rows are the truth; a wake-up on the queue (docket: Redis Streams, or in memory when everything
runs in one process) only says "hurry". A lost wake-up costs at most one sweep's interval.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from docket import Docket, Worker
from redis.exceptions import RedisError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from core import logs, metrics

if TYPE_CHECKING:
    from core.runtime import Runtime

log = logs.get(__name__)

COALESCE_SECONDS = 0.01
AGAIN_SECONDS = 0.05
FAILURE_PAUSE_SECONDS = 1.0
CLOSE_SECONDS = 5
WAKE = "wake"  # the queue's one task: run the belt of this name


@dataclass(frozen=True, slots=True)
class Due:
    """What waits on a belt: rows due by now (also claimed or backing off), and what is next."""

    count: int
    oldest_at: datetime | None
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class Belt:
    """One kind of due rows and the work on them.

    `work` takes one batch and returns how many rows it moved; 0 means nothing is to be done now.
    `due` looks without touching. At most `width` batches run at once in one process.
    """

    name: str
    work: Callable[["Runtime"], Awaitable[int]]
    due: Callable[[AsyncSession, datetime], Awaitable[Due]]
    width: int = 1


class BeltRunner:
    """Runs belts in this process; however often it is asked, each belt stays within its width."""

    def __init__(self, runtime: "Runtime", belts: Iterable[Belt]) -> None:
        self.belts: Mapping[str, Belt] = {belt.name: belt for belt in belts}
        self.moved: Counter[str] = Counter()  # rows, by belt, since the start
        self._runtime = runtime
        self._running = dict.fromkeys(self.belts, 0)
        self._again = dict.fromkeys(self.belts, False)
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False

    async def run(self, name: str) -> int:
        """Work the belt off until nothing is due; returns how many rows were moved by this call."""
        belt = self.belts[name]
        if self._stopping:
            return 0
        if self._running[name] >= belt.width:
            self._again[name] = True
            return 0
        self._running[name] += 1
        self._idle.clear()
        try:
            return await self._work_off(belt)
        finally:
            self._running[name] -= 1
            if not any(self._running.values()):
                self._idle.set()

    async def stop(self, *, patience: timedelta) -> None:
        """Start no new batch and wait for those under way; what is cut off stays as rows."""
        self._stopping = True
        try:
            await asyncio.wait_for(self._idle.wait(), patience.total_seconds())
        except TimeoutError:
            log.warning("belts.cut_off", running=[n for n, k in self._running.items() if k])

    async def _work_off(self, belt: Belt) -> int:
        total = 0
        while not self._stopping:
            self._again[belt.name] = False
            moved = await self._one_batch(belt)
            total += moved
            if not moved and not self._again[belt.name]:
                break
        return total

    async def _one_batch(self, belt: Belt) -> int:
        try:
            moved = await belt.work(self._runtime)
        except (OperationalError, InterfaceError, OSError, TimeoutError) as error:
            log.warning("belt.unavailable", belt=belt.name, error=type(error).__name__)
        except Exception:
            log.exception("belt.failed", belt=belt.name)
        else:
            metrics.BELT_ROWS.labels(belt.name).inc(moved)
            if moved:
                self.moved[belt.name] += moved
            return moved
        metrics.BELT_FAILURES.labels(belt.name).inc()
        await asyncio.sleep(FAILURE_PAUSE_SECONDS)
        return 0


class WakeUps:
    """Sends wake-ups to whichever process works the belt; never fails, never waits.

    Hints of one belt within a hundredth of a second become one, and at most 20 a second go out.
    """

    def __init__(self, redis_url: str, *, name: str = "okaeri") -> None:
        url = _with_pool(redis_url) if redis_url else f"memory://{name}"
        self.docket = Docket(name=name, url=url, execution_ttl=timedelta(0))
        self.runner: BeltRunner | None = None
        self._flagged: set[str] = set()
        self._again_at: dict[str, float] = {}
        self._flush: asyncio.Task[None] | None = None
        self._stack = AsyncExitStack()
        self._open = False

    async def __aenter__(self) -> Self:
        async def wake(name: str) -> None:
            if self.runner is not None:
                await self.runner.run(name)

        self.docket.register(wake, names=[WAKE])
        try:
            await self._stack.enter_async_context(self.docket)
            self._open = True
        except (RedisError, OSError) as error:
            log.warning("queue.unavailable", error=type(error).__name__)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._flush is not None:
            self._flush.cancel()
        closing = asyncio.create_task(self._stack.aclose())
        await asyncio.wait({closing}, timeout=CLOSE_SECONDS)  # a queue that is gone holds up nobody
        if not closing.done() or closing.exception():
            log.warning("queue.not_closed")
            closing.cancel()

    async def answers(self) -> bool:
        """Whether the queue can be reached."""
        if not self._open:
            return False
        try:
            async with self.docket.redis() as redis:
                await redis.get("okaeri:answers")
        except (RedisError, OSError):
            return False
        return True

    def wake(self, *names: str) -> None:
        """Hint that rows of these belts were committed."""
        self._flagged.update(names)
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._send())

    async def work(self, runner: BeltRunner) -> None:
        """Take wake-ups for this process's belts until cancelled."""
        self.runner = runner
        while True:
            try:
                if not self._open:
                    await self._stack.enter_async_context(self.docket)
                    self._open = True
                await self._take_wake_ups()
            except (RedisError, OSError) as error:
                log.warning("queue.unavailable", error=type(error).__name__)
                await asyncio.sleep(FAILURE_PAUSE_SECONDS)
            else:
                return

    async def _take_wake_ups(self) -> None:
        worker = Worker(
            self.docket,
            concurrency=20,
            redelivery_timeout=timedelta(seconds=10),
            reconnection_delay=timedelta(seconds=1),
            minimum_check_interval=timedelta(milliseconds=50),
            scheduling_resolution=timedelta(seconds=1),
            schedule_automatic_tasks=False,
        )
        async with worker:
            # docket swallows a cancel, most of all while Redis is away; leaving the block stops it.
            running = asyncio.create_task(worker.run_forever())
            await asyncio.shield(running)

    async def _send(self) -> None:
        while self._flagged:
            await asyncio.sleep(COALESCE_SECONDS)
            for name in self._ripe():
                try:
                    await self.docket.add(WAKE)(name)
                except (RedisError, OSError, RuntimeError):
                    metrics.WAKE_FAILURES.inc()

    def _ripe(self) -> set[str]:
        """The belts to be woken now: under load, who was woken just now works already."""
        now = asyncio.get_running_loop().time()
        ripe = {name for name in self._flagged if now >= self._again_at.get(name, now)}
        self._flagged -= ripe
        self._again_at |= dict.fromkeys(ripe, now + AGAIN_SECONDS)
        return ripe


def _with_pool(url: str) -> str:
    # redis-py 8 raises once its default of 100 connections is used up.
    return (
        url
        if "max_connections" in url
        else f"{url}{'&' if '?' in url else '?'}max_connections=2000"
    )
