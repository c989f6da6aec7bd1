"""Coupons over HTTP: defined by marketers, used at the till, undone with a reason."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from core.db import table
from core.runtime import Runtime
from crm.coupons import tokens
from crm.models import Customer
from tests.admin.conftest import Callers, Cast, paths, problem

BIRTHDAY = {"name": "お誕生日クーポン", "discount": {"amount": 500}, "valid_days": 30}


async def define(client: httpx2.AsyncClient, key: str = "birthday-500", **values: Any) -> Any:
    response = await client.put(f"/coupons/{key}", json=BIRTHDAY | values)
    assert response.status_code == 201, response.text
    return response.json()


async def issue(
    client: httpx2.AsyncClient, customer: int, key: str = "birthday-500", **values: Any
) -> Any:
    response = await client.post(f"/coupons/{key}/issue", json={"customer_id": customer} | values)
    assert response.status_code == 201, response.text
    return response.json()


async def redeem(client: httpx2.AsyncClient, code: str, **values: Any) -> httpx2.Response:
    headers = {"Idempotency-Key": values.pop("key")} if "key" in values else {}
    body = {"code": code} | values
    return await client.post("/coupons/redeem", json=body, headers=headers)


async def test_a_coupon_is_defined_read_and_changed_by_version(
    marketer: httpx2.AsyncClient, viewer: httpx2.AsyncClient
) -> None:
    made = await marketer.post("/coupons", json={"key": "birthday-500"} | BIRTHDAY)
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.json()["discount"] == {
        "amount": 500, "percent": None, "max_yen": None, "gift": None, "free_shipping": None,
    }  # fmt: skip
    assert made.json()["discount_text"] == "500円引き"
    problem(await marketer.post("/coupons", json={"key": "birthday-500"} | BIRTHDAY), 409)

    changed = BIRTHDAY | {"max_uses": 2, "description": "おめでとうございます"}
    problem(await marketer.put("/coupons/birthday-500", json=changed), 428)
    problem(
        await marketer.put("/coupons/birthday-500", json=changed, headers={"If-Match": '"9"'}), 412
    )
    saved = await marketer.put("/coupons/birthday-500", json=changed, headers={"If-Match": '"1"'})
    assert (saved.status_code, saved.headers["etag"]) == (200, '"2"')
    read = (await viewer.get("/coupons/birthday-500")).json()
    assert (read["max_uses"], read["version"], read["pool"]) == (2, 2, None)
    assert [c["key"] for c in (await viewer.get("/coupons")).json()["items"]] == ["birthday-500"]


DAYS = [
    ({"valid_until": "2026-12-31"}, "valid_until", datetime(2026, 12, 31, 15, tzinfo=UTC)),
    ({"valid_until": "2028-02-29"}, "valid_until", datetime(2028, 2, 29, 15, tzinfo=UTC)),
    ({"valid_from": "2027-01-01"}, "valid_from", datetime(2026, 12, 31, 15, tzinfo=UTC)),
    ({"valid_until": "2026-12-31T18:00:00+09:00"}, "valid_until",
     datetime(2026, 12, 31, 9, tzinfo=UTC)),
    ({"valid_until": "2026-12-31T00:00:00Z"}, "valid_until", datetime(2026, 12, 31, tzinfo=UTC)),
]  # fmt: skip


async def test_plain_days_are_days_of_the_shop(marketer: httpx2.AsyncClient) -> None:
    for number, (values, name, moment) in enumerate(DAYS):
        made = await define(marketer, f"c{number}", **{"valid_days": None} | values)
        assert datetime.fromisoformat(made[name]) == moment, values


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": " "}, "name"),
    ({"name": "あ" * 61}, "name"),
    ({"discount": {}}, "discount"),
    ({"discount": {"amount": 500, "percent": 10}}, "discount"),
    ({"discount": {"amount": 0}}, "discount.amount"),
    ({"discount": {"amount": -500}}, "discount.amount"),
    ({"discount": {"percent": 101}}, "discount.percent"),
    ({"discount": {"amount": 500, "max_yen": 100}}, "discount"),
    ({"discount": {"type": "half"}}, "discount.type"),
    ({"discount": 500}, "discount"),
    ({"valid_days": 0}, "valid_days"),
    ({"valid_until": "2027-02-29"}, "valid_until"),
    ({"valid_until": "2026-12-31T18:00:00"}, "valid_until"),
    ({"valid_from": "2026-12-31", "valid_until": "2026-12-30"}, ""),
    ({"valid_days": None, "remind_days": 3}, ""),
    ({"max_uses": 0}, "max_uses"),
    ({"conditions": {"minimum_total": -1}}, "conditions.minimum_total"),
    ({"conditions": {"skus": [""]}}, "conditions.skus"),
    ({"conditions": {"colour": "red"}}, "conditions.colour"),
    ({"colour": "red"}, "colour"),
]


async def test_what_breaks_a_rule_is_told_with_its_place_in_both_languages(
    marketer: httpx2.AsyncClient, viewer: httpx2.AsyncClient
) -> None:
    for values, path in WRONG:
        response = await marketer.put("/coupons/wrong", json=BIRTHDAY | values)
        assert path in paths(response), values
        faults = response.json()["errors"]
        assert all(fault["message"] and fault["message_ja"] for fault in faults), values
    problem(await viewer.get("/coupons/wrong"), 404)
    reserved = await marketer.post("/coupons", json={"key": "redeem"} | BIRTHDAY)
    assert paths(reserved) == ["key"]


async def test_only_what_was_never_issued_is_deleted(
    marketer: httpx2.AsyncClient, cast: Cast
) -> None:
    await define(marketer, "unused")
    await define(marketer, "issued")
    await issue(marketer, cast.nobody.id or 0, "issued")

    assert (await marketer.delete("/coupons/unused")).status_code == 204
    problem(await marketer.delete("/coupons/unused"), 404)
    problem(await marketer.delete("/coupons/issued"), 409)


async def test_a_copy_is_issued_once_for_a_reason_and_never_beyond_the_limit(
    marketer: httpx2.AsyncClient, viewer: httpx2.AsyncClient, cast: Cast
) -> None:
    await define(marketer)
    ken = cast.ken.customer_id

    first = await issue(marketer, ken, reason="spring")
    again = await marketer.post(
        "/coupons/birthday-500/issue", json={"customer_id": ken, "reason": "spring"}
    )
    other = await marketer.post("/coupons/birthday-500/issue", json={"customer_id": ken})

    assert (again.status_code, again.json()["code"]) == (200, first["code"])
    assert again.json()["issued"] == []
    assert "発行上限" in problem(other, 409)["detail"]
    (held,) = (await viewer.get(f"/customers/{ken}/coupons")).json()["items"]
    assert held == first["issued"][0]
    assert (held["code"], held["state"]) == (first["code"], "held")


async def test_many_customers_at_once_get_theirs(marketer: httpx2.AsyncClient, cast: Cast) -> None:
    await define(marketer)
    ids = [cast.hana.customer_id, cast.ken.customer_id, cast.yui.customer_id]
    await issue(marketer, ids[0])

    response = await marketer.post("/coupons/birthday-500/issue", json={"customer_ids": ids})
    assert response.status_code == 201
    assert [copy["customer_id"] for copy in response.json()["issued"]] == ids[1:]
    assert response.json()["full"] == [ids[0]]
    assert response.json()["code"] is None

    unknown = {"customer_ids": [ids[0], 999_999]}
    response = await marketer.post("/coupons/birthday-500/issue", json=unknown)
    assert paths(response) == ["customer_ids[1]"]
    problem(await marketer.post("/coupons/birthday-500/issue", json={"customer_id": 999_999}), 404)
    problem(await marketer.post("/coupons/none/issue", json={"customer_id": ids[0]}), 404)
    for body in ({}, {"customer_id": ids[0], "customer_ids": ids}):
        assert paths(await marketer.post("/coupons/birthday-500/issue", json=body)) == [""]


async def test_a_copy_is_used_once_at_the_till_and_a_double_tap_is_one_use(
    marketer: httpx2.AsyncClient, clerk: httpx2.AsyncClient, viewer: httpx2.AsyncClient, cast: Cast
) -> None:
    await define(marketer)
    code = (await issue(marketer, cast.ken.customer_id))["code"]

    taps = await asyncio.gather(
        *(redeem(clerk, code.lower(), total=3_200, order_id="R-1", key="tap") for _ in range(5))
    )
    second = await redeem(clerk, code, key="another")

    assert {tap.status_code for tap in taps} == {201}
    assert len({tap.text for tap in taps}) == 1
    made = taps[0].json()
    assert (made["discount"], made["uses_left"], made["order_id"]) == (500, 0, "R-1")
    refused = problem(second, 409)
    assert (refused["reason"], "使用済み" in refused["detail"]) == ("used", True)
    (use,) = (await viewer.get("/redemptions", params={"order_id": "R-1"})).json()["items"]
    assert use == made
    (copy,) = (await viewer.get(f"/customers/{cast.ken.customer_id}/coupons")).json()["items"]
    assert (copy["state"], copy["uses_left"]) == ("used", 0)


async def test_twenty_tills_at_once_use_one_copy_once(
    marketer: httpx2.AsyncClient, clerk: httpx2.AsyncClient, cast: Cast
) -> None:
    await define(marketer)
    code = (await issue(marketer, cast.ken.customer_id))["code"]

    answers = await asyncio.gather(*(redeem(clerk, code, key=f"till-{n}") for n in range(20)))

    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(201), statuses.count(409)) == (1, 19)


async def test_a_use_is_undone_with_a_reason_once(
    marketer: httpx2.AsyncClient, clerk: httpx2.AsyncClient, owner: httpx2.AsyncClient, cast: Cast
) -> None:
    await define(marketer)
    code = (await issue(marketer, cast.ken.customer_id))["code"]
    id_ = (await redeem(clerk, code)).json()["id"]

    assert paths(await clerk.post(f"/redemptions/{id_}/undo", json={})) == ["reason"]
    undone = await clerk.post(f"/redemptions/{id_}/undo", json={"reason": "打ち間違い"})
    again = await clerk.post(f"/redemptions/{id_}/undo", json={"reason": "打ち間違い"})

    assert undone.status_code == 200
    assert (undone.json()["undo_reason"], undone.json()["uses_left"]) == ("打ち間違い", 1)
    problem(again, 409)
    problem(await clerk.post("/redemptions/999/undo", json={"reason": "?"}), 404)
    assert (await redeem(clerk, code)).status_code == 201
    actions = [e["action"] for e in (await owner.get("/audit-log")).json()["items"]]
    assert [a for a in actions if a.startswith("coupon.")] == [
        "coupon.redeem", "coupon.undo", "coupon.redeem", "coupon.issue", "coupon.save",
    ]  # fmt: skip


async def test_each_refusal_has_a_name_and_a_status(
    marketer: httpx2.AsyncClient, clerk: httpx2.AsyncClient, cast: Cast
) -> None:
    await define(marketer, conditions={"minimum_total": 3_000, "stores": ["本店"]})
    code = (await issue(marketer, cast.ken.customer_id))["code"]
    slip = code[:-1] + ("2" if code[-1] != "2" else "3")
    cases: list[tuple[str, dict[str, Any], int, str]] = [
        (slip, {}, 404, "mistyped"),
        ("SPRING", {}, 404, "unknown"),
        ("OKC.1.2.3", {}, 409, "stale_token"),
        (code, {"customer_id": cast.hana.customer_id}, 409, "foreign"),
        (code, {"store": "駅前店"}, 409, "wrong_store"),
        (code, {"store": "本店"}, 409, "needs_total"),
        (code, {"store": "本店", "total": 2_999}, 409, "below_minimum"),
    ]
    for text, values, status, reason in cases:
        assert problem(await redeem(clerk, text, **values), status)["reason"] == reason
    for body in ({}, {"code": ""}, {"code": code, "total": -1}, {"code": code, "colour": "red"}):
        assert paths(await clerk.post("/coupons/redeem", json=body))


async def test_what_the_phone_shows_is_checked_and_used(
    marketer: httpx2.AsyncClient,
    clerk: httpx2.AsyncClient,
    cast: Cast,
    runtime: Runtime,
    now: datetime,
) -> None:
    async with runtime.db.transaction() as session:
        customer = table(Customer)
        ken = update(customer).where(customer.c.id == cast.ken.customer_id)
        await session.execute(ken.values(member_number="M-1001", name="山田 健"))
    await define(marketer, conditions={"minimum_total": 3_000})
    copy = await issue(marketer, cast.ken.customer_id)
    shown = tokens.show_token(runtime.seal, copy["id"], now)

    seen = (await clerk.get("/coupons/check", params={"code": shown})).json()
    small = (await clerk.get("/coupons/check", params={"code": shown, "total": 100})).json()

    assert (seen["usable"], seen["reason"], seen["member_number"]) == (True, None, "M-1001")
    assert "山田" not in str(seen)
    assert (small["usable"], small["reason"]) == (False, "below_minimum")
    assert (await redeem(clerk, shown, total=3_000)).status_code == 201
    used = (await clerk.get("/coupons/check", params={"code": copy["code"]})).json()
    assert (used["usable"], used["reason"]) == (False, "used")
    nothing = (await clerk.get("/coupons/check", params={"code": "SPRING"})).json()
    assert (nothing["usable"], nothing["reason"], nothing["coupon"]) == (False, "unknown", None)


async def test_copies_are_listed_by_what_became_of_them(
    marketer: httpx2.AsyncClient, callers: Callers, cast: Cast, now: datetime
) -> None:
    ken = cast.ken.customer_id
    until = (now + timedelta(hours=1)).isoformat()
    await define(marketer, "short", valid_days=None, valid_until=until)
    await define(marketer, "long")
    await define(marketer, "spent")
    for key in ("short", "long", "spent"):
        copy = await issue(marketer, ken, key)
    await redeem(callers["clerk"], copy["code"])

    await callers["owner"].post("/clock", json={"advance_seconds": 7200})

    for state, key in [("held", "long"), ("expired", "short"), ("used", "spent")]:
        found = await marketer.get(f"/customers/{ken}/coupons", params={"state": state})
        assert [(c["coupon"], c["state"]) for c in found.json()["items"]] == [(key, state)]
    problem(await marketer.get("/customers/999999/coupons"), 404)


async def test_a_pool_is_filled_and_warns_when_it_runs_low(
    marketer: httpx2.AsyncClient, viewer: httpx2.AsyncClient, cast: Cast
) -> None:
    await define(marketer, "pool", code_source="pool", pool_warning=1)
    await define(marketer, "generated")
    ids = [cast.hana.customer_id, cast.ken.customer_id, cast.yui.customer_id]

    empty = await marketer.post("/coupons/pool/issue", json={"customer_id": ids[0]})
    filled = await marketer.post(
        "/coupons/pool/codes", json={"codes": ["AUTUMN-0001", "AUTUMN-0002", "autumn 0001"]}
    )
    short = await marketer.post("/coupons/pool/issue", json={"customer_ids": ids})
    one = await issue(marketer, ids[0], "pool")

    assert "残り0件" in problem(empty, 409)["detail"]
    assert filled.json() == {
        "added": 2, "duplicates": ["autumn 0001"], "free": 2, "low": False,
    }  # fmt: skip
    problem(short, 409)
    assert (one["code"], one["pool"]) == ("AUTUMN-0001", {"free": 1, "low": True})
    assert (await viewer.get("/coupons/pool")).json()["pool"] == {"free": 1, "low": True}
    bad = await marketer.post("/coupons/pool/codes", json={"codes": ["GOOD-0001", "あ"]})
    assert paths(bad) == ["codes[1]"]
    problem(await marketer.post("/coupons/generated/codes", json={"codes": ["GOOD-0001"]}), 409)


async def test_reports_tell_what_became_of_each_coupon(
    marketer: httpx2.AsyncClient, clerk: httpx2.AsyncClient, viewer: httpx2.AsyncClient, cast: Cast
) -> None:
    await define(marketer, "a")
    await define(marketer, "b")
    code = (await issue(marketer, cast.ken.customer_id, "a"))["code"]
    await redeem(clerk, code, total=3_200)

    one = (await viewer.get("/coupons/a/report")).json()
    all_ = (await viewer.get("/reports/coupons")).json()

    assert (one["issued"], one["used"], one["sales"], one["discount"]) == (1, 1, 3_200, 500)
    assert [item["key"] for item in all_["items"]] == ["b", "a"]
    assert all_["items"][1] == one
    problem(await viewer.get("/coupons/none/report"), 404)


@pytest.mark.parametrize("path", ["/coupons/pool/codes", "/coupons/redeem"])
async def test_huge_input_is_refused(
    clerk: httpx2.AsyncClient, callers: Callers, path: str
) -> None:
    body = {"codes": ["x" * 5_000]} if path.endswith("codes") else {"code": "x" * 5_000}
    assert paths(await callers["owner"].post(path, json=body))
