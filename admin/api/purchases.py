"""Purchases: recorded from tills, carts and other systems, looked up, given back."""

from typing import Annotated, Any
from uuid import uuid4

from fastapi import Query, Response
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.changes import Change
from admin.api.fields import IfMatch, PathId, check_version, tag_version
from admin.api.paging import Page, PageQuery, page
from admin.api.purchase_bodies import (
    PurchaseBatch,
    PurchaseCreate,
    PurchaseFilter,
    PurchaseRead,
    PurchasesRecorded,
    PurchaseSummary,
    PurchaseUpdate,
    RefundGiven,
    summary,
    whole,
)
from admin.api.routing import Changing, Creating, Reading, Shared, least, router
from core.db import table
from core.errors import NotFound
from crm.customers import locking
from crm.models import Customer
from crm.purchases import records
from crm.purchases.draft import PurchaseDraft
from crm.purchases.models import Purchase, PurchaseLine, PurchaseRefund
from crm.purchases.records import Recorded

routes = router("purchases")

KNOWN = {"model": PurchaseRead, "description": "It was recorded before, and is as told now"}


@routes.get(
    "/purchases", summary="List purchases", openapi_extra=least("viewer", "購入の一覧")
)  # fmt: skip
async def list_purchases(
    asked: Annotated[PurchaseFilter, Query()], session: Reading, api: Shared
) -> Page[PurchaseSummary]:
    """Purchases, those bought last first; `status` says how far each has come."""
    purchase = table(Purchase)
    return await page(
        session, api.cursors, asked, _narrowed(asked), name="purchases",
        keys=[purchase.c.purchased_at, purchase.c.id], read=summary,
    )  # fmt: skip


@routes.get(
    "/customers/{id}/purchases", summary="List a customer's purchases",
    openapi_extra=least("viewer", "顧客の購入の一覧"),
)  # fmt: skip
async def list_customer_purchases(
    id_: PathId, asked: Annotated[PageQuery, Query()], session: Reading, api: Shared
) -> Page[PurchaseSummary]:
    """What one customer has bought, the last first; an id that was merged leads to the person."""
    purchase = table(Purchase)
    today = (await locking.resolve(session, [id_])).get(id_)
    if today is None:
        raise NotFound("customer", id_)
    return await page(
        session, api.cursors, asked, _select().where(purchase.c.customer_id == today),
        name=f"purchases-of-{today}", keys=[purchase.c.purchased_at, purchase.c.id], read=summary,
    )  # fmt: skip


@routes.get(
    "/purchases/{id}", summary="Get a purchase", openapi_extra=least("viewer", "購入の表示")
)
async def get_purchase(id_: PathId, session: Reading, response: Response) -> PurchaseRead:
    """One purchase with its lines and refunds."""
    return await _told(session, id_, response)


@routes.post(
    "/purchases", summary="Record a purchase", status_code=201, responses={200: KNOWN},
    openapi_extra=least("clerk", "購入の記録"),
)  # fmt: skip
async def record_purchase(
    wanted: PurchaseCreate, change: Creating, response: Response
) -> PurchaseRead:
    """Record a purchase; points, rank and coupons follow in the same transaction.

    It is known by `source` and `order_id`: the same again answers 200 and changes nothing, other
    content corrects it and re-counts what depended on it. `points_used` and `coupon_code` are
    spent and redeemed together with it, all or nothing. Lines that do not add up are kept as sent,
    with a warning.
    """
    done = await _record(change, [wanted.draft(wanted.source)], [""])
    if done.new:
        change.note("purchase.record", f"purchase:{done.ids[0]}")
    else:
        response.status_code = 200
        if done.changed:
            change.note("purchase.correct", f"purchase:{done.ids[0]}")
    return await _told(await change.begin(), done.ids[0], response)


@routes.post(
    "/purchases/batch", summary="Record many purchases",
    openapi_extra=least("clerk", "購入の一括記録"),
)  # fmt: skip
async def record_purchases(wanted: PurchaseBatch, change: Creating) -> PurchasesRecorded:
    """Record up to 500 purchases at once: all, or none with each fault by its place in the list."""
    drafts = [each.draft(each.source) for each in wanted.purchases]
    done = await _record(change, drafts, [f"purchases[{n}]." for n in range(len(drafts))])
    if done.new or done.changed:
        change.note("purchase.record", "purchases", new=len(done.new), changed=len(done.changed))
    ids = set(done.ids)
    return PurchasesRecorded(
        recorded=len(done.new),
        changed=len(done.changed),
        known=len(ids - done.new - done.changed),
        ids=done.ids,
        warnings={id_: odd for id_, odd in done.warnings.items() if odd},
    )


