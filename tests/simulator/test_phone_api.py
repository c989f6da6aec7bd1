"""What the phone page asks for."""

import asyncio
from typing import Any

import pytest
from httpx2 import AsyncClient

from simulator.app import Simulator
from simulator.platform import Platform
from tests.simulator.helpers import HANA, HELLO, KEN, YUI, ask, png, push

Live = tuple[Simulator, AsyncClient]


async def chat(client: AsyncClient, user_id: str = HANA) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/simulator/people/{user_id}/chat")).json()
    return found


async def test_people_are_listed_and_found(client: AsyncClient) -> None:
    everybody = (await client.get("/simulator/people")).json()
    found = (await client.get("/simulator/people", params={"q": "健"})).json()

    assert everybody["total"] == 3
    assert [person["user_id"] for person in found["items"]] == [KEN]
    assert found["items"][0]["status"] == "friend"
    picture = await client.get(found["items"][0]["picture_url"])
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert "健" in picture.text


async def test_a_new_person_is_nobodys_friend_yet(client: AsyncClient) -> None:
    made = await client.post("/simulator/people", json={"name": "ゆき"})

    assert made.status_code == 201
    assert made.json()["status"] == "none"
    assert (await chat(client, made.json()["user_id"]))["messages"] == []


async def test_a_chat_shows_both_sides_and_how_it_came(client: AsyncClient) -> None:
    await client.post(f"/simulator/people/{HANA}/say", json={"text": "こんにちは"})
    await push(client, HANA, HELLO, {"type": "sticker", "packageId": "1", "stickerId": "2"})

    found = await chat(client)

    assert [(e["from"], e["via"], e["message"]["type"]) for e in found["messages"]] == [
        ("system", None, "system"),
        ("person", None, "text"),
        ("bot", "push", "text"),
        ("bot", "push", "sticker"),
    ]
    assert found["bot"]["name"] == "みなと珈琲"
    assert found["person"]["last_message"] == "スタンプ"
    assert found["simulated_clock"] is True
    assert [e["at"] for e in found["messages"]] == sorted(e["at"] for e in found["messages"])


async def test_every_kind_of_message_can_be_said(client: AsyncClient) -> None:
    said = (
        ("sticker", {"package_id": "446", "sticker_id": "1988"}),
        ("image", None),
        ("location", {"title": "店", "address": "横浜", "latitude": 35.4, "longitude": 139.6}),
    )
    for kind, body in said:
        answer = await client.post(f"/simulator/people/{HANA}/{kind}", json=body)
        assert answer.json()["ok"] is True

    messages = [e["message"] for e in (await chat(client))["messages"]][1:]

    assert [message["type"] for message in messages] == ["sticker", "image", "location"]
    photo = await client.get(messages[1]["originalContentUrl"])
    assert photo.content.startswith(b"\x89PNG")


async def test_following_twice_is_following_once(client: AsyncClient, platform: Platform) -> None:
    for action in ("follow", "unblock", "follow"):
        await client.post(f"/simulator/people/{YUI}/{action}")

    assert [e["type"] for e in platform.webhooks.queued()] == ["follow"]
    assert (await chat(client, YUI))["person"]["status"] == "friend"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("nobody/say", {"text": "a"}, 404),
        (f"{YUI}/say", {"text": "a"}, 409),
        (f"{HANA}/say", {"text": " "}, 400),
        (f"{HANA}/say", {"text": "a" * 5_001}, 400),
        (f"{HANA}/sticker", {"package_id": "a"}, 400),
        (f"{HANA}/location", {"latitude": 100, "longitude": 0}, 400),
        (f"{HANA}/unsend", {"id": "1"}, 404),
        (f"{HANA}/tap", {}, 400),
        (f"{HANA}/tap", {"action": {"type": "fly"}}, 400),
        (f"{HANA}/tap", {"action": {"type": "datetimepicker", "mode": "date"}}, 400),
    ],
)
async def test_what_cannot_be_done_is_said_in_japanese(
    client: AsyncClient, path: str, body: object, status: int
) -> None:
    answer = await client.post(f"/simulator/people/{path}", json=body)

    assert answer.status_code == status
    assert set(answer.json()) == {"error", "detail"}
    assert not answer.json()["error"].isascii()


