"""Files to import, and what the shop knows afterwards."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from core.db import Database, Model, table
from crm.imports import saved
from crm.imports.mapping import Kind
from crm.imports.run import Import, Report
from crm.models import Customer
from crm.purchases.models import Purchase, PurchaseLine, PurchaseRefund

TOKYO = ZoneInfo("Asia/Tokyo")
NOW = datetime(2040, 3, 1, 3, tzinfo=UTC)


class Desk:
    """Where files are taken in."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def take(
        self, kind: Kind, file: str | bytes, name: str = "plain", encoding: str = "", **wishes: Any
    ) -> Report:
        """Import a file's text or bytes by the mapping of this name."""
        raw = file.encode(encoding or "utf-8") if isinstance(file, str) else file
        async with self.db.reading() as session:
            found = await saved.find(session, kind, name)
        wishes = {"now": NOW} | wishes
        return await Import(self.db, BytesIO(raw), found, TOKYO, encoding=encoding, **wishes).run()

    async def rows(self, model: type[Model], *columns: str) -> list[tuple[Any, ...]]:
        """These columns of all rows, in order."""
        rows = table(model)
        order = list(rows.primary_key.columns)
        async with self.db.reading() as session:
            query = select(*(rows.c[name] for name in columns)).order_by(*order)
            return [tuple(row) for row in await session.execute(query)]

    async def state(self) -> Mapping[str, int]:
        """How many rows there are."""
        models: Sequence[type[Model]] = (Customer, Purchase, PurchaseLine, PurchaseRefund)
        async with self.db.reading() as session:
            return {
                model.__name__: await session.scalar(select(func.count()).select_from(table(model)))
                or 0
                for model in models
            }


@pytest.fixture
def desk(db: Database) -> Desk:
    """An empty shop."""
    return Desk(db)


def faults(report: Report) -> list[tuple[int | None, int | None, str]]:
    """Where the faults are: line, column, heading."""
    return [(fault.line, fault.column, fault.path) for fault in report.faults]
