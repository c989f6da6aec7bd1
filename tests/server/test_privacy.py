"""A person's data is given out whole, and taken away for good, on all floors."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx2
import orjson
import pytest
from sqlalchemy import select

from admin import tokens
from admin.models import AuditEntry
from bot.models import WebhookEvent
from core.db import Model, table
from core.runtime import Runtime
from crm import friends
from crm.activities import Fact, record
from crm.customers import merging, records, topics
from crm.customers.records import CustomerDraft
from crm.models import Channel, Customer, Friend
from crm.purchases import records as purchases
from crm.purchases.draft import PurchaseDraft
from delivery.models import SENT, SUPPRESSED, WAITING, Delivery
from server.app import Server

SECRETS = ("港 花", "ミナト", "+819012345678", "hana@example.jp", "KAI-1", "はな☕", "U" + "7" * 32)
USER = "U" + "7" * 32


@pytest.fixture
async def owner(runtime: Runtime) -> AsyncIterator[httpx2.AsyncClient]:
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        token = await tokens.create(session, name="o", role="owner", now=now)
    app = Server(runtime, None)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app),
        base_url="http://shop.example/api/v1",
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        yield client
    await app.settled()


@pytest.fixture
async def hana(runtime: Runtime) -> int:
    """A member with a LINE account, an order, messages both ways and a record merged into hers."""
    now = await runtime.clock.now()
    draft = CustomerDraft(
        member_number="KAI-1", name="港 花", kana="みなと はな", birthday="1990-04-01",
        phone="090-1234-5678", email="hana@example.jp", tags=["vip"],
    )  # fmt: skip
    async with runtime.db.transaction() as session:
        made = await records.create(session, draft, now=now, source="test")
        channel = int(await session.scalar(select(table(Channel).c.id)) or 0)
        friend = (await friends.recognise(session, channel, [USER], now=now))[USER]
        friend.display_name = "はな☕"
        await session.flush()
        assert made.id is not None
        assert friend.id is not None
        await merging.merge(
            session, friend.customer_id, made.id, reason="港 花 本人", evidence={}, actor="t",
            now=now,
        )  # fmt: skip
        await topics.decide(session, made.id, "sales", False, source="chat", now=now)
        said = {"text": "港 花です"}
        await record(session, [Fact(made.id, "answered", now, friend.id, said)], now=now)
        for state in (SENT, WAITING):
            text = orjson.dumps([{"type": "text", "text": "港 花さん、こんにちは"}])
            session.add(
                Delivery(
                    channel_id=channel, friend_id=friend.id, source=state, messages=text,
                    state=state, due_at=now + timedelta(days=1), created_at=now,
                )
            )  # fmt: skip
        session.add(
            WebhookEvent(
                webhook_event_id="e1", channel_id=channel, lane=f"{channel}:{USER}",
                type="message", timestamp=1, payload={"source": {"userId": USER}, "text": "港 花"},
                received_at=now, retry_at=now,
            )
        )  # fmt: skip
        bought = PurchaseDraft(
            source="till", order_id="1", purchased_at=now, total=3_000, customer_id=made.id
        )
        await purchases.record(session, [bought], now=now, zone=runtime.settings.zone)
    return made.id


async def everything(runtime: Runtime) -> str:
    """All that the database holds, as one text."""
    texts = []
    async with runtime.db.reading() as session:
        for each in Model.metadata.sorted_tables:
            rows = await session.execute(select(each))
            texts += [_text(value) for row in rows for value in row]
    return "\n".join(texts)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


async def test_a_person_is_given_out_whole(owner: httpx2.AsyncClient, hana: int) -> None:
    answer = await owner.post(f"/customers/{hana}/export", headers={"Idempotency-Key": "x"})

    told = answer.json()["tables"]
    assert answer.status_code == 200, answer.text
    assert {
        "customer", "friend", "activity", "purchase", "customer_tag", "consent", "delivery",
        "customer_merge", "point_lot",
    } <= told.keys()  # fmt: skip
    assert len(told["customer"]) == 2
    assert told["delivery"][0]["messages"][0]["text"] == "港 花さん、こんにちは"
    assert told["friend"][0]["user_id"] == USER
    assert not {"reply_token", "link_nonce"} & told.keys()
    again = await owner.post(f"/customers/{hana}/export", headers={"Idempotency-Key": "x"})
    assert "idempotency-replayed" not in again.headers


async def test_an_erased_person_is_named_nowhere_any_more(
    owner: httpx2.AsyncClient, hana: int, runtime: Runtime
) -> None:
    before = await everything(runtime)
    assert all(text in before for text in SECRETS)
    wrong = await owner.post(f"/customers/{hana}/erase", json={"confirm_id": hana + 1})
    assert wrong.status_code == 409

    answer = await owner.post(f"/customers/{hana}/erase", json={"confirm_id": hana})

    assert answer.status_code == 200, answer.text
    after = await everything(runtime)
    assert [text for text in SECRETS if text in after] == []
    async with runtime.db.reading() as session:
        one = await session.get_one(Customer, hana)
        delivery, entry = table(Delivery), table(AuditEntry)
        rows = await session.execute(select(delivery.c.source, delivery.c.state))
        states = {row.source: row.state for row in rows}
        proof = await session.scalar(
            select(entry.c.subject).where(entry.c.action == "customer.erase")
        )
    assert states == {SENT: SENT, WAITING: SUPPRESSED}
    assert proof == f"customer:{hana}"
    assert one.erased_at is not None
    assert (one.purchase_count, one.purchase_total) == (1, 3_000)
    again = await owner.post(f"/customers/{hana}/erase", json={"confirm_id": hana})
    assert again.status_code == 409
    found = await owner.get("/customers")
    assert hana not in [item["id"] for item in found.json()["items"]]
    (merge,) = (await owner.get("/merges")).json()["items"]
    assert (await owner.post(f"/merges/{merge['id']}/undo")).status_code == 409


async def test_who_writes_again_is_somebody_new(
    owner: httpx2.AsyncClient, hana: int, runtime: Runtime
) -> None:
    await owner.post(f"/customers/{hana}/erase", json={"confirm_id": hana})
    now: datetime = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        channel = await session.scalar(select(table(Channel).c.id))
        met = (await friends.recognise(session, channel or 0, [USER], now=now))[USER]
    async with runtime.db.reading() as session:
        rows = list(await session.scalars(select(Friend).order_by(table(Friend).c.id)))
    assert [(f.customer_id == hana, f.status) for f in rows] == [
        (True, "blocked"), (False, "following"),
    ]  # fmt: skip
    assert met.customer_id != hana


async def test_only_owners_export_and_erase(
    owner: httpx2.AsyncClient, hana: int, runtime: Runtime
) -> None:
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        token = await tokens.create(session, name="m", role="marketer", now=now)
    headers = {"Authorization": f"Bearer {token}"}
    for path, body in (("export", None), ("erase", {"confirm_id": hana})):
        answer = await owner.post(f"/customers/{hana}/{path}", json=body, headers=headers)
        assert answer.status_code == 403
