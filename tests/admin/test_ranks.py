"""Ranks over the admin API."""

from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from core.runtime import Runtime
from crm.models import Customer
from crm.purchases.models import Purchase
from crm.ranks import review
from crm.ranks.policy import RankPolicy
from tests.admin.conftest import paths, problem

POLICY: dict[str, Any] = {
    "basis": "count",
    "window": {"calendar": "year", "start_month": 4},
    "keep_months": 6,
    "tiers": [
        {"key": "basic", "name": "一般", "threshold": 0},
        {"key": "vip", "name": "お得意さま", "threshold": 3, "point_rate": 2.5,
         "perks": ["送料無料"]},
    ],
}  # fmt: skip


@pytest.fixture
async def ken(runtime: Runtime, now: datetime) -> int:
    """A gold member, 20,000 yen short of platinum."""
    async with runtime.db.transaction() as session:
        made = Customer(member_number="10000001", created_at=now)
        session.add(made)
        await session.flush()
        assert made.id is not None
        bought = now - timedelta(days=3)
        session.add(
            Purchase(
                source="till", order_id="1", customer_id=made.id, total=130_000, created_at=now,
                purchased_at=bought, paid_at=bought, updated_at=now,
            )
        )  # fmt: skip
        await session.flush()
        await review.promote(session, [made.id], now=now, zone=runtime.settings.zone)
    return made.id


async def test_the_policy_is_read_saved_and_guarded_by_its_version(
    marketer: httpx2.AsyncClient, viewer: httpx2.AsyncClient
) -> None:
    first = await viewer.get("/rank-policy")
    assert first.json() == RankPolicy().model_dump() | {"version": 0}

    saved = await marketer.put("/rank-policy", json=POLICY)
    assert (saved.status_code, saved.headers["etag"]) == (200, '"1"')
    assert saved.json()["tiers"][1]["point_rate"] == 2.5
    assert (await viewer.get("/rank-policy")).json() == saved.json()

    problem(await marketer.put("/rank-policy", json=POLICY), 428)
    wrong = {"If-Match": '"0"'}
    assert problem(await marketer.put("/rank-policy", json=POLICY, headers=wrong), 412)
    right = {"If-Match": '"1"'}
    changed = await marketer.put("/rank-policy", json=POLICY | {"keep_months": 3}, headers=right)
    assert changed.json()["version"] == 2


async def test_a_policy_that_cannot_be_is_refused_in_both_languages(
    marketer: httpx2.AsyncClient,
) -> None:
    upside_down = POLICY | {"tiers": POLICY["tiers"][::-1]}
    answer = await marketer.put("/rank-policy", json=upside_down)
    [fault] = problem(answer, 422)["errors"]
    assert "must be 0" in fault["message"]
    assert "0 にしてください" in fault["message_ja"]
    assert paths(await marketer.put("/rank-policy", json={"keep_months": 0})) == ["keep_months"]


async def test_where_a_customer_stands(viewer: httpx2.AsyncClient, ken: int) -> None:
    told = (await viewer.get(f"/customers/{ken}/rank")).json()

    assert (told["rank"]["key"], told["next"]["key"]) == ("gold", "platinum")
    assert (told["achieved"], told["missing"]) == (130_000, 20_000)
    assert told["hint"] == "あと20,000円でプラチナ"
    problem(await viewer.get("/customers/999999/rank"), 404)


async def test_a_merged_customer_stands_where_the_one_they_became_stands(
    viewer: httpx2.AsyncClient, ken: int, runtime: Runtime, now: datetime
) -> None:
    async with runtime.db.transaction() as session:
        old = Customer(merged_into_id=ken, created_at=now)
        session.add(old)

    told = (await viewer.get(f"/customers/{old.id}/rank")).json()
    assert told["rank"]["key"] == "gold"


async def test_ranks_are_listed_with_how_many_have_them(
    viewer: httpx2.AsyncClient, ken: int, runtime: Runtime, now: datetime
) -> None:
    async with runtime.db.transaction() as session:
        session.add(Customer(member_number="10000002", created_at=now))
        session.add(Customer(created_at=now))

    told = (await viewer.get("/ranks")).json()

    assert [(r["key"], r["customers"]) for r in told["items"]] == [
        ("regular", 1), ("silver", 0), ("gold", 1), ("platinum", 0),
    ]  # fmt: skip
    assert told["next_cursor"] is None


async def test_a_dry_run_tells_and_changes_nothing(marketer: httpx2.AsyncClient, ken: int) -> None:
    told = (await marketer.post("/rank-policy/dry-run", json=POLICY)).json()

    assert told["members"] == 1
    assert told["moves"] == [{"from": "gold", "to": "basic", "direction": "moved", "customers": 1}]
    assert told["sample"][0]["member_number"] == "10000001"
    standing = (await marketer.get(f"/customers/{ken}/rank")).json()
    assert standing["rank"]["key"] == "gold"
