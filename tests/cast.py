"""Hana the new friend, Ken the gold member, Yui who blocked us: in the database and in LINE."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from core.db import table
from core.runtime import Runtime
from crm.models import BLOCKED, FOLLOWING, Channel, Customer, Friend
from simulator.channels import Channel as LineChannel
from simulator.ids import user_id_for
from simulator.people import Person
from tests.conftest import StandIn


class Cast:
    """People who are friends already, without a webhook having had to say so."""

    def __init__(self, runtime: Runtime, line: StandIn) -> None:
        self._runtime, self._line = runtime, line

    @property
    def line_channel(self) -> LineChannel:
        """The shop's channel as LINE keeps it."""
        return self._line.platform.first_channel

    async def hana(self) -> Friend:
        """The new friend."""
        return (await self.befriend("花"))[0]

    async def ken(self) -> Friend:
        """The gold member."""
        return (await self.befriend("健"))[0]

    async def yui(self) -> Friend:
        """She has blocked us, and we know."""
        return (await self.befriend("結衣", status=BLOCKED))[0]

    async def crowd(self, size: int) -> list[Friend]:
        """So many friends."""
        return await self.befriend(*(f"友{number}" for number in range(size)))

    async def befriend(self, *names: str, status: str = FOLLOWING) -> list[Friend]:
        """People of these names, in LINE and in the database."""
        for name in names:
            self._line.platform.people.add(Person(user_id_for(name), name))
            self.line_channel.friend(user_id_for(name)).status = (
                "friend" if status == FOLLOWING else "blocked"
            )
        now = await self._runtime.clock.now()
        async with self._runtime.db.transaction() as session:
            channel_id = await session.scalar(select(table(Channel).c.id))
            customer = table(Customer)
            made = insert(customer).returning(customer.c.id)
            customers = list(await session.scalars(made, [{"created_at": now} for _ in names]))
            rows = [
                _friend(channel_id, name, customer_id, status, now)
                for name, customer_id in zip(names, customers, strict=True)
            ]
            await session.execute(insert(table(Friend)), rows)
            user_ids = [user_id_for(name) for name in names]
            query = select(Friend).where(table(Friend).c.user_id.in_(user_ids))
            return list(await session.scalars(query.order_by(table(Friend).c.id)))

    def block(self, friend: Friend) -> None:
        """Have the friend block the shop in LINE; the shop does not know yet."""
        self.line_channel.friend(friend.user_id).status = "blocked"

    def said_to(self, friend: Friend) -> list[tuple[str, str]]:
        """What has reached the friend: how (`reply`, `push`) and the text, in order."""
        entries: Sequence[Any] = list(self.line_channel.friend(friend.user_id).entries())
        return [(entry["via"], entry["message"]["text"]) for entry in entries]


def _friend(
    channel_id: int | None, name: str, customer_id: int, status: str, now: datetime
) -> dict[str, Any]:
    return {
        "channel_id": channel_id,
        "user_id": user_id_for(name),
        "customer_id": customer_id,
        "status": status,
        "status_at": now,
        "followed_at": now,
        "follow_count": 1,
        "display_name": name,
        "profile_fetched_at": now,
        "profile_attempts": 0,
        "created_at": now,
    }
