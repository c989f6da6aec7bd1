"""Channels, text rules and the clock: what owners and marketers set."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx2

from admin.api import create_api
from core.db import table
from core.runtime import Runtime
from crm import channels
from crm.models import Channel
from tests.admin.conftest import Callers, Cast, paths, problem

NEW = {
    "channel_id": "2000000001",
    "name": "二号店",
    "secret": "s3cret-of-two",
    "access_token": "t0k",
}
RULE = {"match": "contains", "words": ["営業時間"], "say": "10時から19時までです。"}


async def test_a_channel_is_added_and_its_secrets_never_come_out(
    owner: httpx2.AsyncClient, viewer: httpx2.AsyncClient, runtime: Runtime
) -> None:
    made = await owner.post("/channels", json=NEW)

    assert made.status_code == 201
    told = made.json()
    assert told["webhook_url"] == "https://okaeri.example.jp/webhook/2000000001"
    assert (told["has_access_token"], told["version"]) == (True, 1)
    assert (await viewer.get(f"/channels/{told['id']}")).json() == told
    listed = await viewer.get("/channels")
    audit = await owner.get("/audit-log")
    for response in (made, listed, audit):
        assert "s3cret" not in response.text
        assert "t0k" not in response.text
    opened = await channels.of(runtime).find("2000000001")
    assert opened is not None
    assert (opened.secrets, opened.access_token) == (("s3cret-of-two",), "t0k")


async def test_a_channel_is_added_once(owner: httpx2.AsyncClient) -> None:
    await owner.post("/channels", json=NEW)
    problem(await owner.post("/channels", json=NEW), 409)
    answers = await asyncio.gather(
        *(owner.post("/channels", json={**NEW, "channel_id": "3"}) for _ in range(8))
    )
    assert sorted(a.status_code for a in answers) == [201] + [409] * 7


async def test_a_new_secret_keeps_the_previous_one_for_a_while(
    owner: httpx2.AsyncClient, runtime: Runtime
) -> None:
    id_ = (await owner.post("/channels", json=NEW)).json()["id"]
    assert await channels.of(runtime).find("2000000001")

    changed = await owner.patch(
        f"/channels/{id_}", json={"secret": "newer"}, headers={"If-Match": '"1"'}
    )

    assert changed.json()["version"] == 2
    opened = await channels.of(runtime).find("2000000001")
    assert opened is not None
    assert opened.secrets == ("newer", "s3cret-of-two")
    same = await owner.patch(
        f"/channels/{id_}", json={"secret": "newer"}, headers={"If-Match": '"2"'}
    )
    assert same.json()["version"] == 2


async def test_only_what_is_given_changes(owner: httpx2.AsyncClient, runtime: Runtime) -> None:
    url = f"/channels/{(await owner.post('/channels', json=NEW)).json()['id']}"

    renamed = await owner.patch(url, json={"name": "三号店"}, headers={"If-Match": '"1"'})
    emptied = await owner.patch(url, json={"access_token": None}, headers={"If-Match": '"2"'})

    assert (renamed.json()["name"], renamed.json()["has_access_token"]) == ("三号店", True)
    assert (emptied.json()["name"], emptied.json()["has_access_token"]) == ("三号店", False)
    problem(await owner.patch(url, json={"name": "x"}), 428)
    problem(await owner.patch(url, json={"name": "x"}, headers={"If-Match": '"1"'}), 412)
    problem(await owner.patch("/channels/99", json={}, headers={"If-Match": '"1"'}), 404)
    assert paths(await owner.patch(url, json={"secret": None, "name": None})) == ["name", "secret"]
    assert paths(await owner.patch(url, json={"channel_id": "5"})) == ["channel_id"]
    async with runtime.db.reading() as session:
        (row,) = await session.execute(table(Channel).select())
    assert runtime.seal.decrypt(row.sealed_secret) == "s3cret-of-two"


WRONG_CHANNELS: list[tuple[dict[str, str], str]] = [
    ({"channel_id": "abc"}, "channel_id"),
    ({"channel_id": "１２３"}, "channel_id"),
    ({"channel_id": "1" * 33}, "channel_id"),
    ({"channel_id": "1\n"}, "channel_id"),
    ({"secret": ""}, "secret"),
    ({"name": ""}, "name"),
]


async def test_what_is_wrong_with_a_channel_is_told(owner: httpx2.AsyncClient) -> None:
    for values, where in WRONG_CHANNELS:
        response = await owner.post("/channels", json=NEW | values)
        assert paths(response) == [where]
        assert "s3cret" not in response.text


async def test_a_text_rule_is_saved_with_what_it_overlaps(
    marketer: httpx2.AsyncClient, viewer: httpx2.AsyncClient
) -> None:
    first = await marketer.put("/text-rules/hours", json=RULE)
    second = await marketer.put("/text-rules/open", json={**RULE, "priority": 5})

    assert (first.status_code, first.headers["etag"]) == (201, '"1"')
    assert first.json()["messages"] == [{"type": "text", "text": RULE["say"]}]
    assert first.json()["overlaps"] == []
    assert second.json()["overlaps"] == [
        {"winner": "open", "other": "hours", "words": ["営業時間"], "same_priority": False}
    ]
    listed = (await viewer.get("/text-rules")).json()["items"]
    assert [r["key"] for r in listed] == ["open", "hours"]
    assert (await viewer.get("/text-rules/hours")).headers["etag"] == '"1"'


async def test_a_text_rule_keeps_versions(marketer: httpx2.AsyncClient) -> None:
    await marketer.put("/text-rules/hours", json=RULE)
    problem(await marketer.put("/text-rules/hours", json=RULE), 428)
    problem(await marketer.put("/text-rules/hours", json=RULE, headers={"If-Match": '"4"'}), 412)
    saved = await marketer.put("/text-rules/hours", json=RULE, headers={"If-Match": '"1"'})
    assert (saved.status_code, saved.headers["etag"]) == (200, '"2"')
    problem(await marketer.put("/text-rules/new", json=RULE, headers={"If-Match": '"1"'}), 404)
    problem(await marketer.delete("/text-rules/hours", headers={"If-Match": '"1"'}), 412)
    assert (await marketer.delete("/text-rules/hours")).status_code == 204
    problem(await marketer.delete("/text-rules/hours"), 404)
    problem(await marketer.get("/text-rules/hours"), 404)


WRONG_RULES: list[tuple[dict[str, Any], str]] = [
    ({"words": []}, "words"),
    ({"match": "fuzzy"}, "match"),
    ({"match": "regex", "words": ["("]}, "words[0]"),
    ({"say": "{{ nobody }}"}, "messages[0].text"),
    ({"priority": 1001}, "priority"),
]


async def test_what_is_wrong_with_a_text_rule_is_told(marketer: httpx2.AsyncClient) -> None:
    for values, where in WRONG_RULES:
        assert paths(await marketer.put("/text-rules/hours", json=RULE | values)) == [where]


async def test_the_clock_tells_the_time(viewer: httpx2.AsyncClient, now: datetime) -> None:
    told = (await viewer.get("/clock")).json()
    assert datetime.fromisoformat(told["now"]) == now
    assert (told["simulated"], told["time_zone"]) == (True, "Asia/Tokyo")


async def test_time_moves_by_seconds_or_to_a_moment_and_says_what_ran(
    owner: httpx2.AsyncClient, now: datetime
) -> None:
    moved = (await owner.post("/clock", json={"advance_seconds": 90})).json()
    assert datetime.fromisoformat(moved["now"]) == now + timedelta(seconds=90)
    (ran,) = moved["ran"]
    assert (datetime.fromisoformat(ran["at"]), ran["what"], ran["count"]) == (now, "steps", 3)

    to = (now + timedelta(days=400)).isoformat()
    moved = (await owner.post("/clock", json={"now": to})).json()
    assert datetime.fromisoformat(moved["now"]) == now + timedelta(days=400)
    actions = [e["action"] for e in (await owner.get("/audit-log")).json()["items"]]
    assert actions == ["clock.move"] * 2


async def test_time_does_not_go_back_nor_too_far(owner: httpx2.AsyncClient, now: datetime) -> None:
    back = (now - timedelta(seconds=1)).isoformat()
    far = (now + timedelta(days=400, seconds=1)).isoformat()
    problem(await owner.post("/clock", json={"now": back}), 409)
    assert paths(await owner.post("/clock", json={"now": far})) == ["now"]
    for seconds in (0, -5, 400 * 86_400 + 1, "soon"):
        body = {"advance_seconds": seconds}
        assert paths(await owner.post("/clock", json=body)) == ["advance_seconds"]
    problem(await owner.post("/clock", json={}), 422)
    both = {"advance_seconds": 1, "now": now.isoformat()}
    problem(await owner.post("/clock", json=both), 422)


async def test_several_who_move_the_time_at_once_move_it_by_the_sum(
    owner: httpx2.AsyncClient, now: datetime
) -> None:
    body = {"advance_seconds": 60}
    await asyncio.gather(*(owner.post("/clock", json=body) for _ in range(5)))
    told = (await owner.get("/clock")).json()["now"]
    assert datetime.fromisoformat(told) == now + timedelta(minutes=5)


async def test_a_real_clock_cannot_be_moved(callers: Callers, runtime: Runtime) -> None:
    real = create_api(runtime, advance=None)
    headers = {"Authorization": f"Bearer {callers.keys['owner']}"}
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=real), base_url="http://shop.example", headers=headers
    ) as client:
        response = await client.post("/clock", json={"advance_seconds": 60})
        assert "OKAERI_CLOCK" in problem(response, 409)["detail"]
    await real.state.api.tokens.settled()


async def test_channels_of_the_cast_can_be_told_apart(
    viewer: httpx2.AsyncClient, cast: Cast
) -> None:
    (channel,) = (await viewer.get("/channels")).json()["items"]
    friend = (await viewer.get(f"/friends/{cast.hana.id}")).json()
    assert friend["channel_id"] == channel["channel_id"]
