"""Moving a simulated clock: everything that falls due on the way runs, in order."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from admin.clock import Ran
from core.clock import SimulatedClock
from core.errors import Conflict
from core.jobs import BeltRunner
from core.runtime import Runtime
from server import timetable
from server.worker import look

PATIENCE_SECONDS = 15.0
PAUSE_SECONDS = 0.05


class Traveller:
    """Moves the clock from one due moment to the next; one journey at a time."""

    def __init__(self, runtime: Runtime, runner: BeltRunner) -> None:
        self._runtime, self._runner = runtime, runner
        self._lock = asyncio.Lock()
        self._told: Counter[str] = Counter()

    async def __call__(self, to: datetime) -> list[Ran]:
        """Move to a moment; returns what ran on the way. Raises `Conflict` when it is past."""
        clock = self._runtime.clock
        if not isinstance(clock, SimulatedClock):
            raise Conflict("The clock is the real one; it cannot be moved.")
        async with self._lock:
            self._news()
            ran: list[Ran] = []
            now = await clock.now()
            if to < now:
                raise Conflict(f"Time cannot go back from {now.isoformat()} to {to.isoformat()}.")
            while True:
                ran += await self._work_off(now)
                moment, slots = await self._next_stop(now, to)
                now = await clock.move_to(moment)
                if slots:
                    await timetable.plan(self._runtime, slots)
                if moment >= to:
                    return ran + await self._work_off(now)

    async def _next_stop(
        self, now: datetime, to: datetime
    ) -> tuple[datetime, list[tuple[str, datetime]]]:
        """The next moment at which something falls due, at most `to`, and the slots it begins.

        Housekeeping runs once for all of its slots up to what falls due next, and before it.
        """
        entries = timetable.entries(self._runtime)
        until = min([to, *await self._due_rows(now), *await self._appointments(entries, now)])
        slots = [
            (entry.name, slot)
            for entry in entries
            if (slot := timetable.newest_passed(entry, now, until)) is not None
        ]
        return max((slot for _name, slot in slots), default=until).astimezone(UTC), slots

    async def _due_rows(self, now: datetime) -> list[datetime]:
        return [at for _belt, _count, at in await look(self._runtime, now) if at is not None]

    async def _appointments(
        self, entries: Sequence[timetable.Entry], now: datetime
    ) -> list[datetime]:
        """The next slot of each entry whose moment matters to customers, where it has something."""
        slots = []
        for entry in entries:
            if entry.housekeeping:
                continue
            first = now
            if entry.waits_for is not None:
                waits_for = await entry.waits_for(self._runtime)
                if waits_for is None:
                    continue
                first = max(now, waits_for - timedelta(seconds=1))
            slots.append(timetable.next_slot(entry, first))
        return [slot for slot in slots if slot is not None]

    async def _work_off(self, now: datetime) -> list[Ran]:
        """Run all belts until nothing is due; what backs off is waited for, within patience."""
        waited = 0.0
        while waited < PATIENCE_SECONDS:
            busy = [belt.name for belt, due, _next in await look(self._runtime, now) if due]
            if not busy:
                break
            before = self._runner.moved.total()
            for name in busy:
                await self._runner.run(name)
            if self._runner.moved.total() > before:
                waited = 0.0
            else:
                await asyncio.sleep(PAUSE_SECONDS)
                waited += PAUSE_SECONDS
        news = self._news()
        return [
            Ran(at=now, what=name, count=news[name]) for name in self._runner.belts if news[name]
        ]

    def _news(self) -> Counter[str]:
        """Rows moved since this was asked last; wake-ups and the sweep run the belts as well."""
        news = self._runner.moved - self._told
        self._told = self._runner.moved.copy()
        return news
