"""Things happen to people, flows react, time passes: without a web server in between."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update

from core.clock import SimulatedClock
from core.db import table
from core.runtime import Runtime
from crm import activities
from crm.activities import Fact
from crm.models import Friend
from delivery.models import Delivery
from flows import engine, files, store
from flows.models import Enrolment
from server import reactions
from tests.cast import Cast
from tests.conftest import StandIn


class Life:
    """What happens to friends, and what flows make of it."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._numbers = count(1)

    async def publish(self, text: str) -> None:
        """Save and publish a flow from its YAML; the steps come from `steps:` on."""
        now = await self.now()
        async with self.runtime.db.transaction() as session:
            await store.save(session, (flow := files.read(text)), now=now)
            await store.publish(session, flow.key, now=now)

    async def now(self) -> datetime:
        """The shop's time."""
        return await self.runtime.clock.now()

    async def travel(self, by: timedelta) -> None:
        """Move the shop's time on, and do what is due then."""
        assert isinstance(self.runtime.clock, SimulatedClock)
        await self.runtime.clock.move_to(await self.now() + by)
        await self.walk()

    async def record(
        self,
        kind: str,
        *friends: Friend,
        data: dict[str, Any] | None = None,
        ago: timedelta = timedelta(0),
    ) -> None:
        """Something happened to each of them; nobody has reacted yet."""
        now = await self.now()
        facts = [
            Fact(
                customer_id=friend.customer_id, kind=kind, occurred_at=now - ago,
                friend_id=friend.id, data=data or {}, source=f"test:{next(self._numbers)}",
            )
            for friend in friends
        ]  # fmt: skip
        async with self.runtime.db.transaction() as session:
            await activities.record(session, facts, now=now)

    async def happens(self, kind: str, *friends: Friend, **more: Any) -> None:
        """Something happens to each of them, flows react, and what is due is done."""
        await self.record(kind, *friends, **more)
        await self.react()
        await self.walk()

    async def react(self) -> None:
        """Let flows react to all that has happened."""
        while await reactions.react(self.runtime):
            pass

    async def walk(self) -> None:
        """Do all due steps."""
        while await engine.advance(self.runtime):
            pass

    async def pauses_are_over(self) -> None:
        """A step that failed may be tried again now."""
        async with self.runtime.db.transaction() as session:
            await session.execute(update(table(Enrolment)).values(retry_at=None))

    async def enrolments(self, friend: Friend | None = None) -> list[Any]:
        """The walks (of one friend), in the order in which they began."""
        e = table(Enrolment)
        query = select(e).order_by(e.c.id)
        query = query.where(e.c.friend_id == friend.id) if friend else query
        async with self.runtime.db.reading() as session:
            return list(await session.execute(query))

    async def states(self, *friends: Friend) -> list[str]:
        """The state of each one's only walk."""
        walks = [await self.enrolments(friend) for friend in friends]
        return [row.state for (row,) in walks]

    async def queued(self, friend: Friend | None = None) -> list[Any]:
        """What was queued (for one friend), in order."""
        d = table(Delivery)
        query = select(d).order_by(d.c.id)
        query = query.where(d.c.friend_id == friend.id) if friend else query
        async with self.runtime.db.reading() as session:
            return list(await session.execute(query))

    async def texts(self, friend: Friend | None = None) -> list[str]:
        """The texts that were queued (for one friend), in order."""
        rows = await self.queued(friend)
        return [message["text"] for row in rows for message in orjson.loads(row.messages)]


def flow(
    *steps: str,
    key: str = "hello",
    on: str = "followed",
    where: str = "{}",
    once: str = "ever",
    ends: str = "",
) -> str:
    """The YAML of a flow with these steps."""
    lines: Iterable[str] = (f"  - {step}\n" for step in steps or ("say: はい",))
    exits = f"exit: {{when: {{activity: {ends}}}}}\n" if ends else ""
    head = f"key: {key}\nname: {key}\ntrigger: {{on: {on}, where: {where}}}\n"
    return f"{head}entry: {{once: {once}}}\n{exits}steps:\n{''.join(lines)}"


@pytest.fixture
def life(runtime: Runtime) -> Life:
    """What happens."""
    return Life(runtime)


@pytest.fixture
def cast(runtime: Runtime, line: StandIn) -> Cast:
    """The people."""
    return Cast(runtime, line)
