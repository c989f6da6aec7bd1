"""Messages: reusable templates, a preview of one, and a test to named friends."""

from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Query, Response
from pydantic import Field, model_validator
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin import templates
from admin.api.deliveries import DeliverySummary, summaries
from admin.api.fields import (
    Given,
    IfMatch,
    Name,
    PathKey,
    RowId,
    Told,
    beside,
    check_version,
    like,
    tag_version,
    version_read,
)
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Api, Changing, Creating, Reading, Shared, least, router
from core.db import table
from core.errors import Fault, Invalid, NotFound
from crm.models import BLOCKED, Channel, Friend
from delivery import messages, outbox
from delivery.models import MessageTemplate
from flows.definition import Key

routes = router("messages")

MAX_TEST_FRIENDS = 5
Written = Annotated[
    list[dict[str, Any]],
    Field(description="One to five LINE message objects, with placeholders like {{ friend.name }}"),
]
_WRITTEN = [{"type": "text", "text": "{{ friend.name }}、いつもありがとうございます。"}]
_EXAMPLE = {
    "key": "thanks", "name": "お礼", "messages": _WRITTEN, "version": 1,
    "created_at": "2026-11-22T01:00:00Z", "updated_at": "2026-11-22T01:00:00Z",
}  # fmt: skip


class MessageRead(Told):
    """A reusable message."""

    model_config = like(_EXAMPLE)

    key: str
    name: str
    messages: Written
    version: int
    created_at: datetime
    updated_at: datetime


class MessageSave(Given):
    """What a message says."""

    model_config = like({"name": "お礼", "messages": _WRITTEN})

    name: Name
    messages: Written


class MessageCreate(MessageSave):
    """A new message."""

    model_config = like({"key": "thanks", "name": "お礼", "messages": _WRITTEN})

    key: Key


class _Chosen(Given):
    messages: Written | None = None
    key: Key | None = Field(None, description="A stored message's key instead of `messages`")

    @model_validator(mode="after")
    def _exactly_one(self) -> "_Chosen":
        if (self.messages is None) == (self.key is None):
            msg = "give either messages or key／messages か key のどちらか一方を指定してください"
            raise ValueError(msg)
        return self


class MessagePreview(_Chosen):
    """What to show, and as whom."""

    model_config = like({"messages": _WRITTEN, "friend_id": 12})

    friend_id: RowId | None = Field(None, description="Left out: an invented friend")


class MessageShown(Told):
    """A message with its placeholders filled in."""

    model_config = like(
        {"messages": [{"type": "text", "text": "はな、いつもありがとうございます。"}]}
    )

    messages: list[dict[str, Any]]


class MessageTest(_Chosen):
    """What to send for a try, and to whom."""

    model_config = like({"key": "thanks", "friend_ids": [12]})

    friend_ids: list[RowId] = Field(min_length=1, max_length=MAX_TEST_FRIENDS)


class TestQueued(Told):
    """The deliveries that were queued."""

    deliveries: list[DeliverySummary]


@routes.get("/messages", summary="List messages", openapi_extra=least("viewer", "メッセージの一覧"))
async def list_messages(
    asked: Annotated[PageQuery, Query()], session: Reading, api: Shared
) -> Page[MessageRead]:
    """All reusable messages, the newest first."""
    template = table(MessageTemplate)
    return await page(
        session, api.cursors, asked, select(template), name="messages", keys=[template.c.id],
        read=MessageRead.model_validate,
    )  # fmt: skip


@routes.get(
    "/messages/{key}", summary="Get a message", openapi_extra=least("viewer", "メッセージの表示")
)
async def get_message(key: PathKey, session: Reading, response: Response) -> MessageRead:
    """One message; the `ETag` is what a change of it wants as `If-Match`."""
    return _told(await templates.get(session, key), response)


@routes.post(
    "/messages", summary="Create a message", status_code=201,
    openapi_extra=least("marketer", "メッセージの作成"),
)  # fmt: skip
async def create_message(
    wanted: MessageCreate, change: Creating, response: Response, api: Shared
) -> MessageRead:
    """Store a new message: placeholders and all of LINE's limits are checked before."""
    await _check(api, wanted.messages)
    session = await change.begin()
    made = await templates.add(
        session, key=wanted.key, name=wanted.name, messages=wanted.messages, now=change.now
    )
    change.note("message.save", f"message:{made.key}", version=1)
    return _told(made, response)


@routes.put(
    "/messages/{key}", summary="Save a message",
    responses={201: {"model": MessageRead, "description": "It is new"}},
    openapi_extra=least("marketer", "メッセージの保存"),
)  # fmt: skip
async def save_message(
    key: PathKey,
    wanted: MessageSave,
    change: Changing,
    response: Response,
    api: Shared,
    if_match: IfMatch = None,
) -> MessageRead:
    """Save a message, new or in place of the last one; flows send the new text from then on.

    Replacing one needs `If-Match`.
    """
    await _check(api, wanted.messages)
    read = version_read(if_match)
    session = await change.begin()
    found = await templates.find(session, key, lock=True)
    if found is None:
        if read is not None:
            raise NotFound("message", key)
        response.status_code = 201
        found = await templates.add(
            session, key=key, name=wanted.name, messages=wanted.messages, now=change.now
        )
        change.note("message.save", f"message:{key}", version=1)
        return _told(found, response)
    check_version(found.version, if_match, needed=True)
    if templates.replace(found, name=wanted.name, messages=wanted.messages, now=change.now):
        change.note("message.save", f"message:{key}", version=found.version)
    return _told(found, response)


