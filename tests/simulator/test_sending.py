"""Sending: who is reached, what is refused, and in which words."""

import gzip
from typing import Any

import pytest
from httpx2 import AsyncClient

from simulator.platform import Platform
from tests.simulator.helpers import (
    AUTHORIZED,
    HANA,
    HELLO,
    KEN,
    NOBODY,
    YUI,
    ask,
    push,
    send,
)


async def test_a_push_reaches_a_friend(client: AsyncClient, platform: Platform) -> None:
    answer = await push(
        client, HANA, HELLO, {"type": "sticker", "packageId": "1", "stickerId": "2"}
    )

    assert answer.status_code == 200
    sent = answer.json()["sentMessages"]
    assert [set(one) for one in sent] == [{"id", "quoteToken"}] * 2
    assert all(int(one["id"]) > 2**53 for one in sent)
    assert answer.headers["x-line-request-id"] == platform.accepted[0].request_id
    assert platform.accepted[0].delivered_to == [HANA]


async def test_who_blocked_us_gets_nothing_and_costs_nothing(
    client: AsyncClient, platform: Platform
) -> None:
    answer = await push(client, YUI)

    assert answer.status_code == 200
    assert platform.accepted[0].delivered_to == []
    consumption = await ask(client, "GET", "/v2/bot/message/quota/consumption")
    assert consumption.json() == {"totalUsage": 0}


async def test_a_stranger_is_reached_only_after_writing(
    client: AsyncClient, platform: Platform
) -> None:
    stranger = platform.people.invite("通りすがり").user_id

    await push(client, stranger)
    await client.post(f"/simulator/people/{stranger}/say", json={"text": "やっていますか"})
    await push(client, stranger)
    await send(client, "multicast", {"to": [stranger], "messages": [HELLO]})

    assert [one.delivered_to for one in platform.accepted] == [[], [stranger], []]


async def test_a_multicast_reaches_friends_once(client: AsyncClient, platform: Platform) -> None:
    body = {"to": [HANA, YUI, KEN, HANA], "messages": [HELLO]}

    answer = await send(client, "multicast", body)

    assert (answer.status_code, answer.json()) == (200, {})
    assert platform.accepted[0].delivered_to == [HANA, KEN]
    assert platform.violations.kinds() == ["duplicate_recipient"]


async def test_a_broadcast_reaches_all_friends(client: AsyncClient, platform: Platform) -> None:
    answer = await send(client, "broadcast", {"messages": [HELLO]})

    assert answer.status_code == 200
    assert set(platform.accepted[0].delivered_to) == {HANA, KEN}


async def test_a_narrowcast_tells_how_it_went(client: AsyncClient) -> None:
    answer = await send(client, "narrowcast", {"messages": [HELLO], "limit": {"max": 1}})

    assert answer.status_code == 202
    request_id = answer.headers["x-line-request-id"]
    progress = await ask(
        client, "GET", f"/v2/bot/message/progress/narrowcast?requestId={request_id}"
    )
    assert progress.json()["phase"] == "succeeded"
    assert progress.json()["successCount"] == 1


BAD_BODIES: list[tuple[str, Any, str]] = [
    ("push", {"messages": [HELLO]}, "to"),
    ("push", {"to": HANA}, "messages"),
    ("push", {"to": HANA, "messages": [HELLO] * 6}, "messages"),
    ("push", {"to": HANA, "messages": [{"type": "text"}]}, "messages[0].text"),
    ("push", {"to": 5, "messages": [HELLO]}, "to"),
    ("push", {"to": HANA, "messages": [HELLO], "notificationDisabled": 1}, "notificationDisabled"),
    (
        "push",
        {"to": HANA, "messages": [HELLO], "customAggregationUnits": ["autumn-1"]},
        "customAggregationUnits[0]",
    ),
    (
        "push",
        {"to": HANA, "messages": [HELLO], "customAggregationUnits": ["a", "b"]},
        "customAggregationUnits",
    ),
    ("multicast", {"to": [], "messages": [HELLO]}, "to"),
    ("multicast", {"to": [HANA] * 501, "messages": [HELLO]}, "to"),
    ("multicast", {"to": HANA, "messages": [HELLO]}, "to"),
    ("multicast", {"to": [HANA, 5], "messages": [HELLO]}, "to[1]"),
    ("multicast", {"to": [HANA, "U123"], "messages": [HELLO]}, "to[1]"),
    ("multicast", {"to": [HANA, NOBODY], "messages": [HELLO]}, "to[1]"),
    ("reply", {"messages": [HELLO]}, "replyToken"),
    ("broadcast", {"messages": []}, "messages"),
    ("narrowcast", {"messages": [HELLO], "limit": {"max": 0}}, "limit.max"),
]


@pytest.mark.parametrize(("kind", "body", "where"), BAD_BODIES)
async def test_a_wrong_body_is_refused_with_its_place(
    client: AsyncClient, platform: Platform, kind: str, body: object, where: str
) -> None:
    answer = await send(client, kind, body)

    assert answer.status_code == 400
    assert [detail["property"] for detail in answer.json()["details"]] == [where]
    assert platform.accepted == []


