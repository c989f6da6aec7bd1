"""CSV files taken in, against a bare COPY of the same file into a table of plain text columns."""

import asyncio
import csv
import json
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy import text

from bench import children, places
from bench.children import CouldNotMeasure
from bench.figures import Figure, Reach
from bench.places import Bench
from core import logs
from core.db import Database
from core.settings import Settings, load
from crm.imports import saved
from crm.imports.mapping import CUSTOMERS, PURCHASES, Kind
from crm.imports.run import Import

NOW = datetime(2040, 6, 30, 15, 5, tzinfo=UTC)
PEOPLE = ("member_number", "name", "kana", "birthday", "phone", "email", "gender", "postal_code")
ORDERS = (
    "order_id", "purchased_at", "total", "member_number", "line_sku", "line_name", "line_category",
    "line_quantity", "line_unit_price",
)  # fmt: skip
LINES_EACH = 2


def measure(bench: Bench) -> list[Figure]:
    """Rows a second of both for each kind of file, and how memory grows with the file."""
    rows = 4_000 if bench.quick else 100_000
    figures: list[Figure] = []
    with places.shop(bench, "postgresql") as environment:
        for kind, make in ((CUSTOMERS, _people), (PURCHASES, _orders)):
            few, many = bench.folder / f"few-{kind}.csv", bench.folder / f"{kind}.csv"
            _write(few, make(rows // 10, "few"))
            _write(many, make(rows, "many"))
            copied = _child(bench, "copy", kind, many, environment)
            small = _child(bench, "import", kind, few, environment)
            large = _child(bench, "import", kind, many, environment)
            again = _child(bench, "import", kind, many, environment)
            if {large["rows"], copied["rows"]} != {rows} or large["left_out"] or again["new"]:
                raise CouldNotMeasure(f"{kind}: {copied}, {large}, {again}")
            figures += _figures(kind, copied, small, large, again)
    return figures


def _figures(
    kind: Kind, copied: dict[str, Any], small: dict[str, Any], large: dict[str, Any],
    again: dict[str, Any],
) -> list[Figure]:  # fmt: skip
    speed = {name: each["rows"] / each["seconds"] for name, each in
             (("copy", copied), ("import", large), ("again", again))}  # fmt: skip
    return [
        Figure(f"{kind}: bare COPY", "rows/s", [speed["copy"]]),
        Figure(f"{kind}: import", "rows/s", [speed["import"]]),
        Figure(f"{kind}: the same file again", "rows/s", [speed["again"]]),
        Figure(f"{kind}: import / COPY", "", [speed["import"] / speed["copy"]],
               Reach(0.3, at_least=True)),
        Figure(f"{kind}: peak memory, tenfold file", "MiB more", [large["peak"] - small["peak"]],
               Reach(40, at_least=False)),
    ]  # fmt: skip


def _people(count: int, mark: str) -> Iterator[tuple[Any, ...]]:
    yield PEOPLE
    for n in range(count):
        born, phone = f"{1950 + n % 60}-{n % 12 + 1:02d}-{n % 28 + 1:02d}", f"090{n:08d}"
        yield (f"{mark}-{n:07d}", f"会員 花子{n}", "カイイン ハナコ", born, phone,
               f"{mark}{n}@example.jp", "female", f"{n:07d}")  # fmt: skip


def _orders(count: int, mark: str) -> Iterator[tuple[Any, ...]]:
    yield ORDERS
    for n in range(count):
        order = n // LINES_EACH
        at = NOW - timedelta(days=400 - order % 390)
        yield (f"{mark}-{order}", at.isoformat(), 1_500 * LINES_EACH, f"many-{order // 3:07d}",
               f"sku-{n % 97}", "コーヒー豆 200g", "豆", 1, 1_500)  # fmt: skip


def _write(path: Path, rows: Iterator[tuple[Any, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def _child(
    bench: Bench, what: str, kind: Kind, path: Path, environment: dict[str, str]
) -> dict[str, Any]:
    said = children.output_of(
        ["-m", "bench.imports", what, kind, str(path)], environment, b"",
        core=children.MEASURED, pinned=bench.pinned, seconds=1_800,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(said)
    return found


async def _copy(settings: Settings, path: Path) -> dict[str, Any]:
    db = Database(settings)
    try:
        async with db.engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            with path.open(encoding="utf-8") as file:
                columns = file.readline().strip().split(",")
            await raw.execute("DROP TABLE IF EXISTS bare")
            await raw.execute(f"CREATE TABLE bare ({', '.join(f'{c} text' for c in columns)})")
            begun = time.perf_counter()
            told = await raw.copy_to_table("bare", source=str(path), format="csv", header=True)
            return {"seconds": time.perf_counter() - begun, "rows": int(told.split()[-1])}
    finally:
        await db.close()


async def _import(settings: Settings, kind: Kind, path: Path) -> dict[str, Any]:
    db = Database(settings)
    try:
        async with db.reading() as session:
            found = await saved.find(session, kind, "plain")
        begun = time.perf_counter()
        with path.open("rb") as file:
            report = await Import(db, file, found, settings.zone, NOW).run()
        seconds = time.perf_counter() - begun
        async with db.transaction() as session:
            await session.execute(text("ANALYZE"))  # as autovacuum would do
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"seconds": seconds, "rows": report.rows, "new": report.new,
                "left_out": report.left_out, "peak": peak}  # fmt: skip
    finally:
        await db.close()


def main() -> None:
    """`copy` or `import` a file of a kind; say what was seen."""
    what, kind, path = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    settings = load(_env_file=None)
    logs.set_up(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        work = _copy(settings, path) if what == "copy" else _import(settings, _kind(kind), path)
        sys.stdout.write(json.dumps(runner.run(work)))


def _kind(name: str) -> Kind:
    return CUSTOMERS if name == CUSTOMERS else PURCHASES


if __name__ == "__main__":
    main()
