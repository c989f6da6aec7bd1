"""Systems that send orders: their secrets go in, or come out once, and never again."""

import httpx2
from sqlalchemy import select

from core.db import table
from core.runtime import Runtime
from crm.purchases.models import PurchaseSource
from tests.admin.conftest import paths, problem

SHOPIFY = {"key": "store", "kind": "shopify", "name": "みなと", "secret": "shpss_0123456789abcdef"}


async def test_a_source_is_added_with_a_secret_that_is_shown_once(
    owner: httpx2.AsyncClient, runtime: Runtime
) -> None:
    made = await owner.post("/sources", json={"key": "till", "kind": "signed", "name": "レジ"})

    assert made.status_code == 201
    told = made.json()
    assert told["url"] == "https://okaeri.example.jp/hooks/till"
    assert len(told["secret"]) >= 43
    shown = (await owner.get("/sources/till")).json()
    assert "secret" not in shown
    assert shown == {name: value for name, value in told.items() if name != "secret"}
    async with runtime.db.reading() as session:
        sealed = str(await session.scalar(select(table(PurchaseSource).c.sealed_secret)))
    assert told["secret"] not in sealed
    assert runtime.seal.decrypt(sealed) == told["secret"]


async def test_shopify_brings_its_own_secret(owner: httpx2.AsyncClient, runtime: Runtime) -> None:
    without = {name: value for name, value in SHOPIFY.items() if name != "secret"}
    problem(await owner.post("/sources", json=without), 422)

    assert (await owner.post("/sources", json=SHOPIFY)).status_code == 201
    problem(await owner.post("/sources", json=SHOPIFY), 409)

    assert [s["key"] for s in (await owner.get("/sources")).json()["items"]] == ["store"]
    assert paths(await owner.post("/sources", json=SHOPIFY | {"kind": "other"})) == ["kind"]
    assert paths(await owner.post("/sources", json=SHOPIFY | {"key": "A b"})) == ["key"]
    assert paths(await owner.post("/sources", json=SHOPIFY | {"secret": "short"})) == ["secret"]


async def test_a_secret_is_changed_and_a_source_taken_away(
    owner: httpx2.AsyncClient, runtime: Runtime
) -> None:
    await owner.post("/sources", json=SHOPIFY)

    problem(await owner.patch("/sources/store", json={"name": "本店"}), 428)
    match = {"If-Match": '"1"'}
    changed = await owner.patch("/sources/store", json={"new_secret": True}, headers=match)
    problem(await owner.patch("/sources/store", json={"name": "本店"}, headers=match), 412)
    both = {"new_secret": True, "secret": "x" * 20}
    assert paths(
        await owner.patch("/sources/store", json=both, headers={"If-Match": '"2"'})
    ) == ["new_secret"]  # fmt: skip

    assert changed.json()["new_secret"]
    renamed = await owner.patch(
        "/sources/store", json={"name": "本店"}, headers={"If-Match": '"2"'}
    )
    assert (renamed.json()["name"], renamed.json()["new_secret"]) == ("本店", None)
    assert (await owner.delete("/sources/store")).status_code == 204
    problem(await owner.get("/sources/store"), 404)
