"""Activities: recorded once per source, due at once for whoever acts on them."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from core.clock import AT_ONCE
from core.db import Database, table
from crm import activities
from crm.activities import KINDS, Fact
from crm.models import Activity, Customer

NOW = datetime(2027, 1, 10, 3, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def hana(db: Database) -> int:
    """A customer."""
    async with db.transaction() as session:
        made = insert(table(Customer)).values(created_at=NOW).returning(table(Customer).c.id)
        return int((await session.execute(made)).scalar_one())


async def record(db: Database, *facts: Fact) -> int:
    async with db.transaction() as session:
        return await activities.record(session, facts, now=NOW)


async def recorded(db: Database) -> list[tuple[str, str | None]]:
    async with db.reading() as session:
        activity = table(Activity)
        query = select(activity.c.kind, activity.c.source).order_by(activity.c.id)
        return [(row.kind, row.source) for row in await session.execute(query)]


async def test_a_fact_is_recorded_once_per_source(db: Database, hana: int) -> None:
    fact = Fact(hana, "purchased", NOW, data={"total": 3_000}, source="purchase:1")

    first = await record(db, fact, fact)
    again = await record(db, fact, Fact(hana, "purchased", NOW, source="purchase:2"))

    assert (first, again) == (1, 1)
    assert await recorded(db) == [("purchased", "purchase:1"), ("purchased", "purchase:2")]


async def test_facts_without_a_source_are_all_recorded(db: Database, hana: int) -> None:
    fact = Fact(hana, "replied", NOW)

    assert await record(db, fact, fact) == 2
    assert await record(db, fact) == 1


async def test_no_facts_are_no_statement(db: Database) -> None:
    assert await record(db) == 0


async def test_a_fact_is_due_for_reactions_at_once_and_keeps_both_times(
    db: Database, hana: int
) -> None:
    happened = datetime(2026, 12, 31, 15, tzinfo=UTC)
    await record(db, Fact(hana, "tapped", happened, data={"value": "はい", "deep": [{"x": None}]}))

    async with db.reading() as session:
        row = (await session.execute(select(table(Activity)))).one()
    assert (row.occurred_at, row.recorded_at, row.react_at) == (happened, NOW, AT_ONCE)
    assert row.data == {"value": "はい", "deep": [{"x": None}]}


async def test_a_fact_about_nobody_is_refused_with_all_beside_it(db: Database, hana: int) -> None:
    with pytest.raises(IntegrityError):
        await record(db, Fact(hana, "replied", NOW), Fact(hana + 999, "replied", NOW))

    assert await recorded(db) == []


def test_every_kind_that_the_code_notes_is_a_known_kind() -> None:
    noted: set[str] = set()
    for folder in ("crm", "delivery", "flows", "bot", "server"):
        for file in (ROOT / folder).rglob("*.py"):
            noted |= set(re.findall(r'(?:\.note\(|_fact\(friend,)\s*"(\w+)"', file.read_text()))

    assert {"followed", "blocked", "replied", "tapped"} <= noted <= KINDS
