"""Using a copy of a coupon, once for each use it has, however many tills ask at once.

The customer's row is locked first; the copy and the coupon are then changed by statements that say
how things must stand, and the database's own checks are the last line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import case, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from core.errors import Conflict, NotFound
from core.sealing import Seal
from crm.coupons import codes, news, refusals, tokens
from crm.coupons.definition import conditions_of, discount_of
from crm.coupons.models import HELD, REVOKED, USED, Coupon, IssuedCoupon, Redemption
from crm.coupons.refusals import Refused
from crm.customers import locking
from crm.models import Customer
from crm.purchases.models import Purchase, PurchaseLine

TOKYO = ZoneInfo("Asia/Tokyo")
MAX_MOVES = 3


@dataclass(frozen=True, slots=True)
class Line:
    """One product of the order at the till; `unit_price` in yen, tax included."""

    sku: str | None = None
    category: str | None = None
    quantity: int = 1
    unit_price: int = 0


@dataclass(frozen=True, slots=True)
class Basket:
    """What is bought where, as far as it is told; `total` in yen, tax included."""

    total: int | None = None
    lines: Sequence[Line] | None = None
    store: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A copy as it stands: whose it is, why it cannot be used now, and what it would take off."""

    copy: Any
    coupon: Any
    customer: Any
    refusal: Refused | None
    discount: int | None


async def redeem(
    session: AsyncSession,
    code: str,
    *,
    now: datetime,
    order_id: str | None = None,
    total: int | None = None,
    lines: Sequence[Line] | None = None,
    store: str | None = None,
    actor: str,
    source: str | None = None,
    customer_id: int | None = None,
    seal: Seal | None = None,
    zone: ZoneInfo = TOKYO,
) -> Redemption:
    """Use a copy, by its code or, with `seal`, by the token that the customer's phone shows.

    An order that is known here says its total, lines and store itself where they are not given.
    `customer_id` refuses everybody else's copies. A repeat of `source` returns what it did first,
    also when that was undone since. Raises `Refused`, changing nothing.
    """
    copy_id = await _find(session, code, seal, now)
    if customer_id is not None:  # whoever else it belongs to is not locked
        await _check_owner(session, copy_id, customer_id)
    customer, copy, coupon = await _lock(session, copy_id)
    earlier = await _earlier(session, copy_id, source)
    if earlier is not None:
        return earlier
    basket = await _basket(session, customer.id, order_id, Basket(total, lines, store))
    off = await _check(session, copy, coupon, customer, basket, now, zone)
    await _use(session, copy, coupon, zone)
    made = await _enter(session, {
        "issued_coupon_id": copy.id, "coupon_id": coupon.id, "customer_id": customer.id,
        "source": source, "order_id": order_id, "store": basket.store, "total": basket.total,
        "discount": off, "actor": actor, "redeemed_at": now,
    })  # fmt: skip
    await _tell(session, "coupon_redeemed", made, coupon, now)
    return made


async def look(
    session: AsyncSession,
    code: str,
    *,
    now: datetime,
    basket: Basket | None = None,
    seal: Seal | None = None,
    zone: ZoneInfo = TOKYO,
) -> Seen:
    """What a code or a shown token is, and whether it could be used now; changes nothing.

    Without a basket nothing is asked of the order. Raises `Refused` for what is no copy at all.
    """
    copy_id = await _find(session, code, seal, now)
    copy = await _one(session, IssuedCoupon, copy_id)
    coupon = await _one(session, Coupon, copy.coupon_id)
    today = await locking.resolve(session, [copy.customer_id])
    customer = await _one(session, Customer, today.get(copy.customer_id, copy.customer_id))
    refusal, off = None, None
    try:
        await _check_itself(session, copy, coupon, customer, now, zone)
        if basket is not None:
            off = _check_basket(coupon, basket)
    except Refused as error:
        refusal = error
    return Seen(copy, coupon, customer, refusal, off)


