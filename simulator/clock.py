"""The time on the stand-in's wall: real, or standing still until somebody travels."""

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

JAPAN = ZoneInfo("Asia/Tokyo")
EVENT_STEP_MS = 3  # What one event adds while the simulated clock stands still.


class Clock:
    """One source of time for everything in the stand-in."""

    def __init__(self, *, simulated: bool = False, start: datetime | None = None) -> None:
        self.simulated = simulated
        self._offset_ms = 0
        self._travelled_ms = 0
        self._standing_ms = _real_ms()
        self._last_stamp = 0
        if start is not None:
            self.move_to(start)
            self._travelled_ms = 0

    def ms(self) -> int:
        """Milliseconds since 1970."""
        return self._standing_ms if self.simulated else _real_ms() + self._offset_ms

    def now(self) -> datetime:
        """The same as an aware UTC datetime."""
        return from_ms(self.ms())

    def stamp(self) -> int:
        """A time for an event in milliseconds, later than any stamp before."""
        if self.simulated:
            self._standing_ms += EVENT_STEP_MS
        self._last_stamp = max(self.ms(), self._last_stamp + 1)
        return self._last_stamp

    def elapsed(self) -> float:
        """Seconds that pass really plus those travelled: what token buckets refill by."""
        return time.monotonic() + self._travelled_ms / 1000

    def advance(self, by: timedelta) -> None:
        """Travel forward by so much."""
        self.move_to(self.now() + by)

    def move_to(self, when: datetime) -> None:
        """Travel to a moment, backwards too (a shop may live in another year)."""
        by = to_ms(when) - self.ms()
        if self.simulated:
            self._standing_ms += by
        else:
            self._offset_ms += by
        self._travelled_ms += max(by, 0)
        self._last_stamp = min(self._last_stamp, self.ms())


def _real_ms() -> int:
    return time.time_ns() // 1_000_000


def from_ms(ms: int) -> datetime:
    """An aware UTC datetime from milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def to_ms(when: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime."""
    return round(when.timestamp() * 1000)


def iso(ms: int) -> str:
    """ISO 8601 in UTC with milliseconds, as in `2026-10-24T09:30:00.000Z`."""
    return from_ms(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def japan_day(ms: int) -> str:
    """The day in Japan as LINE's statistics write it: `yyyyMMdd`."""
    return _day_of_minute(ms // 60_000)


@lru_cache(maxsize=4_096)
def _day_of_minute(minute: int) -> str:
    """Asked for with every message, so it is worth remembering."""
    return from_ms(minute * 60_000).astimezone(JAPAN).strftime("%Y%m%d")


def japan_month(ms: int) -> str:
    """The calendar month in Japan, `yyyyMM`: the period of the message quota."""
    return japan_day(ms)[:6]
