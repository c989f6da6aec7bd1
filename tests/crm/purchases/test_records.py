"""Orders taken in: once each, corrected, given back; nothing changes for what is wrong."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from typing import Any

import pytest
from sqlalchemy import update

from core.db import table
from core.errors import Conflict, Invalid, NotFound
from crm.customers.records import CustomerDraft
from crm.models import Activity, Customer
from crm.points import ledger
from crm.points.ledger import Grant
from crm.purchases.draft import LineDraft, PurchaseDraft
from crm.purchases.models import Purchase, PurchaseLine, PurchaseRefund
from tests.crm.purchases.conftest import DAY, NOW, Books, back, order


async def test_an_order_is_kept_and_all_that_follows_from_it(books: Books) -> None:
    done = await books.tell(order())

    assert (len(done.new), done.changed, done.warnings) == (1, set(), {done.ids[0]: []})
    hana = await books.customer(books.hana)
    assert (hana.purchase_count, hana.purchase_total) == (1, 3_000)
    assert hana.first_purchased_at == hana.last_purchased_at == NOW - DAY
    assert await books.points(books.hana) == 30
    (told,) = [row for row in await books.rows(Activity) if row.kind == "purchased"]
    assert told.occurred_at == NOW - DAY
    assert told.data == {
        "purchase_id": done.ids[0], "order_id": "A-1", "source": "ec", "total": 3_000,
        "items": ["みなとブレンド 200g", "フィルター"], "categories": ["coffee", "goods"],
        "skus": ["beans-200", "filter"], "number": 1,
    }  # fmt: skip


async def test_the_same_order_again_changes_nothing(books: Books) -> None:
    first = await books.tell(order(refunds=[back("r", 500)], shipped_at=NOW))
    before = await books.state()
    books.now += DAY

    again = await books.tell(order(refunds=[back("r", 500)], shipped_at=NOW))

    assert (again.ids, again.new, again.changed) == (first.ids, set(), set())
    assert await books.state() == before


async def test_ten_times_at_once_is_once(books: Books) -> None:
    outcomes = await asyncio.gather(*(books.tell(order()) for _ in range(10)))

    assert sum(len(outcome.new) for outcome in outcomes) == 1
    assert len({tuple(outcome.ids) for outcome in outcomes}) == 1
    assert await books.figures(books.hana) == (1, 3_000)
    assert await books.points(books.hana) == 30
    assert await books.kinds(books.hana) == ["purchased"]


async def test_a_guests_order_ten_times_at_once_is_one_guests(books: Books) -> None:
    guest = order(member_number=None)

    outcomes = await asyncio.gather(*(books.tell(guest, create_missing=True) for _ in range(10)))

    assert sum(len(outcome.new) for outcome in outcomes) == 1
    assert len(await books.rows(Customer)) == 3


async def test_two_orders_the_other_way_round_at_once_do_not_stand_in_each_others_way(
    books: Books,
) -> None:
    orders = [order(order_id=f"A-{n}", member_number=f"M-{n % 2 + 1}") for n in range(20)]

    await asyncio.gather(*(books.tell(*each) for each in (orders, orders[::-1]) * 3))

    assert await books.figures(books.hana) == (10, 30_000)
    assert await books.figures(books.ken) == (10, 30_000)


# what the order says in the end → yen counted, points (1 %), lines
CORRECTIONS: list[tuple[dict[str, Any], int, int]] = [
    ({"total": 2_000}, 2_000, 20),
    ({"total": 9_900, "lines": ()}, 9_900, 99),
    ({"total": 3_000, "refunds": [back("r", 1_000)]}, 2_000, 20),
    ({"cancelled_at": NOW}, 0, 0),
    ({"purchased_at": NOW - 3 * DAY}, 3_000, 30),
]


@pytest.mark.parametrize(("said", "yen", "points"), CORRECTIONS)
async def test_a_corrected_order_counts_as_it_is_now(
    books: Books, said: dict[str, Any], yen: int, points: int
) -> None:
    await books.tell(order())

    done = await books.tell(order(**said))

    assert (done.new, len(done.changed)) == (set(), 1)
    assert await books.figures(books.hana) == (int(yen > 0), yen)
    assert await books.points(books.hana) == points
    assert (await books.purchase()).version == 2
    lines = said.get("lines", order().lines)
    assert len(await books.rows(PurchaseLine)) == len(lines)


async def test_an_order_that_was_anothers_goes_over_with_all_that_hangs_on_it(books: Books) -> None:
    await books.tell(order(order_id="A-0", total=500, lines=()))
    await books.tell(order(refunds=[back("r", 1_000)]))

    await books.tell(order(member_number="M-2", refunds=[back("r", 1_000)]))

    assert await books.figures(books.hana) == (1, 500)
    assert await books.figures(books.ken) == (1, 2_000)
    assert (await books.points(books.hana), await books.points(books.ken)) == (5, 20)
    assert await books.kinds(books.hana) == ["purchased"]
    assert await books.kinds(books.ken) == ["purchased", "refunded"]


async def test_content_that_was_so_earlier_replaces_nothing(books: Books) -> None:
    await books.tell(order(total=2_000, lines=(), as_of=NOW - timedelta(hours=1)))

    late = order(as_of=NOW - timedelta(hours=2), shipped_at=NOW - timedelta(hours=3))
    await books.tell(late)

    row = await books.purchase()
    assert (row.total, row.shipped_at) == (2_000, NOW - timedelta(hours=3))


async def test_a_purchase_of_a_merged_record_goes_to_the_one_it_became(books: Books) -> None:
    async with books.db.transaction() as session:
        gone = update(table(Customer)).where(table(Customer).c.id == books.hana)
        await session.execute(gone.values(merged_into_id=books.ken))

    await books.tell(order(member_number=None, customer_id=books.hana))

    assert (await books.purchase()).customer_id == books.ken
    assert await books.figures(books.ken) == (1, 3_000)


async def test_lines_that_do_not_add_up_are_kept_as_sent_with_a_warning(books: Books) -> None:
    done = await books.tell(order(total=2_900), order(order_id="A-2", total=3_500, adjustment=500))

    assert done.warnings[done.ids[0]] == [
        "明細の合計 3,000円 が注文の合計 2,900円 と一致しません"
        "／The lines add up to 3000 yen, but the total says 2900 yen"
    ]
    assert done.warnings[done.ids[1]] == []
    assert (await books.purchase()).total == 2_900
    assert len(await books.rows(PurchaseLine)) == 4


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"total": -1}, "total"),
    ({"total": 10**10}, "total"),
    ({"order_id": " "}, "order_id"),
    ({"order_id": "x" * 101}, "order_id"),
    ({"order_id": "A\x001"}, "order_id"),
    ({"source": ""}, "source"),
    ({"member_number": "M-404"}, "member_number"),
    ({"member_number": None, "customer_id": 404}, "customer_id"),
    ({"member_number": None}, "member_number"),
    ({"customer_id": 1}, "customer_id"),
    ({"total": None, "member_number": None, "lines": ()}, "order_id"),
    ({"total": None, "paid_at": NOW}, "paid_at"),
    ({"purchased_at": NOW + timedelta(minutes=6)}, "purchased_at"),
    ({"shipped_at": NOW + DAY}, "shipped_at"),
    ({"points_used": -1}, "points_used"),
    ({"points_used": 3_001, "spends": True}, "points_used"),
    ({"refunds": [back("r", 3_001)]}, "refunds"),
    ({"refunds": [back("r", 2_000), back("s", 1_001)]}, "refunds"),
    ({"refunds": [back("r", 0)]}, "refunds[0].amount"),
    ({"refunds": [back("", 10)]}, "refunds[0].key"),
    ({"refunds": [back("r", 10, NOW + DAY)]}, "refunds[0].refunded_at"),
    ({"lines": [LineDraft(quantity=10**7)]}, "lines[0].quantity"),
    ({"lines": [LineDraft(name="x" * 201)]}, "lines[0].name"),
    ({"lines": [LineDraft()] * 501}, "lines"),
]


@pytest.mark.parametrize(("said", "path"), WRONG)
async def test_what_is_wrong_is_told_and_changes_nothing(
    books: Books, said: dict[str, Any], path: str
) -> None:
    before = await books.state()

    with pytest.raises(Invalid) as refused:
        await books.tell(order(order_id="A-2"), order(**said))

    assert [fault.path for fault in refused.value.faults] == [f"purchases[1].{path}"]
    assert all(fault.message and fault.message_ja for fault in refused.value.faults)
    assert await books.state() == before


async def test_a_refunds_key_with_another_amount_is_refused(books: Books) -> None:
    await books.tell(order(refunds=[back("r", 100)]))

    with pytest.raises(Invalid) as refused:
        await books.tell(order(refunds=[back("r", 200)]))

    assert [fault.path for fault in refused.value.faults] == ["purchases[0].refunds[0].key"]


# refunds one after the other → refunded, points left of 30
@pytest.mark.parametrize(
    ("amounts", "refunded", "points"),
    [([1_000], 1_000, 20), ([1_000, 500], 1_500, 15), ([None], 3_000, 0), ([1, None], 3_000, 0)],
)
async def test_money_given_back_takes_its_share_of_points_back(
    books: Books, amounts: Sequence[int | None], refunded: int, points: int
) -> None:
    (id_,) = (await books.tell(order())).ids

    for number, amount in enumerate(amounts):
        assert await books.refund(id_, amount, f"r-{number}")
        assert not await books.refund(id_, amount, f"r-{number}")

    assert (await books.purchase()).refunded == refunded
    assert (await books.customer(books.hana)).purchase_total == 3_000 - refunded
    assert await books.points(books.hana) == points
    assert (await books.kinds(books.hana)).count("refunded") == len(amounts)


async def test_more_than_is_left_cannot_be_given_back(books: Books) -> None:
    (id_,) = (await books.tell(order())).ids
    await books.refund(id_, 2_000)

    with pytest.raises(Invalid) as refused:
        await books.refund(id_, 1_001, "r-2")
    assert [fault.path for fault in refused.value.faults] == ["amount"]
    with pytest.raises(Invalid) as refused:
        await books.refund(id_, 5, "r-1")
    assert [fault.path for fault in refused.value.faults] == ["key"]
    await books.refund(id_, None, "r-2")
    with pytest.raises(Conflict):
        await books.refund(id_, None, "r-3")
    with pytest.raises(NotFound):
        await books.refund(id_ + 1, 1)

    assert len(await books.rows(PurchaseRefund)) == 2


async def test_twenty_refunds_at_once_never_give_back_more_than_was_paid(books: Books) -> None:
    (id_,) = (await books.tell(order())).ids

    outcomes = await asyncio.gather(
        *(books.refund(id_, 700, f"r-{n}") for n in range(20)), return_exceptions=True
    )

    assert sum(outcome is True for outcome in outcomes) == 4
    assert {type(o) for o in outcomes if o is not True} == {Invalid}
    assert (await books.purchase()).refunded == 2_800
    assert await books.points(books.hana) == 2


async def test_an_order_counts_while_it_is_paid_and_not_cancelled(books: Books) -> None:
    (id_,) = (await books.tell(order(paid=False))).ids
    assert await books.figures(books.hana) == (0, 0)
    assert await books.kinds(books.hana) == ["order_placed"]

    assert await books.status(id_, paid_at=NOW)
    assert (await books.figures(books.hana), await books.points(books.hana)) == ((1, 3_000), 30)
    assert await books.kinds(books.hana) == ["order_placed", "purchased"]

    assert await books.status(id_, cancelled_at=NOW)
    assert not await books.status(id_, cancelled_at=NOW)
    assert (await books.figures(books.hana), await books.points(books.hana)) == ((0, 0), 0)

    assert await books.status(id_, cancelled_at=None)
    assert (await books.figures(books.hana), await books.points(books.hana)) == ((1, 3_000), 30)
    assert (await books.kinds(books.hana)).count("purchased") == 1
    with pytest.raises(Invalid):
        await books.status(id_, shipped_at=NOW + DAY)


async def test_what_comes_before_its_order_waits_for_it(books: Books) -> None:
    news = PurchaseDraft(
        source="ec", order_id="A-1", purchased_at=NOW, total=None, shipped_at=NOW,
        refunds=[back("r", 1_000)],
    )  # fmt: skip
    (id_,) = (await books.tell(news, create_missing=True)).ids
    waiting = await books.purchase()
    assert (waiting.total, waiting.refunded) == (0, 0)
    assert await books.rows(Activity) == []
    with pytest.raises(NotFound):
        await books.refund(id_, None)

    assert (await books.tell(order())).ids == [id_]

    row = await books.purchase()
    assert (row.total, row.refunded, row.customer_id) == (3_000, 1_000, books.hana)
    assert (row.warnings, row.shipped_at) == ([], NOW)
    assert await books.points(books.hana) == 20
    assert await books.kinds(books.hana) == ["purchased", "refunded", "shipped"]
    (stand_in,) = [c for c in await books.rows(Customer) if c.member_number is None]
    assert stand_in.merged_into_id == books.hana


async def test_a_customer_whom_staff_know_is_not_taken_for_a_stand_in(books: Books) -> None:
    news = order(total=None, lines=(), member_number="M-2", refunds=[back("r", 1_000)])
    await books.tell(news, create_missing=True)

    await books.tell(order())

    assert (await books.customer(books.ken)).merged_into_id is None


async def test_new_people_come_with_their_orders_where_the_sender_may_bring_them(
    books: Books,
) -> None:
    yui = CustomerDraft(name="結衣", phone="０９０−１２３４−５６７８")
    await books.tell(
        order(member_number="M-9", contact=yui),
        order(order_id="A-2", member_number=None, contact=replace(yui, name="客")),
        order(order_id="A-3", member_number="M-9", contact=yui),
        create_missing=True,
    )

    new = [c for c in await books.rows(Customer) if c.id not in {books.hana, books.ken}]
    assert [(c.member_number, c.name, c.phone, c.purchase_count) for c in new] == [
        ("M-9", "結衣", "+819012345678", 2), (None, "客", "+819012345678", 1),
    ]  # fmt: skip
    await books.tell(order(order_id="A-2", member_number=None), create_missing=True)
    assert len(await books.rows(Customer)) == 4

    who = CustomerDraft(phone="12")
    with pytest.raises(Invalid) as refused:
        await books.tell(order(order_id="B", member_number="M-7", contact=who), create_missing=True)
    assert [f.path for f in refused.value.faults] == ["purchases[0].customer.phone"]


async def test_points_of_ours_are_spent_with_the_purchase_or_nothing_is(books: Books) -> None:
    async with books.db.transaction() as session:
        grant = Grant(books.hana, 500, source="gift", reason="プレゼント")
        await ledger.grant(session, [grant], now=NOW)

    with pytest.raises(Conflict):
        await books.tell(order(points_used=501, spends=True))
    assert await books.rows(Purchase) == []
    (id_,) = (await books.tell(order(points_used=500, spends=True))).ids
    await books.tell(order(points_used=500, spends=True))
    assert await books.points(books.hana) == 25  # 1 % of the 2,500 yen that were paid in money

    for changed in ({"points_used": 400}, {"points_used": 500, "member_number": "M-2"}):
        with pytest.raises(Invalid):
            await books.tell(order(spends=True, **changed))
    await books.status(id_, cancelled_at=NOW)
    assert await books.points(books.hana) == 500


async def test_points_of_another_shop_are_only_noted(books: Books) -> None:
    await books.tell(order(points_used=700))

    assert (await books.purchase()).points_used == 700
    assert await books.points(books.hana) == 23


async def test_the_nth_purchase_is_counted_by_time(books: Books) -> None:
    await books.tell(order(order_id="A-3"), order(order_id="A-1", purchased_at=NOW - 9 * DAY))
    await books.tell(order(order_id="A-2", purchased_at=NOW - 5 * DAY))

    rows = [row for row in await books.rows(Activity) if row.kind == "purchased"]
    assert sorted((r.data["order_id"], r.data["number"]) for r in rows) == [
        ("A-1", 1), ("A-2", 2), ("A-3", 2),
    ]  # fmt: skip


async def test_news_of_one_order_in_one_list_is_taken_in_turn(books: Books) -> None:
    done = await books.tell(order(paid=False), order(), order(shipped_at=NOW, total=2_000))

    assert len(set(done.ids)) == 1
    row = await books.purchase()
    assert (row.total, row.paid_at, row.shipped_at) == (2_000, NOW - DAY, NOW)


async def test_five_hundred_orders_take_as_many_statements_as_fifty(books: Books) -> None:
    async with books.db.transaction() as session:
        rows = [{"member_number": f"N-{n}", "created_at": NOW} for n in range(550)]
        await session.execute(table(Customer).insert(), rows)
    counted: list[int] = []
    for members in (range(50), range(50, 550)):
        known = [order(order_id=f"S-{n}", member_number=f"N-{n}") for n in members[::3]]
        new = [order(order_id=f"S-{n}", member_number=f"X-{n}") for n in members[1::3]]
        guests = [order(order_id=f"S-{n}", member_number=None) for n in members[2::3]]
        with books.listening() as heard:
            await books.tell(*known, *new, *guests, create_missing=True)
        # SQLite takes the rows of one INSERT that tells their ids one by one.
        counted.append(sum(1 for _statement in groupby(heard)))

    assert counted[1] <= counted[0] + 4  # activities go in by the thousand
