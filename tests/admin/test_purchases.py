"""Purchases over the API: recorded once, corrected, given back, found; bad input is told apart."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import insert

from core.db import table
from core.runtime import Runtime
from crm.coupons import issuing
from crm.coupons.definition import CouponDraft, save as save_coupon
from crm.models import Activity, Customer
from crm.points import ledger
from crm.points.ledger import Grant
from crm.purchases.models import Purchase
from tests.admin.conftest import Callers, paths, problem

DAY = timedelta(days=1)


@pytest.fixture
async def hana(runtime: Runtime, now: datetime) -> int:
    """The member M-1."""
    row = {"member_number": "M-1", "name": "花", "created_at": now - 400 * DAY}
    async with runtime.db.transaction() as session:
        made = insert(table(Customer)).values(row).returning(table(Customer).c.id)
        return int((await session.execute(made)).scalar_one())


@pytest.fixture
def body(hana: int, now: datetime) -> dict[str, Any]:
    """A purchase of 3,000 yen."""
    return {
        "source": "till",
        "order_id": "2-80211",
        "member_number": "M-1",
        "purchased_at": now.isoformat(),
        "total": 3_000,
        "lines": [{"sku": "beans-200", "name": "豆", "quantity": 2, "unit_price": 1_500}],
    }


async def member(runtime: Runtime, id_: int) -> Customer:
    """The customer's row as it is now."""
    async with runtime.db.reading() as session:
        return await session.get_one(Customer, id_)


async def test_a_purchase_is_recorded_and_told(
    clerk: httpx2.AsyncClient, body: dict[str, Any], hana: int, runtime: Runtime
) -> None:
    made = await clerk.post("/purchases", json=body)

    assert made.status_code == 201
    told = made.json()
    assert (told["customer_id"], told["member_number"], told["status"]) == (hana, "M-1", "paid")
    assert (told["total"], told["refunded"], told["points_earned"]) == (3_000, 0, 30)
    assert told["lines"][0]["sku"] == "beans-200"
    assert made.headers["etag"] == '"1"'
    assert (await clerk.get(f"/purchases/{told['id']}")).json() == told
    assert (await member(runtime, hana)).points == 30


async def test_the_same_again_answers_200_and_changes_nothing(
    clerk: httpx2.AsyncClient, body: dict[str, Any], hana: int, runtime: Runtime
) -> None:
    first = await clerk.post("/purchases", json=body)
    again = await clerk.post("/purchases", json=body)

    assert (again.status_code, again.json()) == (200, first.json())
    assert (await member(runtime, hana)).purchase_count == 1


async def test_a_double_tap_and_a_lost_response_are_harmless(
    clerk: httpx2.AsyncClient, body: dict[str, Any], hana: int, runtime: Runtime
) -> None:
    keyed = {"Idempotency-Key": "tap"}
    taps = [clerk.post("/purchases", json=body, headers=keyed if n % 2 else {}) for n in range(10)]
    answers = await asyncio.gather(*taps)

    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
    assert sum(a.status_code == 201 and "idempotency-replayed" not in a.headers
               for a in answers) == 1  # fmt: skip
    assert (await member(runtime, hana)).points == 30


async def test_a_corrected_purchase_counts_as_it_is_now(
    clerk: httpx2.AsyncClient, body: dict[str, Any], hana: int, runtime: Runtime
) -> None:
    await clerk.post("/purchases", json=body)
    corrected = await clerk.post("/purchases", json=body | {"total": 2_000})

    assert corrected.status_code == 200
    assert corrected.json()["warnings"][0].startswith("明細の合計 3,000円")
    assert corrected.json()["version"] == 2
    assert (await member(runtime, hana)).purchase_total == 2_000


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"total": -1}, "total"),
    ({"total": 12.5}, "total"),
    ({"total": None}, "total"),
    ({"total": 10**12}, "total"),
    ({"order_id": "  "}, "order_id"),
    ({"member_number": "M-404"}, "member_number"),
    ({"member_number": None}, "member_number"),
    ({"customer_id": 1}, "customer_id"),
    ({"member_number": None, "customer_id": 404}, "customer_id"),
    ({"purchased_at": "2026-11-22"}, "purchased_at"),
    ({"purchased_at": "2199-01-01T00:00:00+09:00"}, "purchased_at"),
    ({"lines": [{"quantity": "two"}]}, "lines[0].quantity"),
    ({"points_used": 3_001}, "points_used"),
    ({"surprise": 1}, "surprise"),
]


