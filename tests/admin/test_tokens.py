"""Tokens over the API: shown once, revoked at once, the last owner stays."""

import asyncio
from datetime import datetime

import httpx2
import pytest

from admin import tokens
from admin.models import ApiToken, IdempotentAnswer
from core.db import table
from core.errors import Invalid
from core.runtime import Runtime
from tests.admin.conftest import Callers, paths, problem


async def test_a_token_is_shown_once_and_works(callers: Callers, owner: httpx2.AsyncClient) -> None:
    made = await owner.post("/tokens", json={"name": "レジ", "role": "clerk"})
    assert made.status_code == 201
    text = made.json()["token"]

    me = await callers.client(text).get("/me")
    listed = await owner.get("/tokens")

    assert me.json() == {"name": "レジ", "role": "clerk"}
    assert text not in listed.text
    assert listed.json()["items"][0]["hint"] == f"okaeri_…{text[-4:]}"
    assert "token_hash" not in listed.json()["items"][0]


async def test_a_repeated_creation_shows_the_same_token_that_is_stored_encrypted(
    owner: httpx2.AsyncClient, runtime: Runtime
) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await owner.post("/tokens", json={"name": "レジ", "role": "clerk"}, headers=headers)
    again = await owner.post("/tokens", json={"name": "レジ", "role": "clerk"}, headers=headers)

    assert again.json() == first.json()
    assert again.status_code == 201
    assert again.headers["idempotency-replayed"] == "true"
    async with runtime.db.reading() as session:
        stored = str(list(await session.execute(table(IdempotentAnswer).select())))
    assert first.json()["token"] not in stored


async def test_a_revoked_token_stops_at_once(callers: Callers, owner: httpx2.AsyncClient) -> None:
    assert (await callers["clerk"].get("/me")).status_code == 200
    clerk = next(t for t in (await owner.get("/tokens")).json()["items"] if t["role"] == "clerk")

    revoked = await owner.delete(f"/tokens/{clerk['id']}")

    assert revoked.json()["revoked_at"] is not None
    problem(await callers["clerk"].get("/me"), 401)
    again = await owner.delete(f"/tokens/{clerk['id']}")
    assert again.status_code == 200
    assert again.json()["revoked_at"] == revoked.json()["revoked_at"]


async def test_the_last_owner_token_cannot_be_revoked(
    callers: Callers, owner: httpx2.AsyncClient
) -> None:
    mine = next(t for t in (await owner.get("/tokens")).json()["items"] if t["role"] == "owner")

    problem(await owner.delete(f"/tokens/{mine['id']}"), 409)

    other = (await owner.post("/tokens", json={"name": "店長", "role": "owner"})).json()
    assert (await owner.delete(f"/tokens/{mine['id']}")).status_code == 200
    left = callers.client(other["token"])
    problem(await left.delete(f"/tokens/{other['id']}"), 409)


async def test_two_owners_who_revoke_each_other_at_once_leave_one(
    callers: Callers, owner: httpx2.AsyncClient, runtime: Runtime
) -> None:
    other = (await owner.post("/tokens", json={"name": "店長", "role": "owner"})).json()
    mine = next(t for t in (await owner.get("/tokens")).json()["items"] if t["name"] == "owner")

    answers = await asyncio.gather(
        owner.delete(f"/tokens/{mine['id']}"), owner.delete(f"/tokens/{other['id']}")
    )

    # The second is told that it is the last, or that its own token works no more.
    assert sorted(a.status_code for a in answers) in ([200, 409], [200, 401])
    async with runtime.db.reading() as session:
        rows = list(await session.execute(table(ApiToken).select()))
    assert len([r for r in rows if r.role == "owner" and r.revoked_at is None]) == 1


async def test_use_is_noted_beside_the_request_and_once_a_minute(
    callers: Callers, runtime: Runtime, now: datetime
) -> None:
    for _ in range(5):
        await callers["viewer"].get("/me")
    await callers.api.state.api.tokens.settled()

    async with runtime.db.reading() as session:
        rows = {r.role: r for r in await session.execute(table(ApiToken).select())}
    assert rows["viewer"].last_used_at == now
    assert rows["clerk"].last_used_at is None


WRONG: list[tuple[dict[str, str], list[str]]] = [
    ({}, ["name", "role"]),
    ({"name": " ", "role": "clerk"}, ["name"]),
    ({"name": "x" * 101, "role": "clerk"}, ["name"]),
    ({"name": "レジ", "role": "root"}, ["role"]),
    ({"name": "レジ", "role": "clerk", "expires_at": "2020-01-01T00:00:00Z"}, ["expires_at"]),
    ({"name": "レジ", "role": "clerk", "expires_at": "2027-01-01"}, ["expires_at"]),
    ({"name": "レジ", "role": "clerk", "scope": "all"}, ["scope"]),
]


async def test_what_is_wrong_with_a_new_token_is_told(owner: httpx2.AsyncClient) -> None:
    for body, where in WRONG:
        assert paths(await owner.post("/tokens", json=body)) == where


async def test_the_command_line_cannot_make_a_token_with_an_unknown_role(
    runtime: Runtime, now: datetime
) -> None:
    async with runtime.db.transaction() as session:
        with pytest.raises(Invalid) as refused:
            await tokens.create(session, name="", role="root", now=now)
    assert [fault.path for fault in refused.value.faults] == ["name", "role"]
