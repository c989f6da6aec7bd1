"""Webhook intake, committed before the 200, against answering after the signature check alone."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

import orjson
from sqlalchemy import func, select

from bench import children, places
from bench.children import CouldNotMeasure
from bench.figures import Figure, Reach
from bench.load import Plan, Seen
from bench.places import Bench
from bot.models import WebhookEvent
from core.db import Database, table

CONNECTIONS = 64
SERVE = ("serve", "--no-worker", "--no-clock", "--port")


@dataclass(frozen=True, slots=True)
class Round:
    """One round: the load on the floor and on ours, with each server's processor time."""

    floor: Seen
    ours: Seen
    floor_cpu: float
    ours_cpu: float


@dataclass(frozen=True, slots=True)
class _Server:
    pid: int
    port: int
    environment: dict[str, str]


def measure(bench: Bench, backend: str) -> list[Figure]:
    """Requests/s, p99 and processor time of both, round by round."""
    rounds: list[Round] = []
    with ExitStack() as stack:
        floor = stack.enter_context(_serving(bench, backend, "bench.floor_server"))
        ours = stack.enter_context(_serving(bench, backend, "server"))
        stored = 0
        for number in range(bench.rounds()):
            seen = {}
            for server in (floor, ours) if number % 2 else (ours, floor):
                seen[server.pid] = _load(bench, server)
            (on_floor, floor_cpu), (on_ours, ours_cpu) = seen[floor.pid], seen[ours.pid]
            rounds.append(Round(on_floor, on_ours, floor_cpu, ours_cpu))
            stored += on_ours.requests + _plan(bench, ours).warm_up
        _check_stored(ours, stored)
    return _figures(backend, rounds)


@contextmanager
def _serving(bench: Bench, backend: str, module: str) -> Iterator[_Server]:
    port = children.free_port()
    with places.shop(bench, backend) as environment, children.started(
        ["-m", module, *SERVE, str(port)], environment, core=children.MEASURED, pinned=bench.pinned
    ) as pid:  # fmt: skip
        children.wait_until_answers(f"http://127.0.0.1:{port}/healthz")
        yield _Server(pid, port, environment)


def _plan(bench: Bench, server: _Server) -> Plan:
    return Plan(
        port=server.port,
        channel_id=places.CHANNEL_ID,
        secret=places.CHANNEL_SECRET,
        name=f"01{secrets.token_hex(4).upper()}",
        requests=15_000 if bench.quick else 40_000,
        warm_up=2_000,
        connections=CONNECTIONS,
        seconds=30,
    )


def _load(bench: Bench, server: _Server) -> tuple[Seen, float]:
    plan, before = _plan(bench, server), children.cpu_seconds(server.pid)
    said = children.output_of(
        ["-m", "bench.load"],
        {},
        orjson.dumps(asdict(plan)),
        core=children.AROUND,
        pinned=bench.pinned,
        seconds=plan.seconds * 4,
    )
    seen = Seen(**orjson.loads(said))
    if set(seen.statuses) != {"200"} or not seen.requests:
        raise CouldNotMeasure(f"the server answered {seen.statuses}")
    cpu = children.cpu_seconds(server.pid) - before
    return seen, cpu / (seen.requests + plan.warm_up) * 1_000_000


def _check_stored(server: _Server, wanted: int) -> None:
    """A 200 means a committed event, so there must be as many."""

    async def count() -> int:
        db = Database(places.settings_of(server.environment))
        async with db.reading() as session:
            found = await session.scalar(select(func.count()).select_from(table(WebhookEvent)))
        await db.close()
        return found or 0

    if (found := asyncio.run(count())) < wanted:
        raise CouldNotMeasure(f"{wanted} events were answered with 200, {found} are stored")


def _figures(backend: str, rounds: list[Round]) -> list[Figure]:
    reach = Reach(0.5, at_least=True) if backend == "postgresql" else None
    speed = [one.ours.per_second / one.floor.per_second for one in rounds]
    return [
        Figure("floor: signature check alone", "req/s", [r.floor.per_second for r in rounds]),
        Figure("ours: committed before the 200", "req/s", [r.ours.per_second for r in rounds]),
        Figure("ours / floor, requests/s", "", speed, reach),
        Figure("floor: p99", "ms", [r.floor.p99 for r in rounds]),
        Figure("ours: p99", "ms", [r.ours.p99 for r in rounds]),
        Figure(
            "ours / floor, p99",
            "",
            [r.ours.p99 / r.floor.p99 for r in rounds],
            Reach(4, at_least=False),
        ),
        Figure("floor: server's CPU", "µs/req", [r.floor_cpu for r in rounds]),
        Figure("ours: server's CPU", "µs/req", [r.ours_cpu for r in rounds]),
        Figure("load's share of its core, floor", "", [r.floor.busy for r in rounds]),
        Figure("load's share of its core, ours", "", [r.ours.busy for r in rounds]),
    ]
