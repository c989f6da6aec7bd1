"""What a process holds: settings, database, clock, LINE client, wake-ups, keys."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core import metrics
from core.clock import Clock, RealClock, SimulatedClock
from core.db import Database
from core.jobs import WakeUps
from core.line.client import LineClient
from core.pace import Pace
from core.sealing import Seal, Signer
from core.settings import Settings


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Runtime:
    """Handed to every belt, job and request."""

    settings: Settings
    db: Database
    clock: Clock
    line: LineClient
    wakes: WakeUps
    pace: Pace
    seal: Seal
    buttons: Signer


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Runtime]:
    """Open everything that the settings name and close it again in the right order."""
    db = Database(settings)
    seal = Seal(settings.key)
    pace = Pace(settings.redis_url)
    line = LineClient(
        api_url=settings.line_api_url,
        data_api_url=settings.line_data_api_url,
        on_call=metrics.line_call,
    )
    try:
        async with line, pace, WakeUps(settings.redis_url) as wakes:
            yield Runtime(
                settings=settings,
                db=db,
                clock=SimulatedClock(db) if settings.clock == "simulated" else RealClock(),
                line=line,
                wakes=wakes,
                pace=pace,
                seal=seal,
                buttons=seal.signer("buttons"),
            )
    finally:
        await db.close()


def settle_memory() -> None:
    """Have the garbage collector leave alone what lives as long as the process.

    To be called once, when everything is loaded. It would else walk through some 300,000 objects of
    code and schemas time and again, and holds up requests and sends meanwhile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
