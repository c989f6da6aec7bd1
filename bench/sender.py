"""Sends personalised pushes to a LINE stand-in: our dispatcher, or a bare loop as its floor.

A process of its own: `python -m bench.sender ours|floor` takes a plan on standard input and writes
what it saw to standard output, both JSON. Ours reads its settings from the environment.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from uuid import uuid4

import aiohttp
import orjson
import uvloop
from sqlalchemy import func, select

from bench.outbox import ready_messages, user_id, wait_in_outbox
from core import logs
from core.db import table
from core.jobs import BeltRunner
from core.pace import Pace
from core.runtime import Runtime, running, settle_memory
from core.settings import load
from delivery.dispatcher import IN_FLIGHT
from delivery.jobs import DISPATCH
from delivery.models import SENT, Delivery

CONNECTIONS = 200  # what `LineClient` opens at most


@dataclass(frozen=True, slots=True)
class Plan:
    """So many pushes are timed, after so many that are not."""

    url: str
    token: str
    pushes: int
    warm_up: int


@dataclass(frozen=True, slots=True)
class Sent:
    """What the sender found; `cpu` in seconds."""

    pushes: int
    seconds: float
    cpu: float

    @property
    def per_second(self) -> float:
        """Calls answered in a second."""
        return self.pushes / self.seconds

    @property
    def cpu_each(self) -> float:
        """Processor time of one push, in microseconds."""
        return self.cpu / self.pushes * 1_000_000


class NoPace(Pace):
    """Gives leave at once: LINE's limits are not what is measured here."""

    async def leave(self, channel_id: int, endpoint: str, calls: int) -> None:
        """Go."""


async def _timed(work: Callable[[], Awaitable[int]]) -> Sent:
    gc.collect()
    cpu, began = time.process_time(), time.perf_counter()
    pushes = await work()
    return Sent(pushes, time.perf_counter() - began, time.process_time() - cpu)


async def ours(plan: Plan) -> Sent:
    """The dispatch belt as a worker runs it, over deliveries that wait in the outbox."""
    settings = load(_env_file=None)
    logs.set_up(settings)
    async with running(settings) as made:
        runtime = replace(made, pace=NoPace(""))
        runner = BeltRunner(runtime, [DISPATCH])

        async def work_off() -> int:
            before = await _count_sent(runtime)
            # As many batches at once as the sweep of a worker under load has going.
            await asyncio.gather(*(runner.run(DISPATCH.name) for _ in range(DISPATCH.width)))
            return await _count_sent(runtime) - before

        await wait_in_outbox(runtime, plan.warm_up)
        await work_off()
        await wait_in_outbox(runtime, plan.pushes)
        settle_memory()  # as a worker has done at its start
        return await _timed(work_off)


async def _count_sent(runtime: Runtime) -> int:
    delivery = table(Delivery)
    query = select(func.count()).select_from(delivery).where(delivery.c.state == SENT)
    async with runtime.db.reading() as session:
        return await session.scalar(query) or 0


async def floor(plan: Plan) -> Sent:
    """Ready bytes, as many at once, over a session with the same settings."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=10, connect=3, sock_connect=3, sock_read=8),
                trust_env=False,
            )
        )
        await _post_all(session, plan, _bodies(plan.warm_up))
        bodies = _bodies(plan.pushes)
        return await _timed(lambda: _post_all(session, plan, bodies))


def _bodies(count: int) -> list[bytes]:
    return [
        b'{"to":"' + user_id(n).encode() + b'","messages":' + ready_messages(n) + b"}"
        for n in range(count)
    ]


async def _post_all(session: aiohttp.ClientSession, plan: Plan, bodies: list[bytes]) -> int:
    url, queue = f"{plan.url}/v2/bot/message/push", iter(bodies)
    at_once = min(CONNECTIONS, DISPATCH.width * IN_FLIGHT)
    return sum(await asyncio.gather(*(_post(session, url, plan, queue) for _ in range(at_once))))


async def _post(
    session: aiohttp.ClientSession, url: str, plan: Plan, queue: Iterator[bytes]
) -> int:
    fixed = {"Content-Type": "application/json", "Authorization": f"Bearer {plan.token}"}
    accepted = 0
    for body in queue:
        headers = {**fixed, "X-Line-Retry-Key": str(uuid4())}
        async with session.post(url, data=body, headers=headers) as response:
            await response.read()
            accepted += response.status == 200
    return accepted


def main() -> None:
    """Take a plan, send, say what was seen."""
    send = {"ours": ours, "floor": floor}[sys.argv[1]]
    plan = Plan(**orjson.loads(sys.stdin.buffer.read()))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(orjson.dumps(asdict(runner.run(send(plan)))))


if __name__ == "__main__":
    main()
