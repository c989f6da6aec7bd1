"""Points over the API: the ledger, corrections with reason and limit, policy, liability."""

from typing import Any

import httpx2
import pytest

from core.db import table
from core.runtime import Runtime
from crm.models import Activity
from tests.admin.conftest import Cast, paths, problem


@pytest.fixture
def url(cast: Cast) -> str:
    return f"/customers/{cast.hana.customer_id}/points"


async def correct(client: httpx2.AsyncClient, url: str, delta: int, **more: Any) -> httpx2.Response:
    key = more.pop("key", None)
    body = {"delta": delta, "reason": "お詫び", **more}
    return await client.post(url, json=body, headers={"Idempotency-Key": key} if key else {})


async def test_a_correction_changes_the_balance_and_stands_in_the_ledger(
    clerk: httpx2.AsyncClient, viewer: httpx2.AsyncClient, url: str
) -> None:
    made = await correct(clerk, url, 500, expires_on="2090-03-31")
    await correct(clerk, url, -120)

    assert made.status_code == 201
    assert (made.json()["points"], made.json()["entry"]["delta"]) == (500, 500)
    told = (await viewer.get(url, params={"limit": 1})).json()
    assert (told["points"], told["pending"], told["owed"]) == (380, 0, 0)
    assert (told["next_expires_at"], told["next_expiring_points"]) == ("2090-03-31T15:00:00Z", 380)
    assert [(e["kind"], e["delta"], e["actor"]) for e in told["items"]] == [
        ("correct", -120, "token:clerk")
    ]
    rest = (await viewer.get(url, params={"cursor": told["next_cursor"]})).json()
    assert [e["delta"] for e in rest["items"]] == [500]


async def test_a_double_tap_counts_once(clerk: httpx2.AsyncClient, url: str) -> None:
    first = await correct(clerk, url, 100, key="till-2:8021")
    again = await correct(clerk, url, 100, key="till-2:8021")

    assert again.json() == first.json()
    assert (await clerk.get(url)).json()["points"] == 100


async def test_the_balance_of_a_past_moment_is_told(clerk: httpx2.AsyncClient, url: str) -> None:
    await correct(clerk, url, 100)
    told = (await clerk.get(url, params={"at": "2000-01-01T00:00:00+09:00"})).json()
    assert (told["points"], told["balance_at"]) == (100, 0)


async def test_more_than_there_is_cannot_be_taken(clerk: httpx2.AsyncClient, url: str) -> None:
    await correct(clerk, url, 100)
    refused = problem(await correct(clerk, url, -101), 409)
    assert "残高は100ポイント" in refused["detail"]
    assert (await clerk.get(url)).json()["points"] == 100


async def test_the_daily_limit_of_the_policy_holds(
    clerk: httpx2.AsyncClient, marketer: httpx2.AsyncClient, url: str
) -> None:
    await marketer.put("/points-policy", json={"staff_daily_limit": 100})
    await correct(clerk, url, 80)
    refused = problem(await correct(clerk, url, 30), 409)
    assert "上限（100ポイント）" in refused["detail"]
    assert (await correct(marketer, url, 30)).status_code == 201


BAD = [
    ({"delta": 0, "reason": "x"}, "delta"),
    ({"delta": 10, "reason": " "}, "reason"),
    ({"delta": 10}, "reason"),
    ({"delta": 1.5, "reason": "x"}, "delta"),
    ({"delta": 10**12, "reason": "x"}, "delta"),
    ({"delta": 10, "reason": "x", "expires_on": "2001-01-01"}, "expires_on"),
    ({"delta": 10, "reason": "x", "expires_on": "2027-02-30"}, "expires_on"),
    ({"delta": 10, "reason": "x", "points": 3}, "points"),
]


@pytest.mark.parametrize(("body", "path"), BAD)
async def test_a_bad_correction_says_what_is_wrong(
    clerk: httpx2.AsyncClient, url: str, body: dict[str, Any], path: str
) -> None:
    assert paths(await clerk.post(url, json=body)) == [path]
    assert (await clerk.get(url)).json()["items"] == []


async def test_an_unknown_customer_is_not_found(clerk: httpx2.AsyncClient) -> None:
    problem(await clerk.get("/customers/999/points"), 404)
    problem(await correct(clerk, "/customers/999/points", 1), 404)


async def test_nothing_is_owed_that_staff_could_decide_on(
    marketer: httpx2.AsyncClient, url: str
) -> None:
    await correct(marketer, url, 100)
    body = {"decision": "waive", "points": 10, "reason": "長年のお客さま"}
    problem(await marketer.post(f"{url}/owed", json=body), 409)
    problem(await marketer.post(f"{url}/owed", json=body | {"decision": "collect"}), 409)


async def test_a_correction_is_told_as_an_activity_through_the_friend(
    clerk: httpx2.AsyncClient, url: str, cast: Cast, runtime: Runtime
) -> None:
    await correct(clerk, url, 100)
    async with runtime.db.reading() as session:
        (told,) = list(await session.execute(table(Activity).select()))
    assert (told.kind, told.friend_id, told.data["points"]) == (
        "points_granted", cast.hana.id, 100
    )  # fmt: skip


async def test_the_policy_is_read_saved_and_guarded_by_its_version(
    marketer: httpx2.AsyncClient,
) -> None:
    first = await marketer.get("/points-policy")
    assert (first.headers["etag"], first.json()["version"]) == ('"0"', 0)
    campaign = {"name": "毎月5日は2倍", "multiplier": 2, "days_of_month": [5]}
    wanted = {"base_rate": 0.5, "campaigns": [campaign], "expiry": None}

    saved = await marketer.put("/points-policy", json=wanted)

    assert (saved.status_code, saved.json()["version"]) == (200, 1)
    assert (await marketer.get("/points-policy")).json() == saved.json()
    problem(await marketer.put("/points-policy", json=wanted), 428)
    problem(await marketer.put("/points-policy", json=wanted, headers={"If-Match": '"7"'}), 412)
    assert (await marketer.put("/points-policy", json=wanted, headers={"If-Match": '"1"'})).json()[
        "version"
    ] == 2


BAD_POLICIES = [
    ({"base_rate": -1}, "base_rate"),
    ({"base_rate": 101}, "base_rate"),
    ({"return_window_days": 366}, "return_window_days"),
    ({"expiry": {"months": 0}}, "expiry.months"),
    ({"overdraw": "forget"}, "overdraw"),
    ({"rate": 3}, "rate"),
    ({"campaigns": [{"name": "x", "multiplier": 0.5}]}, "campaigns[0].multiplier"),
    (
        {"campaigns": [{"name": "x", "multiplier": 2, "starts_on": "2027-02-02",
                        "ends_on": "2027-02-01"}]},
        "campaigns[0]",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "path"), BAD_POLICIES)
async def test_a_bad_policy_says_what_is_wrong(
    marketer: httpx2.AsyncClient, body: dict[str, Any], path: str
) -> None:
    assert paths(await marketer.put("/points-policy", json=body)) == [path]


async def test_liability_is_told_by_month(
    clerk: httpx2.AsyncClient, viewer: httpx2.AsyncClient, url: str
) -> None:
    await correct(clerk, url, 100, expires_on="2090-03-31")
    await correct(clerk, url, 50, expires_on="2090-04-01")
    told = (await viewer.get("/reports/point-liability")).json()
    assert told["months"] == [
        {"month": "2090-03", "points": 100, "yen": 100},
        {"month": "2090-04", "points": 50, "yen": 50},
    ]
    assert (told["points"], told["pending_points"]) == (150, 0)
