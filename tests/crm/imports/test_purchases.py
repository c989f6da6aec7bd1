"""Orders out of files: grouped by number, settled once, the same again after an export."""

import csv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from core.db import Database
from core.errors import Invalid
from core.settings import load
from crm.imports import mapping, orders
from crm.imports.export import export
from crm.imports.mapping import Kind
from crm.imports.ready import READY
from crm.imports.rows import Row
from crm.models import Customer
from crm.purchases.models import Purchase, PurchaseLine, PurchaseRefund
from server import migrations
from tests.crm.imports.conftest import TOKYO, Desk, faults

HEAD = "注文番号,注文日時,合計金額,会員番号,商品コード,商品名,数量,単価\n"
TWO = (
    HEAD
    + 'A1,2040-02-29 10:00,"1,200円",1001,s1,豆,2,500\n'
    + "A1,2040-02-29 10:00,¥1200,1001,s2,カップ,1,200\n"
    + "A2,2040/02/28,800,1002,s1,豆,1,800\n"
)


async def test_rows_of_an_order_become_its_lines(desk: Desk) -> None:
    report = await desk.take("purchases", TWO)

    assert (report.rows, report.records, report.new, report.left_out) == (3, 2, 2, 0)
    assert await desk.rows(Purchase, "source", "order_id", "total", "purchased_at") == [
        ("csv", "A1", 1200, datetime(2040, 2, 29, 1, tzinfo=UTC)),
        ("csv", "A2", 800, datetime(2040, 2, 27, 15, tzinfo=UTC)),
    ]
    lines = await desk.rows(PurchaseLine, "purchase_id", "sku", "quantity", "unit_price")
    assert [line[1:] for line in lines] == [("s1", 2, 500), ("s2", 1, 200), ("s1", 1, 800)]
    people = await desk.rows(Customer, "member_number", "purchase_count", "purchase_total")
    assert people == [("1001", 1, 1200), ("1002", 1, 800)]


async def test_importing_again_doubles_nothing(desk: Desk) -> None:
    await desk.take("purchases", TWO)
    before = await desk.state()
    again = await desk.take("purchases", TWO)
    dry = await desk.take("purchases", TWO, dry_run=True)

    assert (again.new, again.changed, again.unchanged) == (0, 0, 2)
    assert (dry.new, dry.changed, dry.unchanged) == (0, 0, 2)
    assert await desk.state() == before


async def test_a_dry_run_changes_nothing(desk: Desk) -> None:
    report = await desk.take("purchases", TWO, dry_run=True)

    assert report.new == 2
    assert set((await desk.state()).values()) == {0}


@pytest.mark.parametrize("sure", [1, orders.SURE])
async def test_rows_of_an_order_are_found_wherever_they_stand(
    desk: Desk, sure: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "SURE", sure)
    head, one, two, three = TWO.splitlines(keepends=True)
    report = await desk.take("purchases", head + one + three + two)

    assert (report.records, report.new) == (2, 2)
    lines = await desk.rows(PurchaseLine, "sku")
    assert lines == [("s1",), ("s2",), ("s1",)]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(keys=st.lists(st.sampled_from("abcdef"), max_size=40))
def test_sorting_out_by_disk_is_grouping_by_hand(keys: list[str]) -> None:
    rows = [Row(line, [key, str(line)]) for line, key in enumerate(keys)]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.cells[0], []).append(row)

    assert list(orders.sorted_out(rows, lambda row: row.cells[0])) == list(groups.values())
    look = orders.Together()
    for key in keys:
        look.see(key)
    if look.sure:
        assert list(orders.in_turn(rows, lambda row: row.cells[0])) == list(groups.values())


async def test_bad_orders_are_listed_and_all_others_taken_in(desk: Desk) -> None:
    text = (
        HEAD
        + "B1,2040-02-30,100,1,,,,\n"  # no such day
        + "B2,2040-02-01,-100,1,,,,\n"  # negative
        + "B3,2040-02-01,x,1,,,,\n"
        + "B4,2040-02-01,100,1,s,n,one,100\n"
        + "B5,2040-02-01,300,1,s,n,1,100\n"
        + "B5,2040-02-01,301,1,s,n,1,200\n"  # another total
        + "B6,2041-02-01,100,1,,,,\n"  # in the future
        + ",2040-02-01,100,1,,,,\n"
        + "B7,2040-02-01,100,1,s\n"  # ragged
        + "B8,,100,1,,,,\n"
        + "B9,2040-02-01,100,1,s,n,1,100\n"
    )
    for dry_run in (True, False):
        report = await desk.take("purchases", text, dry_run=dry_run)

        assert sorted(faults(report), key=str) == sorted(
            [
                (2, 2, "注文日時"), (3, 3, "合計金額"), (4, 3, "合計金額"), (5, 7, "数量"),
                (7, 3, "合計金額"), (8, 2, "注文日時"), (9, 1, "注文番号"), (10, None, ""),
                (11, 2, "注文日時"),
            ],
            key=str,
        )  # fmt: skip
        assert (report.records, report.left_out, report.new) == (10, 9, 1)
    assert await desk.rows(Purchase, "order_id") == [("B9",)]


