"""Ranks against a slow reference that lives through each day and counts by hand."""

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from core.db import Database
from crm.ranks.policy import RankPolicy
from tests.crm.ranks.conftest import Members, at, tiers

START = date(2043, 1, 1)  # the days that follow hold a leap day
DAYS = 800
LADDER = tiers(("t0", 0), ("t1", 100), ("t2", 250), ("t3", 600))
SIZE = {"year": 12, "half": 6, "quarter": 3, "month": 1}
NUMBERS = count()

windows = st.one_of(
    st.builds(lambda months: {"months": months}, st.integers(1, 14)),
    st.builds(
        lambda calendar, start: {"calendar": calendar, "start_month": start},
        st.sampled_from(sorted(SIZE)), st.integers(1, 12),
    ),
)  # fmt: skip
EDGES = [n for n in range(DAYS) if {(START + timedelta(days=n + d)).day for d in (0, 1)} & {1}]
days = st.one_of(st.sampled_from(EDGES), st.integers(0, DAYS - 1))  # most faults sit at month ends
amounts = st.sampled_from([40, 60, 100, 150, 250, 400, 600])
purchases = st.lists(
    st.tuples(days, amounts, st.booleans()),
    min_size=3, max_size=16,
).map(sorted)  # fmt: skip
looks = st.lists(days, max_size=8)  # when a review happens to run


def same_day(day: date, months: int) -> date:
    """The same day of another month, or its last."""
    year, month = day.year, day.month
    for _ in range(abs(months)):
        month += 1 if months > 0 else -1
        if month in (0, 13):
            year, month = year + (1 if month else -1), 1 if month else 12
    return date(year, month, min(day.day, monthrange(year, month)[1]))


@dataclass
class Reference:
    """One customer, day by day."""

    window: dict[str, Any]
    keep: int
    bought: list[tuple[date, int]] = field(default_factory=list)
    level: int = 0
    until: date | None = None

    def begins_a_period(self, day: date) -> bool:
        if day.day != 1:
            return False
        size = SIZE[self.window["calendar"]] if "calendar" in self.window else 1
        start: int = self.window.get("start_month", 1)
        return (day.month - start) % size == 0

    def term(self, given: date, *, at_its_beginning: bool) -> date:
        end = same_day(given, self.keep)
        if not at_its_beginning:
            end += timedelta(days=1)
        while not self.begins_a_period(end):
            end += timedelta(days=1)
        return end

    def earned(self, today: date) -> int:
        if "months" in self.window:
            first = same_day(today, -self.window["months"]) + timedelta(days=1)
        else:
            first = today
            while not self.begins_a_period(first):
                first -= timedelta(days=1)
        amount = sum(total for day, total in self.bought if first <= day <= today)
        return sum(1 for tier in LADDER if amount >= tier["threshold"]) - 1

    def morning(self, today: date) -> None:
        if self.until == today:
            self.level = self.earned(today - timedelta(days=1))
            self.until = self.term(today, at_its_beginning=True) if self.level else None

    def buy(self, today: date, total: int) -> None:
        self.bought.append((today, total))
        if self.earned(today) > self.level:
            self.level = self.earned(today)
            self.until = self.term(today, at_its_beginning=False)


def end_of(reference: Reference) -> tuple[str, datetime | None]:
    until = reference.until
    return f"t{reference.level}", at(until.isoformat(), "00:00") if until else None


@settings(
    max_examples=40, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(window=windows, keep=st.integers(1, 14), bought=purchases, looked=looks)
async def test_whenever_reviews_run_ranks_are_as_if_each_had_come_in_time(
    db: Database,
    window: dict[str, Any],
    keep: int,
    bought: list[tuple[int, int, bool]],
    looked: list[int],
) -> None:
    members, reference = Members(db), Reference(window, keep)
    members._orders = next(NUMBERS) * 1_000  # noqa: SLF001
    tiers_ = {"tiers": LADDER, "window": window, "keep_months": keep}
    await members.save(RankPolicy.model_validate(tiers_))
    [ken] = await members.join(f"ken-{next(NUMBERS)}")
    await members.promote(at(START.isoformat()), ken)
    orders: dict[int, list[tuple[int, bool]]] = {}
    for offset, total, late_at_night in bought:
        orders.setdefault(offset, []).append((total, late_at_night))

    for offset in range(DAYS):
        today = START + timedelta(days=offset)
        reference.morning(today)
        if offset in looked:
            await members.promote(at(today.isoformat(), "00:05"), ken)
            assert await members.rank(ken) == end_of(reference)
        for total, late_at_night in orders.get(offset, []):
            reference.buy(today, total)
            clock = "23:59:59" if late_at_night else "12:00"
            await members.buy(ken, today.isoformat(), total, clock=clock)
            await members.promote(at(today.isoformat(), "23:59:59"), ken)
            assert await members.rank(ken) == end_of(reference)
