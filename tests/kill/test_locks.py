"""Two workers that want the same friends: both get them in one order, so neither waits for ever."""

import asyncio

from sqlalchemy import text

from bot import profiles
from core.db import dialect_of
from core.runtime import Runtime
from crm import friends
from tests.conftest import StandIn

SLOW = {"rules": [{"kind": "slow", "endpoint": "profile", "delay_seconds": 0.5}]}
WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")


async def test_profiles_come_in_while_the_same_friends_write(
    runtime: Runtime, line: StandIn
) -> None:
    """Ken is gone from LINE, so his row is changed last; the worker below wants it first."""
    hana = line.platform.people.invite("花").user_id
    line.platform.first_channel.friend(hana).status = "friend"
    ken = "U" + "0" * 32
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        await friends.recognise(session, 1, [ken], now=now)
        await friends.recognise(session, 1, [hana], now=now)
    line.platform.faults.set(SLOW)

    fetching = asyncio.create_task(profiles.fetch(runtime))
    await _asked(line)
    async with runtime.db.transaction() as session:
        await friends.recognise(session, 1, [ken], now=now)
        await _waits_for_us(runtime, dialect_of(session))
        await friends.recognise(session, 1, [hana], now=now)

    assert await fetching == 2


async def _asked(line: StandIn) -> None:
    (rule,) = line.platform.faults.rules
    while True:
        if rule.struck:
            return
        await asyncio.sleep(0.01)


async def _waits_for_us(runtime: Runtime, dialect: str) -> None:
    """SQLite lets one write at a time, so there the other waits before it has begun."""
    while dialect == "postgresql":
        async with runtime.db.reading() as session:
            if await session.scalar(WAITING):
                return
        await asyncio.sleep(0.01)
