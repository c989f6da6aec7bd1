"""What purchases earn, and what refunds and cancellations do to it. The base rate is 10 %."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from core.db import table
from crm.models import Customer
from tests.crm.points.conftest import NOW, Books

DAY = timedelta(days=1)


@pytest.fixture
async def shop(books: Books) -> Books:
    """Ten percent, at once."""
    await books.policy(base_rate=10)
    return books


async def test_a_purchase_grants_once_however_often_it_is_recounted(shop: Books) -> None:
    id_ = await shop.buy("1", 1009)
    for _ in range(10):
        await shop.recount(id_, id_)

    assert await shop.entries() == [("grant", 100)]  # 100.9, rounded down


async def test_what_is_not_paid_or_cancelled_earns_nothing(shop: Books) -> None:
    id_ = await shop.buy("1", 1000, paid_at=None)
    assert await shop.points() == (0, 0)

    await shop.alter(id_, paid_at=NOW)
    assert await shop.points() == (100, 0)

    await shop.alter(id_, cancelled_at=NOW)
    await shop.recount(id_)
    assert await shop.entries() == [("grant", 100), ("take_back", -100)]

    await shop.alter(id_, cancelled_at=None)
    assert await shop.points() == (100, 0)


async def test_a_refund_in_part_leaves_the_share(shop: Books) -> None:
    id_ = await shop.buy("1", 999)  # 99
    await shop.alter(id_, refunded=500)  # 99 × 499 ÷ 999 = 49.45
    assert await shop.points() == (49, 0)
    await shop.alter(id_, refunded=999)
    assert await shop.points() == (0, 0)


async def test_a_corrected_total_is_recounted_by_the_same_share(shop: Books) -> None:
    id_ = await shop.buy("1", 1000)
    await shop.policy(base_rate=50)  # decided once: the new rate is for later purchases
    await shop.alter(id_, total=1500)
    assert await shop.points() == (150, 0)
    await shop.alter(id_, total=700)
    assert await shop.points() == (70, 0)


async def test_spent_points_are_owed_and_settled_from_later_grants(shop: Books) -> None:
    id_ = await shop.buy("1", 1000)
    await shop.spend(80, "order")
    await shop.alter(id_, refunded=1000)
    assert await shop.points() == (0, 80)

    await shop.grant(50, "birthday")
    assert await shop.points() == (0, 30)
    await shop.grant(50, "review")
    assert await shop.points() == (20, 0)
    assert await shop.entries() == [
        ("grant", 100), ("spend", -80), ("settle", 80), ("take_back", -100),
        ("grant", 50), ("settle", -50), ("grant", 50), ("settle", -30),
    ]  # fmt: skip


async def test_owed_points_wait_for_staff_where_the_policy_says_so(shop: Books) -> None:
    await shop.policy(base_rate=10, overdraw="staff")
    id_ = await shop.buy("1", 1000)
    await shop.spend(80, "order")
    await shop.alter(id_, refunded=1000)
    await shop.grant(50, "birthday")
    assert await shop.points() == (50, 80)

    await shop.alter(id_, refunded=0)  # the refund was a mistake: what it left owed goes first
    assert await shop.points() == (70, 0)


async def test_its_own_lot_pays_first_then_the_soonest(shop: Books) -> None:
    await shop.grant(30, "soon", expires_at=NOW + DAY)
    await shop.grant(40, "later", expires_at=NOW + 2 * DAY)
    id_ = await shop.buy("1", 1000)
    await shop.spend(110, "order")  # 30 soon, 40 later, 40 of the purchase
    await shop.grant(25, "b", expires_at=NOW + 9 * DAY)
    await shop.grant(25, "a", expires_at=NOW + 5 * DAY)

    await shop.alter(id_, refunded=800)  # takes 80: 60 of its own, 20 of a

    assert [lot.remaining for lot in await shop.lots()] == [0, 0, 0, 25, 5]


async def test_what_expired_unused_is_not_taken_from_other_points(shop: Books) -> None:
    await shop.policy(base_rate=10, expiry={"months": 1})
    id_ = await shop.buy("1", 1000)
    await shop.spend(60, "order")
    later = NOW + 40 * DAY
    await shop.grant(200, "gift", now=later, expires_at=None)  # 40 have expired by now

    await shop.alter(id_, refunded=500, now=later)  # 60 were used, 50 are earned
    assert await shop.points() == (190, 0)
    await shop.alter(id_, refunded=1000, now=later)
    assert await shop.points() == (140, 0)
    await shop.alter(id_, refunded=0, now=later)  # its points would have expired: none come anew
    assert await shop.points() == (140, 0)


async def test_pending_points_shrink_without_an_entry(shop: Books) -> None:
    await shop.policy(base_rate=10, return_window_days=7)
    id_ = await shop.buy("1", 1000)
    await shop.alter(id_, refunded=300)
    standing = await shop.standing()
    assert (standing.points, standing.pending) == (0, 70)

    await shop.alter(id_, cancelled_at=NOW)

    assert await shop.entries() == []
    assert (await shop.standing()).pending == 0


async def test_the_window_runs_from_the_delivery_once_that_is_known(shop: Books) -> None:
    await shop.policy(base_rate=10, return_window_days=7)
    id_ = await shop.buy("1", 1000)
    (lot,) = await shop.lots()
    assert lot.available_at == datetime(2027, 1, 17, 15, tzinfo=UTC)  # 17 January ends in Tokyo

    await shop.alter(id_, now=NOW + 3 * DAY, delivered_at=NOW + 2 * DAY)

    (lot,) = await shop.lots()
    assert lot.available_at == datetime(2027, 1, 19, 15, tzinfo=UTC)
    assert lot.expires_at == datetime(2028, 1, 20, 15, tzinfo=UTC)  # a year after 20 January


async def paid_with(shop: Books, points: int, total: int = 1000) -> int:
    """A purchase that was paid with points; it earns for the money alone."""
    id_ = await shop.buy("paid", total, points_used=points, paid_at=None)
    await shop.spend(points, "order:paid", purchase_id=id_)
    await shop.alter(id_, paid_at=NOW)
    return id_


async def test_points_paid_come_back_into_their_lots_when_the_order_is_cancelled(
    shop: Books,
) -> None:
    await shop.grant(200, "a", expires_at=NOW + 9 * DAY)
    await shop.grant(200, "b", expires_at=NOW + 5 * DAY)
    id_ = await paid_with(shop, 300)
    assert await shop.points() == (170, 0)  # 100 left, and 10 % of 700

    await shop.alter(id_, cancelled_at=NOW)
    await shop.recount(id_)

    lots = await shop.lots()
    assert [lot.remaining for lot in lots] == [200, 200, 0]
    assert [lot.expires_at for lot in lots[:2]] == [NOW + 9 * DAY, NOW + 5 * DAY]

    await shop.alter(id_, cancelled_at=None)
    assert await shop.points() == (170, 0)


BACK = [
    # refunded of 1000, of which 700 were paid in money: points that come back
    (0, 0),
    (700, 0),
    (701, 1),
    (900, 200),
    (1000, 300),
]


@pytest.mark.parametrize(("refunded", "back"), BACK)
async def test_a_refund_gives_money_back_first_then_points(
    shop: Books, refunded: int, back: int
) -> None:
    await shop.grant(300, "a")
    id_ = await paid_with(shop, 300)
    await shop.alter(id_, refunded=refunded)

    given = [delta for kind, delta in await shop.entries() if kind == "give_back"]
    assert sum(given) == back


async def test_points_that_come_back_after_their_time_are_good_for_thirty_days(
    shop: Books,
) -> None:
    await shop.grant(300, "a", expires_at=NOW + DAY)
    id_ = await paid_with(shop, 300)
    await shop.alter(id_, now=NOW + 10 * DAY, cancelled_at=NOW + 10 * DAY)

    lot = (await shop.lots())[0]
    assert (lot.remaining, lot.state) == (300, "open")
    assert lot.expires_at == datetime(2027, 2, 19, 15, tzinfo=UTC)  # 20 January and 30 days


async def test_the_last_lot_to_be_drawn_is_the_first_to_be_filled_again(shop: Books) -> None:
    await shop.grant(200, "a", expires_at=NOW + 9 * DAY)
    await shop.grant(200, "b", expires_at=NOW + 5 * DAY)
    id_ = await paid_with(shop, 300)  # 200 of b, 100 of a
    await shop.alter(id_, refunded=850)  # 150 come back: 100 to a, 50 to b

    assert [lot.remaining for lot in await shop.lots()][:2] == [200, 50]


async def test_what_the_shop_had_advanced_comes_back_as_less_debt(shop: Books) -> None:
    await shop.policy(base_rate=0, overdraw="staff")
    await shop.grant(300, "a")
    id_ = await paid_with(shop, 300)
    await shop.alter(id_, cancelled_at=NOW)
    await shop.spend(200, "elsewhere")
    await shop.alter(id_, cancelled_at=None)  # 100 are there, 200 are advanced
    assert await shop.points() == (0, 200)

    await shop.alter(id_, cancelled_at=NOW)
    assert await shop.points() == (100, 0)


async def test_an_order_that_turns_out_to_be_anothers_takes_its_points_along(shop: Books) -> None:
    id_ = await shop.buy("1", 1000)
    await shop.spend(30, "order")
    await shop.alter(id_, customer_id=shop.ken)

    assert await shop.points() == (0, 30)
    assert await shop.points(shop.ken) == (100, 0)


COFFEE = {"sku": "bean-1", "category": "coffee", "unit_price": 600}
CUP = {"sku": "cup-1", "category": "cups", "unit_price": 400}
DOUBLE = {"name": "2倍", "multiplier": 2}
CAMPAIGNS: list[tuple[list[dict[str, Any]], list[dict[str, Any]], int]] = [
    # campaigns, lines, points of 1000 yen at 10 % on Sunday, 10 January 2027
    ([], [], 100),
    ([DOUBLE], [], 200),
    ([DOUBLE, {"name": "3倍", "multiplier": 3}], [], 300),  # the highest: 3, not 6
    ([DOUBLE | {"weekdays": ["sun"]}], [], 200),
    ([DOUBLE | {"weekdays": ["sat", "mon"]}], [], 100),
    ([DOUBLE | {"days_of_month": [5, 10]}], [], 200),
    ([DOUBLE | {"days_of_month": [9]}], [], 100),
    ([DOUBLE | {"starts_on": date(2027, 1, 11)}], [], 100),
    ([DOUBLE | {"ends_on": date(2027, 1, 10)}], [], 200),
    ([DOUBLE | {"ends_on": date(2027, 1, 9)}], [], 100),
    ([DOUBLE | {"ranks": ["gold"]}], [], 100),
    ([DOUBLE | {"categories": ["coffee"]}], [COFFEE, CUP], 160),  # 600 × 2 + 400
    ([DOUBLE | {"skus": ["cup-1"]}], [COFFEE, CUP], 140),
    ([DOUBLE | {"categories": ["coffee"]}], [COFFEE], 160),  # 400 yen of postage at 1
    ([DOUBLE | {"categories": ["coffee"]}], [COFFEE, COFFEE], 200),  # 200 yen of discount
    ([DOUBLE | {"categories": ["tea"]}], [COFFEE, CUP], 100),
    ([DOUBLE, {"name": "豆", "multiplier": 3, "categories": ["coffee"]}], [COFFEE, CUP], 260),
    ([{"name": "1.5倍", "multiplier": 1.5}], [], 150),
]


@pytest.mark.parametrize(("campaigns", "lines", "points"), CAMPAIGNS)
async def test_the_highest_multiplier_counts(
    books: Books, campaigns: list[dict[str, Any]], lines: list[dict[str, Any]], points: int
) -> None:
    await books.policy(base_rate=10, campaigns=campaigns)
    await books.buy("1", 1000, lines=lines)
    assert await books.points() == (points, 0)


async def test_days_are_the_shops_own(books: Books) -> None:
    await books.policy(base_rate=10, campaigns=[DOUBLE | {"days_of_month": [1]}])
    new_year = datetime(2026, 12, 31, 15, tzinfo=UTC)  # midnight in Tokyo
    await books.buy("1", 1000, now=new_year - timedelta(seconds=1))
    await books.buy("2", 1000, now=new_year)
    assert await books.points() == (100 + 200, 0)


async def test_the_rank_at_the_purchase_sets_the_rate(books: Books) -> None:
    await books.policy(base_rate=10)
    customer = table(Customer)
    async with books.db.transaction() as session:
        await session.execute(update(customer).values(rank="gold"))

    id_ = await books.buy("1", 1000)  # 2 % for gold, by the ranks' defaults

    async with books.db.transaction() as session:
        await session.execute(update(customer).values(rank="platinum"))
    await books.alter(id_, total=2000)
    assert await books.points() == (40, 0)


async def test_purchases_before_the_shop_began_with_points_earn_nothing(books: Books) -> None:
    await books.policy(base_rate=10, earns_from=date(2027, 1, 11))
    await books.buy("1", 1000)
    await books.buy("2", 1000, now=NOW + DAY)
    assert await books.points() == (100, 0)


async def test_an_old_purchase_earns_no_points_that_would_have_expired(shop: Books) -> None:
    await shop.buy("1", 1000, purchased_at=NOW - 400 * DAY)
    await shop.buy("2", 1000, purchased_at=NOW - 300 * DAY)
    assert await shop.points() == (100, 0)
