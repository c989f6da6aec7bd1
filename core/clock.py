"""The one clock. Nothing else asks the machine for the time.

`now` is the shop's time, which the demo and the tests move at will; `wall` is the machine's, for
leases and back-off, which are about processes and networks and go on whatever the shop's time does.
"""

from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from core.db import Database, table
from core.errors import Conflict
from core.models import SimulatedTime

AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)  # for columns in machine time: due whatever the time


def wall() -> datetime:
    """The machine's time, UTC."""
    return datetime.now(UTC)


class Clock(Protocol):
    """Where the shop's time comes from."""

    simulated: bool

    async def now(self) -> datetime:
        """The shop's time, UTC."""

    def wall(self) -> datetime:
        """The machine's time, UTC; for leases and back-off only."""


class RealClock:
    """Time as it passes."""

    simulated = False

    async def now(self) -> datetime:
        """The machine's time, UTC."""
        return wall()

    def wall(self) -> datetime:
        """The same."""
        return wall()


class SimulatedClock:
    """Time that stands still until told; kept in the database, so all processes share it."""

    simulated = True

    def __init__(self, db: Database) -> None:
        self._db = db

    async def now(self) -> datetime:
        """The shop's time; the first call ever starts it at the machine's time."""
        async with self._db.reading() as session:
            found: datetime | None = await session.scalar(select(table(SimulatedTime).c.now_at))
        return found if found is not None else await self._start()

    async def move_to(self, moment: datetime) -> datetime:
        """Set the time; raises `Conflict` when that would be backwards."""
        time = table(SimulatedTime)
        now = await self.now()
        query = update(time).where(time.c.now_at <= moment).values(now_at=moment)
        async with self._db.transaction() as session:  # one statement: two may move it at once
            moved = (await session.execute(query.returning(time.c.id))).first()
        if moved is None:
            raise Conflict(f"Time cannot go back from {now.isoformat()} to {moment.isoformat()}.")
        return moment

    def wall(self) -> datetime:
        """The machine's time, UTC."""
        return wall()

    async def _start(self) -> datetime:
        moment = wall().replace(microsecond=0)
        try:
            async with self._db.transaction() as session:
                await session.execute(insert(table(SimulatedTime)).values(id=1, now_at=moment))
        except IntegrityError:  # another process was first
            return await self.now()
        return moment
