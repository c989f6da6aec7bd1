"""A small shop's coupons over a database of each kind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import Database, table
from crm.coupons import definition, issuing, redeeming
from crm.coupons.definition import CouponDraft
from crm.coupons.issuing import Issued
from crm.coupons.models import Coupon, IssuedCoupon, Redemption
from crm.customers import locking
from crm.models import Activity, Customer

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)  # noon in Tokyo
TOKYO = ZoneInfo("Asia/Tokyo")


def draft(**values: Any) -> CouponDraft:
    """500 yen off for 30 days."""
    return CouponDraft.model_validate(
        {"name": "500円クーポン", "discount": {"amount": 500}, "valid_days": 30} | values
    )


@dataclass
class Shop:
    """What a shop does with coupons, each in a transaction of its own."""

    db: Database
    now: datetime = NOW
    zone: ZoneInfo = field(default=TOKYO)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        async with self.db.transaction() as session:
            yield session

    async def customers(self, *members: str | None, rank: str | None = None) -> list[int]:
        customer = table(Customer)
        rows = [{"member_number": m, "created_at": self.now, "rank": rank} for m in members]
        async with self.transaction() as session:
            made = insert(customer).returning(customer.c.id, sort_by_parameter_order=True)
            return list(await session.scalars(made, rows))

    async def define(self, key: str = "c500", **values: Any) -> Coupon:
        async with self.transaction() as session:
            made, _new = await definition.save(
                session, key, draft(**values), now=self.now, expected=None
            )
            return made

    async def issue(self, *customers: int, key: str = "c500", reason: str = "test") -> Issued:
        async with self.transaction() as session:
            await locking.lock(session, customers)
            return await issuing.issue(
                session, key, customers, reason=reason, now=self.now, zone=self.zone
            )

    async def copy(self, customer: int, *, key: str = "c500", reason: str = "test") -> str:
        """Issue one, and tell its code."""
        done = await self.issue(customer, key=key, reason=reason)
        return await self.code(done.new[customer])

    async def code(self, copy_id: int) -> str:
        return str((await self.row(IssuedCoupon, copy_id)).code)

    async def redeem(self, code: str, **values: Any) -> Redemption:
        async with self.transaction() as session:
            told: dict[str, Any] = {"now": self.now, "actor": "token:till"} | values
            return await redeeming.redeem(session, code, **told)

    async def undo(self, redemption_id: int | None, reason: str = "やり直し") -> Redemption:
        async with self.transaction() as session:
            return await redeeming.undo(
                session, redemption_id or 0, reason=reason, actor="token:till", now=self.now
            )

    async def row(self, model: Any, id_: int) -> Any:
        async with self.db.reading() as session:
            query = select(table(model)).where(table(model).c.id == id_)
            return (await session.execute(query)).one()

    async def count(self, model: Any, *where: Any) -> int:
        async with self.db.reading() as session:
            query = select(func.count()).select_from(table(model)).where(*where)
            return await session.scalar(query) or 0

    async def activities(self, kind: str) -> list[Any]:
        async with self.db.reading() as session:
            activity = table(Activity)
            query = select(activity).where(activity.c.kind == kind).order_by(activity.c.id)
            return list(await session.execute(query))


@pytest.fixture
def coupons(db: Database) -> Shop:
    return Shop(db)


@pytest.fixture
async def ken(coupons: Shop) -> int:
    """The gold member."""
    return (await coupons.customers("M-1001", rank="gold"))[0]


@pytest.fixture
async def hana(coupons: Shop) -> int:
    """The new, anonymous friend."""
    return (await coupons.customers(None))[0]
