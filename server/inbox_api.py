"""The admin API's view of the webhook inbox; it stands on the roof, where bot and admin meet."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.fields import Moment, PathId, Told, like
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Creating, Reading, Shared, least, router
from bot import inbox
from bot.models import WebhookEvent
from core import logs
from core.db import table
from core.errors import NotFound
from crm.models import Channel

routes = router("webhook-events")

State = Literal["received", "handled", "ignored", "parked"]


class EventRead(Told):
    """One webhook event; what it says is personal and stays out."""

    model_config = like(
        {
            "id": 7,
            "channel_id": "1234567890",
            "webhook_event_id": "01M4VYTKDNDGNCDWKV3CTJKN6Q",
            "type": "message",
            "state": "parked",
            "reason": "ValueError",
            "attempts": 6,
            "received_at": "2026-11-22T01:00:00Z",
            "handled_at": None,
        }
    )

    id: int
    channel_id: str = Field(description="LINE's channel id")
    webhook_event_id: str
    type: str
    state: State
    reason: str | None = Field(description="Why it was ignored or parked")
    attempts: int
    received_at: datetime
    handled_at: datetime | None


class EventFilter(PageQuery):
    """Which events."""

    state: State | None = None
    type: str | None = Field(None, max_length=40, examples=["message"])
    since: Moment | None = Field(None, description="Received at or after")


@routes.get(
    "/webhook-events",
    summary="List webhook events",
    openapi_extra=least("viewer", "LINEからの受信一覧"),
)
async def list_events(
    asked: Annotated[EventFilter, Query()], session: Reading, api: Shared
) -> Page[EventRead]:
    """What LINE sent, the newest first; `state=parked` shows what could not be handled."""
    event = table(WebhookEvent)
    query = _select()
    for name in ("state", "type"):
        if (wanted := getattr(asked, name)) is not None:
            query = query.where(event.c[name] == wanted)
    if asked.since is not None:
        query = query.where(event.c.received_at >= asked.since)
    return await page(
        session, api.cursors, asked, query, name="webhook-events", keys=[event.c.id], read=_read
    )


@routes.post(
    "/webhook-events/{id}/retry",
    summary="Retry a parked event",
    openapi_extra=least("marketer", "受信の再処理"),
)
async def retry_event(id_: PathId, change: Creating) -> EventRead:
    """Handle a parked event once more; 409 in any other state."""
    session = await change.begin()
    await inbox.retry(session, id_)
    change.note("webhook-event.retry", f"webhook-event:{id_}")
    change.wake("events")
    return await _told(session, id_)


def _select() -> Select[Any]:
    event, channel = table(WebhookEvent), table(Channel)
    own = [event.c[name] for name in EventRead.model_fields if name != "channel_id"]
    return select(*own, channel.c.channel_id).join(channel, channel.c.id == event.c.channel_id)


async def _told(session: AsyncSession, id_: int) -> EventRead:
    row = (await session.execute(_select().where(table(WebhookEvent).c.id == id_))).first()
    if row is None:
        raise NotFound("webhook event", id_)
    return _read(row)


def _read(row: Any) -> EventRead:  # noqa: ANN401
    told = EventRead.model_validate(row)
    return told.model_copy(update={"reason": logs.scrub(told.reason) if told.reason else None})
