"""Moving a simulated clock: everything that falls due on the way runs, in order."""

import asyncio
from datetime import datetime

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

    async def __call__(self, to: datetime) -> list[Ran]:
        """Move to a moment; returns what ran on the way. Raises `Conflict` when it is past."""
        clock = self._runtime.clock
        if not isinstance(clock, SimulatedClock):
            raise Conflict("The clock is the real one; it cannot be moved.")
        async with self._lock:
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
        """The next moment at which something falls due, at most `to`, and the slots it begins."""
        slots = [
            (entry.name, slot)
            for entry in timetable.entries(self._runtime)
            if (slot := timetable.next_slot(entry, now)) is not None
        ]
        rows = [at for _belt, _count, at in await look(self._runtime, now) if at is not None]
        moment = min([to, *rows, *(slot for _name, slot in slots)])
        return moment, [(name, slot) for name, slot in slots if slot == moment]

    async def _work_off(self, now: datetime) -> list[Ran]:
        """Run all belts until nothing is due; what backs off is waited for, within patience."""
        counts = dict.fromkeys(self._runner.belts, 0)
        waited = 0.0
        while waited < PATIENCE_SECONDS:
            busy = [belt.name for belt, due, _next in await look(self._runtime, now) if due]
            if not busy:
                break
            moved = 0
            for name in busy:
                done = await self._runner.run(name)
                counts[name] += done
                moved += done
            if not moved:
                await asyncio.sleep(PAUSE_SECONDS)
            waited = 0.0 if moved else waited + PAUSE_SECONDS
        return [Ran(at=now, what=name, count=count) for name, count in counts.items() if count]
