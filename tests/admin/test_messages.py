"""Messages: checked when saved, previewed as a friend sees them, tried on a few."""

from datetime import datetime
from typing import Any

import httpx2
import pytest

from core.runtime import Runtime
from delivery.models import Delivery
from flows.models import Enrolment
from tests.admin.conftest import Cast, paths, problem

HELLO = [{"type": "text", "text": "こんにちは、{{ friend.name }}"}]
THANKS = {"key": "thanks", "name": "お礼", "messages": HELLO}


def flow(key: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"key": key, "name": key, "trigger": {"on": "followed"}, "steps": list(steps)}


async def test_a_message_lives_from_creation_to_deletion(marketer: httpx2.AsyncClient) -> None:
    made = await marketer.post("/messages", json=THANKS)
    assert made.status_code == 201
    assert made.headers["etag"] == '"1"'
    assert made.json()["messages"] == HELLO

    body = {"name": "御礼", "messages": HELLO}
    saved = await marketer.put("/messages/thanks", json=body, headers={"If-Match": '"1"'})
    assert (saved.status_code, saved.json()["version"]) == (200, 2)
    same = await marketer.put("/messages/thanks", json=body, headers={"If-Match": '"2"'})
    assert same.json() == saved.json()
    assert (await marketer.get("/messages")).json()["items"] == [saved.json()]

    problem(await marketer.delete("/messages/thanks", headers={"If-Match": '"1"'}), 412)
    gone = await marketer.delete("/messages/thanks", headers={"If-Match": '"2"'})
    assert (gone.status_code, gone.content) == (204, b"")
    problem(await marketer.get("/messages/thanks"), 404)
    problem(await marketer.delete("/messages/thanks"), 404)


async def test_put_makes_a_message_too_and_keeps_versions(marketer: httpx2.AsyncClient) -> None:
    body = {"name": "お礼", "messages": HELLO}
    assert (await marketer.put("/messages/thanks", json=body)).status_code == 201
    problem(await marketer.put("/messages/thanks", json=body), 428)
    problem(await marketer.put("/messages/thanks", json=body, headers={"If-Match": '"7"'}), 412)
    problem(await marketer.put("/messages/other", json=body, headers={"If-Match": '"1"'}), 404)
    problem(await marketer.post("/messages", json=THANKS), 409)


NOT_FOR_LINE: list[tuple[Any, str]] = [
    ([], "messages"),
    ([{"type": "text"}], "messages[0].text"),
    ([{"type": "text", "text": "{{ friend.nmae }}"}], "messages[0].text"),
    ([{"type": "text", "text": "{% for x in y %}{% endfor %}"}], "messages[0].text"),
    ([{"type": "text", "text": "x" * 5001}], "messages[0].text"),
    ([{"type": "txt", "text": "x"}], "messages[0].type"),
    ([{"type": "text", "text": "x"}] * 6, "messages"),
    (["text"], "messages[0]"),
    ("text", "messages"),
]


async def test_what_line_would_not_take_is_not_saved(marketer: httpx2.AsyncClient) -> None:
    for messages, where in NOT_FOR_LINE:
        body = {**THANKS, "messages": messages}
        assert paths(await marketer.post("/messages", json=body))[0] == where
        assert (await marketer.get("/messages")).json()["items"] == []


async def test_a_preview_speaks_to_the_friend(marketer: httpx2.AsyncClient, cast: Cast) -> None:
    async def shown(**body: Any) -> str:
        response = await marketer.post("/messages/preview", json=body)
        text: str = response.json()["messages"][0]["text"]
        return text

    await marketer.post("/messages", json=THANKS)
    assert await shown(messages=HELLO, friend_id=cast.hana.id) == "こんにちは、はなさん"
    assert await shown(key="thanks", friend_id=cast.ken.id) == "こんにちは、けんさん"
    assert (await shown(key="thanks")).startswith("こんにちは、")
    assert (await marketer.get("/deliveries")).json()["items"] == []


async def test_a_preview_of_nothing_is_refused(marketer: httpx2.AsyncClient, cast: Cast) -> None:
    problem(await marketer.post("/messages/preview", json={}), 422)
    both = {"key": "thanks", "messages": HELLO}
    problem(await marketer.post("/messages/preview", json=both), 422)
    assert paths(await marketer.post("/messages/preview", json={"key": "absent"})) == ["key"]
    body = {"messages": HELLO, "friend_id": 4711}
    assert paths(await marketer.post("/messages/preview", json=body)) == ["friend_id"]
    body = {"messages": [{"type": "text", "text": "{{ 7 * 7 }}"}]}
    assert paths(await marketer.post("/messages/preview", json=body)) == ["messages[0].text"]


async def test_a_test_goes_to_named_friends_as_transactional(
    marketer: httpx2.AsyncClient, cast: Cast, runtime: Runtime
) -> None:
    body = {"messages": HELLO, "friend_ids": [cast.hana.id, cast.ken.id]}

    queued = await marketer.post("/messages/test", json=body)

    assert queued.status_code == 202
    rows = queued.json()["deliveries"]
    assert [r["friend_id"] for r in rows] == [cast.hana.id, cast.ken.id]
    assert {(r["state"], r["purpose"], r["source"].split(":")[0]) for r in rows} == {
        ("waiting", "transactional", "test")
    }
    one = (await marketer.get(f"/deliveries/{rows[0]['id']}")).json()
    assert one["messages"] == [{"type": "text", "text": "こんにちは、はなさん"}]
    assert one["dispatch"] is None


