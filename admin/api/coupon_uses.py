"""Coupons at the till and in customers' hands: check, redeem, undo, who holds what."""

from typing import Annotated, Any, Literal, NoReturn

from fastapi import Query
from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.coupon_bodies import (
    MAX_TOTAL,
    CheckRead,
    CopyRead,
    RedeemWanted,
    RedemptionRead,
    UndoWanted,
    read_copy,
    read_use,
)
from admin.api.coupons import copies
from admin.api.fields import MAX_ID, Given, PathId
from admin.api.paging import Page, PageQuery, page
from admin.api.problems import CONFLICT, NOT_FOUND, Refusal
from admin.api.routing import Creating, Reading, Shared, least, router
from core.db import table
from core.errors import NotFound
from crm.coupons import redeeming
from crm.coupons.definition import conditions_of, discount_of
from crm.coupons.models import HELD, Coupon, IssuedCoupon, Redemption
from crm.coupons.redeeming import Basket, Seen
from crm.coupons.refusals import Refused
from crm.customers import locking
from crm.models import Customer
from flows.definition import KEY_PATTERN

routes = router("coupons")

NO_SUCH_CODE = frozenset({"unknown", "mistyped"})
State = Literal["held", "used", "expired", "revoked"]


class CheckQuery(Given):
    """Which code, for which order."""

    code: str = Query(min_length=1, max_length=100)
    total: int | None = Query(None, ge=0, le=MAX_TOTAL)
    store: str | None = Query(None, min_length=1, max_length=60)


class CopyFilter(PageQuery):
    """Which copies."""

    state: State | None = None


class UseFilter(PageQuery):
    """Which uses."""

    coupon: str | None = Query(None, pattern=KEY_PATTERN)
    customer_id: int | None = Query(None, ge=1, le=MAX_ID)
    order_id: str | None = Query(None, min_length=1, max_length=100)


@routes.get(
    "/coupons/check", summary="Check a coupon code",
    openapi_extra=least("clerk", "クーポンコードの確認"),
)  # fmt: skip
async def check_coupon(
    asked: Annotated[CheckQuery, Query()], session: Reading, api: Shared
) -> CheckRead:
    """What a typed or scanned code is, whose (the member number alone), and whether it can be used.

    With `total` or `store` also whether it can for that order, and what it would take off.
    """
    runtime = api.runtime
    told = asked.total is not None or asked.store is not None
    try:
        seen = await redeeming.look(
            session, asked.code, now=await runtime.clock.now(), seal=runtime.seal,
            basket=Basket(asked.total, None, asked.store) if told else None,
            zone=runtime.settings.zone,
        )  # fmt: skip
    except Refused as error:
        return _checked(None, error)
    return _checked(seen, seen.refusal)


@routes.post(
    "/coupons/redeem", summary="Redeem a coupon", status_code=201,
    responses={404: {"description": "No coupon has this code"}},
    openapi_extra=least("clerk", "クーポンの利用"),
)  # fmt: skip
async def redeem_coupon(wanted: RedeemWanted, change: Creating) -> RedemptionRead:
    """Use a copy once, by its code or by the code that the customer's phone shows.

    However many tills ask at once, it is used as often as it says. Where it cannot be used,
    `detail` says why in Japanese and English, and `reason` by name: `mistyped`, `unknown` (404),
    `stale_token`, `used`, `expired`, `not_yet`, `revoked`, `sold_out`, `foreign`, `wrong_store`,
    `wrong_rank`, `below_minimum`, `wrong_products`, `needs_total`, `needs_lines` (409).
    """
    session = await change.begin()
    lines = None if wanted.lines is None else [line.line() for line in wanted.lines]
    try:
        made = await redeeming.redeem(
            session, wanted.code, now=change.now, order_id=wanted.order_id, total=wanted.total,
            lines=lines, store=wanted.store, actor=change.caller.actor[:60],
            customer_id=wanted.customer_id, seal=change.runtime.seal,
            zone=change.runtime.settings.zone,
        )  # fmt: skip
    except Refused as error:
        _refuse(error)
    change.note("coupon.redeem", f"redemption:{made.id}", issued=made.issued_coupon_id)
    change.wake("reactions")
    return await _told(session, made.id or 0)


