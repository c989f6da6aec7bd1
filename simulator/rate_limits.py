"""Token buckets per channel and endpoint, with LINE's sizes.

Source: https://developers.line.biz/en/reference/messaging-api/#rate-limits
"""

from dataclasses import dataclass

SECOND, MINUTE, HOUR = 1.0, 60.0, 3600.0
_ROUNDING = 1e-6  # Seconds that adding fractions may be off by.


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds; the bucket holds as many at once."""

    count: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds until one spent token is back."""
        return self.seconds / self.count


NORMAL = Rate(2_000, SECOND)


class Buckets:
    """One number per bucket: when it would be full again (the generic cell rate algorithm)."""

    def __init__(self) -> None:
        self._full_at: dict[tuple[str, str], float] = {}

    def take(self, channel_id: str, endpoint: str, rate: Rate, now: float) -> bool:
        """Take one token; False when the bucket is empty. `now` in seconds, never going back."""
        key = (channel_id, endpoint)
        full_at = max(self._full_at.get(key, now), now) + rate.interval
        if full_at - now > rate.seconds + _ROUNDING:
            return False
        self._full_at[key] = full_at
        return True

    def clear(self) -> None:
        """All buckets are full again."""
        self._full_at.clear()
