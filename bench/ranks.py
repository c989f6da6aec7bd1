"""The review of all ranks when their terms end, against plain SQL that touches the same rows."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime, timedelta

import uvloop
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bench import children, places
from bench.children import CouldNotMeasure
from bench.figures import Figure, Reach
from bench.places import Bench
from core import logs
from core.runtime import Runtime, running
from core.settings import load
from crm.ranks import review

NOW = datetime(2040, 6, 30, 15, 5, tzinfo=UTC)  # five past midnight of 1 July in Tokyo
END = NOW - timedelta(minutes=5)
CHANGING = 10  # percent who do not earn their rank again

# Every fifth is platinum, and so on; most have bought for just that again, in two orders.
FILL = """
INSERT INTO customer (id, member_number, name, created_at)
SELECT n, (10000000 + n)::text, '会員' || n, :now FROM generate_series(1, :count) AS n;
INSERT INTO purchase (source, order_id, customer_id, purchased_at, total, paid_at, warnings,
                      created_at, updated_at, refunded, points_used, version)
SELECT 'bench', n || '-' || part, n, bought, amount, bought, '[]', :now, :now, 0, 0, 1
FROM generate_series(1, :count) AS n, generate_series(1, 2) AS part,
     LATERAL (SELECT CAST(:now AS timestamptz) - (30 + n % 300) * interval '1 day' AS bought,
                     CASE WHEN n % 100 < :changing THEN 6000
                          WHEN n % 5 = 0 THEN 80000 WHEN n % 5 = 1 THEN 26000 ELSE 6000 END
                          AS amount) AS order_
"""
ALL_ARE_DUE = """
UPDATE customer SET rank_until = :until, rank_since = :since,
    rank = CASE id % 5 WHEN 0 THEN 'platinum' WHEN 1 THEN 'gold' ELSE 'silver' END;
DELETE FROM activity;
"""
PLAIN = """
WITH achieved AS (
    SELECT customer_id, sum(total - refunded) AS yen FROM purchase
    WHERE purchased_at >= :begin AND purchased_at < :until
      AND paid_at IS NOT NULL AND cancelled_at IS NULL
    GROUP BY customer_id
), earned AS (
    SELECT id, rank AS before, CASE WHEN yen >= 150000 THEN 'platinum' WHEN yen >= 50000 THEN 'gold'
           WHEN yen >= 10000 THEN 'silver' ELSE 'regular' END AS after
    FROM customer LEFT JOIN achieved ON customer_id = id
    WHERE rank_until <= :now
), reviewed AS (
    UPDATE customer SET rank = after, rank_until = CAST(:next AS timestamptz),
        rank_since = CASE WHEN after = before THEN rank_since ELSE :now END
    FROM earned WHERE earned.id = customer.id
    RETURNING customer.id, before, after
)
INSERT INTO activity (customer_id, kind, occurred_at, recorded_at, data, source, react_at)
SELECT id, 'rank_changed', :now, :now,
       jsonb_build_object('from', before, 'to', after, 'direction', 'down'),
       'rank:' || id || ':' || after, :now
FROM reviewed WHERE before <> after
"""


def measure(bench: Bench) -> list[Figure]:
    """Seconds of both over all customers, round by round."""
    customers = 100_000 if bench.quick else 1_000_000
    with places.shop(bench, "postgresql") as environment:
        _child(bench, "fill", environment, customers)
        plain, ours = [], []
        for _ in range(min(bench.rounds(), 3)):
            plain.append(_child(bench, "plain", environment, customers))
            ours.append(_child(bench, "ours", environment, customers))
    ratios = [mine / bare for mine, bare in zip(ours, plain, strict=True)]
    return [
        Figure(f"plain SQL, {customers:,} customers", "s", plain),
        Figure(f"rank review, {customers:,} customers", "s", ours),
        Figure("review / plain SQL", "", ratios, Reach(3, at_least=False)),
    ]


def _child(bench: Bench, what: str, environment: dict[str, str], customers: int) -> float:
    said = children.output_of(
        ["-m", "bench.ranks", what, str(customers)],
        environment | {"OKAERI_CLOCK": "simulated"},
        b"",
        core=children.MEASURED,
        pinned=bench.pinned,
        seconds=900,
    )
    seconds, changed = json.loads(said)
    if what != "fill" and changed != customers * CHANGING // 100 * 2 // 5:
        raise CouldNotMeasure(f"{changed} of {customers} ranks changed ({what})")
    return float(seconds)


async def _run(what: str, customers: int) -> tuple[float, int]:
    settings = load(_env_file=None)
    logs.set_up(settings)
    values = {
        "now": NOW, "until": END, "since": NOW - timedelta(days=400), "count": customers,
        "begin": END - timedelta(days=366), "next": NOW + timedelta(days=365),
        "changing": CHANGING,
    }  # fmt: skip
    async with running(settings) as runtime:
        async with runtime.db.engine.begin() as connection:
            for statement in (FILL if what == "fill" else ALL_ARE_DUE).split(";"):
                await _execute(connection, statement, values)
        autocommit = runtime.db.engine.execution_options(isolation_level="AUTOCOMMIT")
        async with autocommit.connect() as connection:
            await connection.execute(text("VACUUM ANALYZE"))
            await connection.execute(text("CHECKPOINT"))
        begun = time.perf_counter()
        changed = 0
        if what == "plain":
            async with runtime.db.engine.begin() as connection:
                changed = await _execute(connection, PLAIN, values)
        elif what == "ours":
            changed = await _ours(runtime)
        return time.perf_counter() - begun, changed


async def _execute(connection: AsyncConnection, statement: str, values: dict[str, object]) -> int:
    if not statement.strip():
        return 0
    used = {name: value for name, value in values.items() if f":{name}" in statement}
    return (await connection.execute(text(statement), used)).rowcount


async def _ours(runtime: Runtime) -> int:
    await runtime.clock.move_to(NOW)  # type: ignore[attr-defined]
    return await review.review_due(runtime)


def main() -> None:
    """Do one of `fill`, `plain`, `ours`; say how long it took and how many ranks it changed."""
    what, customers = sys.argv[1], int(sys.argv[2])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps(runner.run(_run(what, customers))))


if __name__ == "__main__":
    main()
