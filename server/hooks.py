"""Webhooks of shops and tills at `/hooks/{key}`: checked, taken in once, answered after the commit.

A body larger than 1 MiB is refused before it is read to its end, a wrong signature before anything
else is looked at. What is wrong in the body changes nothing, and the answer says where and why.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from admin.api.bodies import StrictRequest, parse
from admin.api.envelope import Envelope
from admin.api.handlers import HANDLERS, fault_of
from admin.api.problems import NOT_FOUND, UNAUTHORIZED, Refusal
from core import logs
from core.db import insert_new, table
from core.errors import Invalid
from core.runtime import Runtime
from crm.customers import locking, records as people
from crm.purchases import records, shelf
from crm.purchases.draft import PurchaseDraft
from crm.purchases.models import PurchaseSource, ReceivedHook
from server import shopify, signed_hooks
from server.hook_news import News

log = logs.get(__name__)

MAX_ID = 100


def create_hooks(runtime: Runtime) -> Starlette:
    """The application below `/hooks`."""

    async def take(request: Request) -> Response:
        return await _take(runtime, request)

    return Starlette(
        routes=[Route("/{key}", take, methods=["POST"])],
        middleware=[Middleware(Envelope)],
        exception_handlers=HANDLERS,
    )


async def _take(runtime: Runtime, request: Request) -> Response:
    raw = await StrictRequest(request.scope, request.receive).body()
    source = await _source(runtime, request.path_params["key"])
    sender: Any = {"shopify": shopify, "signed": signed_hooks}[source.kind]
    secret = runtime.seal.decrypt(source.sealed_secret)
    wall = runtime.clock.wall()
    if not sender.is_signed(secret, raw, request.headers, now=wall):
        raise Refusal(UNAUTHORIZED, "The signature is missing, wrong or too old.")
    hook_id = _hook_id(sender.hook_id(request.headers), raw)
    now = await runtime.clock.now()
    try:
        news: News = sender.read(source.key, parse(raw), request.headers, now=now)
    except ValidationError as error:
        faults = [fault_of({**item, "loc": ("body", *item["loc"])}) for item in error.errors()]
        raise Invalid(f"The webhook has {len(faults)} fault(s).", faults) from None
    async with runtime.db.transaction() as session:
        new = await _claim(session, source.key, hook_id, now)
        if new:
            await _take_in(runtime, session, source.key, news, now)
    if new:
        runtime.wakes.wake("reactions")
        log.info("hook.taken", source=source.key, orders=len(news.orders), people=len(news.people))
    return JSONResponse({"status": "taken" if new else "known"})


async def _source(runtime: Runtime, key: str) -> Any:  # noqa: ANN401
    source = table(PurchaseSource)
    async with runtime.db.reading() as session:
        found = await session.execute(select(source).where(source.c.key == key[:MAX_ID]))
        row = found.first()
    if row is None:
        raise Refusal(NOT_FOUND, "There is no source with this key.")
    return row


def _hook_id(told: str | None, raw: bytes) -> str:
    if told and len(told) <= MAX_ID and told.isprintable():
        return told
    return "sha256:" + hashlib.sha256((told or "").encode() + raw).hexdigest()


async def _claim(session: AsyncSession, source: str, hook_id: str, now: datetime) -> bool:
    """Whether this webhook is new; of two at once the second waits for the first one's commit."""
    hook = table(ReceivedHook)
    row = {"source": source, "hook_id": hook_id, "received_at": now}
    new = insert_new(session, hook).values(row).on_conflict_do_nothing()
    return (await session.execute(new.returning(hook.c.hook_id))).first() is not None


async def _take_in(
    runtime: Runtime,
    session: AsyncSession,
    source: str,
    news: News,
    now: datetime,
) -> None:
    orders = [await _named(session, each) for each in news.orders]
    await _lock(session, source, orders, news)
    for own_id, name in news.names.items():
        await _claim(session, own_id, name, now)
        await shelf.rename(session, (source, own_id), (source, name))
    if news.people:
        await _people(session, news, source, now)
    if orders:
        try:
            await records.record(
                session, orders, now=now, zone=runtime.settings.zone, paths=news.paths,
                create_missing=True, actor=f"source:{source}"[:60], seal=runtime.seal,
            )  # fmt: skip
        except Invalid as error:
            faults = [replace(f, path=_plain(f.path)) for f in error.faults]
            raise Invalid(str(error), faults) from None
    row = table(PurchaseSource)
    await session.execute(update(row).where(row.c.key == source).values(received_at=now))


async def _lock(
    session: AsyncSession, source: str, orders: Sequence[PurchaseDraft], news: News
) -> None:
    """All locks that orders and people will take, in the one order, before either is written."""
    keys = [draft.key for draft in orders] + [(source, own_id) for own_id in news.names]
    if keys:
        await shelf.queue_up(session, keys)
    numbers = {order.member_number for order in orders} | {one.member_number for one in news.people}
    members = await people.by_member_number(session, {n for n in numbers if isinstance(n, str)})
    known = await shelf.known(session, keys) if keys else {}
    owners = {row.customer_id for row in known.values()} | set(members.values())
    owners |= {draft.customer_id for draft in orders if draft.customer_id is not None}
    await locking.lock(session, owners)


async def _people(session: AsyncSession, news: News, source: str, now: datetime) -> None:
    try:
        await people.upsert(session, news.people, now=now, source=source)
    except Invalid as error:
        faults = [replace(fault, path=f"{news.people_path}{fault.path}") for fault in error.faults]
        raise Invalid(str(error), faults) from None


async def _named(session: AsyncSession, draft: PurchaseDraft) -> PurchaseDraft:
    """A draft that tells of an order by Shopify's own id, by the order's number where it is known.

    Shopify tells of refunds by an id that customers never see. The pair of both is kept as received
    when the order comes; what comes before waits under the id and is found then.
    """
    if not draft.order_id.startswith(shopify.OWN_ID):
        return draft
    hook = table(ReceivedHook)
    query = select(hook.c.hook_id).where(hook.c.source == draft.order_id)
    name: str | None = await session.scalar(query)
    return draft if name is None else replace(draft, order_id=name)


def _plain(path: str) -> str:
    """The place of a fault in a refund, which stands in the list by itself."""
    if not path.startswith("refunds["):
        return path
    return path.replace("].refunds[0].", "].").replace("].refunds", "].amount")
