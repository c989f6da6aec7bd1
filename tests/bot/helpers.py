"""What the tests of the bot share: a small cast, events as LINE sends them, ways to look."""

import itertools
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import orjson
from httpx2 import AsyncClient, Response
from sqlalchemy import func, select, update

from bot.conversation import converse
from bot.handling import handle_batch
from bot.intake import Intake
from bot.models import RECEIVED, ReceivedMessage, WebhookEvent
from core.clock import AT_ONCE
from core.db import table
from core.line.signature import sign
from core.runtime import Runtime
from crm import channels
from crm.models import Activity, Friend
from delivery.models import Delivery
from tests.conftest import CHANNEL_ID, CHANNEL_SECRET

HANA, KEN, YUI = ("U" + digit * 32 for digit in "abc")
START = int(time.time()) * 1000  # of this run: events are of now, milliseconds
_numbers = itertools.count(1)

Event = dict[str, Any]


def event(kind: str, user: str | None = HANA, *, at: int = 0, **fields: Any) -> Event:
    """An event of a one-to-one chat; `at` is milliseconds after `START`."""
    number = next(_numbers)
    made = {
        "type": kind,
        "mode": "active",
        "timestamp": START + at,
        "webhookEventId": f"01TEST{number:020d}",
        "deliveryContext": {"isRedelivery": False},
        "replyToken": f"{number:032d}",
    }
    source = {} if user is None else {"source": {"type": "user", "userId": user}}
    return made | source | fields


def text(words: str, user: str = HANA, *, at: int = 0, **fields: Any) -> Event:
    """A text message."""
    message = {"type": "text", "id": f"{next(_numbers):018d}", "text": words}
    return event("message", user, at=at, message=message | fields.pop("message", {}), **fields)


def follow(user: str = HANA, *, at: int = 0, unblocked: bool = False, **fields: Any) -> Event:
    """A follow event."""
    return event("follow", user, at=at, follow={"isUnblocked": unblocked}, **fields)


def unfollow(user: str = HANA, *, at: int = 0) -> Event:
    """An unfollow event, which has no reply token."""
    made = event("unfollow", user, at=at)
    del made["replyToken"]
    return made


def unsend(message_id: str, user: str = HANA, *, at: int = 0) -> Event:
    """A message taken back."""
    made = event("unsend", user, at=at, unsend={"messageId": message_id})
    del made["replyToken"]
    return made


def edited(message_id: str, words: str, user: str = HANA, *, at: int = 0) -> Event:
    """A message edited."""
    message = {"type": "text", "id": message_id, "text": words}
    return event("messageEdited", user, at=at, message=message)


def body(*events: object) -> bytes:
    """A webhook body."""
    return orjson.dumps({"destination": "U" + "0" * 32, "events": list(events)})


class Webhook:
    """LINE's side of the webhook, straight into the intake."""

    def __init__(self, runtime: Runtime, http: AsyncClient, intake: Intake) -> None:
        self.runtime, self.http, self.intake = runtime, http, intake

    async def post(
        self, raw: bytes, *, secret: str = CHANNEL_SECRET, channel: str = CHANNEL_ID, **more: Any
    ) -> Response:
        """Post a body, signed."""
        headers = {"x-line-signature": sign(secret, raw)} | more.pop("headers", {})
        return await self.http.post(f"/webhook/{channel}", content=raw, headers=headers, **more)

    async def bring(self, *events: Event) -> None:
        """Post events in one body; they are taken in."""
        assert (await self.post(body(*events))).status_code == 200

    async def bring_and_handle(self, *events: Event) -> None:
        """Post events in one body and handle all that is due."""
        await self.bring(*events)
        await handle(self.runtime)


async def handle(runtime: Runtime) -> int:
    """Handle what is due until nothing is."""
    total = 0
    while moved := await handle_batch(runtime, converse):
        total += moved
    return total


async def rest(runtime: Runtime) -> None:
    """Let what backs off do so for an hour, however slow the machine."""
    event_ = table(WebhookEvent)
    async with runtime.db.transaction() as session:
        tried = update(event_).where(event_.c.state == RECEIVED, event_.c.attempts > 0)
        later = runtime.clock.wall() + timedelta(hours=1)
        await session.execute(tried.values(retry_at=later))


async def make_due(runtime: Runtime) -> None:
    """Let no event back off any longer."""
    event_ = table(WebhookEvent)
    async with runtime.db.transaction() as session:
        open_ = update(event_).where(event_.c.state == RECEIVED)
        await session.execute(open_.values(retry_at=AT_ONCE))


async def rows(runtime: Runtime, model: Any) -> list[Any]:
    """All rows of a table by id."""
    async with runtime.db.reading() as session:
        return list(await session.execute(select(table(model)).order_by(table(model).c.id)))


async def count(runtime: Runtime, model: Any) -> int:
    """How many rows a table has."""
    async with runtime.db.reading() as session:
        return int(await session.scalar(select(func.count()).select_from(table(model))) or 0)


async def states(runtime: Runtime) -> dict[str, str]:
    """The state of each event by its id of LINE's."""
    return {row.webhook_event_id: row.state for row in await rows(runtime, WebhookEvent)}


async def kinds(runtime: Runtime) -> list[str]:
    """The kinds of all activities, as they were recorded."""
    return [row.kind for row in await rows(runtime, Activity)]


async def friend(runtime: Runtime, user: str = HANA) -> Any:
    """The one friend with this user id."""
    [found] = [row for row in await rows(runtime, Friend) if row.user_id == user]
    return found


async def said(runtime: Runtime) -> list[str]:
    """The texts that wait in the outbox or have left it."""
    found: list[str] = []
    for row in await rows(runtime, Delivery):
        found += [message.get("text", message["type"]) for message in orjson.loads(row.messages)]
    return found


async def written(runtime: Runtime) -> list[Any]:
    """What friends wrote, as it is kept."""
    return await rows(runtime, ReceivedMessage)


def texts_of(found: Sequence[Any]) -> list[str | None]:
    """The texts of kept messages."""
    return [row.content.get("text") for row in found]


def intake_of(runtime: Runtime) -> Intake:
    """A fresh intake over a runtime."""
    return Intake(runtime, channels.of(runtime))
