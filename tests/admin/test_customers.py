"""Customers over the API: found, kept in one form, tagged, asked, and never lost to a clash."""

from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from core.db import table
from core.runtime import Runtime
from crm.activities import Fact, record
from crm.linking.models import MemberLink
from crm.models import Customer
from delivery.models import SENT, SUPPRESSED, WAITING, Delivery
from tests.admin.conftest import Cast, paths, problem

HANA = {
    "member_number": "ＫＡＩ－１", "name": "港 花", "kana": "みなと はな", "birthday": "1990/4/1",
    "phone": "０９０ー１２３４ー５６７８", "email": "HANA@example.jp", "gender": "女性",
    "postal_code": "２３１００２３", "tags": ["vip"],
}  # fmt: skip


async def add(client: httpx2.AsyncClient, **values: Any) -> dict[str, Any]:
    made = await client.post("/customers", json=values)
    assert made.status_code == 201, made.text
    told: dict[str, Any] = made.json()
    return told


async def change(
    client: httpx2.AsyncClient, customer: dict[str, Any], **values: Any
) -> httpx2.Response:
    headers = {"If-Match": f'"{customer["version"]}"'}
    return await client.patch(f"/customers/{customer['id']}", json=values, headers=headers)


async def found(client: httpx2.AsyncClient, **params: Any) -> list[int]:
    answer = await client.get("/customers", params=params)
    assert answer.status_code == 200, answer.text
    return sorted(item["id"] for item in answer.json()["items"])


async def test_a_customer_is_told_as_the_contract_says(clerk: httpx2.AsyncClient) -> None:
    made = await clerk.post("/customers", json=HANA)

    told = made.json()
    assert made.headers["etag"] == '"1"'
    kept = {name: told[name] for name in HANA}
    assert kept == {
        "member_number": "KAI-1", "name": "港 花", "kana": "ミナト ハナ", "birthday": "1990-04-01",
        "phone": "+819012345678", "email": "hana@example.jp", "gender": "female",
        "postal_code": "231-0023", "tags": ["vip"],
    }  # fmt: skip
    assert (told["points"], told["linked"], told["attributes"]) == (0, False, {})
    assert (await clerk.get(f"/customers/{told['id']}")).json() == told


BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"birthday": "2090-01-01"}, ["birthday"]),
    ({"birthday": "1800-01-01"}, ["birthday"]),
    ({"birthday": "2001-02-29"}, ["birthday"]),
    ({"birthday": 19900401}, ["birthday"]),
    ({"phone": "12"}, ["phone"]),
    ({"phone": "0" * 301}, ["phone"]),
    ({"email": "hana"}, ["email"]),
    ({"postal_code": "23"}, ["postal_code"]),
    ({"kana": "港"}, ["kana"]),
    ({"gender": "cat"}, ["gender"]),
    ({"name": "花" * 101}, ["name"]),
    ({"member_number": "A B"}, ["member_number"]),
    ({"tags": ["x" * 61]}, ["tags[0]"]),
    ({"tags": "vip"}, ["tags"]),
    ({"attributes": {"no": 1}}, ["attributes.no"]),
    ({"attributes": []}, ["attributes"]),
    ({"points": 10}, ["points"]),
    ({"phone": "x", "email": "y"}, ["phone", "email"]),
]


async def test_bad_input_is_told_field_by_field_and_nothing_is_kept(
    clerk: httpx2.AsyncClient,
) -> None:
    for values, where in BAD:
        answer = await clerk.post("/customers", json=values)
        assert sorted(paths(answer)) == sorted(where), values
        for error in answer.json()["errors"]:
            assert error["message"]
            assert error["message_ja"]
    assert await found(clerk) == []


async def test_the_29th_of_february_is_a_birthday(clerk: httpx2.AsyncClient) -> None:
    for born in ("2000-02-29", "--02-29"):
        assert (await add(clerk, birthday=born))["birthday"] == born


