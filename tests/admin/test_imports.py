"""CSV imports and their mappings over the admin API."""

from typing import Any

import httpx2

from tests.admin.conftest import paths, problem

CSV = {"Content-Type": "text/csv; charset=utf-8"}
PEOPLE = "会員番号,氏名,電話番号\n1001,山田 花子,090-1234-5678\n1002,鈴木,12\n".encode()
ORDERS = b"order_id,purchased_at,total,member_number\nA1,2026-01-02 10:00,1500,1001\n"
MAPPING: dict[str, Any] = {
    "kind": "customers",
    "encoding": "cp932",
    "columns": {"member_number": "番号", "name": "お客様名"},
}


async def test_a_file_is_tried_and_then_taken_in(marketer: httpx2.AsyncClient) -> None:
    url = "/imports/customers"
    dry = await marketer.post(url, content=PEOPLE, headers=CSV, params={"dry_run": True})
    made = await marketer.post(url, content=PEOPLE, headers=CSV)
    again = await marketer.post(url, content=PEOPLE, headers=CSV)

    [fault] = dry.json()["faults"]
    assert (fault["line"], fault["column"], fault["heading"]) == (3, 3, "電話番号")
    assert (dry.json()["dry_run"], dry.json()["new"], dry.json()["left_out"]) == (True, 1, 1)
    assert (made.json()["new"], again.json()["new"], again.json()["unchanged"]) == (1, 0, 1)
    assert made.json()["faults"] == [fault]


async def test_orders_are_taken_in_once_per_key(
    marketer: httpx2.AsyncClient, owner: httpx2.AsyncClient
) -> None:
    headers = CSV | {"Idempotency-Key": "import-1"}
    first = await marketer.post("/imports/purchases", content=ORDERS, headers=headers)
    again = await marketer.post("/imports/purchases", content=ORDERS, headers=headers)

    assert (first.json()["new"], first.json()["unchanged"]) == (1, 0)
    assert again.json() == first.json()
    dry = {"dry_run": True}
    other = await marketer.post("/imports/purchases", content=ORDERS, headers=headers, params=dry)
    problem(other, 422)
    entries = (await owner.get("/audit-log")).json()["items"]
    assert [entry["action"] for entry in entries].count("import.purchases") == 1


async def test_what_is_no_file_of_ours_changes_nothing(marketer: httpx2.AsyncClient) -> None:
    url = "/imports/customers"
    problem(await marketer.post(url, json={}), 415)
    problem(await marketer.post(url, content=b"x" * ((20 << 20) + 1), headers=CSV), 413)
    assert paths(await marketer.post(url, content=b"name\nA\n", headers=CSV)) == ["member_number"]
    wrong = await marketer.post(url, content="会員番号\n1\n".encode("cp932"), headers=CSV)
    assert "cp932" in problem(wrong, 422)["errors"][0]["message_ja"]
    unknown = {"mapping": "nobodys"}
    assert paths(await marketer.post(url, content=PEOPLE, headers=CSV, params=unknown)) == [
        "mapping"
    ]


async def test_a_file_over_one_mebibyte_is_taken(marketer: httpx2.AsyncClient) -> None:
    lines = ["member_number,name", *(f"{n},{'花' * 90}" for n in range(4_000))]
    told = await marketer.post("/imports/customers", content="\n".join(lines).encode(), headers=CSV)
    assert told.json()["new"] == 4_000


async def test_a_mapping_is_saved_used_changed_and_deleted(marketer: httpx2.AsyncClient) -> None:
    url = "/import-mappings/ours"
    saved = await marketer.put(url, json=MAPPING)
    assert (saved.status_code, saved.headers["etag"]) == (201, '"1"')
    assert (await marketer.get(url)).json() == saved.json()
    assert (await marketer.get("/import-mappings")).json()["items"] == [saved.json()]

    file = "番号,お客様名\n5,花子\n".encode("cp932")
    told = await marketer.post(
        "/imports/customers", content=file, headers=CSV, params={"mapping": "ours"}
    )
    assert told.json()["new"] == 1

    problem(await marketer.put(url, json=MAPPING), 428)
    changed = await marketer.put(url, json=MAPPING, headers={"If-Match": '"1"'})
    assert changed.json()["version"] == 2
    assert paths(await marketer.put(url, json=MAPPING | {"columns": {"name": "N"}})) == [
        "columns.member_number"
    ]
    assert (await marketer.delete(url)).status_code == 204
    problem(await marketer.get(url), 404)


async def test_ready_mappings_can_be_looked_at(viewer: httpx2.AsyncClient) -> None:
    told = (await viewer.get("/import-mappings/rakuten")).json()

    assert (told["ready"], told["encoding"]) == (True, "cp932")
    assert told["columns"]["order_id"] == "注文番号"
    people = await viewer.get("/import-mappings/smaregi", params={"kind": "customers"})
    assert people.json()["kind"] == "customers"
