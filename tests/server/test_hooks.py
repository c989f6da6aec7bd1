"""Webhooks of shops: signed or turned away, taken in once, whatever they hold."""

import asyncio
import base64
import hmac
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import orjson
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.routing import Mount

from core.db import table
from core.runtime import Runtime, running
from core.settings import load
from crm.models import Activity, Customer
from crm.purchases.models import Purchase, PurchaseRefund, PurchaseSource, ReceivedHook
from server.hooks import create_hooks
from server.housekeeping import KEEP_HOOKS, forget_old_rows
from server.signed_hooks import sign

SECRET = "a-secret-that-only-the-shop-knows"
DAY = timedelta(days=1)


class Sender:
    """The online store (`store`, Shopify) and the till (`till`, signed by our own rule)."""

    def __init__(self, runtime: Runtime, http: httpx2.AsyncClient, now: datetime) -> None:
        self.runtime, self.http, self.now = runtime, http, now

    def at(self, days_ago: float) -> str:
        """A moment as Shopify writes it."""
        return (self.now - days_ago * DAY).isoformat()

    async def shopify(
        self, topic: str, body: Any, hook_id: str | None = None, **headers: str
    ) -> httpx2.Response:
        """What Shopify sends."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        signature = base64.b64encode(hmac.digest(SECRET.encode(), raw, "sha256")).decode()
        told = {
            "X-Shopify-Topic": topic,
            "X-Shopify-Hmac-Sha256": signature,
            "X-Shopify-Webhook-Id": hook_id or uuid4().hex,
        }
        return await self.http.post("/hooks/store", content=raw, headers=told | headers)

    async def till(
        self, body: Any, headers: dict[str, str] | None = None, *, ago: int = 0
    ) -> httpx2.Response:
        """What the till sends."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        timestamp = str(int(self.runtime.clock.wall().timestamp()) - ago)
        told = {
            "X-Okaeri-Timestamp": timestamp,
            "X-Okaeri-Signature": sign(SECRET, timestamp, raw),
            "X-Okaeri-Delivery": uuid4().hex,
        }
        told |= headers or {}
        return await self.http.post("/hooks/till", content=raw, headers=told)

    async def rows(self, model: Any) -> list[Any]:
        """All rows of a table, in order."""
        found = table(model)
        async with self.runtime.db.reading() as session:
            return list(await session.execute(select(found).order_by(*found.primary_key.columns)))

    async def stored(self) -> list[list[Any]]:
        """All that a webhook may change."""
        models = (Purchase, PurchaseRefund, Customer, Activity, ReceivedHook, PurchaseSource)
        return [await self.rows(model) for model in models]


@pytest.fixture
async def sender(database_url: str) -> AsyncIterator[Sender]:
    settings = load(
        _env_file=None, database_url=database_url, redis_url="", clock="simulated",
        secret_key="a-secret-key-for-tests-only",
    )  # fmt: skip
    async with running(settings) as runtime:
        now = await runtime.clock.now()
        async with runtime.db.transaction() as session:
            session.add_all(
                PurchaseSource(
                    key=key, kind=kind, name=key, created_at=now, updated_at=now,
                    sealed_secret=runtime.seal.encrypt(SECRET),
                )
                for key, kind in (("store", "shopify"), ("till", "signed"))
            )  # fmt: skip
        app = Starlette(routes=[Mount("/hooks", create_hooks(runtime))])
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://shop.example") as http:
            yield Sender(runtime, http, now)


def shopify_order(sender: Sender, **values: Any) -> dict[str, Any]:
    """An order of 3,300 yen, in the shape that Shopify gives it."""
    return {
        "id": 5551234567, "name": "#1001", "test": False, "currency": "JPY",
        "created_at": sender.at(2), "processed_at": sender.at(2), "updated_at": sender.at(2),
        "cancelled_at": None, "financial_status": "pending", "fulfillment_status": None,
        "total_price": "3300", "total_discounts": "200", "total_tax": "300",
        "taxes_included": True, "email": "hana@example.jp", "phone": None,
        "total_shipping_price_set": {"shop_money": {"amount": "500", "currency_code": "JPY"}},
        "customer": {
            "id": 777, "email": "Hana@Example.jp", "phone": "+819012345678",
            "first_name": "花", "last_name": "港", "tags": "常連, 珈琲",
            "default_address": {"zip": "231-0023", "phone": None},
        },
        "line_items": [
            {"id": 1, "sku": "beans-200", "name": "みなとブレンド", "quantity": 2, "price": "1200",
             "product_id": 1},
            {"id": 2, "sku": "filter", "title": "フィルター", "quantity": 1, "price": "600.00"},
        ],
        "fulfillments": [], "refunds": [], "note_attributes": [],
    } | values  # fmt: skip