async def undo(
    session: AsyncSession, redemption_id: int, *, reason: str, actor: str, now: datetime
) -> Redemption:
    """Take a use back, with the reason why; the copy can be used again within its time.

    Raises `NotFound`, and `Conflict` when it was undone already.
    """
    made: Redemption = await _one(session, Redemption, redemption_id)
    await _lock(session, made.issued_coupon_id)
    redemption, copy, coupon = table(Redemption), table(IssuedCoupon), table(Coupon)
    mine = (redemption.c.id == redemption_id) & redemption.c.undone_at.is_(None)
    done = update(redemption).where(mine).values(
        undone_at=now, undone_by=actor, undo_reason=reason
    )  # fmt: skip
    if (await session.execute(done.returning(redemption.c.id))).first() is None:
        raise Conflict("この利用はすでに取り消されています。／It was undone already.")
    back = update(copy).where(copy.c.id == made.issued_coupon_id)
    state = case((copy.c.state == USED, HELD), else_=copy.c.state)
    await session.execute(back.values(used=copy.c.used - 1, state=state))
    less = update(coupon).where(coupon.c.id == made.coupon_id)
    await session.execute(less.values(redeemed=coupon.c.redeemed - 1))
    made = await _one(session, Redemption, redemption_id)
    of = await _one(session, Coupon, made.coupon_id)
    await _tell(session, "coupon_undone", made, of, now, undo_reason=reason)
    return made


async def _find(session: AsyncSession, code: str, seal: Seal | None, now: datetime) -> int:
    """The id of the copy that is meant."""
    copy = table(IssuedCoupon)
    if tokens.is_token(code):
        id_ = None if seal is None else tokens.read_token(seal, code, now)
        if id_ is None:
            raise refusals.stale_token()
        query = select(copy.c.id).where(copy.c.id == id_)
    else:
        query = select(copy.c.id).where(copy.c.code == codes.compact(code)[:100])
    found: int | None = await session.scalar(query)
    if found is None:
        raise refusals.mistyped() if codes.looks_generated(code) else refusals.unknown()
    return found


async def _lock(session: AsyncSession, copy_id: int) -> tuple[Customer, Any, Any]:
    """Whose it is, locked first; then the copy, and the coupon as it stands.

    A merge may move the copy while we wait for the customer, so the owner is read again.
    """
    for _ in range(MAX_MOVES):
        copy = await _one(session, IssuedCoupon, copy_id)
        customer = await locking.locked(session, copy.customer_id)
        again = await _one(session, IssuedCoupon, copy_id, lock=True)
        if again.customer_id == customer.id:
            return customer, again, await _one(session, Coupon, again.coupon_id)
    raise Conflict(
        "お客さまの情報が更新中です。もう一度お試しください。／It is being moved; try again."
    )


async def _one(
    session: AsyncSession,
    model: Any,  # noqa: ANN401
    id_: int,
    *,
    lock: bool = False,
) -> Any:  # noqa: ANN401
    query = select(model).where(table(model).c.id == id_).execution_options(populate_existing=True)
    found = await session.scalar(query.with_for_update(key_share=True) if lock else query)
    if found is None:
        raise NotFound(table(model).name.replace("_", " "), id_)
    return found


async def _earlier(session: AsyncSession, copy_id: int, source: str | None) -> Redemption | None:
    if source is None:
        return None
    query = select(Redemption).where(table(Redemption).c.source == source)
    found: Redemption | None = await session.scalar(query)
    if found is not None and found.issued_coupon_id != copy_id:
        raise Conflict(
            "この取引では別のクーポンが使用済みです。／Another coupon was used under this key."
        )
    return found


async def _check_owner(session: AsyncSession, copy_id: int, customer_id: int) -> None:
    copy = await _one(session, IssuedCoupon, copy_id)
    today = await locking.resolve(session, [customer_id, copy.customer_id])
    if customer_id not in today or today[customer_id] != today.get(copy.customer_id):
        raise refusals.foreign()


async def _basket(
    session: AsyncSession, customer_id: int | None, order_id: str | None, told: Basket
) -> Basket:
    """What is told, completed from the order where it is known."""
    if order_id is None or (None not in {told.total, told.store} and told.lines is not None):
        return told
    purchase, line = table(Purchase), table(PurchaseLine)
    query = select(purchase).where(
        purchase.c.order_id == order_id, purchase.c.customer_id == customer_id
    )
    rows: list[Any] = list(await session.execute(query.limit(2)))
    if len(rows) != 1:  # of two sources that count alike, neither is meant for sure
        return told
    query = select(line).where(line.c.purchase_id == rows[0].id).order_by(line.c.position)
    lines = [
        Line(row.sku, row.category, row.quantity, row.unit_price)
        for row in await session.execute(query)
    ]
    return Basket(
        rows[0].total if told.total is None else told.total,
        told.lines if told.lines is not None else lines or None,
        rows[0].store if told.store is None else told.store,
    )


