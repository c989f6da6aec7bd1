"""Deliveries: what left for LINE, what waits, what failed and why."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import Field
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.fields import MAX_ID, Moment, PathId, Told, like
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Creating, Reading, Shared, least, router
from core.db import table
from core.errors import NotFound
from crm.models import Channel, Friend
from delivery import outbox
from delivery.models import Delivery, Dispatch

routes = router("deliveries")

State = Literal["waiting", "sending", "sent", "suppressed", "failed", "held"]
_EXAMPLE = {
    "id": 88, "channel_id": "1234567890", "friend_id": 12, "customer_id": 9,
    "source": "enrolment:501:step:0", "purpose": "marketing", "state": "sent", "reason": None,
    "detail": None, "attempts": 1, "request_id": "5a3f0000-example", "message_count": 1,
    "due_at": "2026-11-22T01:00:00Z", "created_at": "2026-11-22T01:00:00Z",
    "done_at": "2026-11-22T01:00:01Z",
}  # fmt: skip


class DeliverySummary(Told):
    """One message for one friend."""

    model_config = like(_EXAMPLE)

    id: int
    channel_id: str = Field(description="LINE's channel id")
    friend_id: int
    customer_id: int
    source: str = Field(description="What it came from; the same source is queued once")
    purpose: str = Field(description="marketing, transactional or answer")
    state: State
    reason: str | None = Field(description="Why it was suppressed, failed or is held")
    detail: str | None = Field(description="What LINE said")
    attempts: int
    request_id: str | None = Field(description="LINE's id of the call, for its support")
    message_count: int
    due_at: datetime
    created_at: datetime
    done_at: datetime | None


class DispatchRead(Told):
    """The call to LINE that carries it."""

    id: UUID = Field(description="The call's X-Line-Retry-Key")
    endpoint: str = Field(description="reply or push")
    state: Literal["open", "done"]
    status: int | None = Field(description="LINE's last HTTP status")
    outcome: str | None
    attempts: int
    created_at: datetime
    done_at: datetime | None


class DeliveryRead(DeliverySummary):
    """One message for one friend, with what it says and the call that carries it."""

    model_config = like(
        _EXAMPLE
        | {
            "messages": [{"type": "text", "text": "はな、ありがとうございます。"}],
            "dispatch": {
                "id": "0d4b4c1e-6f5a-4b7e-8f5e-3a3b2c1d0e9f",
                "endpoint": "push",
                "state": "done",
                "status": 200,
                "outcome": "accepted",
                "attempts": 1,
                "created_at": "2026-11-22T01:00:00Z",
                "done_at": "2026-11-22T01:00:01Z",
            },
        }
    )

    messages: list[dict[str, Any]]
    dispatch: DispatchRead | None


class DeliveryFilter(PageQuery):
    """Which deliveries."""

    state: State | None = None
    reason: str | None = Field(None, max_length=40, examples=["quota"])
    friend_id: int | None = Field(None, ge=1, le=MAX_ID)
    customer_id: int | None = Field(None, ge=1, le=MAX_ID)
    source: str | None = Field(None, max_length=120, description="Its beginning: `enrolment:`")
    since: Moment | None = Field(None, description="Created at or after")


@routes.get("/deliveries", summary="List deliveries", openapi_extra=least("viewer", "配信の一覧"))
async def list_deliveries(
    asked: Annotated[DeliveryFilter, Query()], session: Reading, api: Shared
) -> Page[DeliverySummary]:
    """Deliveries, the newest first; get one for its messages and the call to LINE."""
    return await page(
        session, api.cursors, asked, _narrowed(asked), name="deliveries",
        keys=[table(Delivery).c.id], read=DeliverySummary.model_validate,
    )  # fmt: skip


@routes.get(
    "/deliveries/{id}", summary="Get a delivery", openapi_extra=least("viewer", "配信の表示")
)
async def get_delivery(id_: PathId, session: Reading) -> DeliveryRead:
    """One delivery with its messages and the call to LINE that carries it."""
    return await _told(session, id_)


@routes.post(
    "/deliveries/{id}/retry", summary="Retry a delivery",
    openapi_extra=least("marketer", "配信の再試行"),
)  # fmt: skip
async def retry_delivery(id_: PathId, change: Creating) -> DeliveryRead:
    """Send a failed or held delivery once more, as a new call; 409 in any other state.

    Where `reason` is `outcome_unknown`, the first call may have arrived: look before you retry.
    """
    session = await change.begin()
    await outbox.retry(session, id_, now=change.now)
    change.note("delivery.retry", f"delivery:{id_}")
    change.wake("dispatch")
    await session.flush()
    return await _told(session, id_)


async def summaries(session: AsyncSession, sources: Sequence[str]) -> list[DeliverySummary]:
    """The deliveries with these sources."""
    query = _select().where(table(Delivery).c.source.in_(sources)).order_by(table(Delivery).c.id)
    return [DeliverySummary.model_validate(row) for row in await session.execute(query)]


def _select() -> Select[Any]:
    delivery, friend, channel = table(Delivery), table(Friend), table(Channel)
    joined = {"channel_id", "customer_id"}
    own = [delivery.c[name] for name in DeliverySummary.model_fields if name not in joined]
    return (
        select(*own, channel.c.channel_id, friend.c.customer_id)
        .join(friend, friend.c.id == delivery.c.friend_id)
        .join(channel, channel.c.id == delivery.c.channel_id)
    )


def _narrowed(asked: DeliveryFilter) -> Select[Any]:
    delivery, query = table(Delivery), _select()
    for name in ("state", "reason", "friend_id"):
        wanted = getattr(asked, name)
        if wanted is not None:
            query = query.where(delivery.c[name] == wanted)
    if asked.customer_id is not None:
        query = query.where(table(Friend).c.customer_id == asked.customer_id)
    if asked.source is not None:
        beginning = func.substr(delivery.c.source, 1, len(asked.source))
        query = query.where(beginning == asked.source)
    if asked.since is not None:
        query = query.where(delivery.c.created_at >= asked.since)
    return query


async def _told(session: AsyncSession, id_: int) -> DeliveryRead:
    delivery, dispatch = table(Delivery), table(Dispatch)
    query = _select().add_columns(delivery.c.messages, delivery.c.dispatch_id)
    row = (await session.execute(query.where(delivery.c.id == id_))).first()
    if row is None:
        raise NotFound("delivery", id_)
    call = select(dispatch).where(dispatch.c.id == row.dispatch_id)
    carried = (await session.execute(call)).first() if row.dispatch_id else None
    return DeliveryRead(
        **DeliverySummary.model_validate(row).model_dump(),
        messages=orjson.loads(row.messages),
        dispatch=DispatchRead.model_validate(carried) if carried else None,
    )
