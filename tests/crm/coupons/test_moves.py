"""Merges: copies go with the person, nobody wins copies by one, and all of it can be taken back."""

from sqlalchemy import insert, select

from core.db import table
from crm.coupons import held, move, reports
from crm.coupons.codes import compact
from crm.coupons.models import IssuedCoupon, Redemption
from crm.purchases.models import Purchase
from tests.crm.coupons.conftest import NOW, TOKYO, Shop
from tests.crm.coupons.test_codes import fill


async def merged(shop: Shop, from_id: int, into_id: int) -> dict[str, list[int]]:
    async with shop.transaction() as session:
        return await move.move(session, from_id, into_id, now=NOW)


async def parted(shop: Shop, from_id: int, into_id: int, moved: dict[str, list[int]]) -> None:
    async with shop.transaction() as session:
        await move.move_back(session, from_id, into_id, moved, now=NOW)


async def copies(shop: Shop) -> list[tuple[int, str, int]]:
    copy = table(IssuedCoupon)
    async with shop.db.reading() as session:
        query = select(copy.c.customer_id, copy.c.state, copy.c.used).order_by(copy.c.id)
        return [tuple(row) for row in await session.execute(query)]


async def test_copies_and_uses_move_and_come_back(coupons: Shop, ken: int, hana: int) -> None:
    await coupons.define("a", max_uses=2)
    await coupons.define("b")
    await coupons.redeem(await coupons.copy(hana, key="a"))
    await coupons.copy(ken, key="b")

    moved = await merged(coupons, hana, ken)
    assert await copies(coupons) == [(ken, "held", 1), (ken, "held", 0)]
    (use,) = [await coupons.row(Redemption, 1)]
    assert use.customer_id == ken
    assert (await coupons.issue(ken, key="a", reason="again")).full == {ken}

    await parted(coupons, hana, ken, moved)
    assert await copies(coupons) == [(hana, "held", 1), (ken, "held", 0)]
    assert (await coupons.row(Redemption, 1)).customer_id == hana


async def test_relinking_wins_no_second_welcome_coupon(coupons: Shop, ken: int, hana: int) -> None:
    """The member has used theirs; the new anonymous record got another by following again."""
    await coupons.define()
    await coupons.redeem(await coupons.copy(ken))
    other = await coupons.copy(hana)

    moved = await merged(coupons, hana, ken)

    assert await copies(coupons) == [(ken, "used", 1), (ken, "revoked", 0)]
    assert await held_codes(coupons, ken) == []
    await parted(coupons, hana, ken, moved)
    assert await copies(coupons) == [(ken, "used", 1), (hana, "held", 0)]
    assert await held_codes(coupons, hana) == [other]


async def test_what_was_used_on_both_sides_stays_used(coupons: Shop, ken: int, hana: int) -> None:
    await coupons.define()
    for person in (ken, hana):
        await coupons.redeem(await coupons.copy(person))
    await merged(coupons, hana, ken)
    assert await copies(coupons) == [(ken, "used", 1), (ken, "used", 1)]


async def test_the_older_copy_is_kept_and_other_coupons_are_left_alone(
    coupons: Shop, ken: int, hana: int
) -> None:
    await coupons.define("a", per_customer=2)
    await coupons.define("b")
    await coupons.copy(hana, key="a", reason="1")
    await coupons.copy(ken, key="a", reason="2")
    await coupons.copy(ken, key="a", reason="3")
    await coupons.copy(ken, key="b")

    moved = await merged(coupons, hana, ken)

    states = [state for _customer, state, _used in await copies(coupons)]
    assert states == ["held", "held", "revoked", "held"]
    assert (await merged(coupons, hana, ken)) == {"issued": [], "revoked": []}
    await parted(coupons, hana, ken, moved)
    assert {state for _customer, state, _used in await copies(coupons)} == {"held"}