@routes.delete(
    "/messages/{key}", summary="Delete a message", status_code=204,
    openapi_extra=least("marketer", "メッセージの削除"),
)  # fmt: skip
async def delete_message(key: PathKey, change: Changing, if_match: IfMatch = None) -> None:
    """Delete a message that no flow needs; 409 names the flows that do."""
    session = await change.begin()
    found = await templates.get(session, key, lock=True)
    check_version(found.version, if_match, needed=False)
    await templates.delete(session, found)
    change.note("message.delete", f"message:{key}")


@routes.post(
    "/messages/preview", summary="Preview a message",
    openapi_extra=least("marketer", "メッセージのプレビュー"),
)  # fmt: skip
async def preview_message(wanted: MessagePreview, session: Reading, api: Shared) -> MessageShown:
    """A message as one friend would get it; nothing is sent or stored."""
    written = await _written(api, session, wanted)
    values: messages.Values = messages.PLACEHOLDERS
    if wanted.friend_id is not None:
        rows = await _friends(session, [wanted.friend_id])
        if not rows:
            raise _unknown("friend_id", f"there is no friend {wanted.friend_id}")
        values = messages.values_for(display_name=rows[0].display_name, shop_name=rows[0].shop_name)
    return MessageShown(messages=messages.fill(written, values, api.runtime.buttons))


@routes.post(
    "/messages/test", summary="Send a test", status_code=202,
    openapi_extra=least("marketer", "テスト送信"),
)  # fmt: skip
async def send_test(wanted: MessageTest, change: Creating, api: Shared) -> TestQueued:
    """Send a message to up to five named friends, whatever the hour; it counts on the quota."""
    async with api.runtime.db.reading() as reading:
        written = await _written(api, reading, wanted)
    session = await change.begin()
    rows = await _friends(session, wanted.friend_ids)
    _refuse_unreachable(wanted.friend_ids, {row.id: row.status for row in rows})
    test = uuid4()
    parcels = [
        outbox.Parcel(
            channel_id=row.channel_id,
            friend_id=row.id,
            source=f"test:{test}:{row.id}",
            messages=messages.fill(
                written,
                messages.values_for(display_name=row.display_name, shop_name=row.shop_name),
                api.runtime.buttons,
            ),
            due_at=change.now,
            purpose=outbox.TRANSACTIONAL,
        )
        for row in rows
    ]
    allow_http = api.runtime.settings.allow_http_urls
    await outbox.queue(session, parcels, now=change.now, allow_http=allow_http)
    change.note("message.test", f"test:{test}", friends=sorted({row.id for row in rows}))
    change.wake("dispatch")
    return TestQueued(deliveries=await summaries(session, [parcel.source for parcel in parcels]))


async def _check(api: Api, written: list[dict[str, Any]]) -> None:
    allow_http = api.runtime.settings.allow_http_urls
    faults = await beside(messages.check_draft, written, allow_http=allow_http)
    messages.refuse(faults, "The message")


async def _written(api: Api, session: AsyncSession, wanted: _Chosen) -> list[dict[str, Any]]:
    if wanted.messages is not None:
        await _check(api, wanted.messages)
        return wanted.messages
    found = await templates.find(session, wanted.key or "")
    if found is None:
        raise _unknown("key", f"there is no message {wanted.key!r}")
    return found.messages


def _unknown(path: str, message: str) -> Invalid:
    return Invalid("The request has 1 fault.", [Fault(path, message, "登録されていません")])


async def _friends(session: AsyncSession, ids: list[int]) -> list[Any]:
    friend, channel = table(Friend), table(Channel)
    query = (
        select(friend.c.id, friend.c.channel_id, friend.c.display_name, friend.c.status)
        .add_columns(channel.c.name.label("shop_name"))
        .join(channel, channel.c.id == friend.c.channel_id)
        .where(friend.c.id.in_(ids))
        .order_by(friend.c.id)
    )
    return list(await session.execute(query))


def _refuse_unreachable(ids: list[int], status: dict[int, str]) -> None:
    faults = []
    for index, id_ in enumerate(ids):
        path = f"friend_ids[{index}]"
        if id_ not in status:
            faults.append(
                Fault(path, f"there is no friend {id_}", f"友だち {id_} は登録されていません")
            )
        elif status[id_] == BLOCKED:
            faults.append(Fault(path, f"friend {id_} has blocked this account",
                                f"友だち {id_} にはブロックされています"))  # fmt: skip
    messages.refuse(faults, "The test")


def _told(template: MessageTemplate, response: Response) -> MessageRead:
    tag_version(response, template.version)
    return MessageRead.model_validate(template)