async def test_a_test_needs_friends_who_can_be_reached(
    marketer: httpx2.AsyncClient, cast: Cast
) -> None:
    async def refused(ids: list[Any]) -> list[str]:
        body = {"messages": HELLO, "friend_ids": ids}
        return paths(await marketer.post("/messages/test", json=body))

    assert await refused([cast.hana.id, 4711, cast.yui.id]) == ["friend_ids[1]", "friend_ids[2]"]
    assert await refused([]) == ["friend_ids"]
    assert await refused([cast.hana.id] * 6) == ["friend_ids"]
    assert (await marketer.get("/deliveries")).json()["items"] == []


async def test_a_friend_named_twice_gets_one_test(marketer: httpx2.AsyncClient, cast: Cast) -> None:
    body = {"messages": HELLO, "friend_ids": [cast.hana.id, cast.hana.id]}
    assert len((await marketer.post("/messages/test", json=body)).json()["deliveries"]) == 1


async def test_a_message_that_a_flow_needs_cannot_be_deleted(
    marketer: httpx2.AsyncClient, cast: Cast, runtime: Runtime, now: datetime
) -> None:
    await marketer.post("/messages", json=THANKS)
    for key in ("draft", "running", "older"):
        await marketer.put(f"/flows/{key}", json=flow(key, {"message": "thanks"}))
    await marketer.put("/flows/unrelated", json=flow("unrelated", {"say": "thanks"}))
    for key in ("running", "older"):
        await marketer.post(f"/flows/{key}/publish")

    async def used_by() -> str:
        detail: str = problem(await marketer.delete("/messages/thanks"), 409)["detail"]
        return detail.rpartition(": ")[2]

    async def drop_from(key: str) -> None:
        etag = (await marketer.get(f"/flows/{key}")).headers["etag"]
        changed = flow(key, {"say": "ありがとう"})
        await marketer.put(f"/flows/{key}", json=changed, headers={"If-Match": etag})

    assert await used_by() == "draft, older, running."
    await drop_from("draft")
    await drop_from("running")  # its published version still says it
    await drop_from("older")
    assert await used_by() == "older, running."
    body = {"customer_id": cast.hana.customer_id}
    walk = (await marketer.post("/flows/older/enrol", json=body)).json()
    await marketer.post("/flows/running/publish")
    await marketer.post("/flows/older/publish")  # Hana is under way on the version before
    assert await used_by() == "older."
    async with runtime.db.transaction() as session:
        row = await session.get_one(Enrolment, walk["id"])
        row.state, row.done_at = "finished", now
    assert (await marketer.delete("/messages/thanks")).status_code == 204


@pytest.fixture
async def deliveries(runtime: Runtime, cast: Cast, now: datetime) -> list[Delivery]:
    rows = [
        Delivery(
            channel_id=1, friend_id=friend.id or 0, source=source, state=state, reason=reason,
            messages=b'[{"type":"text","text":"x"}]', due_at=now, created_at=now,
        )
        for friend, source, state, reason in (
            (cast.hana, "event:1", "sent", None),
            (cast.ken, "enrolment:1:step:0", "failed", "refused"),
            (cast.ken_again, "enrolment:10:step:0", "held", "quota"),
            (cast.yui, "Enrolment:x", "suppressed", "blocked"),
        )
    ]  # fmt: skip
    async with runtime.db.transaction() as session:
        session.add_all(rows)
        await session.flush()
    return rows


SEARCHES: list[tuple[dict[str, str], list[str] | None]] = [
    ({"state": "held"}, ["enrolment:10:step:0"]),
    ({"reason": "refused"}, ["enrolment:1:step:0"]),
    ({"source": "enrolment:1"}, ["enrolment:10:step:0", "enrolment:1:step:0"]),
    ({"source": "%"}, []),
    ({"since": "2200-01-01T00:00:00Z"}, None),
]


async def test_deliveries_are_found_by_what_is_known_of_them(
    viewer: httpx2.AsyncClient, deliveries: list[Delivery]
) -> None:
    for params, sources in SEARCHES:
        response = await viewer.get("/deliveries", params=params)
        if sources is None:
            assert paths(response) == ["since"]
        else:
            assert [d["source"] for d in response.json()["items"]] == sources


async def test_deliveries_are_found_by_person(
    viewer: httpx2.AsyncClient, deliveries: list[Delivery], cast: Cast
) -> None:
    by_customer = await viewer.get("/deliveries", params={"customer_id": cast.ken.customer_id})
    by_friend = await viewer.get("/deliveries", params={"friend_id": cast.ken.id or 0})
    assert [d["friend_id"] for d in by_customer.json()["items"]] == [
        cast.ken_again.id,
        cast.ken.id,
    ]
    assert [d["friend_id"] for d in by_friend.json()["items"]] == [cast.ken.id]


async def test_failed_and_held_ones_are_sent_again_and_others_are_not(
    marketer: httpx2.AsyncClient, owner: httpx2.AsyncClient, deliveries: list[Delivery]
) -> None:
    sent, failed, held, suppressed = (d.id for d in deliveries)
    for id_ in (failed, held):
        again = await marketer.post(f"/deliveries/{id_}/retry")
        assert (again.status_code, again.json()["state"], again.json()["reason"]) == (
            200,
            "waiting",
            None,
        )
        problem(await marketer.post(f"/deliveries/{id_}/retry"), 409)
    for id_ in (sent, suppressed):
        problem(await marketer.post(f"/deliveries/{id_}/retry"), 409)
    problem(await marketer.post("/deliveries/4711/retry"), 404)
    actions = [e["action"] for e in (await owner.get("/audit-log")).json()["items"]]
    assert actions == ["delivery.retry"] * 2