@pytest.mark.parametrize(("values", "path"), WRONG)
async def test_what_is_wrong_is_told_by_its_place_and_changes_nothing(
    clerk: httpx2.AsyncClient, body: dict[str, Any], values: dict[str, Any], path: str
) -> None:
    one = await clerk.post("/purchases", json=body | values)
    batch = [body, body | {"order_id": "other"} | values]
    many = await clerk.post("/purchases/batch", json={"purchases": batch})

    assert paths(one) == [path]
    assert paths(many) == [f"purchases[1].{path}"]
    assert all(error["message_ja"] for error in one.json()["errors"])
    assert (await clerk.get("/purchases")).json()["items"] == []


async def test_a_batch_is_recorded_whole(
    clerk: httpx2.AsyncClient, body: dict[str, Any], hana: int, runtime: Runtime
) -> None:
    await clerk.post("/purchases", json=body)
    batch = [body, body | {"order_id": "2", "total": 1}, body | {"order_id": "3", "lines": []}]

    told = (await clerk.post("/purchases/batch", json={"purchases": batch})).json()

    assert (told["recorded"], told["changed"], told["known"]) == (2, 0, 1)
    assert list(told["warnings"]) == [str(told["ids"][1])]
    assert (await member(runtime, hana)).purchase_count == 3


async def test_points_are_spent_with_the_purchase_or_neither_happens(
    clerk: httpx2.AsyncClient, body: dict[str, Any], hana: int, runtime: Runtime, now: datetime
) -> None:
    async with runtime.db.transaction() as session:
        await ledger.grant(session, [Grant(hana, 200, source="g", reason="贈り物")], now=now)

    refused = await clerk.post("/purchases", json=body | {"points_used": 201})
    problem(refused, 409)
    assert (await clerk.get("/purchases")).json()["items"] == []
    assert (await clerk.post("/purchases", json=body | {"points_used": 200})).status_code == 201
    assert (await member(runtime, hana)).points == 28


async def test_a_coupon_is_redeemed_with_the_purchase_once(
    callers: Callers, body: dict[str, Any], hana: int, runtime: Runtime, now: datetime
) -> None:
    clerk, zone = callers["clerk"], runtime.settings.zone
    draft = CouponDraft.model_validate(
        {"name": "500円引き", "discount": {"amount": 500}, "valid_days": 30}
    )
    async with runtime.db.transaction() as session:
        await save_coupon(session, "minus-500", draft, now=now, expected=None)
        issued = await issuing.issue(
            session, "minus-500", [hana], reason="test", now=now, zone=zone
        )
        assert issued
    (held,) = (await clerk.get(f"/customers/{hana}/coupons")).json()["items"]
    paying = body | {"total": 2_500, "coupon_code": held["code"]}

    unknown = await clerk.post("/purchases", json=paying | {"coupon_code": "ABCD"})
    first = await clerk.post("/purchases", json=paying)
    again = await clerk.post("/purchases", json=paying)
    second_use = await clerk.post("/purchases", json=paying | {"order_id": "other"})

    problem(unknown, 409)
    assert (first.status_code, again.status_code, again.json()) == (201, 200, first.json())
    assert first.json()["warnings"] == []
    problem(second_use, 409)
    cancelled = {"status": "cancelled"}
    await clerk.patch(f"/purchases/{first.json()['id']}", json=cancelled)
    third = await clerk.post("/purchases", json=paying | {"order_id": "other"})
    assert third.status_code == 201


