"""A post office: messages are queued, calls go to the stand-in, leases run out on demand."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select, update

from core.clock import SimulatedClock
from core.db import table
from core.runtime import Runtime
from crm import channels
from crm.models import Channel, Friend
from delivery import outbox, quota, reply_tokens
from delivery.dispatcher import dispatch
from delivery.models import Delivery, Dispatch, Quota
from delivery.outbox import Parcel
from simulator.chats import Accepted
from tests.cast import Cast
from tests.conftest import StandIn

ROUNDS = 60


class Post:
    """What goes out, what became of it, and what LINE saw."""

    def __init__(self, runtime: Runtime, line: StandIn) -> None:
        self.runtime, self.line = runtime, line
        self._numbers = count(1)

    async def now(self) -> datetime:
        """The shop's time."""
        return await self.runtime.clock.now()

    async def travel(self, by: timedelta) -> datetime:
        """Move the shop's time and LINE's on; nothing runs on the way."""
        assert isinstance(self.runtime.clock, SimulatedClock)
        self.line.platform.clock.advance(by)
        return await self.runtime.clock.move_to(await self.now() + by)

    async def queue(self, friend: Friend, *texts: str, due_in: timedelta = timedelta(0)) -> int:
        """Queue one delivery with these texts; returns its id."""
        now, source = await self.now(), f"test:{next(self._numbers)}"
        words = [{"type": "text", "text": text} for text in texts or ("こんにちは",)]
        assert friend.id is not None
        parcel = Parcel(friend.channel_id, friend.id, source, words, now + due_in)
        async with self.runtime.db.transaction() as session:
            await outbox.queue(session, [parcel], now=now)
            found = await session.scalar(
                select(table(Delivery).c.id).where(table(Delivery).c.source == source)
            )
        assert found is not None
        return int(found)

    async def token_of(self, friend: Friend, *, event_age: timedelta = timedelta(0)) -> str:
        """A reply token as if the friend had just written."""
        now, platform = await self.now(), self.line.platform
        event_at = platform.clock.ms() - int(event_age.total_seconds() * 1000)
        token = platform.reply_tokens.issue(platform.first_channel.id, friend.user_id, event_at)
        platform.reply_tokens.sent(token.token)
        assert friend.id is not None
        async with self.runtime.db.transaction() as session:
            kept = (token.token, friend.id, now - event_age, now)
            await reply_tokens.keep(session, [kept], now=now)
        return token.token

    async def send(self) -> None:
        """Send what is due; what backs off is due at once."""
        for _ in range(ROUNDS):
            await self.lease_over()
            if not await dispatch(self.runtime):
                return
        raise AssertionError("the post does not come to rest")

    async def lease_over(self) -> None:
        """All leases and pauses are over."""
        d = table(Dispatch)
        async with self.runtime.db.transaction() as session:
            await session.execute(update(d).values(retry_at=self.runtime.clock.wall()))

    def faults(self, *rules: dict[str, Any], seed: int = 1) -> None:
        """What goes wrong at LINE from now on; none: all is well again."""
        self.line.platform.faults.set({"rules": list(rules), "seed": seed})

    async def delivery(self, id_: int) -> Any:
        """The row of a delivery."""
        d = table(Delivery)
        async with self.runtime.db.reading() as session:
            return (await session.execute(select(d).where(d.c.id == id_))).one()

    async def states(self, *ids: int) -> list[str]:
        """The states of these deliveries."""
        return [(await self.delivery(id_)).state for id_ in ids]

    async def calls(self) -> list[Any]:
        """All dispatches, in no order that means anything."""
        d = table(Dispatch)
        async with self.runtime.db.reading() as session:
            return list(await session.execute(select(d)))

    async def quota_is(self, limit: int, *, used: int = 0) -> None:
        """LINE has told this limit for this month, and so many used."""
        now = await self.now()
        async with self.runtime.db.transaction() as session:
            channel_id = (await session.scalars(select(table(Channel).c.id))).one()
            session.add(
                Quota(
                    channel_id=channel_id, month=quota.month_of(now), limited=True,
                    limit_value=limit, line_usage=used, counted=used, refreshed_at=now,
                )
            )  # fmt: skip

    async def counted(self) -> dict[str, int]:
        """Our own count of pushes by month."""
        q = table(Quota)
        async with self.runtime.db.reading() as session:
            rows = await session.execute(select(q).order_by(q.c.month))
            return {row.month: row.counted for row in rows}

    @property
    def accepted(self) -> list[Accepted]:
        """What LINE has taken."""
        return self.line.platform.accepted

    @property
    def violations(self) -> list[str]:
        """What LINE saw that a correct client never does."""
        return self.line.platform.violations.kinds()

    async def mend_token(self, token: str) -> None:
        """Have the operator set another channel access token."""
        async with self.runtime.db.transaction() as session:
            sealed = self.runtime.seal.encrypt(token)
            await session.execute(update(table(Channel)).values(sealed_access_token=sealed))
        channels.of(self.runtime).forget()


@pytest.fixture
def post(runtime: Runtime, line: StandIn) -> Post:
    """The post office."""
    return Post(runtime, line)


@pytest.fixture
def cast(runtime: Runtime, line: StandIn) -> Cast:
    """The people."""
    return Cast(runtime, line)
