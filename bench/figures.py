"""What a benchmark found: figures over several rounds, held against what is to be reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Reach:
    """A figure to be reached: at least (or at most) this."""

    limit: float
    at_least: bool

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"

    def holds(self, value: float) -> bool:
        """Whether a median is good enough."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing, a value per round."""

    name: str
    unit: str
    values: Sequence[float]
    reach: Reach | None = None

    @property
    def median(self) -> float:
        """The middle value, which is what is held against the reach."""
        return median(self.values)

    @property
    def verdict(self) -> str:
        """`ok`, `below`, or nothing where there is nothing to reach."""
        if self.reach is None:
            return ""
        return "ok" if self.reach.holds(self.median) else "below"

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "name": self.name,
            "unit": self.unit,
            "values": list(self.values),
            "median": self.median,
            "reach": str(self.reach) if self.reach else None,
            "verdict": self.verdict or None,
        }


def show(console: Console, title: str, figures: Sequence[Figure]) -> None:
    """Print a table: median, spread over the rounds, reach and verdict."""
    shown = Table(title=title, title_justify="left", title_style="bold")
    shown.add_column("figure")
    for heading in ("median", "min – max", "reach"):
        shown.add_column(heading, justify="right")
    shown.add_column("")
    for figure in figures:
        spread = f"{_number(min(figure.values))} – {_number(max(figure.values))}"
        middle = f"{_number(figure.median)} {figure.unit}".strip()
        reach = str(figure.reach) if figure.reach else ""
        shown.add_row(figure.name, middle, spread, reach, _coloured(figure.verdict))
    console.print(shown)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _coloured(verdict: str) -> str:
    return {"ok": "[green]ok[/]", "below": "[yellow]below[/]"}.get(verdict, verdict)
