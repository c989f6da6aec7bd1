"""A coupon issued to every customer, against plain SQL that writes the same rows."""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

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
from crm.coupons import definition, issuing
from crm.coupons.definition import CouponDraft
from crm.coupons.models import Coupon

NOW = datetime(2040, 6, 30, 3, tzinfo=UTC)
KEY = "bench-500"

FILL = """
INSERT INTO customer (id, member_number, name, created_at)
SELECT n, (10000000 + n)::text, '会員' || n, :now FROM generate_series(1, :count) AS n;
INSERT INTO friend (channel_id, user_id, customer_id, status, status_at, followed_at, created_at,
                    follow_count, profile_attempts)
SELECT (SELECT min(id) FROM channel), 'U' || lpad(n::text, 32, '0'), n, 'following', :now, :now,
       :now, 1, 0
FROM generate_series(1, :count) AS n
"""
NOTHING_IS_ISSUED = "TRUNCATE activity, issued_coupon CASCADE"
# The same rows: a random code, once for each customer and reason, at most one each, and an activity
# to the friend who followed last.
PLAIN = """
WITH made AS (
    INSERT INTO issued_coupon (coupon_id, customer_id, code, state, max_uses, used, source,
                               issued_at, valid_from, expires_at, remind_at)
    SELECT :coupon, id, upper(substr(replace(gen_random_uuid()::text, '-', ''), 1, 13)), 'held', 1,
           0, 'bench-500:plain:' || id, :now, :now, :until, :remind
    FROM customer
    WHERE merged_into_id IS NULL AND erased_at IS NULL
      AND id NOT IN (SELECT customer_id FROM issued_coupon WHERE coupon_id = :coupon)
    RETURNING id, customer_id
)
INSERT INTO activity (customer_id, friend_id, kind, occurred_at, recorded_at, data, source,
                      react_at)
SELECT made.customer_id, reached.id, 'coupon_issued', :now, :now,
       jsonb_build_object('coupon', 'bench-500', 'name', '500円クーポン', 'discount', '500円引き',
                          'discount_en', '¥500 off', 'reason', 'plain', 'issued_id', made.id,
                          'expires_at', CAST(:until AS timestamptz)),
       'coupon_issued:' || made.id, :epoch
FROM made LEFT JOIN LATERAL (
    SELECT id FROM friend WHERE friend.customer_id = made.customer_id AND status = 'following'
    ORDER BY followed_at DESC NULLS LAST, id DESC LIMIT 1
) AS reached ON true
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
        Figure(f"coupon issued, {customers:,} customers", "s", ours),
        Figure("issue / plain SQL", "", ratios, Reach(3, at_least=False)),
    ]


def _child(bench: Bench, what: str, environment: dict[str, str], customers: int) -> float:
    said = children.output_of(
        ["-m", "bench.coupons", what, str(customers)],
        environment | {"OKAERI_CLOCK": "simulated"},
        b"",
        core=children.MEASURED,
        pinned=bench.pinned,
        seconds=900,
    )
    seconds, issued, told = json.loads(said)
    if what != "fill" and (issued, told) != (customers, customers):
        raise CouldNotMeasure(f"{issued} copies and {told} activities for {customers} ({what})")
    return float(seconds)


async def _run(what: str, customers: int) -> tuple[float, int, int]:
    settings = load(_env_file=None)
    logs.set_up(settings)
    async with running(settings) as runtime:
        coupon = await _define(runtime)
        async with runtime.db.engine.begin() as connection:
            for statement in (FILL if what == "fill" else NOTHING_IS_ISSUED).split(";"):
                await _execute(connection, statement, {"now": NOW, "count": customers})
        autocommit = runtime.db.engine.execution_options(isolation_level="AUTOCOMMIT")
        async with autocommit.connect() as connection:
            await connection.execute(text("VACUUM ANALYZE"))
            await connection.execute(text("CHECKPOINT"))
        begun = time.perf_counter()
        if what == "plain":
            await _plain(runtime, coupon)
        elif what == "ours":
            await _ours(runtime)
        seconds = time.perf_counter() - begun
        return seconds, await _count(runtime, "issued_coupon"), await _count(runtime, "activity")


async def _define(runtime: Runtime) -> Coupon:
    draft = CouponDraft.model_validate(
        {"name": "500円クーポン", "discount": {"amount": 500}, "valid_days": 30, "remind_days": 3}
    )
    async with runtime.db.transaction() as session:
        coupon, _new = await definition.save(session, KEY, draft, now=NOW, expected=None)
    return coupon


async def _plain(runtime: Runtime, coupon: Coupon) -> None:
    _start, until, remind = definition.term(coupon, now=NOW, zone=ZoneInfo("Asia/Tokyo"))
    values: dict[str, object] = {
        "coupon": coupon.id, "now": NOW, "until": until, "remind": remind,
        "epoch": NOW - timedelta(days=1),
    }  # fmt: skip
    async with runtime.db.engine.begin() as connection:
        await _execute(connection, PLAIN, values)


async def _ours(runtime: Runtime) -> None:
    zone = ZoneInfo("Asia/Tokyo")
    await issuing.issue_widely(runtime.db, KEY, reason="bench", now=NOW, zone=zone)


async def _execute(connection: AsyncConnection, statement: str, values: dict[str, object]) -> None:
    used = {name: value for name, value in values.items() if f":{name}" in statement}
    await connection.execute(text(statement), used)


async def _count(runtime: Runtime, name: str) -> int:
    async with runtime.db.reading() as session:
        return int(await session.scalar(text(f"SELECT count(*) FROM {name}")) or 0)


def main() -> None:
    """Do one of `fill`, `plain`, `ours`; say how long it took, and how many rows there are."""
    what, customers = sys.argv[1], int(sys.argv[2])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps(runner.run(_run(what, customers))))


if __name__ == "__main__":
    main()