async def test_uses_after_the_merge_go_back_with_their_copy(
    coupons: Shop, ken: int, hana: int
) -> None:
    await coupons.define(max_uses=2)
    code = await coupons.copy(hana)
    moved = await merged(coupons, hana, ken)
    await coupons.redeem(code)

    await parted(coupons, hana, ken, moved)

    assert await copies(coupons) == [(hana, "held", 1)]
    assert (await coupons.row(Redemption, 1)).customer_id == hana


async def held_codes(shop: Shop, customer: int) -> list[str]:
    async with shop.db.reading() as session:
        return [compact(h.code) for h in await held.held(session, customer, now=NOW)]


async def test_what_is_held_comes_soonest_to_expire_first(coupons: Shop, ken: int) -> None:
    await coupons.define("never", valid_days=None)
    await coupons.define("later", valid_days=30, discount={"percent": 10, "max_yen": 1_000})
    await coupons.define("soon", valid_days=3, conditions={"minimum_total": 3_000}, max_uses=3)
    await coupons.define("pool", valid_days=10, code_source="pool")
    await fill(coupons, "autumn-0001", key="pool")
    for key in ("never", "later", "soon", "pool"):
        await coupons.issue(ken, key=key)
    await coupons.redeem(await coupons.code(3), total=3_000)

    async with coupons.db.reading() as session:
        found = await held.held(session, ken, now=NOW)

    assert [h.key for h in found] == ["soon", "pool", "later", "never"]
    assert [h.uses_left for h in found] == [2, 1, 1, 1]
    assert found[1].code == "autumn-0001"
    assert len(found[0].code.split("-")) == 3
    assert found[2].discount == "10%引き（最大1,000円）"
    assert found[0].conditions == ("3,000円（税込）以上のお買い物",)
    said = [held.until_said(h.expires_at, TOKYO) for h in found]
    assert said == [
        "2026年11月25日(水)まで",
        "2026年12月2日(水)まで",
        "2026年12月22日(火)まで",
        "期限なし",
    ]


async def test_the_report_counts_copies_uses_sales_and_discounts(coupons: Shop) -> None:
    people = await coupons.customers(*(f"M-{n}" for n in range(6)))
    await coupons.define(valid_days=1, max_uses=2)
    await coupons.define("other")
    done = await coupons.issue(*people)
    codes = [await coupons.code(done.new[p]) for p in people]
    await buy(coupons, people[0], "R-1", total=3_000, refunded=500)
    await buy(coupons, people[1], "R-2", total=9_000, refunded=0, cancelled=True)
    await coupons.redeem(codes[0], order_id="R-1")  # 2,500 yen after the refund
    await coupons.redeem(codes[0], order_id="R-1")  # the same order, counted once
    await coupons.redeem(codes[1], order_id="R-2")  # cancelled: nothing
    await coupons.redeem(codes[2], order_id="R-9", total=1_200)  # unknown here: as said
    await coupons.redeem(codes[3], total=400)  # 400 of 500 yen off
    undone = await coupons.redeem(codes[4], total=99_999)
    await coupons.undo(undone.id)

    async with coupons.db.reading() as session:
        soon = await reports.usage(session, [1, 2], now=NOW)
        late = await reports.usage(session, [1], now=NOW.replace(month=12))

    assert soon[1] == reports.Usage(
        issued=6, held=5, used=1, expired=0, revoked=0, redemptions=5, customers=4,
        sales=2_500 + 1_200 + 400, discount=500 * 4 + 400,
    )  # fmt: skip
    assert soon[2] == reports.Usage()
    assert (late[1].held, late[1].expired) == (0, 5)


async def buy(
    shop: Shop, customer: int, order_id: str, *, total: int, refunded: int, cancelled: bool = False
) -> None:
    async with shop.transaction() as session:
        await session.execute(insert(table(Purchase)).values(
            source="till", order_id=order_id, customer_id=customer, purchased_at=NOW,
            total=total, refunded=refunded, points_used=0, warnings=[], version=1,
            created_at=NOW, updated_at=NOW, cancelled_at=NOW if cancelled else None,
        ))  # fmt: skip
