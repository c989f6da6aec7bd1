"""Members and what they bought, in the shop's days."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select, update

from core.db import Database, table
from crm import policies
from crm.customers import locking
from crm.models import Activity, Customer
from crm.purchases.models import Purchase
from crm.ranks import review
from crm.ranks.policy import RankPolicy

TOKYO = ZoneInfo("Asia/Tokyo")


def at(day: str, clock: str = "12:00") -> datetime:
    """A moment of the shop's day, UTC."""
    moment = datetime.combine(date.fromisoformat(day), time.fromisoformat(clock), TOKYO)
    return moment.astimezone(UTC)


class Members:
    """Those who have ranks, in one database."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._orders = 0

    async def join(self, *numbers: str | None, **values: Any) -> list[int]:
        """Customers with these member numbers; None is anonymous."""
        customer = table(Customer)
        async with self.db.transaction() as session:
            made = insert(customer).returning(customer.c.id)
            rows = [{"member_number": n, "created_at": at("2040-01-01"), **values} for n in numbers]
            return list(await session.scalars(made, rows))

    async def buy(self, id_: int, day: str, total: int, *, clock: str = "12:00", **values: Any
                  ) -> int:  # fmt: skip
        """A paid order; nobody is promoted by this alone."""
        self._orders += 1
        moment = at(day, clock)
        row = {
            "source": "till", "order_id": f"{self._orders}", "customer_id": id_, "total": total,
            "purchased_at": moment, "paid_at": moment, "created_at": moment, "updated_at": moment,
            "warnings": [], **values,
        }  # fmt: skip
        async with self.db.transaction() as session:
            purchase = table(Purchase)
            made = await session.execute(insert(purchase).values(row).returning(purchase.c.id))
            return int(made.scalar_one())

    async def change(self, purchase_id: int, **values: Any) -> None:
        """What became of an order."""
        async with self.db.transaction() as session:
            purchase = table(Purchase)
            here = update(purchase).where(purchase.c.id == purchase_id)
            await session.execute(here.values(values))

    async def set(self, id_: int, **values: Any) -> None:
        """Put a customer's columns so."""
        async with self.db.transaction() as session:
            customer = table(Customer)
            await session.execute(update(customer).where(customer.c.id == id_).values(values))

    async def promote(self, now: datetime, *ids: int) -> int:
        """As settling a purchase does it."""
        async with self.db.transaction() as session:
            await locking.lock(session, ids)
            return await review.promote(session, ids, now=now, zone=TOKYO)

    async def rank(self, id_: int) -> tuple[str | None, datetime | None]:
        """The rank and until when it is kept."""
        async with self.db.reading() as session:
            row: Any = (await session.execute(
                select(table(Customer)).where(table(Customer).c.id == id_))).one()  # fmt: skip
            return row.rank, row.rank_until

    async def save(self, policy: RankPolicy) -> int:
        """Put a policy in force."""
        async with self.db.transaction() as session:
            return await policies.save(session, policy, expected=None, now=at("2040-01-01"))

    async def told(self) -> list[tuple[int, str, str, str]]:
        """Each change of rank that was recorded: who, from, to, direction."""
        async with self.db.reading() as session:
            activity = table(Activity)
            query = select(activity).where(activity.c.kind == "rank_changed")
            rows: list[Any] = list(await session.execute(query.order_by(activity.c.id)))
            return [
                (row.customer_id, row.data["from"], row.data["to"], row.data["direction"])
                for row in rows
            ]


@pytest.fixture
def members(db: Database) -> Members:
    """Nobody yet."""
    return Members(db)


def tiers(*ladder: tuple[str, int]) -> list[dict[str, Any]]:
    """Tiers as they are sent."""
    return [{"key": key, "name": key, "threshold": threshold} for key, threshold in ladder]


@pytest.fixture
def policy() -> Callable[..., RankPolicy]:
    """A policy with three tiers at 0, 100 and 1,000."""

    def make(**values: Any) -> RankPolicy:
        ladder = tiers(("bronze", 0), ("silver", 100), ("gold", 1_000))
        return RankPolicy.model_validate({"tiers": ladder} | values)

    return make
