"""A few customers, and what is known of them, over each kind of database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import Database, table
from crm.customers import records
from crm.customers.records import CustomerDraft
from crm.models import FOLLOWING, Activity, Channel, Customer, Friend

TOKYO = ZoneInfo("Asia/Tokyo")
NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)


class People:
    """Makes customers and friends, and looks at what became of them."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.friends = 0

    @asynccontextmanager
    async def change(self) -> AsyncIterator[AsyncSession]:
        async with self.db.transaction() as session:
            yield session

    async def add(self, **draft: Any) -> int:
        """A new customer."""
        async with self.db.transaction() as session:
            made = await records.create(session, CustomerDraft(**draft), now=NOW, source="test")
            assert made.id is not None
            return made.id

    async def befriend(self, customer_id: int, **values: Any) -> int:
        """A friend of a customer."""
        self.friends += 1
        async with self.db.transaction() as session:
            if await session.scalar(select(table(Channel).c.id)) is None:
                session.add(Channel(channel_id="1", sealed_secret="", created_at=NOW))
                await session.flush()
            row = {
                "channel_id": 1, "user_id": f"U{self.friends:032x}", "customer_id": customer_id,
                "status": FOLLOWING, "status_at": NOW, "followed_at": NOW, "created_at": NOW,
                "follow_count": 1, "profile_attempts": 0,
            }  # fmt: skip
            made = insert(table(Friend)).values(row | values).returning(table(Friend).c.id)
            return int((await session.execute(made)).scalar_one())

    async def get(self, customer_id: int) -> Customer:
        async with self.db.reading() as session:
            return await session.get_one(Customer, customer_id)

    async def told(self, *kinds: str) -> list[tuple[int, str, dict[str, Any]]]:
        """Activities of these kinds (all where none is given), in order."""
        activity = table(Activity)
        async with self.db.reading() as session:
            rows = await session.execute(select(activity).order_by(activity.c.id))
            return [(r.customer_id, r.kind, r.data) for r in rows if not kinds or r.kind in kinds]

    async def rows(self, model: Any, **where: Any) -> list[Any]:
        """Rows of a table."""
        source = table(model)
        query = select(source)
        for name, value in where.items():
            query = query.where(source.c[name] == value)
        async with self.db.reading() as session:
            return list(await session.execute(query))


@pytest.fixture
def people(db: Database) -> People:
    return People(db)