async def test_lines_that_do_not_add_up_are_taken_in_with_a_warning(desk: Desk) -> None:
    report = await desk.take("purchases", HEAD + "C1,2040-02-01,999,1,s,n,1,100\n")

    assert report.new == 1
    [warning] = report.warnings
    assert (warning.line, warning.path) == (2, "注文番号")
    assert "一致しません" in warning.message_ja


async def test_a_missing_column_is_named_with_those_there_are(desk: Desk) -> None:
    with pytest.raises(Invalid) as refused:
        await desk.take("purchases", "注文番号,合計\n1,100\n")

    [fault] = refused.value.faults
    assert fault.path == "purchased_at"
    assert "注文日時" in fault.message
    assert "注文番号, 合計" in fault.message_ja


STATUSES = [("支払済", True, False), ("未入金", False, False), ("キャンセル", True, True)]


@pytest.mark.parametrize(("told", "paid", "cancelled"), STATUSES)
async def test_a_status_is_translated(
    desk: Desk, told: str, *, paid: bool, cancelled: bool
) -> None:
    text = f"注文番号,注文日,合計,状態\nD1,2040-02-01,100,{told}\nD2,2040-02-01,100,謎\n"
    report = await desk.take("purchases", text)

    assert faults(report) == [(3, 4, "状態")]
    [(paid_at, cancelled_at)] = await desk.rows(Purchase, "paid_at", "cancelled_at")
    assert (paid_at is not None, cancelled_at is not None) == (paid, cancelled)


async def test_what_was_given_back_in_all_is_refunded_by_what_is_new_of_it(desk: Desk) -> None:
    text = "注文番号,注文日,合計,返金額\nE1,2040-02-01,1000,{}\n"
    for back in (0, 300, 300, 1000):
        await desk.take("purchases", text.format(back))

    refunds = await desk.rows(PurchaseRefund, "amount")
    assert refunds == [(300,), (700,)]
    report = await desk.take("purchases", text.format(1001))
    assert faults(report) == [(2, 4, "返金額")]


SHOPS: dict[tuple[Kind, str], tuple[str, str, str]] = {
    ("purchases", "rakuten"): (
        "注文番号,ステータス,注文日時,請求金額,注文者姓,注文者名,商品管理番号,商品名,個数,単価\n"
        "381-1,700,2040-02-01 10:00:00,1500,山田,花子,bean-1,豆,1,1500\n",
        "381-1", "山田 花子",
    ),
    ("purchases", "yahoo"): (
        "OrderId,OrderTime,OrderStatus,BillName,TotalPrice,ItemId,Title,Quantity,UnitPrice\n"
        "shop-1,2040/02/01 10:00,5,山田花子,1500,bean,豆,1,1500\n",
        "shop-1", "山田花子",
    ),
    ("purchases", "makeshop"): (
        "注文番号,注文日時,会員ID,注文者,合計金額,商品名,数量,販売価格,入金状況\n"
        "M1,2040/02/01 10:00,1001,山田花子,1500,豆,1,1500,入金済み\n",
        "M1", "山田花子",
    ),
    ("purchases", "shopify"): (
        "Name,Email,Financial Status,Paid at,Total,Created at,Lineitem quantity,Lineitem name,"
        "Lineitem price,Lineitem sku,Billing Name,Refunded Amount\n"
        "#1001,h@example.jp,paid,2040-02-01 10:00:00 +0900,1500.00,2040-02-01 10:00:00 +0900,"
        "1,Beans,1000.00,b,山田花子,0.00\n"
        "#1001,h@example.jp,,,,2040-02-01 10:00:00 +0900,1,Cup,500.00,c,,\n",
        "#1001", "山田花子",
    ),
    ("purchases", "smaregi"): (
        "取引ID,取引日時,合計,会員コード,会員名,店舗名,商品コード,商品名,数量,販売単価\n"
        "77,2040-02-01 10:00:00,1500,1001,山田花子,本店,b,豆,1,1500\n",
        "77", "山田花子",
    ),
    ("purchases", "square"): (
        "Date,Time,Total Collected,Transaction ID,Event Type,Customer Name,Location\n"
        "2040-02-01,10:00:00,\"¥1,500\",TX1,Payment,山田花子,本店\n",
        "TX1", "山田花子",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), SHOPS)
