"""A repeated request changes nothing, however many come at once."""

import asyncio
from typing import Any

import httpx2
import pytest

from core.runtime import Runtime
from tests.admin.conftest import Callers, Cast, paths, problem

HELLO = [{"type": "text", "text": "こんにちは、{{ friend.name }}"}]


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


async def test_twenty_at_once_are_one(
    marketer: httpx2.AsyncClient, viewer: httpx2.AsyncClient, cast: Cast
) -> None:
    body = {"messages": HELLO, "friend_ids": [cast.hana.id]}

    answers = await asyncio.gather(
        *(marketer.post("/messages/test", json=body, headers=keyed("once")) for _ in range(20))
    )

    assert {a.status_code for a in answers} == {202}
    assert len({a.text for a in answers}) == 1
    assert sum("idempotency-replayed" not in a.headers for a in answers) == 1
    assert len((await viewer.get("/deliveries")).json()["items"]) == 1


async def test_twenty_at_once_without_a_key_are_twenty(
    marketer: httpx2.AsyncClient, viewer: httpx2.AsyncClient, cast: Cast
) -> None:
    body = {"messages": HELLO, "friend_ids": [cast.hana.id]}
    await asyncio.gather(*(marketer.post("/messages/test", json=body) for _ in range(20)))
    assert len((await viewer.get("/deliveries")).json()["items"]) == 20


async def test_the_same_key_with_another_request_is_refused(
    owner: httpx2.AsyncClient,
) -> None:
    await owner.post("/tokens", json={"name": "a", "role": "clerk"}, headers=keyed("k"))

    other = await owner.post("/tokens", json={"name": "b", "role": "clerk"}, headers=keyed("k"))

    assert paths(other) == ["Idempotency-Key"]
    elsewhere = await owner.post("/flows/welcome/pause", headers=keyed("k"))
    assert paths(elsewhere) == ["Idempotency-Key"]
    assert len((await owner.get("/tokens")).json()["items"]) == 5


async def test_the_same_request_in_another_spelling_is_the_same(owner: httpx2.AsyncClient) -> None:
    headers = keyed("k") | {"Content-Type": "application/json"}
    one = await owner.post("/tokens", content=b'{"name":"a","role":"clerk"}', headers=headers)
    two = await owner.post("/tokens", content=b'{"role": "clerk", "name": "a"}', headers=headers)
    assert two.json() == one.json()


async def test_keys_of_two_callers_do_not_meet(
    owner: httpx2.AsyncClient, marketer: httpx2.AsyncClient
) -> None:
    body = {"key": "hello", "name": "hello", "messages": HELLO}
    first = await owner.post("/messages", json=body, headers=keyed("k"))
    second = await marketer.post("/messages", json=body, headers=keyed("k"))
    assert first.status_code == 201
    problem(second, 409)


async def test_a_refused_request_uses_no_key_up(marketer: httpx2.AsyncClient) -> None:
    body: dict[str, Any] = {"key": "hello", "name": "hello", "messages": [{"type": "txt"}]}
    assert (await marketer.post("/messages", json=body, headers=keyed("k"))).status_code == 422
    body["messages"] = HELLO
    assert (await marketer.post("/messages", json=body, headers=keyed("k"))).status_code == 201


async def test_a_change_that_fails_late_leaves_neither_change_nor_answer(
    callers: Callers, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = callers["owner"]
    seal = type(runtime.seal)

    def fail(_seal: object, _text: str) -> str:
        raise RuntimeError("the answer could not be kept")

    with monkeypatch.context() as broken:
        broken.setattr(seal, "encrypt", fail)
        body = {"name": "a", "role": "clerk"}
        problem(await owner.post("/tokens", json=body, headers=keyed("k")), 500)

    assert len((await owner.get("/tokens")).json()["items"]) == 4
    assert (await owner.get("/audit-log")).json()["items"] == []
    again = await owner.post("/tokens", json=body, headers=keyed("k"))
    assert again.status_code == 201
    assert "idempotency-replayed" not in again.headers


async def test_a_replay_tells_the_version_again(marketer: httpx2.AsyncClient) -> None:
    body = {"key": "hello", "name": "hello", "messages": HELLO}
    first = await marketer.post("/messages", json=body, headers=keyed("k"))
    again = await marketer.post("/messages", json=body, headers=keyed("k"))
    assert first.headers["etag"] == again.headers["etag"] == '"1"'
    assert again.headers["content-type"] == "application/json"
    assert again.headers["cache-control"] == "no-store"


NO_KEYS: list[str] = ["", "x" * 256, "tab\there", "é"]


async def test_a_key_that_is_none_is_refused(owner: httpx2.AsyncClient) -> None:
    for key in NO_KEYS:
        headers = [*owner.headers.raw, (b"Idempotency-Key", key.encode("latin-1"))]
        response = await owner.post("/tokens", json={"name": "a", "role": "clerk"}, headers=headers)
        assert paths(response) == ["Idempotency-Key"]