# What is tapped -> what the phone must do, what is said, the postback that goes out
TAPS: list[tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any], str | None, Any]] = [
    (
        {"type": "uri", "uri": "https://a.example/"},
        None,
        {"open": "https://a.example/"},
        None,
        None,
    ),
    ({"type": "clipboard", "clipboardText": "AB"}, None, {"copy": "AB"}, None, None),
    ({"type": "message", "text": "はい"}, None, {}, "はい", None),
    ({"type": "postback", "data": "a=1"}, None, {}, None, {"data": "a=1"}),
    (
        {"type": "postback", "data": "a=1", "displayText": "見る"},
        None,
        {},
        "見る",
        {"data": "a=1"},
    ),
    (
        {"type": "datetimepicker", "data": "d", "mode": "datetime"},
        {"datetime": "2026-12-24T18:30"},
        {},
        None,
        {"data": "d", "params": {"datetime": "2026-12-24T18:30"}},
    ),
    (
        {"type": "richmenuswitch", "richMenuAliasId": "none", "data": "t"},
        None,
        {"switched": False},
        None,
        {"data": "t", "params": {"status": "RICHMENU_ALIAS_ID_NOTFOUND"}},
    ),
]


@pytest.mark.parametrize(("action", "params", "todo", "said", "postback"), TAPS)
async def test_a_tap_does_what_the_app_does(
    client: AsyncClient,
    platform: Platform,
    action: dict[str, Any],
    params: object,
    todo: dict[str, Any],
    said: str | None,
    postback: object,
) -> None:
    body = {"action": action, "params": params}
    answer = await client.post(f"/simulator/people/{HANA}/tap", json=body)

    assert answer.json() == {"ok": True, **todo}
    shown = [e["message"].get("text") for e in (await chat(client))["messages"][1:]]
    assert shown == ([said] if said else [])
    sent = [e.get("postback") for e in platform.webhooks.queued() if e["type"] == "postback"]
    assert sent == ([postback] if postback else [])


async def test_switching_tabs_links_the_other_menu(client: AsyncClient, platform: Platform) -> None:
    menus = platform.first_channel.rich_menus
    definition: dict[str, Any] = {
        "size": {"width": 800, "height": 270},
        "selected": False,
        "name": "b",
        "chatBarText": "b",
        "areas": [],
    }
    menu = menus.create(definition)
    menus.set_image(menu.id, "image/png", png(800, 270))
    menus.add_alias("tab-b", menu.id)
    action = {"type": "richmenuswitch", "richMenuAliasId": "tab-b", "data": "t"}

    await client.post(f"/simulator/people/{HANA}/tap", json={"action": action})

    [event] = platform.webhooks.queued()
    assert event["postback"] == {
        "data": "t",
        "params": {"newRichMenuAliasId": "tab-b", "status": "SUCCESS"},
    }
    assert (await chat(client))["rich_menu"]["rich_menu_id"] == menu.id
    linked = await ask(client, "GET", f"/v2/bot/user/{HANA}/richmenu")
    assert linked.json() == {"richMenuId": menu.id}


async def test_an_unsent_message_is_gone(client: AsyncClient) -> None:
    said = (await client.post(f"/simulator/people/{HANA}/say", json={"text": "まちがい"})).json()

    await client.post(f"/simulator/people/{HANA}/unsend", json={"id": said["id"]})

    assert (await chat(client))["messages"][-1]["message"] == {"type": "unsent"}


async def test_the_shop_marks_what_it_has_read(client: AsyncClient, platform: Platform) -> None:
    await client.post(f"/simulator/people/{HANA}/say", json={"text": "a"})
    message: Any = platform.webhooks.queued()[0]["message"]
    body = {"markAsReadToken": message["markAsReadToken"]}

    assert (await ask(client, "POST", "/v2/bot/chat/markAsRead", body)).status_code == 200
    assert (await chat(client))["read_to"] == message["id"]
    body = {"markAsReadToken": "made-up"}
    assert (await ask(client, "POST", "/v2/bot/chat/markAsRead", body)).status_code == 400


async def test_the_way_leads_to_the_phone(client: AsyncClient) -> None:
    assert (await client.get("/")).headers["location"] == "/phone"
    info = (await client.get("/simulator/info")).json()
    assert set(info) == {"shop_url", "admin_docs_url", "start_page_url", "channel_id"}


async def test_news_reach_an_open_phone_and_end_with_the_server(live: Live) -> None:
    app, client = live
    lines: list[str] = []

    async def listen() -> None:
        async with client.stream("GET", f"/simulator/people/{HANA}/stream") as stream:
            async for line in stream.aiter_lines():
                lines.append(line)
                if line == ": welcome":
                    await push(client, HANA)
                if line.startswith("data:"):
                    app.state.platform.changes.close()

    await asyncio.wait_for(listen(), 5)

    assert 'data: {"type":"changed"}' in lines