async def test_the_files_of_shop_systems_are_read(desk: Desk, kind: Kind, name: str) -> None:
    text, order, customer = SHOPS[kind, name]
    found = READY[kind, name]
    report = await desk.take(kind, text.encode(found.encoding or "utf-8"), name)

    assert (report.left_out, report.faults, report.warnings) == (0, [], [])
    paid = datetime(2040, 2, 1, 1, tzinfo=UTC)
    assert await desk.rows(Purchase, "source", "order_id", "total", "purchased_at", "paid_at") == [
        (name, order, 1500, paid, paid)
    ]
    assert await desk.rows(Customer, "name") == [(customer,)]


def test_every_ready_mapping_could_be_saved() -> None:
    for found in READY.values():
        columns = {name: headings[0] for name, headings in found.columns.items()}
        mapping.check(mapping.MappingDraft(found.kind, columns, found.values, found.encoding))
    kinds = {name for kind, name in READY if kind == "purchases"}
    assert kinds == {"plain", "rakuten", "yahoo", "makeshop", "shopify", "smaregi", "square"}


async def written(db: Database, kind: Kind) -> str:
    return "".join([piece.text async for piece in export(db, kind, zone=TOKYO)])


@asynccontextmanager
async def fresh_desk(folder: Path) -> AsyncIterator[Desk]:
    """A new shop's server."""
    url = f"sqlite+aiosqlite:///{folder / 'other.db'}"
    db = Database(load(_env_file=None, database_url=url, clock="simulated"))
    await migrations.upgrade(db)
    yield Desk(db)
    await db.close()


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20)
names = texts.filter(str.strip)


@settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(name=names, sku=texts, quantity=st.integers(1, 9), price=st.integers(0, 5_000))
async def test_what_is_written_is_read_back_the_same(
    desk: Desk, name: str, sku: str, quantity: int, price: int
) -> None:
    await desk.take("customers", _csv(["member_number", "name"], ["77", name]))
    total = quantity * price
    await desk.take(
        "purchases",
        _csv(
            ["order_id", "purchased_at", "total", "member_number", "line_sku", "line_name",
             "line_quantity", "line_unit_price", "refunded", "shipped_at"],
            ["R1", "2040-02-29 23:59:59", total, "77", sku, name, quantity, price,
             total // 2, "2040-03-01"],
        ),
    )  # fmt: skip
    before = [await written(desk.db, kind) for kind in ("customers", "purchases")]
    state = await desk.state()

    for kind, text in zip(("customers", "purchases"), before, strict=True):
        report = await desk.take(kind, text)  # type: ignore[arg-type]
        assert (report.left_out, report.faults) == (0, [])

    assert [await written(desk.db, kind) for kind in ("customers", "purchases")] == before
    assert await desk.state() == state


async def test_a_shop_moves_to_another_server_by_its_files(desk: Desk, tmp_path: Path) -> None:
    await desk.take(
        "customers", "member_number,name,tags\n1001,=1+1,a;b\n1003,''=x,\n1002,＠花子,\n"
    )
    await desk.take("purchases", TWO)
    await desk.take(
        "purchases", "注文番号,注文日,合計,返金額,氏名\nG1,2040-02-01,1000,400,通りすがり\n"
    )
    customers, purchases = [await written(desk.db, k) for k in ("customers", "purchases")]
    assert "'=1+1" in customers

    async with fresh_desk(tmp_path) as other:
        await other.take("customers", customers)
        await other.take("purchases", purchases)

        assert [await written(other.db, k) for k in ("customers", "purchases")] == [
            customers, purchases,
        ]  # fmt: skip
        columns = ("source", "order_id", "total", "refunded", "purchased_at", "paid_at")
        assert await other.rows(Purchase, *columns) == await desk.rows(Purchase, *columns)


def _csv(*rows: list[Any]) -> bytes:
    out = StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()