@routes.post(
    "/redemptions/{id}/undo", summary="Undo a redemption",
    openapi_extra=least("clerk", "クーポン利用の取り消し"),
)  # fmt: skip
async def undo_redemption(id_: PathId, wanted: UndoWanted, change: Creating) -> RedemptionRead:
    """Take a use back, with the reason why; the copy can then be used again within its time."""
    session = await change.begin()
    await redeeming.undo(
        session, id_, reason=wanted.reason, actor=change.caller.actor[:60], now=change.now
    )
    change.note("coupon.undo", f"redemption:{id_}")
    change.wake("reactions")
    return await _told(session, id_)


@routes.get(
    "/redemptions", summary="List redemptions", openapi_extra=least("viewer", "クーポン利用の一覧")
)
async def list_redemptions(
    asked: Annotated[UseFilter, Query()], session: Reading, api: Shared
) -> Page[RedemptionRead]:
    """Uses of coupons, also those undone, the newest first."""
    use, query = table(Redemption), _uses()
    if asked.coupon is not None:
        query = query.where(table(Coupon).c.key == asked.coupon)
    if asked.customer_id is not None:
        query = query.where(use.c.customer_id == asked.customer_id)
    if asked.order_id is not None:
        query = query.where(use.c.order_id == asked.order_id)
    return await page(
        session, api.cursors, asked, query, name="redemptions", keys=[use.c.id], read=read_use
    )


@routes.get(
    "/customers/{id}/coupons", summary="List a customer's coupons",
    openapi_extra=least("viewer", "顧客のクーポン"),
)  # fmt: skip
async def list_coupons_of_customer(
    id_: PathId, asked: Annotated[CopyFilter, Query()], session: Reading, api: Shared
) -> Page[CopyRead]:
    """A customer's copies in any state, the newest first."""
    today = (await locking.resolve(session, [id_])).get(id_)
    if today is None:
        raise NotFound("customer", id_)
    now, copy = await api.runtime.clock.now(), table(IssuedCoupon)
    query = copies().where(copy.c.customer_id == today)
    if asked.state is not None:
        over = copy.c.expires_at <= now
        alive = or_(copy.c.expires_at.is_(None), copy.c.expires_at > now)
        held = copy.c.state == HELD
        wanted = {"held": held & alive, "expired": held & over}
        query = query.where(wanted.get(asked.state, copy.c.state == asked.state))
    return await page(
        session, api.cursors, asked, query, name=f"coupons-of:{today}", keys=[copy.c.id],
        read=lambda row: read_copy(row, now=now),
    )  # fmt: skip


def _uses() -> Select[Any]:
    use, copy, coupon, customer = (
        table(model) for model in (Redemption, IssuedCoupon, Coupon, Customer)
    )
    left = (copy.c.max_uses - copy.c.used).label("uses_left")
    return (
        select(use, coupon.c.key, coupon.c.name, coupon.c.discount.label("gives"))
        .add_columns(left, customer.c.member_number)
        .join(copy, copy.c.id == use.c.issued_coupon_id)
        .join(coupon, coupon.c.id == use.c.coupon_id)
        .join(customer, customer.c.id == use.c.customer_id)
    )


async def _told(session: AsyncSession, id_: int) -> RedemptionRead:
    row = (await session.execute(_uses().where(table(Redemption).c.id == id_))).first()
    return read_use(row)


def _checked(seen: Seen | None, refusal: Refused | None) -> CheckRead:
    why: dict[str, Any] = {
        "usable": refusal is None,
        "reason": refusal.reason if refusal else None,
        "message": refusal.ja if refusal else None,
        "message_en": refusal.en if refusal else None,
    }
    if seen is None:
        nothing = dict.fromkeys(CheckRead.model_fields)
        return CheckRead.model_validate(nothing | {"conditions": [], "uses_left": 0} | why)
    return CheckRead(
        **why,
        coupon=seen.coupon.key,
        name=seen.coupon.name,
        discount_text=discount_of(seen.coupon).said()[0],
        conditions=conditions_of(seen.coupon).said(),
        member_number=seen.customer.member_number,
        uses_left=seen.copy.max_uses - seen.copy.used,
        valid_from=seen.copy.valid_from,
        expires_at=seen.copy.expires_at,
        discount=seen.discount,
    )


def _refuse(error: Refused) -> NoReturn:
    kind = NOT_FOUND if error.reason in NO_SUCH_CODE else CONFLICT
    raise Refusal(kind, str(error), extra={"reason": error.reason}) from error