@routes.patch(
    "/purchases/{id}", summary="Say what became of a purchase",
    openapi_extra=least("clerk", "購入の状態の変更"),
)  # fmt: skip
async def change_purchase(
    id_: PathId,
    wanted: PurchaseUpdate,
    change: Changing,
    response: Response,
    if_match: IfMatch = None,
) -> PurchaseRead:
    """Say that an order was paid, shipped, delivered or cancelled, or that it was not (null).

    A cancelled order counts for nothing: its points are taken back, and what was paid in points or
    with a coupon comes back. `If-Match` is honoured and not needed.
    """
    session = await change.begin()
    if if_match is not None:
        check_version((await _find(session, id_)).version, if_match, needed=False)
    changed = await records.set_status(
        session, id_, wanted.moments(change.now), now=change.now,
        zone=change.runtime.settings.zone, actor=change.caller.actor,
    )  # fmt: skip
    if changed:
        names = sorted(wanted.moments(change.now))
        change.note("purchase.status", f"purchase:{id_}", fields=names)
        change.wake("reactions")
    return await _told(session, id_, response)


@routes.post(
    "/purchases/{id}/refund", summary="Give money back for a purchase",
    openapi_extra=least("clerk", "購入の返金"),
)  # fmt: skip
async def refund_purchase(
    id_: PathId, wanted: RefundGiven, change: Creating, response: Response
) -> PurchaseRead:
    """Give back an amount, or all that is left; the points that it had earned are taken back.

    A repeat of `key`, or of the Idempotency-Key, gives nothing back twice. More than is left is
    refused.
    """
    session = await change.begin()
    key = wanted.key or f"api:{uuid4().hex}"
    new = await records.refund(
        session, id_, wanted.amount, key=key, at=wanted.refunded_at or change.now, now=change.now,
        zone=change.runtime.settings.zone,
    )  # fmt: skip
    if new:
        change.note("purchase.refund", f"purchase:{id_}", amount=wanted.amount)
        change.wake("reactions")
    return await _told(session, id_, response)


async def _record(change: Change, drafts: list[PurchaseDraft], paths: list[str]) -> Recorded:
    done = await records.record(
        await change.begin(), drafts, now=change.now, zone=change.runtime.settings.zone,
        paths=paths, actor=change.caller.actor, seal=change.runtime.seal,
    )  # fmt: skip
    if done.new or done.changed:
        change.wake("reactions")
    return done


async def _told(session: AsyncSession, id_: int, response: Response) -> PurchaseRead:
    row = await _find(session, id_)
    line, refund = table(PurchaseLine), table(PurchaseRefund)
    lines = select(line).where(line.c.purchase_id == id_).order_by(line.c.position)
    refunds = select(refund).where(refund.c.purchase_id == id_).order_by(refund.c.id)
    tag_version(response, row.version)
    return whole(row, list(await session.execute(lines)), list(await session.execute(refunds)))


async def _find(session: AsyncSession, id_: int) -> Any:  # noqa: ANN401
    row = (await session.execute(_select().where(table(Purchase).c.id == id_))).first()
    if row is None:
        raise NotFound("purchase", id_)
    return row


def _select() -> Select[Any]:
    purchase, customer = table(Purchase), table(Customer)
    query = select(purchase, customer.c.member_number)
    return query.join(customer, customer.c.id == purchase.c.customer_id)


def _narrowed(asked: PurchaseFilter) -> Select[Any]:
    purchase, customer = table(Purchase), table(Customer)
    query = _select()
    for name in ("customer_id", "source", "order_id"):
        value = getattr(asked, name)
        if value is not None:
            query = query.where(purchase.c[name] == value)
    if asked.member_number is not None:
        query = query.where(customer.c.member_number == asked.member_number)
    if asked.since is not None:
        query = query.where(purchase.c.purchased_at >= asked.since)
    if asked.until is not None:
        query = query.where(purchase.c.purchased_at < asked.until)
    return query