@pytest.mark.parametrize("to", [NOBODY, "C" + "0" * 32, "R" + "0" * 32, "hana", "U123"])
async def test_a_push_to_who_cannot_be_is_refused(client: AsyncClient, to: str) -> None:
    assert (await push(client, to)).status_code == 400


async def test_a_malformed_object_is_a_violation_but_not_when_validating(
    client: AsyncClient, platform: Platform
) -> None:
    bad = {"messages": [{"type": "text", "text": ""}]}
    for kind in ("reply", "push", "multicast", "broadcast", "narrowcast"):
        assert (await send(client, f"validate/{kind}", bad)).status_code == 400
        assert (await send(client, f"validate/{kind}", {"messages": [HELLO]})).json() == {}
    assert platform.violations.kinds() == []

    await send(client, "push", {"to": HANA, **bad})

    assert platform.violations.kinds() == ["malformed_request"]


async def test_coupons_quotes_and_mentions_depend_on_the_chat(
    client: AsyncClient, platform: Platform
) -> None:
    quote = (await push(client, HANA)).json()["sentMessages"][0]["quoteToken"]
    mention = {
        "type": "textV2",
        "text": "{who}",
        "substitution": {"who": {"type": "mention", "mentionee": {"type": "all"}}},
    }

    assert (await push(client, HANA, {**HELLO, "quoteToken": quote})).status_code == 200
    assert (await push(client, KEN, {**HELLO, "quoteToken": quote})).status_code == 400
    assert (await push(client, HANA, {**HELLO, "quoteToken": "made-up"})).status_code == 400
    assert (await push(client, HANA, {"type": "coupon", "couponId": "none"})).status_code == 400
    assert (await push(client, HANA, mention)).status_code == 400


@pytest.mark.parametrize("header", [None, "Bearer wrong", "a-token", "Basic a-token"])
async def test_without_a_good_token_nothing_goes(client: AsyncClient, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}

    answer = await client.post("/v2/bot/message/push", json={}, headers=headers)

    assert answer.status_code == 401
    assert answer.json()["message"].startswith("Authentication failed due to the following reason:")
    assert "x-line-request-id" in answer.headers


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"{", "application/json", 400),
        (b"[]", "application/json; charset=utf-8", 400),
        (gzip.compress(b"{}", mtime=0), "application/json", 400),
        (b" " * (2 * 1024 * 1024 + 1), "application/json", 413),
    ],
)
async def test_what_is_no_json_body_is_refused(
    client: AsyncClient, content: bytes, content_type: str, status: int
) -> None:
    headers = {**AUTHORIZED, "Content-Type": content_type}

    answer = await client.post("/v2/bot/message/push", content=content, headers=headers)

    assert answer.status_code == status
    assert "message" in answer.json()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/bot/nothing", 404),
        ("POST", "/v2/bot/message/push/", 404),
        ("GET", "/v2/bot/info/", 404),
        ("GET", "/v2/bot/message/push", 405),
        ("GET", "/nothing", 404),
        ("DELETE", "/simulator/info", 405),
    ],
)
async def test_unknown_paths_and_methods_are_answered_in_lines_shape(
    client: AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await ask(client, method, path)

    assert answer.status_code == status
    assert list(answer.json()) == ["message"]


async def test_profiles_are_shown_of_friends_only(client: AsyncClient) -> None:
    hana = await ask(client, "GET", f"/v2/bot/profile/{HANA}")

    assert hana.json()["displayName"] == "花"
    assert hana.json()["pictureUrl"].startswith("http://line.test/")
    for user_id, status in ((YUI, 404), (NOBODY, 404), ("U1", 400)):
        assert (await ask(client, "GET", f"/v2/bot/profile/{user_id}")).status_code == status


async def test_follower_ids_are_for_verified_accounts(client: AsyncClient) -> None:
    assert (await ask(client, "GET", "/v2/bot/followers/ids")).status_code == 403


async def test_groups_are_not_found(client: AsyncClient) -> None:
    group = "C" + "0" * 32

    assert (await ask(client, "GET", f"/v2/bot/group/{group}/summary")).status_code == 404
    assert (await ask(client, "POST", f"/v2/bot/room/{group}/leave")).status_code == 404


async def test_dots_show_until_a_message_comes(client: AsyncClient) -> None:
    async def typing() -> bool:
        return bool((await client.get(f"/simulator/people/{HANA}/chat")).json()["typing"])

    body = {"chatId": HANA, "loadingSeconds": 5}
    assert (await ask(client, "POST", "/v2/bot/chat/loading/start", body)).status_code == 202
    assert await typing()
    await push(client, HANA)
    assert not await typing()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"chatId": "C" + "0" * 32},
        {"chatId": HANA, "loadingSeconds": 7},
        {"chatId": HANA, "loadingSeconds": 65},
    ],
)
async def test_dots_have_rules_too(client: AsyncClient, body: object) -> None:
    assert (await ask(client, "POST", "/v2/bot/chat/loading/start", body)).status_code == 400
