"""Orders of Hana and Ken, and what became of them."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, insert, select

from core.db import Database, table
from crm import policies
from crm.models import Activity, Customer
from crm.points import proof
from crm.points.models import PointEntry
from crm.points.policy import PointsPolicy
from crm.purchases import records
from crm.purchases.draft import LineDraft, PurchaseDraft, RefundDraft
from crm.purchases.models import Purchase, PurchaseLine, PurchaseRefund
from crm.purchases.records import Recorded

NOW = datetime(2026, 11, 22, 1, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Tokyo")
DAY = timedelta(days=1)

BEANS = LineDraft(
    sku="beans-200", name="みなとブレンド 200g", category="coffee", quantity=2, unit_price=1_200
)
FILTER = LineDraft(sku="filter", name="フィルター", category="goods", unit_price=600)
ORDER = PurchaseDraft(
    source="ec",
    order_id="A-1",
    purchased_at=NOW - DAY,
    total=3_000,
    member_number="M-1",
    lines=[BEANS, FILTER],
)


def order(**values: Any) -> PurchaseDraft:
    """Hana's order of 3,000 yen from yesterday, with some things otherwise."""
    return replace(ORDER, **values)


def back(key: str, amount: int, at: datetime = NOW) -> RefundDraft:
    """A refund."""
    return RefundDraft(key=key, amount=amount, refunded_at=at)


@dataclass
class Books:
    """The shop's books: orders go in, and what follows from them can be looked at."""

    db: Database
    hana: int
    ken: int
    now: datetime = NOW

    async def tell(self, *drafts: PurchaseDraft, **options: Any) -> Recorded:
        """Record drafts in one transaction."""
        async with self.db.transaction() as session:
            return await records.record(session, drafts, now=self.now, zone=ZONE, **options)

    async def refund(self, purchase_id: int, amount: int | None, key: str = "r-1") -> bool:
        """Give money back."""
        async with self.db.transaction() as session:
            return await records.refund(
                session, purchase_id, amount, key=key, at=self.now, now=self.now, zone=ZONE
            )

    async def status(self, purchase_id: int, **moments: datetime | None) -> bool:
        """Say what happened to an order."""
        async with self.db.transaction() as session:
            return await records.set_status(session, purchase_id, moments, now=self.now, zone=ZONE)

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """The statements that the database is given while the block lasts."""
        heard: list[str] = []
        engine = self.db.engine.sync_engine

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            heard.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        try:
            yield heard
        finally:
            event.remove(engine, "before_cursor_execute", note)

    async def policy(self, **values: Any) -> None:
        """Set rules of points."""
        async with self.db.transaction() as session:
            await policies.save(session, PointsPolicy(**values), expected=None, now=NOW)

    async def rows(self, model: Any, **where: Any) -> list[Any]:
        """Rows of a table."""
        found = table(model)
        query = select(found).order_by(*found.primary_key.columns)
        for name, value in where.items():
            query = query.where(found.c[name] == value)
        async with self.db.reading() as session:
            return list(await session.execute(query))

    async def purchase(self, order_id: str = "A-1") -> Any:
        """One order's row."""
        (row,) = await self.rows(Purchase, order_id=order_id)
        return row

    async def customer(self, id_: int) -> Any:
        """One customer's row."""
        (row,) = await self.rows(Customer, id=id_)
        return row

    async def figures(self, id_: int) -> tuple[int, int]:
        """How many purchases, and yen in all."""
        row = await self.customer(id_)
        return row.purchase_count, row.purchase_total

    async def points(self, id_: int) -> int:
        """The balance; checks that the ledger adds up."""
        async with self.db.reading() as session:
            assert not await proof.differing(session)
        return int((await self.customer(id_)).points)

    async def kinds(self, id_: int, among: Collection[str] = ()) -> list[str]:
        """The kinds of a customer's activities, sorted; of orders, where none are named."""
        wanted = among or {
            "order_placed", "purchased", "shipped", "delivered", "order_cancelled", "refunded",
        }  # fmt: skip
        rows = await self.rows(Activity, customer_id=id_)
        return sorted(row.kind for row in rows if row.kind in wanted)

    async def state(self, tables: Sequence[Any] = ()) -> list[Any]:
        """All that is stored of purchases and what hangs on them, to compare."""
        models = tables or (
            Purchase, PurchaseLine, PurchaseRefund, Customer, Activity, PointEntry,
        )  # fmt: skip
        return [await self.rows(model) for model in models]


@pytest.fixture
async def books(db: Database) -> Books:
    """Books with two members."""
    customer = table(Customer)
    async with db.transaction() as session:
        made = insert(customer).returning(customer.c.id)
        names = [("M-1", "花"), ("M-2", "健")]
        ids = [
            await session.scalar(
                made.values(member_number=number, name=name, created_at=NOW - 400 * DAY)
            )
            for number, name in names
        ]
    return Books(db, *ids)
