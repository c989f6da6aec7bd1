"""Friends: LINE users as seen on a channel."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field
from sqlalchemy import Select, select

from admin.api.fields import MAX_ID, PathId, Told, like
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Reading, Shared, least, router
from core.db import table
from core.errors import NotFound
from crm.models import Channel, Friend

routes = router("friends")

Status = Literal["following", "blocked"]


class FriendRead(Told):
    """A LINE user as seen on one channel."""

    model_config = like(
        {
            "id": 12,
            "user_id": "U" + "0" * 32,
            "channel_id": "1234567890",
            "customer_id": 9,
            "status": "following",
            "display_name": "はな",
            "picture_url": None,
            "language": "ja",
            "followed_at": "2026-11-22T01:00:00Z",
            "blocked_at": None,
            "created_at": "2026-11-22T01:00:00Z",
        }
    )

    id: int
    user_id: str = Field(description="LINE's user id, which differs between providers")
    channel_id: str = Field(description="LINE's channel id")
    customer_id: int
    status: Status
    display_name: str | None = Field(description="null until LINE has told it")
    picture_url: str | None
    language: str | None
    followed_at: datetime | None
    blocked_at: datetime | None
    created_at: datetime


class FriendFilter(PageQuery):
    """Which friends."""

    channel_id: str | None = Field(None, max_length=32, description="LINE's channel id")
    status: Status | None = None
    user_id: str | None = Field(None, max_length=33)
    customer_id: int | None = Field(None, ge=1, le=MAX_ID)
    q: str | None = Field(None, max_length=100, description="Part of the display name")


@routes.get("/friends", summary="List friends", openapi_extra=least("viewer", "友だちの一覧"))
async def list_friends(
    asked: Annotated[FriendFilter, Query()], session: Reading, api: Shared
) -> Page[FriendRead]:
    """Who has added one of the shop's accounts, also those who blocked it; the newest first."""
    return await page(
        session, api.cursors, asked, _narrowed(asked), name="friends",
        keys=[table(Friend).c.id], read=FriendRead.model_validate,
    )  # fmt: skip


@routes.get("/friends/{id}", summary="Get a friend", openapi_extra=least("viewer", "友だちの表示"))
async def get_friend(id_: PathId, session: Reading) -> FriendRead:
    """One friend, by our `id`."""
    row = (await session.execute(_select().where(table(Friend).c.id == id_))).first()
    if row is None:
        raise NotFound("friend", id_)
    return FriendRead.model_validate(row)


def _select() -> Select[Any]:
    friend, channel = table(Friend), table(Channel)
    own = [friend.c[name] for name in FriendRead.model_fields if name != "channel_id"]
    return select(*own, channel.c.channel_id).join(channel, channel.c.id == friend.c.channel_id)


def _narrowed(asked: FriendFilter) -> Select[Any]:
    friend, query = table(Friend), _select()
    for name in ("status", "user_id", "customer_id"):
        wanted = getattr(asked, name)
        if wanted is not None:
            query = query.where(friend.c[name] == wanted)
    if asked.channel_id is not None:
        query = query.where(table(Channel).c.channel_id == asked.channel_id)
    if asked.q is not None:
        query = query.where(friend.c.display_name.icontains(asked.q, autoescape=True))
    return query