async def test_money_is_given_back_in_part_and_whole(
    clerk: httpx2.AsyncClient, body: dict[str, Any], hana: int, runtime: Runtime
) -> None:
    id_ = (await clerk.post("/purchases", json=body)).json()["id"]
    url = f"/purchases/{id_}/refund"
    keyed = {"Idempotency-Key": "refund-1"}

    part = await clerk.post(url, json={"amount": 1_000}, headers=keyed)
    lost = await clerk.post(url, json={"amount": 1_000}, headers=keyed)
    too_much = await clerk.post(url, json={"amount": 2_001})
    rest = await clerk.post(url, json={"key": "r-2"})
    nothing_left = await clerk.post(url, json={})

    assert (part.json()["refunded"], lost.json()) == (1_000, part.json())
    assert paths(too_much) == ["amount"]
    assert (rest.json()["refunded"], rest.json()["status"]) == (3_000, "refunded")
    assert [r["amount"] for r in rest.json()["refunds"]] == [1_000, 2_000]
    assert (await clerk.post(url, json={"key": "r-2"})).json() == rest.json()
    problem(nothing_left, 409)
    assert (await member(runtime, hana)).points == 0
    assert paths(await clerk.post(url, json={"amount": 0})) == ["amount"]
    problem(await clerk.post("/purchases/999/refund", json={}), 404)


async def test_what_becomes_of_an_order_is_told_in_steps(
    clerk: httpx2.AsyncClient, body: dict[str, Any], hana: int, runtime: Runtime, now: datetime
) -> None:
    made = (await clerk.post("/purchases", json=body | {"paid": False})).json()
    url = f"/purchases/{made['id']}"
    assert (made["status"], (await member(runtime, hana)).points) == ("placed", 0)

    for status in ("paid", "shipped", "delivered", "cancelled"):
        answer = await clerk.patch(url, json={"status": status})
        assert answer.json()["status"] == status
    stood = await clerk.patch(url, json={"cancelled_at": None, "delivered_at": None})

    assert stood.json()["status"] == "shipped"
    assert (await member(runtime, hana)).points == 30
    problem(await clerk.patch(url, json={}, headers={"If-Match": '"1"'}), 412)
    future = (now + DAY).isoformat()
    assert paths(await clerk.patch(url, json={"status": "paid", "at": future})) == ["paid_at"]


async def test_purchases_are_found_by_what_is_known_of_them(
    clerk: httpx2.AsyncClient, body: dict[str, Any], hana: int, now: datetime
) -> None:
    old = (now - 10 * DAY).isoformat()
    batch = [body, body | {"order_id": "old", "source": "ec", "purchased_at": old}]
    await clerk.post("/purchases/batch", json={"purchases": batch})

    async def found(url: str = "/purchases", **params: Any) -> list[str]:
        return [i["order_id"] for i in (await clerk.get(url, params=params)).json()["items"]]

    assert await found() == ["2-80211", "old"]
    assert await found(source="ec") == ["old"]
    assert await found(order_id="2-80211") == ["2-80211"]
    assert await found(member_number="M-1", until=(now - DAY).isoformat()) == ["old"]
    assert await found(since=(now - DAY).isoformat()) == ["2-80211"]
    assert await found(customer_id=hana + 1) == []
    assert await found(f"/customers/{hana}/purchases", limit=1) == ["2-80211"]
    problem(await clerk.get("/customers/999/purchases"), 404)


async def test_reactions_are_woken_and_the_audit_log_names_no_amounts_of_people(
    callers: Callers, body: dict[str, Any], runtime: Runtime
) -> None:
    await callers["clerk"].post("/purchases", json=body)

    async with runtime.db.reading() as session:
        kinds = [row.kind for row in await session.execute(table(Activity).select())]
        rows = list(await session.execute(table(Purchase).select()))
    assert "purchased" in kinds
    entry = (await callers["owner"].get("/audit-log")).json()["items"][0]
    assert (entry["action"], entry["subject"]) == ("purchase.record", f"purchase:{rows[0].id}")
