"""Coupons and insight."""

from datetime import timedelta
from typing import Any

import pytest
from httpx2 import AsyncClient

from simulator.platform import Platform
from tests.simulator.helpers import HANA, HELLO, ask, push, send


def coupon(platform: Platform, **change: object) -> dict[str, Any]:
    now = platform.clock.ms() // 1_000
    body: dict[str, Any] = {
        "title": "100円引き",
        "startTimestamp": now,
        "endTimestamp": now + 86_400,
        "timezone": "ASIA_TOKYO",
        "visibility": "UNLISTED",
        "maxUseCountPerTicket": 1,
        "acquisitionCondition": {"type": "normal"},
        "reward": {"type": "discount", "priceInfo": {"type": "fixed", "fixedAmount": 100}},
    }
    return {name: value for name, value in {**body, **change}.items() if value is not None}


async def test_a_coupon_is_made_sent_and_closed(client: AsyncClient, platform: Platform) -> None:
    made = await ask(client, "POST", "/v2/bot/coupon", coupon(platform))
    coupon_id = made.json()["couponId"]

    assert (await push(client, HANA, {"type": "coupon", "couponId": coupon_id})).status_code == 200
    listed = (await ask(client, "GET", "/v2/bot/coupon")).json()
    assert listed == {"items": [{"couponId": coupon_id, "title": "100円引き"}]}
    one = (await ask(client, "GET", f"/v2/bot/coupon/{coupon_id}")).json()
    assert one["status"] == "RUNNING"
    assert (await ask(client, "PUT", f"/v2/bot/coupon/{coupon_id}/close")).status_code == 200
    assert (await ask(client, "PUT", f"/v2/bot/coupon/{coupon_id}/close")).status_code == 410
    assert (await push(client, HANA, {"type": "coupon", "couponId": coupon_id})).status_code == 400
    assert (await ask(client, "GET", "/v2/bot/coupon?status=RUNNING")).json() == {"items": []}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"title": "a" * 61}, "title"),
        ({"title": None}, "title"),
        ({"endTimestamp": 1}, "endTimestamp"),
        ({"visibility": "PRIVATE"}, "visibility"),
        ({"maxUseCountPerTicket": 2}, "maxUseCountPerTicket"),
        ({"reward": None}, "reward"),
        (
            {
                "reward": {
                    "type": "discount",
                    "priceInfo": {"type": "fixed", "fixedAmount": 100, "percentage": 5},
                }
            },
            "reward.priceInfo.percentage",
        ),
        (
            {"acquisitionCondition": {"type": "lottery", "lotteryProbability": 100}},
            "acquisitionCondition.maxAcquireCount",
        ),
        ({"couponCode": "a" * 17}, "couponCode"),
    ],
)
async def test_a_wrong_coupon_is_refused(
    client: AsyncClient, platform: Platform, change: dict[str, Any], where: str
) -> None:
    answer = await ask(client, "POST", "/v2/bot/coupon", coupon(platform, **change))

    assert answer.status_code == 400
    assert where in [detail["property"] for detail in answer.json()["details"]]


async def test_insight_knows_followers_and_hides_what_is_below_20(
    client: AsyncClient, platform: Platform
) -> None:
    link = {"type": "uri", "label": "店", "uri": "https://shop.example/"}
    template = {"type": "buttons", "text": "a", "actions": [link]}
    messages = [HELLO, {"type": "template", "altText": "a", "template": template}]
    sent = await send(client, "broadcast", {"messages": messages})
    request_id = sent.headers["x-line-request-id"]
    day = f"{platform.clock.now() + timedelta(hours=9):%Y%m%d}"
    platform.clock.advance(timedelta(days=1))

    followers = (await ask(client, "GET", f"/v2/bot/insight/followers?date={day}")).json()
    event = (
        await ask(client, "GET", f"/v2/bot/insight/message/event?requestId={request_id}")
    ).json()

    assert followers == {"status": "ready", "followers": 3, "targetedReaches": 2, "blocks": 1}
    assert event["overview"]["delivered"] == 2
    assert event["overview"]["uniqueClick"] is None
    assert [click["url"] for click in event["clicks"]] == ["https://shop.example/"]
    demographic = (await ask(client, "GET", "/v2/bot/insight/demographic")).json()
    assert demographic == {"available": False}


async def test_units_have_31_days_and_no_delivered(client: AsyncClient) -> None:
    base = "/v2/bot/insight/message/event/aggregation?customAggregationUnit=a&from=20261101"

    good = await ask(client, "GET", f"{base}&to=20261201")
    bad = await ask(client, "GET", f"{base}&to=20261202")

    assert "delivered" not in good.json()["overview"]
    assert bad.status_code == 400
