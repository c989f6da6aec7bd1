"""Retry keys: asking twice and getting it once."""

from datetime import timedelta

import pytest
from httpx2 import AsyncClient

from simulator.platform import Platform
from tests.simulator.helpers import AUTHORIZED, HANA, HELLO, KEN, KEY, NOBODY, ask, push, send


async def test_a_repeated_push_is_409_with_the_first_answer(
    client: AsyncClient, platform: Platform
) -> None:
    first = await push(client, HANA, key=KEY)
    second = await push(client, HANA, key=KEY.upper())

    assert (first.status_code, second.status_code) == (200, 409)
    assert second.json() == {
        "message": "The retry key is already accepted",
        "sentMessages": first.json()["sentMessages"],
    }
    accepted_id = second.headers["x-line-accepted-request-id"]
    assert accepted_id == first.headers["x-line-request-id"] != second.headers["x-line-request-id"]
    assert len(platform.accepted) == 1
    assert platform.violations.kinds() == []


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multicast", {"to": [HANA, KEN], "messages": [HELLO]}, 200),
        ("broadcast", {"messages": [HELLO]}, 200),
        ("narrowcast", {"messages": [HELLO]}, 202),
    ],
)
async def test_the_other_ways_of_sending_take_keys_too(
    client: AsyncClient, platform: Platform, kind: str, body: object, status: int
) -> None:
    assert (await send(client, kind, body, key=KEY)).status_code == status
    again = await send(client, kind, body, key=KEY)

    assert again.status_code == 409
    assert "sentMessages" not in again.json()
    assert len(platform.accepted) == 1


async def test_keys_are_forbidden_elsewhere(client: AsyncClient, platform: Platform) -> None:
    reply = await send(client, "reply", {"replyToken": "a", "messages": [HELLO]}, key=KEY)
    headers = {**AUTHORIZED, "X-Line-Retry-Key": KEY}
    info = await client.get("/v2/bot/info", headers=headers)

    assert (reply.status_code, info.status_code) == (400, 400)
    assert platform.violations.kinds() == ["retry_key_not_allowed"] * 2


@pytest.mark.parametrize("key", ["", "abc", KEY.replace("-", ""), KEY + "0"])
async def test_a_key_must_be_a_uuid(client: AsyncClient, platform: Platform, key: str) -> None:
    assert (await push(client, HANA, key=key)).status_code == 400
    assert platform.violations.kinds() == ["malformed_retry_key"]


async def test_another_body_under_the_same_key_is_a_violation(
    client: AsyncClient, platform: Platform
) -> None:
    await push(client, HANA, key=KEY)

    assert (await push(client, KEN, key=KEY)).status_code == 409
    assert (await push(client, HANA, {**HELLO, "text": "別"}, key=KEY)).status_code == 409

    assert platform.violations.kinds() == ["retry_key_changed"] * 2


async def test_after_24_hours_the_same_key_sends_again(
    client: AsyncClient, platform: Platform
) -> None:
    await push(client, HANA, key=KEY)
    platform.clock.advance(timedelta(hours=23, minutes=59))
    assert (await push(client, HANA, key=KEY)).status_code == 409

    platform.clock.advance(timedelta(minutes=2))
    assert (await push(client, HANA, key=KEY)).status_code == 200

    assert len(platform.accepted) == 2
    assert platform.violations.kinds() == ["retry_key_after_24_hours"]


async def test_the_day_counts_from_the_first_request_even_if_it_was_refused(
    client: AsyncClient, platform: Platform
) -> None:
    platform.first_channel.monthly_quota = 0
    assert (await push(client, HANA, key=KEY)).status_code == 429
    platform.first_channel.monthly_quota = None
    platform.clock.advance(timedelta(hours=12))
    assert (await push(client, HANA, key=KEY)).status_code == 200

    platform.clock.advance(timedelta(hours=12))
    assert (await push(client, HANA, key=KEY)).status_code == 200


async def test_a_refused_request_leaves_its_key_free(
    client: AsyncClient, platform: Platform
) -> None:
    assert (await push(client, NOBODY, key=KEY)).status_code == 400
    assert (await push(client, NOBODY, key=KEY)).status_code == 400
    assert platform.accepted == []


async def test_violations_can_be_read(
    client: AsyncClient,
) -> None:
    await push(client, HANA, key="wrong")

    answer = (await ask(client, "GET", "/simulator/violations")).json()

    assert answer["total"] == 1
    assert answer["items"][0]["kind"] == "malformed_retry_key"