async def _check(
    session: AsyncSession,
    copy: Any,  # noqa: ANN401
    coupon: Any,  # noqa: ANN401
    customer: Customer,
    basket: Basket,
    now: datetime,
    zone: ZoneInfo,
) -> int | None:
    await _check_itself(session, copy, coupon, customer, now, zone)
    return _check_basket(coupon, basket)


async def _check_itself(
    session: AsyncSession,
    copy: Any,  # noqa: ANN401
    coupon: Any,  # noqa: ANN401
    customer: Any,  # noqa: ANN401
    now: datetime,
    zone: ZoneInfo,
) -> None:
    """Raise for what stands against this copy, whatever is bought."""
    if copy.state == REVOKED:
        raise refusals.revoked()
    if copy.state == USED or copy.used >= copy.max_uses:
        raise refusals.used(await _last_use(session, copy.id), zone)
    if copy.expires_at is not None and copy.expires_at <= now:
        raise refusals.expired(copy.expires_at, zone)
    if copy.valid_from > now:
        raise refusals.not_yet(copy.valid_from, zone)
    if coupon.max_redemptions is not None and coupon.redeemed >= coupon.max_redemptions:
        raise refusals.sold_out()
    ranks = conditions_of(coupon).ranks
    if ranks and customer.rank not in ranks:
        raise refusals.wrong_rank(ranks)


def _check_basket(coupon: Any, basket: Basket) -> int | None:  # noqa: ANN401
    """Raise for what stands against this order; else the yen that it takes off."""
    asked = conditions_of(coupon)
    if asked.stores and basket.store not in asked.stores:
        raise refusals.wrong_store(asked.stores, basket.store)
    minimum = asked.minimum_total
    if minimum is not None and (basket.total is None or basket.total < minimum):
        raise refusals.below_minimum(minimum, basket.total)
    base = basket.total
    if asked.skus or asked.categories:
        lines = basket.lines or ()
        fitting = [x for x in lines if x.sku in asked.skus or x.category in asked.categories]
        if not fitting:
            raise refusals.wrong_products(told=basket.lines is not None)
        goods = sum(x.quantity * x.unit_price for x in fitting)
        base = goods if base is None else min(goods, base)
    return discount_of(coupon).yen_off(base)


async def _last_use(session: AsyncSession, copy_id: int) -> datetime | None:
    redemption = table(Redemption)
    query = select(func.max(redemption.c.redeemed_at))
    query = query.where(redemption.c.issued_coupon_id == copy_id, redemption.c.undone_at.is_(None))
    found: datetime | None = await session.scalar(query)
    return found


async def _use(session: AsyncSession, held: Any, of: Any, zone: ZoneInfo) -> None:  # noqa: ANN401
    copy, coupon = table(IssuedCoupon), table(Coupon)
    mine = (copy.c.id == held.id) & (copy.c.state == HELD) & (copy.c.used < copy.c.max_uses)
    state = case((copy.c.used + 1 >= copy.c.max_uses, USED), else_=HELD)
    took = update(copy).where(mine).values(used=copy.c.used + 1, state=state)
    if (await session.execute(took.returning(copy.c.id))).first() is None:
        raise refusals.used(None, zone)
    some = or_(coupon.c.max_redemptions.is_(None), coupon.c.redeemed < coupon.c.max_redemptions)
    more = update(coupon).where(coupon.c.id == of.id, some).values(redeemed=coupon.c.redeemed + 1)
    if (await session.execute(more.returning(coupon.c.id))).first() is None:
        raise refusals.sold_out()


async def _enter(session: AsyncSession, values: dict[str, Any]) -> Redemption:
    redemption = table(Redemption)
    made = await session.scalar(insert(redemption).values(values).returning(redemption.c.id))
    entered: Redemption = await _one(session, Redemption, made or 0)
    return entered


async def _tell(
    session: AsyncSession,
    kind: str,
    made: Redemption,
    coupon: Any,  # noqa: ANN401
    now: datetime,
    **more: str,
) -> None:
    data = {
        "coupon": coupon.key, "name": coupon.name, "issued_id": made.issued_coupon_id,
        "redemption_id": made.id, "order_id": made.order_id, "store": made.store,
        "total": made.total, "discount": made.discount, **more,
    }  # fmt: skip
    assert made.id is not None
    copies = [news.Copy(made.id, made.customer_id, data)]
    await news.tell(session, kind, copies, now=now)
