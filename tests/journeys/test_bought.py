"""Buying, from the till or the online store over real HTTP to what the customer hears in LINE."""

import base64
import hmac
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from admin import tokens
from core.db import table
from crm.customers import records
from crm.customers.records import CustomerDraft
from crm.linking.models import MemberLink
from crm.models import Customer, Friend
from tests.shop import Person, Shop

THANKS = """\
key: thanks
name: お買い上げのお礼
trigger: {on: purchased, where: {total: {gte: 1000}}}
entry: {once: always}
steps:
  - say: お買い上げありがとうございます
"""
REMINDER = """\
key: reminder
name: ご入金のお願い
trigger: {on: order_placed}
entry: {once: always}
exit: {when: {activity: purchased}}
steps:
  - wait: {days: 3}
  - say: ご入金をお待ちしています
"""
SECRET = "the-secret-of-the-online-store"


class Till:
    """Talks to the shop's server over HTTP."""

    def __init__(self, shop: Shop, url: str, token: str) -> None:
        self._shop, self._url = shop, url
        self._headers = {"Authorization": f"Bearer {token}"}

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """One call of the admin API; status and body."""
        url = f"{self._url}/api/v1{path}"
        request = self._shop.http.request(method, url, headers=self._headers, **options)
        async with request as response:
            return response.status, await response.json()

    async def hook(self, topic: str, body: dict[str, Any]) -> int:
        """What the online store sends; the status of our answer."""
        raw = orjson.dumps(body)
        digest = hmac.digest(SECRET.encode(), raw, "sha256")
        headers = {
            "X-Shopify-Topic": topic,
            "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
        }
        url = f"{self._url}/hooks/store"
        async with self._shop.http.post(url, data=raw, headers=headers) as response:
            return response.status


@pytest.fixture
async def till(shop: Shop, shop_port: int) -> Till:
    now = await shop.runtime.clock.now()
    async with shop.runtime.db.transaction() as session:
        token = await tokens.create(session, name="till", role="owner", now=now)
    return Till(shop, f"http://127.0.0.1:{shop_port}", token)


@pytest.fixture
async def hana(shop: Shop) -> Person:
    """Hana, a friend who is the member shopify:777."""
    person = await shop.new_person("花")
    await person.follow()
    await shop.work()
    now = await shop.runtime.clock.now()
    async with shop.runtime.db.transaction() as session:
        friend = await session.scalar(
            select(Friend).where(table(Friend).c.user_id == person.user_id)
        )
        assert friend is not None
        draft = CustomerDraft(member_number="shopify:777")
        customer = await session.get_one(Customer, friend.customer_id)
        await records.change(session, customer, draft, now=now, source="test")
        session.add(
            MemberLink(friend_id=friend.id or 0, customer_id=friend.customer_id, method="staff",
                       linked_at=now)
        )  # fmt: skip
    return person


async def test_a_purchase_at_the_till_is_thanked_for_once_and_can_be_given_back(
    shop: Shop, till: Till, hana: Person
) -> None:
    await shop.publish(THANKS)
    now = await shop.runtime.clock.now()
    bought = {
        "source": "till", "order_id": "1", "member_number": "shopify:777",
        "purchased_at": now.isoformat(), "total": 2_000,
    }  # fmt: skip

    statuses = [(await till.ask("POST", "/purchases", json=bought))[0] for _ in range(3)]
    await shop.work()
    _status, told = await till.ask("GET", "/purchases")
    id_ = told["items"][0]["id"]
    status, refunded = await till.ask("POST", f"/purchases/{id_}/refund", json={})
    await shop.work()

    assert statuses == [201, 200, 200]
    assert (status, refunded["status"], refunded["points_earned"]) == (200, "refunded", 0)
    assert await hana.texts() == ["お買い上げありがとうございます"]


@pytest.mark.parametrize("pays", [True, False])
async def test_who_has_paid_in_the_online_store_is_not_reminded(
    shop: Shop, till: Till, hana: Person, pays: bool
) -> None:
    await shop.publish(REMINDER)
    source = {"key": "store", "kind": "shopify", "name": "みなと", "secret": SECRET}
    assert (await till.ask("POST", "/sources", json=source))[0] == 201
    now = await shop.runtime.clock.now()
    order = {
        "id": 1, "name": "#1001", "created_at": now.isoformat(), "updated_at": now.isoformat(),
        "total_price": "2000", "financial_status": "pending", "customer": {"id": 777},
    }  # fmt: skip

    assert await till.hook("orders/create", order) == 200
    await shop.work()
    await shop.travel(timedelta(days=1))
    if pays:
        later = (await shop.runtime.clock.now()).isoformat()
        paid = order | {"financial_status": "paid", "updated_at": later}
        assert await till.hook("orders/paid", paid) == 200
    await shop.work()
    await shop.travel(timedelta(days=5))

    assert await hana.texts() == ([] if pays else ["ご入金をお待ちしています"])