async def test_a_repeated_creation_makes_one_customer(clerk: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "c-1"}
    first, again = [await clerk.post("/customers", json=HANA, headers=headers) for _ in range(2)]
    assert first.json() == again.json()
    assert len(await found(clerk)) == 1
    other = await clerk.post("/customers", json=HANA)
    assert paths(other) == ["member_number"]


async def test_a_change_says_what_was_read(clerk: httpx2.AsyncClient) -> None:
    hana = await add(clerk, **HANA)
    answer = await change(clerk, hana, phone=None, tags=["a"])
    assert answer.status_code == 200
    told = answer.json()
    assert (told["phone"], told["tags"], told["name"]) == (None, ["a"], "港 花")
    assert answer.headers["etag"] == '"2"'

    problem(await change(clerk, hana, name="だれ"), 412)
    problem(await clerk.patch(f"/customers/{hana['id']}", json={"name": "だれ"}), 428)
    problem(await clerk.patch("/customers/4711", json={}, headers={"If-Match": '"1"'}), 404)
    assert paths(await change(clerk, told, phone="12")) == ["phone"]


async def test_customers_are_found_by_what_is_known_of_them(
    clerk: httpx2.AsyncClient, cast: Cast, runtime: Runtime, now: datetime
) -> None:
    hana = (await add(clerk, **HANA))["id"]
    ken = (await add(clerk, name="港 健", email="ken@example.jp"))["id"]
    async with runtime.db.transaction() as session:
        friend = cast.hana.id or 0
        session.add(MemberLink(friend_id=friend, customer_id=ken, method="page", linked_at=now))
        gold = update(table(Customer)).where(table(Customer).c.id == ken).values(rank="gold")
        await session.execute(gold)
    for params, ids in [
        ({"q": "港"}, [hana, ken]),
        ({"q": "はな"}, [hana]),
        ({"q": "ﾊﾅ"}, [hana]),
        ({"q": "KAI"}, [hana]),
        ({"q": "%"}, []),
        ({"member_number": "ＫＡＩ－１"}, [hana]),
        ({"phone": "090-1234-5678"}, [hana]),
        ({"email": "KEN@example.jp"}, [ken]),
        ({"tag": "vip"}, [hana]),
        ({"rank": "gold"}, [ken]),
        ({"linked": "true"}, [ken]),
        ({"linked": "false", "q": "港"}, [hana]),
    ]:
        assert await found(clerk, **params) == ids, params
    assert paths(await clerk.get("/customers?phone=x")) == ["phone"]


async def test_tags_come_and_go_one_at_a_time(clerk: httpx2.AsyncClient) -> None:
    hana = await add(clerk, **HANA)
    url = f"/customers/{hana['id']}/tags"
    for _ in range(2):
        answer = await clerk.put(f"{url}/珈琲好き")
        assert answer.json() == {"customer_id": hana["id"], "tags": ["vip", "珈琲好き"]}
    assert (await clerk.delete(f"{url}/vip")).json()["tags"] == ["珈琲好き"]
    assert (await clerk.delete(f"{url}/vip")).json()["tags"] == ["珈琲好き"]
    problem(await clerk.put("/customers/4711/tags/vip"), 404)
    kinds = [a["kind"] for a in (await clerk.get("/activities")).json()["items"]]
    assert kinds == ["tag_removed", "tag_added", "tag_added"]


async def test_a_customers_word_on_a_topic_is_noted(clerk: httpx2.AsyncClient) -> None:
    hana = await add(clerk)
    url = f"/customers/{hana['id']}/consents"
    assert all(c["granted"] for c in (await clerk.get(url)).json()["consents"])

    told = (await clerk.put(f"{url}/sales", json={"granted": False})).json()

    assert {c["topic"]: c["granted"] for c in told["consents"]} == {
        "news": True, "sales": False, "coupons": True, "points": True,
    }  # fmt: skip
    assert paths(await clerk.put(f"{url}/no", json={"granted": False})) == ["topic"]


