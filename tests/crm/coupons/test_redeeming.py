"""Using coupons: exactly as often as they say, and each refusal in its own words."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from core.db import table
from core.errors import Conflict, NotFound
from core.sealing import Seal
from crm.coupons import move, redeeming, tokens
from crm.coupons.codes import ALPHABET, generate, shown
from crm.coupons.models import Coupon, IssuedCoupon, Redemption
from crm.coupons.redeeming import Basket, Line
from crm.coupons.refusals import Refused
from crm.models import Customer
from crm.purchases.models import Purchase, PurchaseLine
from tests.crm.coupons.conftest import NOW, Shop

SEAL = Seal("a-secret-key-for-tests-only")


async def refused(shop: Shop, code: str, **values: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        await shop.redeem(code, **values)
    assert caught.value.ja
    assert caught.value.en
    assert str(caught.value) == f"{caught.value.ja}／{caught.value.en}"
    return caught.value


async def test_a_copy_is_used_once_and_a_second_use_is_refused(coupons: Shop, ken: int) -> None:
    await coupons.define()
    code = await coupons.copy(ken)

    made = await coupons.redeem(shown(code).lower(), order_id="R-1", total=3_200, store="本店")
    again = await refused(coupons, code)

    assert (made.customer_id, made.discount, made.total) == (ken, 500, 3_200)
    assert (again.reason, "使用済み" in again.ja) == ("used", True)
    assert "2026年11月22日 12:00" in again.ja
    copy = await coupons.row(IssuedCoupon, made.issued_coupon_id)
    assert (copy.state, copy.used) == ("used", 1)
    assert (await coupons.row(Coupon, made.coupon_id)).redeemed == 1
    (told,) = await coupons.activities("coupon_redeemed")
    assert (told.data["coupon"], told.data["discount"]) == ("c500", 500)
    assert told.data["order_id"] == "R-1"


async def test_a_use_undone_can_be_used_again_and_is_undone_once(coupons: Shop, ken: int) -> None:
    await coupons.define(max_redemptions=1)
    code = await coupons.copy(ken)
    made = await coupons.redeem(code)

    undone = await coupons.undo(made.id, "会計のやり直し")

    assert (undone.undone_by, undone.undo_reason) == ("token:till", "会計のやり直し")
    with pytest.raises(Conflict, match="すでに取り消されています"):
        await coupons.undo(made.id)
    again = await coupons.redeem(code)
    assert again.id != made.id
    assert (await coupons.row(Coupon, made.coupon_id)).redeemed == 1
    (told,) = await coupons.activities("coupon_undone")
    assert told.data["undo_reason"] == "会計のやり直し"


async def test_nothing_is_undone_that_never_was(coupons: Shop) -> None:
    with pytest.raises(NotFound):
        await coupons.undo(999)


async def test_codes_that_are_none_are_told_apart(coupons: Shop, ken: int) -> None:
    await coupons.define()
    code = await coupons.copy(ken)
    slip = code[:3] + next(c for c in ALPHABET if c != code[3]) + code[4:]

    assert (await refused(coupons, slip)).reason == "mistyped"
    assert (await refused(coupons, generate(1)[0])).reason == "unknown"
    for other in ("SPRING-2026", "", "💴", "x" * 5_000, "OKC", "' OR 1=1 --"):
        assert (await refused(coupons, other)).reason == "unknown"


async def test_time_is_told_before_and_after(coupons: Shop, ken: int) -> None:
    await coupons.define(
        valid_days=None, valid_from=NOW + timedelta(days=1), valid_until=NOW + timedelta(days=2)
    )
    code = await coupons.copy(ken)
    early, late = NOW + timedelta(days=1), NOW + timedelta(days=2)

    assert (await refused(coupons, code)).reason == "not_yet"
    assert (await refused(coupons, code, now=early - timedelta(seconds=1))).reason == "not_yet"
    over = await refused(coupons, code, now=late)
    assert (over.reason, "2026年11月24日 11:59" in over.ja) == ("expired", True)
    assert await coupons.redeem(code, now=late - timedelta(seconds=1))


CONDITIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"minimum_total": 3_000}, {}, "needs_total"),
    ({"minimum_total": 3_000}, {"total": 2_999}, "below_minimum"),
    ({"minimum_total": 3_000}, {"total": 3_000}, ""),
    ({"stores": ["本店", "駅前店"]}, {}, "wrong_store"),
    ({"stores": ["本店", "駅前店"]}, {"store": "空港店"}, "wrong_store"),
    ({"stores": ["本店", "駅前店"]}, {"store": "駅前店"}, ""),
    ({"ranks": ["platinum"]}, {}, "wrong_rank"),
    ({"ranks": ["gold", "platinum"]}, {}, ""),
    ({"skus": ["BEAN-1"]}, {}, "needs_lines"),
    ({"skus": ["BEAN-1"]}, {"lines": []}, "wrong_products"),
    ({"skus": ["BEAN-1"]}, {"lines": [Line("MUG-1", "mug", 1, 900)]}, "wrong_products"),
    ({"skus": ["BEAN-1"]}, {"lines": [Line("BEAN-1", "bean", 1, 900)]}, ""),
    ({"categories": ["bean"]}, {"lines": [Line("BEAN-2", "bean", 1, 900)]}, ""),
    ({"skus": ["A"], "categories": ["bean"]}, {"lines": [Line("B", "bean", 1, 900)]}, ""),
]


async def test_each_condition_has_its_own_answer(coupons: Shop, ken: int) -> None:
    for number, (conditions, basket, reason) in enumerate(CONDITIONS):
        key = f"c{number}"
        await coupons.define(key, conditions=conditions)
        code = await coupons.copy(ken, key=key)
        if reason:
            assert (await refused(coupons, code, **basket)).reason == reason, conditions
            assert (await coupons.row(Coupon, number + 1)).redeemed == 0
        else:
            assert await coupons.redeem(code, **basket), conditions


BEANS = [Line("BEAN-1", "bean", 2, 800), Line("MUG-1", "mug", 1, 1_500)]  # 3,100 yen
DISCOUNTS: list[tuple[dict[str, Any], dict[str, Any], int | None, int | None]] = [
    # discount, conditions, total, yen off
    ({"amount": 500}, {}, 3_100, 500),
    ({"amount": 500}, {}, 300, 300),
    ({"amount": 500}, {}, None, 500),
    ({"percent": 10}, {}, 3_100, 310),
    ({"percent": 10}, {}, 3_109, 310),  # fractions are dropped
    ({"percent": 10, "max_yen": 200}, {}, 3_100, 200),
    ({"percent": 100}, {}, 3_100, 3_100),
    ({"percent": 10}, {}, None, None),
    ({"percent": 10}, {"skus": ["BEAN-1"]}, 3_100, 160),  # of 2 × 800
    ({"percent": 10}, {"skus": ["BEAN-1"]}, 1_000, 100),  # never of more than is paid
    ({"amount": 2_000}, {"categories": ["bean"]}, 3_100, 1_600),
    ({"gift": "ドリップバッグ"}, {}, 3_100, None),
    ({"free_shipping": True}, {}, 3_100, None),
    ({"type": "percent", "value": 10}, {}, 3_100, 310),
    ({"type": "amount", "amount": 500}, {}, 3_100, 500),
]


async def test_the_discount_is_computed_in_whole_yen(coupons: Shop, ken: int) -> None:
    for number, (discount, conditions, total, off) in enumerate(DISCOUNTS):
        key = f"c{number}"
        await coupons.define(key, discount=discount, conditions=conditions)
        code = await coupons.copy(ken, key=key)
        made = await coupons.redeem(code, total=total, lines=BEANS)
        assert made.discount == off, discount


async def test_an_order_that_is_known_says_total_lines_and_store_itself(
    coupons: Shop, ken: int
) -> None:
    await coupons.define(
        conditions={"minimum_total": 1_000, "skus": ["BEAN-1"], "stores": ["本店"]},
        discount={"percent": 10},
    )
    code = await coupons.copy(ken)
    await buy(coupons, ken, "R-1", total=2_500, store="本店", bean_price=1_000)

    made = await coupons.redeem(code, order_id="R-1")

    assert (made.total, made.store, made.discount) == (2_500, "本店", 100)


async def buy(
    shop: Shop, customer: int, order_id: str, *, total: int, store: str, bean_price: int
) -> None:
    purchase = table(Purchase)
    async with shop.transaction() as session:
        id_ = await session.scalar(
            insert(purchase).values(
                source="till", order_id=order_id, customer_id=customer, purchased_at=NOW,
                total=total, refunded=0, points_used=0, store=store, warnings=[], version=1,
                created_at=NOW, updated_at=NOW,
            ).returning(purchase.c.id)
        )  # fmt: skip
        await session.execute(insert(table(PurchaseLine)).values(
            purchase_id=id_, position=0, sku="BEAN-1", name="豆", category="bean", quantity=1,
            unit_price=bean_price,
        ))  # fmt: skip


async def test_a_copy_of_another_member_is_foreign(coupons: Shop, ken: int, hana: int) -> None:
    await coupons.define()
    code = await coupons.copy(ken)

    assert (await refused(coupons, code, customer_id=hana)).reason == "foreign"
    assert (await refused(coupons, code, customer_id=999)).reason == "foreign"
    assert await coupons.redeem(code, customer_id=ken)


async def test_the_same_source_uses_once_and_serves_no_other_copy(
    coupons: Shop, ken: int, hana: int
) -> None:
    await coupons.define()
    code, other = await coupons.copy(ken), await coupons.copy(hana)

    made = await coupons.redeem(code, source="order:till:R-1")
    again = await coupons.redeem(code, source="order:till:R-1")

    assert again.id == made.id
    with pytest.raises(Conflict, match="別のクーポン"):
        await coupons.redeem(other, source="order:till:R-1")
    assert await coupons.count(Redemption) == 1


async def test_a_shown_token_serves_for_two_minutes(coupons: Shop, ken: int) -> None:
    await coupons.define(max_uses=10)
    code = await coupons.copy(ken)
    id_ = (await coupons.issue(ken)).same[ken]
    token = tokens.show_token(SEAL, id_, NOW)

    assert code not in token
    assert tokens.show_token(SEAL, id_, NOW + timedelta(seconds=29)) == token
    assert tokens.show_token(SEAL, id_, NOW + timedelta(seconds=30)) != token
    for seconds in (0, 30, 119, 120):
        at = NOW + timedelta(seconds=seconds)
        assert await coupons.redeem(token, seal=SEAL, now=at)
    for seconds in (-1, 121, 3_600):
        at = NOW + timedelta(seconds=seconds)
        assert (await refused(coupons, token, seal=SEAL, now=at)).reason == "stale_token"


async def test_a_token_that_is_not_ours_is_refused(coupons: Shop, ken: int) -> None:
    await coupons.define()
    await coupons.copy(ken)
    id_ = (await coupons.issue(ken)).same[ken]
    token = tokens.show_token(SEAL, id_, NOW)
    head, _, signature = token.rpartition(".")
    forged = [
        f"{head}.{signature[::-1]}",
        tokens.show_token(Seal("another-secret-key"), id_, NOW),
        token.replace(f".{id_}.", f".{id_ + 1}."),
        "OKC.",
        "OKC.1.2.3",
        f"{token}x",
    ]

    for text in forged:
        assert (await refused(coupons, text, seal=SEAL)).reason == "stale_token"
    assert (await refused(coupons, token)).reason == "stale_token"  # nobody to verify it


async def gathered(shop: Shop, codes: list[str]) -> list[Any]:
    return await asyncio.gather(*(shop.redeem(code) for code in codes), return_exceptions=True)


RACES = [(1, 1), (3, 3), (19, 19), (20, 20), (25, 20)]


async def test_twenty_uses_of_one_copy_at_once_succeed_as_often_as_it_says(
    coupons: Shop, ken: int
) -> None:
    for uses, wins in RACES:
        key = f"c{uses}"
        await coupons.define(key, max_uses=uses)
        code = await coupons.copy(ken, key=key)

        done = await gathered(coupons, [code] * 20)

        assert sum(isinstance(one, Redemption) for one in done) == wins, uses
        losses = [one for one in done if not isinstance(one, Redemption)]
        assert {getattr(one, "reason", one) for one in losses} <= {"used"}
        coupon = table(Redemption).c.coupon_id
        id_ = (await coupons.define(key, max_uses=uses)).id
        assert await coupons.count(Redemption, coupon == id_) == wins


async def test_twenty_tills_at_once_share_the_uses_in_all(coupons: Shop) -> None:
    people = await coupons.customers(*(f"M-{n}" for n in range(20)))
    await coupons.define(max_redemptions=7)
    done = await coupons.issue(*people)
    codes = [await coupons.code(id_) for id_ in done.new.values()]

    results = await gathered(coupons, codes)

    assert sum(isinstance(one, Redemption) for one in results) == 7
    losses = [one for one in results if not isinstance(one, Redemption)]
    assert {getattr(one, "reason", one) for one in losses} == {"sold_out"}
    assert (await coupons.row(Coupon, 1)).redeemed == 7
    used = table(IssuedCoupon).c.used == 1
    assert await coupons.count(IssuedCoupon, used) == 7


async def test_twenty_undos_at_once_give_back_one_use(coupons: Shop, ken: int) -> None:
    await coupons.define(max_uses=2)
    code = await coupons.copy(ken)
    first = await coupons.redeem(code)
    await coupons.redeem(code)

    done = await asyncio.gather(
        *(coupons.undo(first.id) for _ in range(20)), return_exceptions=True
    )

    assert sum(isinstance(one, Redemption) for one in done) == 1
    copy = await coupons.row(IssuedCoupon, first.issued_coupon_id)
    assert (copy.used, copy.state) == (1, "held")


async def test_a_look_tells_and_changes_nothing(coupons: Shop, ken: int) -> None:
    await coupons.define(conditions={"minimum_total": 3_000})
    code = await coupons.copy(ken)

    async def look(**values: Any) -> redeeming.Seen:
        async with coupons.db.reading() as session:
            return await redeeming.look(session, code, now=NOW, **values)

    bare = await look()
    small = await look(basket=Basket(1_000))
    enough = await look(basket=Basket(3_000))

    assert (bare.refusal, bare.discount, bare.customer.member_number) == (None, None, "M-1001")
    assert small.refusal is not None
    assert small.refusal.reason == "below_minimum"
    assert (enough.refusal, enough.discount) == (None, 500)
    assert await coupons.count(Redemption) == 0
    await coupons.redeem(code, total=3_000)
    assert getattr((await look()).refusal, "reason", None) == "used"


async def test_a_copy_is_found_through_a_merge(coupons: Shop, ken: int, hana: int) -> None:
    await coupons.define()
    code = await coupons.copy(hana)
    customer = table(Customer)
    async with coupons.transaction() as session:
        await move.move(session, hana, ken, now=NOW)
        gone = update(customer).where(customer.c.id == hana)
        await session.execute(gone.values(merged_into_id=ken))

    made = await coupons.redeem(code, customer_id=hana)  # the old id still means the member

    assert made.customer_id == ken
    async with coupons.db.reading() as session:
        assert await session.scalar(select(table(Redemption).c.customer_id)) == ken
