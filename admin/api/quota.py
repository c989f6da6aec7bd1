"""LINE's monthly quota: what each channel may still push."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from sqlalchemy import select

from admin.api.fields import Told, like
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Reading, Shared, least, router
from core.db import table
from crm.models import Channel
from delivery.models import Quota

routes = router("quota")


class QuotaRead(Told):
    """One channel in one month."""

    model_config = like(
        {
            "channel_id": "1234567890",
            "month": "2026-11",
            "limit": 5000,
            "usage": 1200,
            "counted": 1215,
            "room": 3785,
            "refreshed_at": "2026-11-22T01:00:00Z",
        }
    )

    channel_id: str = Field(description="LINE's channel id")
    month: str = Field(description="Calendar month in Japan")
    limit: int | None = Field(
        description="Pushes that LINE allows; null: no limit, or not known yet"
    )
    usage: int = Field(description="What LINE has counted, which lags")
    counted: int = Field(description="What we have counted")
    room: int | None = Field(description="What is left by the higher count; null without a limit")
    refreshed_at: datetime | None = Field(description="When LINE was asked last")


class QuotaFilter(PageQuery):
    """Which rows."""

    channel_id: str | None = Field(None, max_length=32, examples=["1234567890"])
    month: str | None = Field(None, pattern=r"^\d{4}-\d{2}$", examples=["2026-11"])


@routes.get("/quota", summary="Read the quota", openapi_extra=least("viewer", "配信通数の状況"))
async def list_quotas(
    asked: Annotated[QuotaFilter, Query()], session: Reading, api: Shared
) -> Page[QuotaRead]:
    """LINE's limit and what is used of it, per channel and month, newest month first."""
    quota, channel = table(Quota), table(Channel)
    query = select(quota, channel.c.channel_id.label("line_id")).join(
        channel, channel.c.id == quota.c.channel_id
    )
    if asked.channel_id is not None:
        query = query.where(channel.c.channel_id == asked.channel_id)
    if asked.month is not None:
        query = query.where(quota.c.month == asked.month)
    keys = [quota.c.month, quota.c.channel_id]
    return await page(session, api.cursors, asked, query, name="quota", keys=keys, read=_read)


def _read(row: Any) -> QuotaRead:  # noqa: ANN401
    room = max(0, row.limit_value - max(row.line_usage, row.counted)) if row.limited else None
    return QuotaRead(
        channel_id=row.line_id,
        month=row.month,
        limit=row.limit_value if row.limited else None,
        usage=row.line_usage,
        counted=row.counted,
        room=room,
        refreshed_at=row.refreshed_at,
    )
