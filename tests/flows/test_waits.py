"""How long a wait is: days by the shop's calendar, hours by the watch, then a clock time."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, strategies as st

from flows.definition import Wait

TOKYO, NEW_YORK = "Asia/Tokyo", "America/New_York"


def local(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


# A wait, from when (the shop's time), until when (the shop's time).
@pytest.mark.parametrize(
    ("wait", "zone", "start", "end"),
    [
        # days alone: the same clock time
        ({"days": 3}, TOKYO, "2026-11-03T20:15", "2026-11-06T20:15"),
        # days and a clock time: that time of that day, however late it is now
        ({"days": 3, "at": "19:00"}, TOKYO, "2026-11-03T10:00", "2026-11-06T19:00"),
        ({"days": 3, "at": "19:00"}, TOKYO, "2026-11-03T23:59", "2026-11-06T19:00"),
        ({"days": 3, "at": "19:00"}, TOKYO, "2026-11-03T00:00", "2026-11-06T19:00"),
        ({"days": 1, "at": "0:00"}, TOKYO, "2026-11-03T23:59", "2026-11-04T00:00"),
        # 23:59 in Tokyo is 14:59 in UTC; a minute later it is the next day there only
        ({"days": 1, "at": "10:00"}, TOKYO, "2026-11-03T23:59", "2026-11-04T10:00"),
        ({"days": 1, "at": "10:00"}, TOKYO, "2026-11-04T00:00", "2026-11-05T10:00"),
        # a clock time alone: the next time it strikes
        ({"at": "19:00"}, TOKYO, "2026-11-03T18:59", "2026-11-03T19:00"),
        ({"at": "19:00"}, TOKYO, "2026-11-03T19:00", "2026-11-04T19:00"),
        ({"at": "19:00"}, TOKYO, "2026-11-03T19:01", "2026-11-04T19:00"),
        ({"at": "23:59"}, TOKYO, "2026-12-31T23:59", "2027-01-01T23:59"),
        # month ends and leap days
        ({"days": 1}, TOKYO, "2026-01-31T09:00", "2026-02-01T09:00"),
        ({"days": 30, "at": "9:00"}, TOKYO, "2026-01-31T09:00", "2026-03-02T09:00"),
        ({"days": 1}, TOKYO, "2028-02-28T09:00", "2028-02-29T09:00"),
        ({"days": 1}, TOKYO, "2027-02-28T09:00", "2027-03-01T09:00"),
        ({"days": 366}, TOKYO, "2028-02-29T09:00", "2029-03-01T09:00"),
        # hours and minutes are waited in full
        ({"hours": 5}, TOKYO, "2026-11-03T22:00", "2026-11-04T03:00"),
        ({"minutes": 90}, TOKYO, "2026-11-03T23:00", "2026-11-04T00:30"),
        ({"days": 1, "hours": 2}, TOKYO, "2026-11-03T22:00", "2026-11-05T00:00"),
        ({"hours": 5, "at": "12:00"}, TOKYO, "2026-11-03T10:00", "2026-11-04T12:00"),
        ({"hours": 2, "at": "12:00"}, TOKYO, "2026-11-03T10:00", "2026-11-03T12:00"),
        ({"hours": 30, "at": "09:00"}, TOKYO, "2026-11-03T10:00", "2026-11-05T09:00"),
        # summer time: a day is a calendar day, an hour is an hour
        ({"days": 1}, NEW_YORK, "2026-03-07T20:00", "2026-03-08T20:00"),  # 23 hours
        ({"days": 1}, NEW_YORK, "2026-10-31T20:00", "2026-11-01T20:00"),  # 25 hours
        ({"hours": 24}, NEW_YORK, "2026-03-07T20:00", "2026-03-08T21:00"),
        ({"hours": 24}, NEW_YORK, "2026-10-31T20:00", "2026-11-01T19:00"),
        ({"days": 1, "at": "19:00"}, NEW_YORK, "2026-03-07T20:00", "2026-03-08T19:00"),
        ({"at": "19:00"}, NEW_YORK, "2026-10-31T20:00", "2026-11-01T19:00"),
        ({"days": 1, "at": "02:30"}, NEW_YORK, "2026-03-07T20:00", "2026-03-08T03:30"),  # no 2:30
        ({"days": 1, "at": "01:30"}, NEW_YORK, "2026-10-31T20:00", "2026-11-01T01:30"),  # the first
    ],
)
def test_when_a_wait_ends(wait: dict[str, object], zone: str, start: str, end: str) -> None:
    began = local(start, zone).astimezone(UTC)

    until = Wait.model_validate(wait).until(began, ZoneInfo(zone))

    assert until == local(end, zone).astimezone(UTC)
    assert until.tzinfo is UTC


MOMENTS = st.integers(1_577_836_800, 2_208_988_800).map(lambda s: datetime.fromtimestamp(s, UTC))


@given(
    start=MOMENTS,
    zone=st.sampled_from([TOKYO, NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"]),
    days=st.integers(0, 400),
    hours=st.integers(0, 100),
    minutes=st.integers(0, 200),
    at=st.none() | st.tuples(st.integers(0, 23), st.integers(0, 59)),
)
def test_a_wait_ends_later_than_it_begins_and_at_its_clock_time(
    start: datetime, zone: str, days: int, hours: int, minutes: int, at: tuple[int, int] | None
) -> None:
    said: dict[str, Any] = {"at": f"{at[0]:02}:{at[1]:02}"} if at else {}
    assume(days or hours or minutes or said)
    wait = Wait(days=days, hours=hours, minutes=minutes, **said)

    until = wait.until(start, ZoneInfo(zone))

    assert until > start
    assert until >= start + timedelta(hours=hours, minutes=minutes)
    if at:  # save for the hours that a change to summer time leaves out
        there = until.astimezone(ZoneInfo(zone))
        left_out = there.utcoffset() != (there - timedelta(hours=3)).utcoffset()
        assert (there.hour, there.minute) == at or left_out
