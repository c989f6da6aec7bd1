"""Webhooks over a real connection: signed, in order, until they arrive."""

from typing import Any

import pytest
from httpx2 import AsyncClient

from simulator import webhooks
from simulator.app import Simulator
from simulator.webhooks import sign
from tests.simulator.helpers import HANA, KEN, FakeShop, ask, eventually, push, send

Live = tuple[Simulator, AsyncClient]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries of 20 ms instead of a second."""
    monkeypatch.setattr(webhooks, "FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(webhooks, "LONGEST_PAUSE_SECONDS", 0.05)


async def say(client: AsyncClient, text: str, user_id: str = HANA) -> None:
    answer = await client.post(f"/simulator/people/{user_id}/say", json={"text": text})
    assert answer.status_code == 200


def test_the_signature_is_lines() -> None:
    """The vector of LINE's documentation."""
    body = b'{"destination":"U8e742f61d673b39c7fff3cecb7536ef0","events":[]}'

    signature = sign(b"8c570fa6dd201bb328f1c1eac23a96d8", body)

    assert signature == "GhRKmvmHys4Pi8DxkF4+EayaH0OqtJtaZxgTD9fMDLs="


async def test_a_text_arrives_as_line_sends_it(live: Live, shop: FakeShop) -> None:
    app, client = live

    await say(client, "こんにちは🍎")
    await app.state.platform.webhooks.drain()

    [body], [headers] = shop.bodies, shop.headers
    [event] = body["events"]
    assert headers["user-agent"] == "LineBotWebhook/2.0"
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert body["destination"].startswith("U")
    assert event["message"]["text"] == "こんにちは🍎"
    assert {"id", "quoteToken", "markAsReadToken"} <= event["message"].keys()
    assert len(event["webhookEventId"]) == 26
    assert event["deliveryContext"] == {"isRedelivery": False}
    assert event["mode"] == "active"


async def test_a_reply_works_while_the_webhook_is_open(live: Live, shop: FakeShop) -> None:
    app, client = live
    await say(client, "a")
    await app.state.platform.webhooks.drain()

    body = {"replyToken": shop.events[0]["replyToken"], "messages": [{"type": "text", "text": "b"}]}

    assert (await send(client, "reply", body)).status_code == 200


@pytest.mark.parametrize("answer", [500, 302, 404, 0.5])
async def test_what_is_not_taken_comes_again_the_same(
    live: Live, shop: FakeShop, answer: float
) -> None:
    app, client = live
    app.state.platform.webhooks.behaviour.timeout_seconds = 0.2
    answers = iter([answer, answer])
    shop.answers = lambda _: next(answers, 200)

    await say(client, "a")
    await app.state.platform.webhooks.drain()

    first, second, third = shop.events
    assert [e["deliveryContext"]["isRedelivery"] for e in shop.events] == [False, True, True]
    for name in ("webhookEventId", "replyToken", "timestamp", "message"):
        assert first[name] == second[name] == third[name]


async def test_one_persons_events_keep_their_order_through_failures(
    live: Live, shop: FakeShop
) -> None:
    app, client = live
    tries = iter([500, 200, 500, 500])
    shop.answers = lambda _: next(tries, 200)

    for number in range(5):
        await say(client, str(number))
        await say(client, f"k{number}", KEN)
    await app.state.platform.webhooks.drain()

    seen = list(dict.fromkeys(e["message"]["text"] for e in shop.events))
    assert [text for text in seen if "k" not in text] == ["0", "1", "2", "3", "4"]
    assert [text for text in seen if "k" in text] == ["k0", "k1", "k2", "k3", "k4"]


async def test_without_redelivery_a_failure_is_a_loss(live: Live, shop: FakeShop) -> None:
    app, client = live
    await client.put("/simulator/webhook-behaviour", json={"redeliver": False})
    shop.answers = lambda _: 500

    await say(client, "a")
    await app.state.platform.webhooks.drain()

    assert len(shop.events) == 1
    assert (await client.get("/simulator/webhooks")).json()["lost"] == 1


async def test_duplicates_and_several_events_a_body(live: Live, shop: FakeShop) -> None:
    app, client = live
    behaviour = {"duplicate_probability": 1.0, "events_per_body": 5, "shuffle": True}
    await client.put("/simulator/webhook-behaviour", json=behaviour)
    shop.answers = lambda _: 0.05

    for number in range(8):
        await say(client, str(number))
    await app.state.platform.webhooks.drain()

    ids = [event["webhookEventId"] for event in shop.events]
    assert len(ids) == 2 * len(set(ids)) == 16
    assert max(len(body["events"]) for body in shop.bodies) > 1


