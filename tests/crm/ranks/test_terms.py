"""Windows and terms by the shop's calendar: leap days, month ends, year change, Asia/Tokyo."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm.ranks.policy import RankPolicy
from crm.ranks.terms import holds_until, last_day, term_end, windows, windows_at_end
from tests.crm.ranks.conftest import TOKYO, at

Make = Callable[..., RankPolicy]
YEAR = {"calendar": "year"}
FISCAL = {"calendar": "year", "start_month": 4}
HALF = {"calendar": "half", "start_month": 4}
QUARTER = {"calendar": "quarter", "start_month": 3}

ROLLING = [
    # months, today, first day that counts
    (12, "2041-11-22", "2040-11-23"),
    (12, "2044-02-29", "2043-03-01"),  # the leap day itself: 28 February is a year and a day ago
    (12, "2045-02-28", "2044-02-29"),
    (12, "2045-03-01", "2044-03-02"),
    (1, "2041-03-31", "2041-03-01"),  # the whole of March
    (1, "2041-03-30", "2041-03-01"),
    (1, "2041-02-28", "2041-01-29"),
    (12, "2041-12-31", "2041-01-01"),
    (12, "2042-01-01", "2041-01-02"),
]


@pytest.mark.parametrize(("months", "today", "first"), ROLLING)
def test_a_rolling_window_ends_with_today(
    policy: Make, months: int, today: str, first: str
) -> None:
    made = policy(window={"months": months})
    tomorrow = at(today, "00:00") + timedelta(days=1)

    for clock in ("00:00", "12:00", "23:59:59"):
        [span] = windows(made, at(today, clock), TOKYO)
        assert (span.begin, span.end) == (at(first, "00:00"), tomorrow)


CALENDAR: list[tuple[dict[str, Any], str, str, str, str]] = [
    # window, today, begins, ends before, the one before began
    (YEAR, "2041-01-01", "2041-01-01", "2042-01-01", "2040-01-01"),
    (YEAR, "2041-12-31", "2041-01-01", "2042-01-01", "2040-01-01"),
    (FISCAL, "2041-03-31", "2040-04-01", "2041-04-01", "2039-04-01"),
    (FISCAL, "2041-04-01", "2041-04-01", "2042-04-01", "2040-04-01"),
    (HALF, "2042-02-10", "2041-10-01", "2042-04-01", "2041-04-01"),
    ({"calendar": "quarter"}, "2044-02-29", "2044-01-01", "2044-04-01", "2043-10-01"),
    (QUARTER, "2044-02-29", "2043-12-01", "2044-03-01", "2043-09-01"),
    ({"calendar": "month"}, "2044-02-29", "2044-02-01", "2044-03-01", "2044-01-01"),
]  # fmt: skip


@pytest.mark.parametrize(("window", "today", "begin", "end", "before"), CALENDAR)
def test_a_calendar_window_is_this_period_or_the_one_before(
    policy: Make, window: dict[str, Any], today: str, begin: str, end: str, before: str
) -> None:
    this, last = windows(policy(window=window), at(today), TOKYO)

    assert (this.begin, this.end) == (at(begin, "00:00"), at(end, "00:00"))
    assert (last.begin, last.end) == (at(before, "00:00"), at(begin, "00:00"))


def test_the_year_of_tokyo_begins_at_fifteen_hours_utc(policy: Make) -> None:
    made = policy(window=YEAR)
    new_year = datetime(2041, 12, 31, 15, tzinfo=UTC)

    assert windows(made, new_year, TOKYO)[0].begin == new_year
    assert windows(made, new_year - timedelta(microseconds=1), TOKYO)[0].end == new_year


TERMS: list[tuple[dict[str, Any], int, str, str, str]] = [
    # window, months kept, given on, at, kept until the beginning of
    ({"months": 12}, 12, "2041-06-15", "12:00", "2042-07-01"),
    ({"months": 12}, 12, "2041-06-01", "00:00", "2042-06-01"),  # a term after a term
    ({"months": 12}, 12, "2041-06-01", "00:01", "2042-07-01"),
    ({"months": 12}, 1, "2044-01-31", "12:00", "2044-03-01"),  # to 29 February, and its month's end
    ({"months": 3}, 12, "2044-02-29", "12:00", "2045-03-01"),
    ({"months": 12}, 6, "2041-12-31", "23:59", "2042-07-01"),
    (YEAR, 12, "2041-06-15", "12:00", "2043-01-01"),
    (YEAR, 12, "2042-01-01", "00:00", "2043-01-01"),
    (YEAR, 1, "2041-06-15", "12:00", "2042-01-01"),
    (YEAR, 1, "2041-12-15", "12:00", "2043-01-01"),
    (FISCAL, 12, "2041-03-31", "12:00", "2042-04-01"),
    ({"calendar": "month"}, 1, "2041-12-31", "12:00", "2042-02-01"),
]


@pytest.mark.parametrize(("window", "keep", "day", "clock", "end"), TERMS)
def test_a_rank_is_kept_to_the_end_of_the_month_or_period(
    policy: Make, window: dict[str, Any], keep: int, day: str, clock: str, end: str
) -> None:
    made = policy(window=window, keep_months=keep)

    assert term_end(made, at(day, clock), TOKYO) == at(end, "00:00")


def test_a_term_is_judged_by_the_window_that_ends_with_it(policy: Make) -> None:
    end = at("2042-01-01", "00:00")

    [rolling] = windows_at_end(policy(window={"months": 12}), end, TOKYO)
    [calendar] = windows_at_end(policy(window=YEAR), end, TOKYO)
    under_way = windows_at_end(policy(window=FISCAL), end, TOKYO)  # the policy was another before

    assert (rolling.begin, rolling.end) == (at("2041-01-01", "00:00"), end)
    assert (calendar.begin, calendar.end) == (at("2041-01-01", "00:00"), end)
    assert [span.begin for span in under_way] == [
        at("2041-04-01", "00:00"),
        at("2040-04-01", "00:00"),
    ]
    assert last_day(end, TOKYO).isoformat() == "2041-12-31"


def test_what_is_achieved_holds_as_long_as_the_oldest_purchase_is_in_the_window(
    policy: Make,
) -> None:
    for months in (1, 3, 12):
        made = policy(window={"months": months})
        for offset in range(1_500):
            bought = at("2043-01-01") + timedelta(days=offset)
            until = holds_until(made, bought, bought, TOKYO)
            assert until is not None
            before, after = until - timedelta(seconds=1), until
            assert windows(made, before, TOKYO)[0].begin <= bought
            assert windows(made, after, TOKYO)[0].begin > bought

    assert holds_until(policy(), None, at("2041-06-01"), TOKYO) is None
    yearly = holds_until(policy(window=YEAR), None, at("2041-06-01"), TOKYO)
    assert yearly == at("2042-01-01", "00:00")
