"""Expiring points of many customers, against the plain SQL that touches the same rows."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

from sqlalchemy import text

from bench import places
from bench.children import CouldNotMeasure
from bench.figures import Figure, Reach
from bench.places import Bench
from core.runtime import Runtime, running
from crm.points import jobs, proof

POINTS = 100
Expire = Callable[[Runtime, datetime], Awaitable[int]]

SEED = (
    "INSERT INTO customer (id, points, created_at) "
    "SELECT g, :points, :now FROM generate_series(1, :count) g",
    "INSERT INTO point_lot (id, customer_id, state, granted, remaining, reason, source, granted_at,"
    " available_at, expires_at) SELECT g, g, 'open', :points, :points, '', 'bench:' || g, :before,"
    " :before, :now FROM generate_series(1, :count) g",
    "INSERT INTO point_entry (customer_id, kind, delta, reason, source, lot_id, occurred_at) "
    "SELECT customer_id, 'grant', granted, '', source, id, granted_at FROM point_lot ORDER BY id",
)

# Written by hand: each row that the job writes or changes, once, in as few statements as there are
# tables, in one transaction.
FLOOR = (
    "INSERT INTO point_entry (customer_id, kind, delta, reason, source, lot_id, occurred_at) "
    "SELECT customer_id, 'expire', -remaining, '', 'expire:' || id, id, :now FROM point_lot "
    "WHERE state = 'open' AND expires_at <= :now",
    "INSERT INTO point_draw (entry_id, lot_id, amount) SELECT id, lot_id, -delta FROM point_entry "
    "WHERE kind = 'expire'",
    "UPDATE customer SET points = points - lost.sum FROM (SELECT customer_id, sum(remaining) "
    "FROM point_lot WHERE state = 'open' AND expires_at <= :now GROUP BY customer_id) lost "
    "WHERE lost.customer_id = customer.id",
    "UPDATE point_lot SET state = 'closed', remaining = 0 WHERE state = 'open' "
    "AND expires_at <= :now",
    "INSERT INTO activity (customer_id, kind, occurred_at, recorded_at, data, source, react_at) "
    "SELECT customer_id, 'points_expired', :now, :now, jsonb_build_object('points', -delta), "
    "'points:' || source, :now FROM point_entry WHERE kind = 'expire'",
)


def measure(bench: Bench) -> list[Figure]:
    """Seconds of both, round by round, each on a database of its own."""
    count = 50_000 if bench.quick else 1_000_000
    rounds = 2 if bench.quick else 1
    floor, ours = [], []
    for _ in range(rounds):
        floor.append(_timed(bench, count, _by_hand))
        ours.append(_timed(bench, count, _by_job))
    return [
        Figure(f"floor: plain SQL, {count:,} lots", "s", floor),
        Figure("ours: the nightly job", "s", ours),
        Figure(
            "ours / floor",
            "",
            [mine / bare for mine, bare in zip(ours, floor, strict=True)],
            Reach(3, at_least=False),
        ),
    ]


def _timed(bench: Bench, count: int, expire: Expire) -> float:
    with places.shop(bench, "postgresql") as environment:
        return asyncio.run(_measured(environment, count, expire))


async def _measured(environment: dict[str, str], count: int, expire: Expire) -> float:
    async with running(places.settings_of(environment)) as runtime:
        now = await runtime.clock.now()
        await _seed(runtime, count, now)
        began = time.perf_counter()
        expired = await expire(runtime, now)
        seconds = time.perf_counter() - began
        async with runtime.db.reading() as session:
            differing = await proof.differing(session)
    if expired != count or differing:
        raise CouldNotMeasure(f"{expired} of {count} lots expired, {len(differing)} differ")
    return seconds


async def _by_job(runtime: Runtime, now: datetime) -> int:
    return await jobs.expire_due(runtime)


async def _by_hand(runtime: Runtime, now: datetime) -> int:
    async with runtime.db.transaction() as session:
        done = [await session.execute(text(query), {"now": now}) for query in FLOOR]
    return int(done[0].rowcount)  # type: ignore[attr-defined]


async def _seed(runtime: Runtime, count: int, now: datetime) -> None:
    before = now.replace(year=now.year - 1)
    values = {"count": count, "points": POINTS, "now": now, "before": before}
    async with runtime.db.transaction() as session:
        for query in SEED:
            names = {name: value for name, value in values.items() if f":{name}" in query}
            await session.execute(text(query), names)
    async with runtime.db.transaction() as session:
        await session.execute(text("ANALYZE"))  # as autovacuum would have done