async def test_the_timeline_holds_what_happened_and_what_was_sent_or_not_and_why(
    viewer: httpx2.AsyncClient, cast: Cast, runtime: Runtime, now: datetime
) -> None:
    customer, friend = cast.hana.customer_id, cast.hana.id or 0
    async with runtime.db.transaction() as session:
        await record(
            session,
            [
                Fact(customer, "followed", now - timedelta(days=3), friend),
                Fact(customer, "purchased", now - timedelta(days=1), friend, {"total": 3200}),
            ],
            now=now,
        )
        for n, (state, reason, done) in enumerate(
            [(SENT, None, 2), (SUPPRESSED, "blocked", 0), (WAITING, None, None)]
        ):
            session.add(
                Delivery(
                    channel_id=cast.hana.channel_id, friend_id=friend, source=f"s{n}",
                    messages=b"[]", state=state, reason=reason, due_at=now + timedelta(days=1),
                    created_at=now, done_at=None if done is None else now - timedelta(days=done),
                )
            )  # fmt: skip
    url = f"/customers/{customer}/timeline"

    entries = (await viewer.get(url)).json()["items"]

    assert [(e["what"], e["kind"]) for e in entries] == [
        ("delivery", "waiting"), ("delivery", "suppressed"), ("activity", "purchased"),
        ("delivery", "sent"), ("activity", "followed"),
    ]  # fmt: skip
    assert entries[1]["reason_ja"] == "ブロックされているため"
    assert entries[2]["title_ja"] == "購入しました（¥3,200）"
    paged, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        body = (await viewer.get(url, params=params)).json()
        paged += body["items"]
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert paged == entries
    happened = (await viewer.get(f"/customers/{customer}/activities")).json()["items"]
    assert [a["kind"] for a in happened] == ["purchased", "followed"]


async def test_an_attribute_is_defined_before_it_is_noted(
    clerk: httpx2.AsyncClient, marketer: httpx2.AsyncClient
) -> None:
    body = {"name": "肌質", "type": "choice", "choices": ["dry", "oily"]}
    made = await marketer.put("/attributes/skin_type", json=body)
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    hana = await add(clerk, attributes={"skin_type": "dry"})
    assert hana["attributes"] == {"skin_type": "dry"}

    problem(await marketer.put("/attributes/skin_type", json=body), 428)
    headers = {"If-Match": '"1"'}
    tight = body | {"choices": ["oily"]}
    problem(await marketer.put("/attributes/skin_type", json=tight, headers=headers), 409)
    wide = body | {"choices": ["dry", "oily", "mixed"]}
    assert (await marketer.put("/attributes/skin_type", json=wide, headers=headers)).is_success
    problem(await marketer.delete("/attributes/skin_type"), 409)
    assert (await marketer.delete("/attributes/skin_type?with_values=true")).status_code == 204
    assert (await clerk.get(f"/customers/{hana['id']}")).json()["attributes"] == {}
    assert paths(await marketer.put("/attributes/x", json=body | {"type": "text"})) == ["choices"]


async def test_topics_are_the_shops_own_words(marketer: httpx2.AsyncClient) -> None:
    body = {"name": "催し", "position": 9}
    keys = [t["key"] for t in (await marketer.get("/topics")).json()["items"]]
    assert keys == ["news", "sales", "coupons", "points"]
    problem(await marketer.put("/topics/news", json=body), 428)
    default = await marketer.get("/topics/news")
    saved = await marketer.put(
        "/topics/news", json=body, headers={"If-Match": default.headers["etag"]}
    )
    assert (saved.status_code, saved.json()["name"]) == (200, "催し")
    problem(await marketer.put("/topics/news", json=body, headers={"If-Match": '"1"'}), 412)
    assert (await marketer.put("/topics/events", json=body)).status_code == 201
    assert (await marketer.delete("/topics/sales")).status_code == 204
    keys = [t["key"] for t in (await marketer.get("/topics")).json()["items"]]
    assert keys == ["coupons", "points", "events", "news"]


