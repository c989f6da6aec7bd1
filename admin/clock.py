"""Moving the simulated time: what the server hands to the admin API."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ran:
    """What ran on the way: `count` rows of the belt or job `what`, at this moment of the shop."""

    at: datetime
    what: str
    count: int


class AdvanceClock(Protocol):
    """Moves the time on and runs, in order, everything that falls due on the way."""

    async def __call__(self, to: datetime) -> Sequence[Ran]:
        """Returns what ran, in order; raises `Conflict` when `to` is in the past."""
