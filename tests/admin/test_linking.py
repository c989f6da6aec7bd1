"""Linking by staff and by the shop's own systems."""

from datetime import datetime
from typing import Any

import httpx2
import pytest

from core.runtime import Runtime
from crm.customers import records
from crm.customers.records import CustomerDraft
from crm.linking import nonces, orders
from tests.admin.conftest import Callers, Cast, paths, problem

NUMBER = "M-000123"


@pytest.fixture
async def member(runtime: Runtime, now: datetime, cast: Cast) -> int:
    """Ken's membership, which no friend has."""
    async with runtime.db.transaction() as session:
        made = await records.create(
            session, CustomerDraft(member_number=NUMBER), now=now, source="test"
        )
        return made.id or 0


async def link(client: httpx2.AsyncClient, **body: Any) -> httpx2.Response:
    return await client.post("/links", json=body)


async def test_the_till_links_a_friend_to_a_member(
    clerk: httpx2.AsyncClient, viewer: httpx2.AsyncClient, cast: Cast, member: int
) -> None:
    made = await link(clerk, friend_id=cast.hana.id, member_number=NUMBER)

    assert made.status_code == 201
    told = made.json()
    assert (told["customer_id"], told["method"], told["new"]) == (member, "staff", True)
    [listed] = (await viewer.get(f"/customers/{member}/links")).json()["items"]
    assert (listed["id"], listed["unlinked_at"]) == (told["id"], None)
    friend = (await viewer.get(f"/friends/{cast.hana.id}")).json()
    assert friend["customer_id"] == member
    again = await link(clerk, friend_id=cast.hana.id, customer_id=member)
    assert (again.status_code, again.json()["new"]) == (200, False)


async def test_a_double_tap_links_once(
    clerk: httpx2.AsyncClient, viewer: httpx2.AsyncClient, cast: Cast, member: int
) -> None:
    body = {"friend_id": cast.hana.id, "member_number": NUMBER}
    answers = [
        await clerk.post("/links", json=body, headers={"Idempotency-Key": "tap"}) for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert len((await viewer.get("/links")).json()["items"]) == 1


async def test_unlinking_leaves_the_member_and_frees_the_friend(
    clerk: httpx2.AsyncClient, viewer: httpx2.AsyncClient, cast: Cast, member: int
) -> None:
    made = (await link(clerk, friend_id=cast.hana.id, member_number=NUMBER)).json()

    ended = await clerk.post(f"/links/{made['id']}/unlink")

    assert ended.json()["unlinked_by"] == "token:clerk"
    problem(await clerk.post(f"/links/{made['id']}/unlink"), 409)
    friend = (await viewer.get(f"/friends/{cast.hana.id}")).json()
    assert friend["customer_id"] != member
    assert (await viewer.get("/links", params={"open": True})).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"friend_id": 1, "member_number": "M-999999"}, 422),
        ({"friend_id": 999, "member_number": NUMBER}, 422),
        ({"friend_id": 1, "customer_id": 999}, 422),
        ({"friend_id": 1}, 422),
        ({"member_number": NUMBER}, 422),
        ({"friend_id": 1, "id_token": "a.b.c", "member_number": NUMBER}, 422),
        ({"id_token": "a.b.c", "member_number": NUMBER}, 409),  # no LINE Login channel is named
    ],
)
async def test_what_cannot_be_linked_says_why(
    clerk: httpx2.AsyncClient,
    viewer: httpx2.AsyncClient,
    cast: Cast,
    member: int,
    body: dict[str, Any],
    status: int,
) -> None:
    problem(await link(clerk, **body), status)

    assert (await viewer.get("/links")).json()["items"] == []


async def test_the_shops_page_gets_a_nonce_for_a_member_who_signed_in(
    clerk: httpx2.AsyncClient, cast: Cast, member: int, runtime: Runtime, now: datetime
) -> None:
    made = await clerk.post("/link-nonces", json={"member_number": NUMBER})

    assert made.status_code == 201
    told = made.json()
    assert told["dialog_url"] == "https://access.line.me/dialog/bot/accountLink"
    async with runtime.db.transaction() as session:
        spent = await nonces.spend(session, told["nonce"], now=now, friend_id=cast.hana.id)
    assert (spent.customer_id, spent.fault) == (member, None)
    unknown = await clerk.post("/link-nonces", json={"member_number": "M-999999"})
    assert paths(unknown) == ["member_number"]


async def test_the_policy_is_saved_with_its_version(
    marketer: httpx2.AsyncClient, viewer: httpx2.AsyncClient, callers: Callers
) -> None:
    read = await viewer.get("/linking-policy")
    assert (read.json()["version"], read.json()["order_link"]) == (0, "order_and_phone")
    body = {"thanks_points": 100, "sign_in_url": "https://shop.example/login"}

    saved = await marketer.put("/linking-policy", json=body)

    assert (saved.status_code, saved.json()["version"], saved.json()["max_friends"]) == (200, 1, 5)
    problem(await marketer.put("/linking-policy", json=body), 428)
    stale = await marketer.put("/linking-policy", json=body, headers={"If-Match": '"7"'})
    problem(stale, 412)
    again = await marketer.put("/linking-policy", json=body, headers={"If-Match": '"1"'})
    assert again.json()["version"] == 2
    problem(await callers["clerk"].put("/linking-policy", json=body), 403)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"sign_in_url": "javascript:alert(1)"}, "sign_in_url"),
        ({"sign_in_url": "http://shop.example/login"}, "sign_in_url"),
        ({"sign_in_url": "https://shop.example/login#x"}, "sign_in_url"),
        ({"sign_in_url": "https:///login"}, "sign_in_url"),
        ({"max_friends": 0}, "max_friends"),
        ({"order_link": "nothing"}, "order_link"),
        ({"login_channel_id": "abc"}, "login_channel_id"),
        ({"thanks_coupon": "gone"}, "thanks_coupon"),
        ({"thanks": 5}, "thanks"),
    ],
)
async def test_a_policy_that_makes_no_sense_says_where(
    marketer: httpx2.AsyncClient, viewer: httpx2.AsyncClient, body: dict[str, Any], path: str
) -> None:
    assert paths(await marketer.put("/linking-policy", json=body)) == [path]

    assert (await viewer.get("/linking-policy")).json()["version"] == 0


async def test_links_that_wait_for_an_order_are_listed(
    viewer: httpx2.AsyncClient, cast: Cast, runtime: Runtime, now: datetime
) -> None:
    zone = runtime.settings.zone
    async with runtime.db.transaction() as session:
        friend = cast.hana.id or 0
        await orders.name(session, friend, "ABC-123", "090-1234-5678", now=now, zone=zone)

    [waits] = (await viewer.get("/pending-links", params={"state": "waiting"})).json()["items"]

    assert (waits["order_id"], waits["friend_id"]) == ("ABC-123", cast.hana.id)
    assert (await viewer.get("/pending-links", params={"state": "done"})).json()["items"] == []