def shopify_refund(sender: Sender, **values: Any) -> dict[str, Any]:
    """600 yen given back for that order."""
    return {
        "id": 8001, "order_id": 5551234567, "created_at": sender.at(0.1),
        "processed_at": sender.at(0.1), "refund_line_items": [],
        "transactions": [
            {"id": 1, "kind": "refund", "status": "success", "amount": "600"},
            {"id": 2, "kind": "refund", "status": "failure", "amount": "600"},
        ],
    } | values  # fmt: skip


async def test_an_order_of_the_online_store_with_its_new_customer(sender: Sender) -> None:
    answer = await sender.shopify("orders/create", shopify_order(sender))

    assert (answer.status_code, answer.json()) == (200, {"status": "taken"})
    (row,) = await sender.rows(Purchase)
    assert (row.source, row.order_id, row.total, row.paid_at) == ("store", "#1001", 3_300, None)
    assert row.warnings == []
    (hana,) = await sender.rows(Customer)
    assert (hana.member_number, hana.name, hana.phone, hana.email, hana.postal_code) == (
        "shopify:777", "港 花", "+819012345678", "hana@example.jp", "231-0023",
    )  # fmt: skip


async def test_an_orders_life_in_any_order_of_arrival(sender: Sender) -> None:
    paid = {"financial_status": "paid", "updated_at": sender.at(1.5)}
    sent = paid | {
        "updated_at": sender.at(1), "fulfillment_status": "fulfilled",
        "fulfillments": [{"created_at": sender.at(1), "status": "success"}],
    }  # fmt: skip
    news: list[tuple[str, Any]] = [
        ("refunds/create", shopify_refund(sender)),
        ("orders/fulfilled", shopify_order(sender, **sent)),
        ("orders/create", shopify_order(sender)),
        ("orders/paid", shopify_order(sender, **paid)),
    ]
    for topic, body in news:
        assert (await sender.shopify(topic, body)).status_code == 200

    (row,) = await sender.rows(Purchase)
    assert (row.order_id, row.total, row.refunded) == ("#1001", 3_300, 600)
    assert row.paid_at == sender.now - 1.5 * DAY
    assert row.shipped_at == sender.now - 1 * DAY
    kinds = sorted(a.kind for a in await sender.rows(Activity) if not a.kind.startswith("tag"))
    assert [k for k in kinds if "points" not in k and "rank" not in k] == [
        "order_placed", "purchased", "refunded", "shipped",
    ]  # fmt: skip
    member = next(c for c in await sender.rows(Customer) if c.member_number)
    assert (member.purchase_count, member.purchase_total) == (1, 2_700)


async def test_a_refund_after_its_order_and_the_same_one_inside_the_order_count_once(
    sender: Sender,
) -> None:
    paid = {"financial_status": "paid"}
    await sender.shopify("orders/create", shopify_order(sender, **paid))
    await sender.shopify("refunds/create", shopify_refund(sender))

    refunds = [shopify_refund(sender)]
    later = shopify_order(sender, **paid, refunds=refunds, updated_at=sender.at(0))
    await sender.shopify("orders/updated", later)
    await sender.shopify("orders/cancelled", later | {"cancelled_at": sender.at(0)})

    (row,) = await sender.rows(Purchase)
    assert (row.refunded, row.cancelled_at) == (600, sender.now)
    assert len(await sender.rows(PurchaseRefund)) == 1


async def test_a_customer_of_the_online_store(sender: Sender) -> None:
    hana = shopify_order(sender)["customer"]
    await sender.shopify("customers/create", hana)

    odd = {"first_name": "はな", "phone": "+0", "email": "@", "default_address": None}
    await sender.shopify("customers/update", hana | odd)

    (row,) = await sender.rows(Customer)
    assert (row.name, row.phone, row.email) == ("港 はな", "+819012345678", "hana@example.jp")


