"""A list of what a correct client must never do."""

from collections.abc import Iterator
from typing import Literal

from simulator.clock import Clock, iso

Kind = Literal[
    "duplicate_recipient",
    "malformed_request",
    "malformed_retry_key",
    "retry_key_after_24_hours",
    "retry_key_changed",
    "retry_key_not_allowed",
    "unknown_property",
]
MAX_KEPT = 10_000


class Violations:
    """What was seen, oldest first; the newest 10,000 are kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: list[dict[str, object]] = []

    def add(self, kind: Kind, endpoint: str, request_id: str, detail: str) -> None:
        """Note one. `detail` never quotes a message."""
        if len(self._seen) >= MAX_KEPT:
            del self._seen[: MAX_KEPT // 10]
        self._seen.append(
            {
                "at": iso(self._clock.ms()),
                "kind": kind,
                "endpoint": endpoint,
                "request_id": request_id,
                "detail": detail,
            }
        )

    def __iter__(self) -> Iterator[dict[str, object]]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)

    def kinds(self) -> list[str]:
        """Just what happened, in order."""
        return [str(violation["kind"]) for violation in self._seen]

    def clear(self) -> None:
        """A clean slate."""
        self._seen.clear()
