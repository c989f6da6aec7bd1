"""Hana and Ken, their purchases, and the proof that their points add up."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from core.db import Database, table
from crm import policies
from crm.customers import locking
from crm.models import Activity, Customer
from crm.points import for_purchases, ledger, proof
from crm.points.ledger import Grant
from crm.points.models import PointEntry, PointLot
from crm.points.policy import PointsPolicy
from crm.purchases.models import Purchase, PurchaseLine

NOW = datetime(2027, 1, 10, 3, tzinfo=UTC)  # noon in Tokyo, a Sunday


@dataclass
class Books:
    """A database, its customers, and short words for what happens to them."""

    db: Database
    hana: int
    ken: int

    async def policy(self, **values: Any) -> None:
        async with self.db.transaction() as session:
            await policies.save(session, PointsPolicy(**values), expected=None, now=NOW)

    async def grant(self, points: int, source: str, *, now: datetime = NOW, **more: Any) -> int:
        who = more.pop("who", self.hana)
        wanted = Grant(who, points, source, "おためし", **more)
        async with self.db.transaction() as session:
            await locking.lock(session, [who])
            return await ledger.grant(session, [wanted], now=now)

    async def spend(self, points: int, source: str, *, now: datetime = NOW, **more: Any) -> int:
        who = more.pop("who", self.hana)
        async with self.db.transaction() as session:
            entry = await ledger.spend(
                session, who, points, source=source, reason="ご利用", now=now, **more
            )
            return entry.id or 0

    async def buy(self, order_id: str, total: int, *, now: datetime = NOW, **more: Any) -> int:
        """A paid purchase, and its points."""
        lines = more.pop("lines", [])
        purchase = table(Purchase)
        values: dict[str, Any] = {
            "source": "till", "order_id": order_id, "customer_id": self.hana, "total": total,
            "purchased_at": now, "paid_at": now, "refunded": 0, "points_used": 0, "warnings": [],
            "version": 1, "created_at": now, "updated_at": now,
        }  # fmt: skip
        async with self.db.transaction() as session:
            made = insert(purchase).values(values | more).returning(purchase.c.id)
            id_ = int((await session.execute(made)).scalar_one())
            for position, line in enumerate(lines):
                row = {"purchase_id": id_, "position": position, "name": "", "quantity": 1, **line}
                await session.execute(insert(table(PurchaseLine)).values(row))
        await self.recount(id_, now=now)
        return id_

    async def alter(self, purchase_id: int, *, now: datetime = NOW, **values: Any) -> None:
        """Something becomes known of a purchase."""
        purchase = table(Purchase)
        async with self.db.transaction() as session:
            here = update(purchase).where(purchase.c.id == purchase_id)
            await session.execute(here.values(values))
        await self.recount(purchase_id, now=now)

    async def recount(self, *purchase_ids: int, now: datetime = NOW) -> None:
        async with self.db.transaction() as session:
            await locking.lock(session, [self.hana, self.ken])
            await for_purchases.recount(session, purchase_ids, now=now)

    async def points(self, who: int | None = None) -> tuple[int, int]:
        """Balance and owed, as they stand on the customer."""
        customer = table(Customer)
        async with self.db.reading() as session:
            query = select(customer.c.points, customer.c.points_owed)
            row = (await session.execute(query.where(customer.c.id == (who or self.hana)))).one()
        return row.points, row.points_owed

    async def standing(self, *, now: datetime = NOW) -> ledger.Balance:
        async with self.db.reading() as session:
            return await ledger.standing(session, self.hana, now=now)

    async def entries(self, who: int | None = None) -> list[tuple[str, int]]:
        """All entries in the order in which they were written."""
        entry = table(PointEntry)
        async with self.db.reading() as session:
            query = select(entry.c.kind, entry.c.delta).where(
                entry.c.customer_id == (who or self.hana)
            )
            return [(r.kind, r.delta) for r in await session.execute(query.order_by(entry.c.id))]

    async def lots(self) -> Sequence[Any]:
        lot = table(PointLot)
        async with self.db.reading() as session:
            return list(await session.execute(select(lot).order_by(lot.c.id)))

    async def told(self, kind: str) -> list[dict[str, Any]]:
        activity = table(Activity)
        async with self.db.reading() as session:
            query = select(activity.c.data).where(activity.c.kind == kind).order_by(activity.c.id)
            return list(await session.scalars(query))

    async def prove(self) -> None:
        async with self.db.reading() as session:
            assert await proof.differing(session) == []


async def add_customers(db: Database, count: int) -> list[int]:
    customer = table(Customer)
    async with db.transaction() as session:
        made = insert(customer).returning(customer.c.id)
        return list(await session.scalars(made, [{"created_at": NOW} for _ in range(count)]))


@pytest.fixture
async def books(db: Database) -> AsyncIterator[Books]:
    """Two customers without points; whatever the test does, the points add up at its end."""
    hana, ken = await add_customers(db, 2)
    made = Books(db, hana, ken)
    yield made
    await made.prove()
