"""Facts from outside: recorded once, for customers we know, none that only we may claim."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from admin.outside_facts import KINDS_FROM_OUTSIDE
from core.clock import AT_ONCE
from core.db import table
from core.runtime import Runtime
from crm.activities import KINDS
from crm.models import Activity
from tests.admin.conftest import Cast, paths, problem


def fact(cast: Cast, now: datetime, **values: Any) -> dict[str, Any]:
    return {
        "kind": "purchased",
        "customer_id": cast.hana.customer_id,
        "occurred_at": now.isoformat(),
        "data": {"total": 3200},
        **values,
    }


async def test_a_fact_is_recorded_for_the_customer_and_due_for_reactions(
    clerk: httpx2.AsyncClient, cast: Cast, runtime: Runtime, now: datetime
) -> None:
    made = await clerk.post("/activities", json=fact(cast, now, idempotency_key="r-1"))

    assert made.status_code == 201
    told = made.json()
    assert told["friend_id"] == cast.hana.id
    assert (told["kind"], told["data"], told["source"]) == ("purchased", {"total": 3200}, "api:r-1")
    async with runtime.db.reading() as session:
        row = await session.get_one(Activity, told["id"])
    assert row.react_at == AT_ONCE
    assert (await clerk.get("/activities")).json()["items"] == [told]


async def test_a_repeat_answers_with_the_first(
    clerk: httpx2.AsyncClient, cast: Cast, now: datetime
) -> None:
    first = await clerk.post("/activities", json=fact(cast, now, idempotency_key="r-1"))
    later = (now - timedelta(minutes=1)).isoformat()

    again = await clerk.post(
        "/activities", json=fact(cast, now, idempotency_key="r-1", occurred_at=later)
    )

    assert again.status_code == 200
    assert again.json() == first.json()


async def test_the_same_key_for_another_fact_is_refused(
    clerk: httpx2.AsyncClient, cast: Cast, now: datetime
) -> None:
    await clerk.post("/activities", json=fact(cast, now, idempotency_key="r-1"))
    other = fact(cast, now, idempotency_key="r-1", data={"total": 1})
    assert paths(await clerk.post("/activities", json=other)) == ["idempotency_key"]


async def test_twenty_at_once_under_one_key_are_one(
    clerk: httpx2.AsyncClient, cast: Cast, now: datetime
) -> None:
    body = fact(cast, now, idempotency_key="r-1")
    answers = await asyncio.gather(*(clerk.post("/activities", json=body) for _ in range(20)))
    assert sorted(a.status_code for a in answers) == [200] * 19 + [201]
    assert len({a.json()["id"] for a in answers}) == 1


async def test_it_goes_to_the_friend_who_followed_last(
    clerk: httpx2.AsyncClient, cast: Cast, now: datetime
) -> None:
    body = fact(cast, now, customer_id=cast.ken.customer_id)
    assert (await clerk.post("/activities", json=body)).json()["friend_id"] == cast.ken_again.id


async def test_without_a_friend_who_follows_it_goes_to_none(
    clerk: httpx2.AsyncClient, cast: Cast, now: datetime
) -> None:
    for customer_id in (cast.yui.customer_id, cast.nobody.id):
        body = fact(cast, now, customer_id=customer_id)
        assert (await clerk.post("/activities", json=body)).json()["friend_id"] is None


async def test_what_is_ours_to_record_is_not_taken_from_outside(
    clerk: httpx2.AsyncClient, cast: Cast, now: datetime
) -> None:
    for kind in sorted(KINDS - KINDS_FROM_OUTSIDE):
        assert paths(await clerk.post("/activities", json=fact(cast, now, kind=kind))) == ["kind"]


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"customer_id": None}, ["customer_id"]),
    ({"member_number": "M-1"}, ["customer_id"]),
    ({"customer_id": None, "member_number": "M-1"}, ["member_number"]),
    ({"customer_id": 4711}, ["customer_id"]),
    ({"customer_id": 2**63 - 1}, ["customer_id"]),
    ({"customer_id": 2**63 - 2**10}, ["customer_id"]),
    ({"occurred_at": "2026-01-01T00:00:00"}, ["occurred_at"]),
    ({"occurred_at": 0}, ["occurred_at"]),
    ({"data": []}, ["data"]),
    ({"data": {"x": "y" * 16_384}}, ["data"]),
    ({"idempotency_key": ""}, ["idempotency_key"]),
    ({"idempotency_key": "x" * 201}, ["idempotency_key"]),
]


async def test_what_is_wrong_with_a_fact_is_told(
    clerk: httpx2.AsyncClient, cast: Cast, now: datetime
) -> None:
    for values, where in WRONG:
        assert paths(await clerk.post("/activities", json=fact(cast, now, **values))) == where
        assert (await clerk.get("/activities")).json()["items"] == []


async def test_a_clock_may_run_five_minutes_ahead_and_no_more(
    clerk: httpx2.AsyncClient, cast: Cast, now: datetime
) -> None:
    ahead = fact(cast, now, occurred_at=(now + timedelta(minutes=5)).isoformat())
    assert (await clerk.post("/activities", json=ahead)).status_code == 201
    too_far = fact(cast, now, occurred_at=(now + timedelta(minutes=5, seconds=1)).isoformat())
    assert paths(await clerk.post("/activities", json=too_far)) == ["occurred_at"]


async def test_a_batch_of_five_hundred_is_recorded_in_a_handful_of_statements(
    clerk: httpx2.AsyncClient, cast: Cast, runtime: Runtime, now: datetime
) -> None:
    body = {"activities": [fact(cast, now, idempotency_key=f"r-{n}") for n in range(500)]}

    first = (await clerk.post("/activities/batch", json=body)).json()
    again = (await clerk.post("/activities/batch", json=body)).json()

    assert (first["recorded"], first["known"]) == (500, 0)
    assert len(set(first["ids"])) == 500
    assert again == {"recorded": 0, "known": 500, "ids": first["ids"]}
    async with runtime.db.reading() as session:
        rows = list(await session.execute(table(Activity).select()))
    assert len(rows) == 500
    assert [r.source for r in sorted(rows, key=lambda r: first["ids"].index(r.id))][:2] == [
        "api:r-0",
        "api:r-1",
    ]


async def test_one_fault_leaves_the_whole_batch_out(
    clerk: httpx2.AsyncClient, cast: Cast, now: datetime
) -> None:
    good = fact(cast, now)
    bad = [good, fact(cast, now, customer_id=999), fact(cast, now, kind="followed"), good]

    assert paths(await clerk.post("/activities/batch", json={"activities": bad})) == [
        "activities[2].kind"
    ]
    assert paths(await clerk.post("/activities/batch", json={"activities": bad[:2]})) == [
        "activities[1].customer_id"
    ]
    assert (await clerk.get("/activities")).json()["items"] == []


async def test_two_facts_under_one_key_in_a_batch_are_told_by_their_place(
    clerk: httpx2.AsyncClient, cast: Cast, now: datetime
) -> None:
    same = fact(cast, now, idempotency_key="r-1")
    twice = await clerk.post("/activities/batch", json={"activities": [same, same]})
    assert twice.json()["recorded"] == 1

    other = fact(cast, now, idempotency_key="r-2")
    mixed = [other, fact(cast, now, idempotency_key="r-2", data={"total": 1})]
    response = await clerk.post("/activities/batch", json={"activities": mixed})
    assert paths(response) == ["activities[1].idempotency_key"]
    assert len((await clerk.get("/activities")).json()["items"]) == 1


@pytest.mark.parametrize("count", [0, 501])
async def test_a_batch_has_one_to_five_hundred(
    clerk: httpx2.AsyncClient, cast: Cast, now: datetime, count: int
) -> None:
    body = {"activities": [fact(cast, now)] * count}
    assert paths(await clerk.post("/activities/batch", json=body)) == ["activities"]


async def test_activities_are_found_by_customer_kind_and_time(
    clerk: httpx2.AsyncClient, cast: Cast, now: datetime
) -> None:
    for hours, kind in ((1, "purchased"), (2, "cart_updated"), (3, "purchased")):
        at = (now - timedelta(hours=hours)).isoformat()
        await clerk.post("/activities", json=fact(cast, now, kind=kind, occurred_at=at))

    async def kinds(**params: Any) -> list[str]:
        items = (await clerk.get("/activities", params=params)).json()["items"]
        return [item["kind"] for item in items]

    assert await kinds(customer_id=cast.hana.customer_id) == [
        "purchased",
        "cart_updated",
        "purchased",
    ]
    assert await kinds(customer_id=cast.ken.customer_id) == []
    assert await kinds(kind="cart_updated") == ["cart_updated"]
    two_hours = (now - timedelta(hours=2)).isoformat()
    assert await kinds(since=two_hours) == ["cart_updated", "purchased"]
    assert await kinds(until=two_hours) == ["purchased"]


async def test_the_audit_log_notes_the_fact_without_what_it_says(
    clerk: httpx2.AsyncClient, owner: httpx2.AsyncClient, cast: Cast, now: datetime
) -> None:
    await clerk.post("/activities", json=fact(cast, now, data={"note": "private"}))
    response = await owner.get("/audit-log")
    (entry,) = response.json()["items"]
    assert (entry["actor"], entry["action"]) == ("token:clerk", "activity.record")
    assert entry["subject"] == f"customer:{cast.hana.customer_id}"
    assert "private" not in response.text


async def test_a_blocked_customer_is_not_an_unknown_one(
    clerk: httpx2.AsyncClient, cast: Cast, now: datetime
) -> None:
    body = fact(cast, now, customer_id=cast.yui.customer_id)
    assert (await clerk.post("/activities", json=body)).status_code == 201
    problem(await clerk.get("/friends/4711"), 404)