async def test_what_is_not_for_us_is_answered_and_changes_nothing(sender: Sender) -> None:
    for topic, body in (
        ("products/update", {"id": 1}),
        ("orders/create", shopify_order(sender, test=True)),
        ("refunds/create", shopify_refund(sender, transactions=[])),
    ):
        assert (await sender.shopify(topic, body)).status_code == 200

    assert await sender.rows(Purchase) == await sender.rows(Customer) == []


async def test_a_webhook_that_comes_again_does_nothing(sender: Sender) -> None:
    order = shopify_order(sender)
    await sender.shopify("orders/create", order, "hook-1")
    before = await sender.stored()

    again = await sender.shopify("orders/create", order, "hook-1")
    other = await sender.shopify("orders/create", order | {"total_price": "1"}, "hook-1")

    assert [a.json() for a in (again, other)] == [{"status": "known"}] * 2
    assert await sender.stored() == before


async def test_ten_at_once_are_one(sender: Sender) -> None:
    order = shopify_order(sender, financial_status="paid")
    answers = await asyncio.gather(
        *(sender.shopify("orders/create", order, f"hook-{n % 5}") for n in range(10))
    )

    assert {answer.status_code for answer in answers} == {200}
    (row,) = await sender.rows(Customer)
    assert (row.purchase_count, row.purchase_total, row.points) == (1, 3_300, 33)


async def test_a_wrong_signature_is_turned_away(sender: Sender) -> None:
    order = shopify_order(sender)
    before = await sender.stored()

    for wrong in ("", "x", "AAAA", base64.b64encode(b"0" * 32).decode()):
        answer = await sender.shopify("orders/create", order, **{"X-Shopify-Hmac-Sha256": wrong})
        assert answer.status_code == 401
    strange = {b"X-Shopify-Hmac-Sha256": b"\xff\xfe"}
    assert (await sender.http.post("/hooks/store", headers=strange)).status_code == 401
    for wrong in ("", "sha256=", "sha256=" + "0" * 64, "00"):
        assert (await sender.till({}, {"X-Okaeri-Signature": wrong})).status_code == 401
    for timestamp in ("", "x", "-1", "9" * 13, "0"):
        assert (await sender.till({}, {"X-Okaeri-Timestamp": timestamp})).status_code == 401
    assert (await sender.till({}, ago=301)).status_code == 401
    assert (await sender.till({}, ago=-302)).status_code == 401
    assert (await sender.http.post("/hooks/nobody", content=b"{}")).status_code == 404
    assert (await sender.http.get("/hooks/store")).status_code == 405

    assert await sender.stored() == before


async def test_an_old_signature_within_five_minutes_is_good(sender: Sender) -> None:
    assert (await sender.till({}, ago=290)).status_code == 200
    assert (await sender.till({}, ago=-290)).status_code == 200


# What comes, and where it is wrong.
BAD_ORDERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"total_price": "-1"}, ["total_price"]),
    ({"total_price": "12.50"}, ["total_price"]),
    ({"total_price": "NaN"}, ["total_price"]),
    ({"total_price": "1e99"}, ["total_price"]),
    ({"currency": "USD"}, ["currency"]),
    ({"name": ""}, ["name"]),
    ({"created_at": "yesterday"}, ["created_at"]),
    ({"line_items": [{"quantity": "many"}]}, ["line_items[0].quantity"]),
    ({"processed_at": "2999-01-01T00:00:00Z"}, ["processed_at"]),
    ({"id": "x" * 20}, ["id"]),
]


@pytest.mark.parametrize(("values", "paths"), BAD_ORDERS)
async def test_a_body_with_faults_says_where_and_changes_nothing(
    sender: Sender, values: dict[str, Any], paths: list[str]
) -> None:
    before = await sender.stored()

    answer = await sender.shopify("orders/create", shopify_order(sender, **values))

    assert answer.status_code == 422, answer.text
    faults = answer.json()["errors"]
    assert [fault["path"] for fault in faults] == paths
    assert all(fault["message"] and fault["message_ja"] for fault in faults)
    assert await sender.stored() == before


