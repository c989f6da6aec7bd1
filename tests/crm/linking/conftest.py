"""A shop with Ken the gold member, Mio the member, and friends who are nobody's member yet."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import Database, table
from core.sealing import Seal
from crm import channels, friends, policies
from crm.customers import records
from crm.customers.records import CustomerDraft
from crm.linking import links
from crm.linking.links import Linked
from crm.linking.policy import LinkPolicy
from crm.models import Customer, Friend
from crm.purchases import records as purchases
from crm.purchases.draft import PurchaseDraft

NOW = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
TOKYO = ZoneInfo("Asia/Tokyo")
KEN_NUMBER, MIO_NUMBER = "M-000123", "M-000456"
KEN_PHONE = "090-1234-5678"


@dataclass
class Town:
    """The shop's books, and what its people do."""

    db: Database
    ken: int
    mio: int
    hana: int
    jun: int

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncSession]:
        """One transaction."""
        async with self.db.transaction() as session:
            yield session

    async def allow(self, **rules: Any) -> None:
        """Put a linking policy in force."""
        async with self.open() as session:
            await policies.save(session, LinkPolicy(**rules), expected=None, now=NOW)

    async def link(
        self, friend_id: int, member_id: int, *, method: str = "page", now: datetime = NOW
    ) -> Linked:
        """Link in a transaction of its own."""
        async with self.open() as session:
            return await links.link(
                session, friend_id, member_id, method=method, now=now, zone=TOKYO
            )

    async def unlink(self, friend_id: int, *, now: datetime = NOW) -> Any:
        """Unlink in a transaction of its own."""
        async with self.open() as session:
            return await links.unlink(session, friend_id, by="customer", now=now)

    async def buy(
        self,
        order_id: str,
        customer_id: int,
        *,
        total: int = 1_000,
        at: datetime = NOW,
        source: str = "till",
    ) -> None:
        """An order of a customer, paid."""
        draft = PurchaseDraft(
            source=source, order_id=order_id, purchased_at=at, total=total, customer_id=customer_id
        )
        async with self.open() as session:
            await purchases.record(session, [draft], now=NOW, zone=TOKYO)

    async def new_friend(self, name: str) -> int:
        """One more LINE account."""
        async with self.open() as session:
            return (await add_friends(session, [name]))[0]

    async def customer_of(self, friend_id: int) -> Customer:
        """Whose the friend is."""
        async with self.open() as session:
            friend = await session.get_one(Friend, friend_id)
            return await session.get_one(Customer, friend.customer_id)

    async def customer(self, customer_id: int) -> Customer:
        """A record as it is."""
        async with self.open() as session:
            return await session.get_one(Customer, customer_id)

    async def rows(self, model: Any) -> list[Any]:
        """All rows of a table."""
        async with self.open() as session:
            return list(await session.execute(select(table(model))))


async def add_friends(session: AsyncSession, names: Sequence[str]) -> list[int]:
    """LINE accounts on the first channel; the names make their user ids."""
    ids = {name: "U" + name.encode().hex().rjust(32, "0")[-32:] for name in names}
    known = await friends.recognise(session, 1, ids.values(), now=NOW)
    return [known[ids[name]].id or 0 for name in names]


@pytest.fixture
async def town(db: Database) -> Town:
    """Ken and Mio are members; Hana and Jun are friends on LINE."""
    seal = Seal("a-secret-key-for-tests-only")
    async with db.transaction() as session:
        await channels.add(
            session, seal, channel_id="1234567890", name="みなと珈琲", secret="s",
            access_token="t", now=NOW,
        )  # fmt: skip
        hana, jun = await add_friends(session, ["hana", "jun"])
        ken = await records.create(
            session,
            CustomerDraft(
                member_number=KEN_NUMBER, name="健", birthday="1985-02-28", phone=KEN_PHONE,
                email="ken@example.jp", postal_code="231-0023",
            ),
            now=NOW - timedelta(days=400),
            source="test",
        )  # fmt: skip
        mio = await records.create(
            session, CustomerDraft(member_number=MIO_NUMBER, birthday="--02-29"),
            now=NOW - timedelta(days=300), source="test",
        )  # fmt: skip
    return Town(db, ken.id or 0, mio.id or 0, hana, jun)
