"""Channels: the shop's LINE official accounts. Secrets go in and never come out."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import Field, SecretStr, field_validator
from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.fields import (
    Given,
    IfMatch,
    Name,
    PathSmallId,
    Told,
    check_version,
    like,
    tag_version,
)
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Changing, Creating, Reading, Shared, least, router
from core.db import table
from core.errors import Conflict, NotFound
from core.sealing import Seal
from crm import channels
from crm.models import Channel

routes = router("channels")

LineChannelId = Annotated[str, Field(pattern=r"^[0-9]{1,32}$")]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=500)]
_EXAMPLE = {
    "id": 1, "channel_id": "1234567890", "name": "みなと珈琲", "bot_user_id": None,
    "basic_id": "@minato", "webhook_url": "https://okaeri.example.jp/webhook/1234567890",
    "has_access_token": True, "version": 1, "created_at": "2026-11-22T01:00:00Z",
}  # fmt: skip


class ChannelRead(Told):
    """A channel, without its secrets."""

    model_config = like(_EXAMPLE)

    id: int
    channel_id: str = Field(description="LINE's channel id")
    name: str
    bot_user_id: str | None
    basic_id: str | None
    webhook_url: str = Field(description="To be entered in the LINE Developers console")
    has_access_token: bool
    version: int
    created_at: datetime


class ChannelCreate(Given):
    """A channel to be added, as the LINE Developers console shows it."""

    model_config = like(
        {
            "channel_id": "1234567890",
            "name": "みなと珈琲",
            "secret": "0123456789abcdef-example",
            "access_token": "EXAMPLE-NOT-A-TOKEN",
        }
    )

    channel_id: LineChannelId
    name: Name
    secret: Secret
    access_token: Secret | None = None


class ChannelUpdate(Given):
    """What is to change; what is left out stays."""

    model_config = like({"name": "みなと珈琲 本店"})

    name: Name | None = None
    secret: Secret | None = None
    access_token: Secret | None = Field(None, description="null takes it away")

    @field_validator("name", "secret")
    @classmethod
    def _not_null(cls, value: Any) -> Any:  # noqa: ANN401
        if value is None:
            msg = "leave it out to keep it／変更しない項目は省いてください"
            raise ValueError(msg)
        return value


@routes.get("/channels", summary="List channels", openapi_extra=least("viewer", "アカウントの一覧"))
async def list_channels(
    asked: Annotated[PageQuery, Query()], session: Reading, api: Shared
) -> Page[ChannelRead]:
    """All channels. Their secrets and tokens are never told, only whether a token is set."""
    keys = [table(Channel).c.id]
    url = api.runtime.settings.public_url
    return await page(
        session, api.cursors, asked, _select(), name="channels", keys=keys,
        read=lambda row: _read(row, url),
    )  # fmt: skip


@routes.get(
    "/channels/{id}", summary="Get a channel", openapi_extra=least("viewer", "アカウントの表示")
)
async def get_channel(
    id_: PathSmallId, session: Reading, api: Shared, response: Response
) -> ChannelRead:
    """One channel, by our `id`."""
    row = await _find(session, id_)
    tag_version(response, row.version)
    return _read(row, api.runtime.settings.public_url)


@routes.post(
    "/channels", summary="Add a channel", status_code=201,
    openapi_extra=least("owner", "アカウントの追加"),
)  # fmt: skip
async def add_channel(wanted: ChannelCreate, change: Creating, response: Response) -> ChannelRead:
    """Add a LINE Messaging API channel; enter its `webhook_url` in the LINE Developers console."""
    session = await change.begin()
    channel = table(Channel)
    known = await session.scalar(
        select(channel.c.id).where(channel.c.channel_id == wanted.channel_id)
    )
    if known is not None:
        raise Conflict(f"Channel {wanted.channel_id} is here already, under id {known}.")
    id_ = await channels.add(
        session, change.runtime.seal, channel_id=wanted.channel_id, name=wanted.name,
        secret=wanted.secret.get_secret_value(), access_token=_open(wanted.access_token),
        now=change.now,
    )  # fmt: skip
    change.note("channel.create", f"channel:{wanted.channel_id}")
    change.afterwards(channels.of(change.runtime).forget)
    tag_version(response, 1)
    return _read(await _find(session, id_), change.runtime.settings.public_url)


@routes.patch(
    "/channels/{id}", summary="Change a channel", openapi_extra=least("owner", "アカウントの変更")
)
async def change_channel(
    id_: PathSmallId,
    wanted: ChannelUpdate,
    change: Changing,
    response: Response,
    if_match: IfMatch = None,
) -> ChannelRead:
    """Rename a channel, or take over a new secret or access token.

    The previous secret stays good for webhooks that LINE signed before. Needs `If-Match`.
    """
    session = await change.begin()
    row = await _find(session, id_, lock=True)
    check_version(row.version, if_match, needed=True)
    values = _changed(wanted, row, change.runtime.seal)
    if values:
        values["version"] = row.version + 1
        here = table(Channel).c.id == id_
        await session.execute(update(table(Channel)).where(here).values(values))
        fields = sorted(wanted.model_fields_set)
        change.note("channel.change", f"channel:{row.channel_id}", fields=fields)
        change.afterwards(channels.of(change.runtime).forget)
        row = await _find(session, id_)
    tag_version(response, row.version)
    return _read(row, change.runtime.settings.public_url)


def _changed(wanted: ChannelUpdate, row: Any, seal: Seal) -> dict[str, Any]:  # noqa: ANN401
    values: dict[str, Any] = {}
    if wanted.name is not None and wanted.name != row.name:
        values["name"] = wanted.name
    if wanted.secret is not None and seal.decrypt(row.sealed_secret) != _open(wanted.secret):
        values["sealed_secret"] = seal.encrypt(_open(wanted.secret))
        values["sealed_previous_secret"] = row.sealed_secret
    if "access_token" in wanted.model_fields_set:
        token = _open(wanted.access_token)
        values["sealed_access_token"] = seal.encrypt(token) if token else ""
    return values


def _open(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _select() -> Select[Any]:
    return select(table(Channel))


async def _find(session: AsyncSession, id_: int, *, lock: bool = False) -> Any:  # noqa: ANN401
    query = _select().where(table(Channel).c.id == id_)
    row = (await session.execute(query.with_for_update() if lock else query)).first()
    if row is None:
        raise NotFound("channel", id_)
    return row


def _read(row: Any, public_url: str) -> ChannelRead:  # noqa: ANN401
    return ChannelRead(
        id=row.id,
        channel_id=row.channel_id,
        name=row.name,
        bot_user_id=row.bot_user_id,
        basic_id=row.basic_id,
        webhook_url=f"{public_url}/webhook/{row.channel_id}",
        has_access_token=bool(row.sealed_access_token),
        version=row.version,
        created_at=row.created_at,
    )