async def test_what_cannot_be_read_is_refused(sender: Sender) -> None:
    before = await sender.stored()

    for raw, status in ((b"", 400), (b"{", 400), (b"[]", 422), (b"{}", 422), (b"\xff", 400)):
        assert (await sender.shopify("orders/create", raw)).status_code == status, raw
    assert (await sender.shopify("orders/create", b" " * (1 << 20) + b"{}")).status_code == 413
    assert (await sender.till(b'{"purchases": [{}]}')).status_code == 422
    assert (await sender.till({}, {"X-Okaeri-Delivery": ""})).status_code == 422

    assert await sender.stored() == before


def till_body(sender: Sender) -> dict[str, Any]:
    return {
        "customers": [{"member_number": "M-1", "name": "健", "phone": "09011112222"}],
        "purchases": [
            {"order_id": "T-1", "member_number": "M-1", "purchased_at": sender.at(1), "total": 800},
            {"order_id": "T-2", "member_number": "M-2", "purchased_at": sender.at(1), "total": 200,
             "customer": {"name": "結衣"}},
        ],
        "refunds": [
            {"order_id": "T-1", "key": "r-1", "amount": 300},
            {"order_id": "T-0", "key": "r-0", "amount": 100},
        ],
    }  # fmt: skip


async def test_the_till_tells_of_orders_people_and_refunds_in_one_body(sender: Sender) -> None:
    answer = await sender.till(till_body(sender), {"X-Okaeri-Delivery": "d-1"})
    again = await sender.till(till_body(sender), {"X-Okaeri-Delivery": "d-1"})

    assert [answer.json(), again.json()] == [{"status": "taken"}, {"status": "known"}]
    people = {c.member_number: c for c in await sender.rows(Customer) if c.member_number}
    assert {n: (c.name, c.purchase_total) for n, c in people.items()} == {
        "M-1": ("健", 500),
        "M-2": ("結衣", 200),
    }
    rows = {row.order_id: row for row in await sender.rows(Purchase)}
    assert (rows["T-0"].total, rows["T-0"].refunded) == (0, 0)
    assert {row.source for row in rows.values()} == {"till"}

    late = {"order_id": "T-0", "member_number": "M-1", "purchased_at": sender.at(1), "total": 900}
    await sender.till({"purchases": [late]})
    assert {row.order_id: row.refunded for row in await sender.rows(Purchase)}["T-0"] == 100


async def test_one_fault_in_a_body_and_nothing_of_it_is_taken(sender: Sender) -> None:
    before = await sender.stored()
    body = till_body(sender)
    body["refunds"][0]["amount"] = 801
    body["purchases"][1]["purchased_at"] = sender.at(-1)

    first = await sender.till(body)
    body["purchases"][1]["purchased_at"] = sender.at(1)
    second = await sender.till(body)
    body["customers"][0]["phone"] = "12"
    third = await sender.till(body)

    answers = [[e["path"] for e in a.json()["errors"]] for a in (first, second, third)]
    assert answers == [["purchases[1].purchased_at"], ["refunds[0].amount"], ["customers[0].phone"]]
    assert await sender.stored() == before


async def test_senders_that_tell_of_each_others_people_at_once_do_not_block(
    sender: Sender,
) -> None:
    def body(first: int, second: int) -> dict[str, Any]:
        return {
            "customers": [{"member_number": f"M-{first}", "name": "健"}],
            "purchases": [
                {"order_id": f"T-{uuid4().hex}", "member_number": f"M-{second}",
                 "purchased_at": sender.at(1), "total": 100}
            ],
        }  # fmt: skip

    await sender.till(body(1, 2))
    answers = await asyncio.gather(*(sender.till(body(1 + n % 2, 2 - n % 2)) for n in range(16)))

    assert {answer.status_code for answer in answers} == {200}
    assert sum(c.purchase_count for c in await sender.rows(Customer)) == 17


async def test_what_was_taken_in_long_ago_is_forgotten_and_the_orders_numbers_are_not(
    sender: Sender,
) -> None:
    await sender.shopify("orders/create", shopify_order(sender))
    await sender.runtime.clock.move_to(  # type: ignore[attr-defined]
        sender.now + KEEP_HOOKS + timedelta(hours=1)
    )

    assert await forget_old_rows(sender.runtime) == 1
    await sender.shopify("refunds/create", shopify_refund(sender))

    (row,) = await sender.rows(Purchase)
    assert (row.order_id, row.refunded) == ("#1001", 600)