async def test_unknown_behaviour_is_refused(live: Live) -> None:
    _, client = live

    answer = await client.put("/simulator/webhook-behaviour", json={"politeness": 1})

    assert answer.status_code == 400


async def test_the_webhook_test_reports_as_line_does(live: Live, shop: FakeShop) -> None:
    _, client = live
    path = "/v2/bot/channel/webhook/test"

    good = (await ask(client, "POST", path, {})).json()
    assert (good["success"], good["statusCode"], good["reason"]) == (True, 200, "OK")
    assert shop.bodies[0]["events"] == []

    shop.answers = lambda _: 503
    bad = (await ask(client, "POST", path)).json()
    assert (bad["success"], bad["statusCode"], bad["reason"]) == (False, 503, "ERROR_STATUS_CODE")

    gone = (await ask(client, "POST", path, {"endpoint": "http://127.0.0.1:9/webhook"})).json()
    assert gone["reason"] == "COULD_NOT_CONNECT"


async def test_the_webhook_url_can_be_moved(live: Live, shop: FakeShop) -> None:
    _, client = live
    path = "/v2/bot/channel/webhook/endpoint"

    assert (await ask(client, "PUT", path, {"endpoint": "https://shop.example/w"})).json() == {}
    assert (await ask(client, "GET", path)).json() == {
        "endpoint": "https://shop.example/w",
        "active": True,
    }
    for endpoint in ("http://shop.example:80:80/", "shop", "https://shop.example/" + "a" * 500):
        answer = await ask(client, "PUT", path, {"endpoint": endpoint})
        assert answer.status_code == 400


async def test_events_by_hand_and_a_wrong_signature(live: Live, shop: FakeShop) -> None:
    _, client = live
    event: dict[str, Any] = {
        "type": "follow",
        "source": {"type": "user", "userId": "U" + "a" * 32},
        "replyToken": "b" * 32,
    }

    sent = await client.post("/simulator/webhook-events", json={"events": [event]})
    wrong = await client.post(
        "/simulator/webhook-events", json={"events": [], "signature": "d3Jvbmc="}
    )
    unsigned = await client.post("/simulator/webhook-events", json={"raw": "{", "signature": None})

    assert [a.json()["status"] for a in (sent, wrong, unsigned)] == [200, 401, 401]
    assert shop.events == [event]
    reply = {"replyToken": "b" * 32, "messages": [{"type": "text", "text": "a"}]}
    assert (await send(client, "reply", reply)).status_code == 200
    assert (await push(client, "U" + "a" * 32)).status_code == 200


async def test_a_burst_of_new_people_is_acknowledged_whole(live: Live, shop: FakeShop) -> None:
    _, client = live
    answers = iter([500] * 3)
    shop.answers = lambda _: next(answers, 200)

    burst = {"people": 20, "events_per_person": 3, "text": "はじめまして", "concurrency": 8}
    done = (await client.post("/simulator/burst", json=burst)).json()

    assert (done["people"], done["events"], done["acknowledged"]) == (20, 60, 60)
    assert done["tries"] == 63
    assert len({event["webhookEventId"] for event in shop.events}) == 60


async def test_unsent_and_blocked_events_carry_no_reply_token(live: Live, shop: FakeShop) -> None:
    _, client = live
    said = (await client.post(f"/simulator/people/{HANA}/image")).json()
    await client.post(f"/simulator/people/{HANA}/unsend", json={"id": said["id"]})
    await client.post(f"/simulator/people/{HANA}/block")
    await client.post(f"/simulator/people/{HANA}/unblock")
    await eventually(lambda: len(shop.events) == 4)

    image, unsend, unfollow, follow = shop.events
    assert image["message"]["contentProvider"] == {"type": "line"}
    assert unsend["unsend"] == {"messageId": said["id"]}
    assert [("replyToken" in e) for e in (unsend, unfollow)] == [False, False]
    assert follow["follow"] == {"isUnblocked": True}
    content = await ask(client, "GET", f"/v2/bot/message/{said['id']}/content")
    assert content.status_code == 410
