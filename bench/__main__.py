"""`make bench`: measure, show a table, exit 0; 1 only when something could not be measured."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from bench import coupons, imports, intake, machine, memory, places, points, pushes, ranks
from bench.children import CouldNotMeasure
from bench.figures import Figure, show
from bench.places import Bench

Benchmark = Callable[[Bench], list[Figure]]

BENCHMARKS: Mapping[str, tuple[str, Benchmark]] = {
    "intake-postgresql": (
        "Webhook intake, PostgreSQL and Redis",
        lambda bench: intake.measure(bench, "postgresql"),
    ),
    "intake-sqlite": (
        "Webhook intake, SQLite",
        lambda bench: intake.measure(bench, "sqlite"),
    ),
    "pushes-postgresql": (
        "Personalised pushes, PostgreSQL and Redis (our pace limit lifted)",
        lambda bench: pushes.measure(bench, "postgresql"),
    ),
    "pushes-sqlite": (
        "Personalised pushes, SQLite (our pace limit lifted)",
        lambda bench: pushes.measure(bench, "sqlite"),
    ),
    "imports": ("CSV files taken in, PostgreSQL", imports.measure),
    "ranks": ("Rank review when all terms end, PostgreSQL", ranks.measure),
    "coupons": ("A coupon issued to all customers, PostgreSQL", coupons.measure),
    "points-postgresql": ("Expiring points, PostgreSQL", points.measure),
    "memory": ("Memory of the demo's server", memory.measure),
}


def main() -> int:
    """Run what was asked for."""
    given = _parser().parse_args()
    console = Console(width=max(100, Console().width))
    chosen = [name for name in BENCHMARKS if name.startswith(tuple(given.only or [""]))]
    report: dict[str, object] = {}
    failed = False
    with places.open_bench(quick=given.quick) as bench:
        report["machine"] = described = machine.describe(bench)
        console.print(
            "   ".join(f"[bold]{k}[/] {v}" for k, v in described.items()), highlight=False
        )
        for name in chosen:
            title, measure = BENCHMARKS[name]
            try:
                figures = measure(bench)
            except CouldNotMeasure as error:
                failed = True
                console.print(f"[red]{name} could not be measured:[/] {error}", highlight=False)
                continue
            show(console, f"{title} ({name})", figures)
            report[name] = [figure.as_json() for figure in figures]
    if given.json:
        given.json.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help=f"begins with this; repeatable: {', '.join(BENCHMARKS)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
