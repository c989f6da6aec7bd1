"""Many rows in one statement: what is there already stays, every kind of value survives."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select

from bot.models import WebhookEvent
from core import bulk
from core.clock import AT_ONCE
from core.db import Database, table
from crm.models import Channel
from delivery.models import Dispatch, TextRule


async def channel(db: Database) -> int:
    values = {"channel_id": "1", "name": "", "sealed_secret": "", "sealed_access_token": "",
              "version": 1, "created_at": AT_ONCE}  # fmt: skip
    async with db.transaction() as session:
        made = insert(table(Channel)).values(values).returning(table(Channel).c.id)
        return int((await session.execute(made)).scalar_one())


def event(channel_id: int, number: int, **values: Any) -> dict[str, Any]:
    return {
        "webhook_event_id": f"event-{number}", "channel_id": channel_id, "lane": "1:hana",
        "type": "message", "timestamp": number, "payload": {"number": number},
        "received_at": AT_ONCE, "state": "received", "attempts": 0, "retry_at": AT_ONCE,
    } | values  # fmt: skip


async def stored(db: Database, *columns: Any) -> list[Any]:
    async with db.reading() as session:
        order = table(WebhookEvent).c.timestamp
        return [tuple(row) for row in await session.execute(select(*columns).order_by(order))]


async def test_rows_that_are_there_already_stay_as_they_are(db: Database) -> None:
    channel_id, target = await channel(db), table(WebhookEvent)
    async with db.transaction() as session:
        await bulk.insert_rows(session, target, [event(channel_id, n) for n in (1, 2)])

    async with db.transaction() as session:
        again = [event(channel_id, n, type="other") for n in (2, 3, 3)]
        await bulk.insert_rows(session, target, again)

    found = await stored(db, target.c.timestamp, target.c.type)
    assert found == [(1, "message"), (2, "message"), (3, "other")]


@pytest.mark.parametrize("payload", [
    {}, {"text": "ポイント 🎁 'quoted' \"twice\" \\ {braces} NULL"}, {"nested": [[1, [2.5, None]]]},
    {"deep": {"er": {"list": [{"a": []}]}}}, {"big": 2**53},
])  # fmt: skip
async def test_json_survives_inserting_and_updating(db: Database, payload: dict[str, Any]) -> None:
    channel_id, target = await channel(db), table(WebhookEvent)
    async with db.transaction() as session:
        rows = [event(channel_id, 1, payload=payload), event(channel_id, 2)]
        await bulk.insert_rows(session, target, rows)
    ids = [id_ for (id_,) in await stored(db, target.c.id)]

    async with db.transaction() as session:
        rows = [{"id": ids[1], "payload": payload, "reason": None}]
        await bulk.update_rows(session, target, rows)

    assert await stored(db, target.c.payload) == [(payload,), (payload,)]


async def test_lists_in_a_json_column_survive(db: Database) -> None:
    target = table(TextRule)
    rows = [
        {"key": key, "match": "exact", "words": words, "priority": 0, "messages": [],
         "enabled": True, "version": 1, "created_at": AT_ONCE, "updated_at": AT_ONCE}
        for key, words in (("one", ["ポイント"]), ("two", ["a", "b", "c"]))
    ]  # fmt: skip

    async with db.transaction() as session:
        await bulk.insert_rows(session, target, rows)

    async with db.reading() as session:
        found = await session.execute(select(target.c.words).order_by(target.c.key))
        assert [row.words for row in found] == [["ポイント"], ["a", "b", "c"]]


async def test_bytes_ids_and_nothing_survive(db: Database) -> None:
    channel_id, target = await channel(db), table(Dispatch)
    key = UUID("123e4567-e89b-12d3-a456-426614174000")
    row = {"id": key, "channel_id": channel_id, "endpoint": "push", "body": b"\x00\xff'",
           "recipients": 1, "state": "open", "attempts": 0, "uncertain": True, "retry_at": AT_ONCE,
           "created_at": AT_ONCE, "first_attempt_at": None, "reply_until": AT_ONCE}  # fmt: skip

    async with db.transaction() as session:
        await bulk.insert_rows(session, target, [row])
        await bulk.update_rows(session, target, [{"id": key, "outcome": None, "status": 409}])

    async with db.reading() as session:
        found = (await session.execute(select(target))).one()
    assert (found.id, found.body, found.uncertain) == (key, b"\x00\xff'", True)
    assert (found.first_attempt_at, found.reply_until) == (None, AT_ONCE)
    assert (found.outcome, found.status) == (None, 409)


async def test_an_update_touches_only_the_rows_and_columns_that_are_given(db: Database) -> None:
    channel_id, target = await channel(db), table(WebhookEvent)
    async with db.transaction() as session:
        await bulk.insert_rows(session, target, [event(channel_id, n) for n in range(4)])
    ids = [id_ for (id_,) in await stored(db, target.c.id)]

    async with db.transaction() as session:
        rows = [{"id": ids[n], "reason": f"reason {n}", "attempts": n} for n in (1, 3)]
        await bulk.update_rows(session, target, [*rows, {"id": -1, "reason": "", "attempts": 9}])

    found = await stored(db, target.c.reason, target.c.attempts, target.c.state)
    assert found == [(None, 0, "received"), ("reason 1", 1, "received"), (None, 0, "received"),
                     ("reason 3", 3, "received")]  # fmt: skip


async def test_rows_can_be_found_by_another_key(db: Database) -> None:
    channel_id, target = await channel(db), table(WebhookEvent)
    async with db.transaction() as session:
        await bulk.insert_rows(session, target, [event(channel_id, n) for n in (1, 2)])
        rows = [{"webhook_event_id": "event-2", "reason": "second"}]
        await bulk.update_rows(session, target, rows, key="webhook_event_id")

    assert await stored(db, target.c.reason) == [(None,), ("second",)]


async def test_ten_thousand_rows_go_in_at_once_and_none_is_no_statement(db: Database) -> None:
    channel_id, target = await channel(db), table(WebhookEvent)
    async with db.transaction() as session:
        await bulk.insert_rows(session, target, [])
        await bulk.update_rows(session, target, [])
        await bulk.insert_rows(session, target, [event(channel_id, n) for n in range(10_000)])

    async with db.reading() as session:
        assert await session.scalar(select(func.count()).select_from(target)) == 10_000