@pytest.fixture
async def twins(clerk: httpx2.AsyncClient) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two records of one person, who share a phone."""
    return await add(clerk, **HANA), await add(clerk, name="花", phone="090-1234-5678", tags=["b"])


async def test_doubles_wait_for_staff_who_merge_and_owners_can_undo(
    clerk: httpx2.AsyncClient, owner: httpx2.AsyncClient, twins: tuple[Any, Any]
) -> None:
    hana, twin = twins
    (double,) = (await clerk.get("/doubles")).json()["items"]
    assert double["evidence"] == ["phone"]
    assert (double["first"]["id"], double["second"]["id"]) == (hana["id"], twin["id"])
    url = f"/doubles/{double['id']}/merge"
    assert paths(await clerk.post(url, json={"into_customer_id": 4711})) == ["into_customer_id"]

    merged = (await clerk.post(url, json={"into_customer_id": hana["id"]})).json()

    assert (merged["from_id"], merged["into_id"]) == (twin["id"], hana["id"])
    assert merged["evidence"] == {"shared": ["phone"]}
    one = (await clerk.get(f"/customers/{twin['id']}")).json()
    assert (one["id"], one["merged_from"], one["tags"]) == (hana["id"], twin["id"], ["b", "vip"])
    assert await found(clerk) == [hana["id"]]
    problem(await clerk.post(url, json={"into_customer_id": hana["id"]}), 409)

    problem(await clerk.post(f"/merges/{merged['id']}/undo"), 403)
    undone = await owner.post(f"/merges/{merged['id']}/undo")
    assert undone.json()["undone_at"] is not None
    assert await found(clerk) == [hana["id"], twin["id"]]
    problem(await owner.post(f"/merges/{merged['id']}/undo"), 409)
    listed = (await clerk.get(f"/merges?customer_id={twin['id']}&undone=true")).json()["items"]
    assert [m["id"] for m in listed] == [merged["id"]]


async def test_a_dismissed_double_is_gone_from_the_list(
    clerk: httpx2.AsyncClient, twins: tuple[Any, Any]
) -> None:
    (double,) = (await clerk.get("/doubles")).json()["items"]
    assert (await clerk.post(f"/doubles/{double['id']}/dismiss")).json()["state"] == "dismissed"
    assert (await clerk.get("/doubles")).json()["items"] == []
    listed = (await clerk.get("/doubles?state=dismissed")).json()["items"]
    assert [d["id"] for d in listed] == [double["id"]]
    problem(await clerk.post(f"/doubles/{double['id']}/dismiss"), 409)
    problem(await clerk.post("/doubles/4711/dismiss"), 404)


async def test_staff_merge_two_members_on_purpose(clerk: httpx2.AsyncClient) -> None:
    old, new = await add(clerk, member_number="OLD-1"), await add(clerk, member_number="NEW-1")
    body = {"into_customer_id": new["id"], "reason": "新しいカードに切り替え"}
    url = f"/customers/{old['id']}/merge"

    headers = {"Idempotency-Key": "m-1"}
    first, again = [await clerk.post(url, json=body, headers=headers) for _ in range(2)]

    assert first.json() == again.json()
    problem(await clerk.post(url, json=body), 409)
    fact = {"kind": "product_viewed", "member_number": "OLD-1", "occurred_at": new["created_at"]}
    kept = await clerk.post("/activities", json=fact)
    assert kept.json()["customer_id"] == new["id"]
    assert paths(await clerk.post("/activities", json=fact | {"member_number": "NO"})) == [
        "member_number"
    ]
    assert paths(await clerk.post(url, json={"into_customer_id": 1})) == ["reason"]
    problem(await clerk.post("/customers/4711/merge", json=body), 404)
