"""Webhook intake: verify the signature over the raw bytes, store, answer 200. Nothing else.

LINE waits two seconds (https://developers.line.biz/en/docs/partner-docs/development-guidelines/),
so all work happens later, from the stored rows. Requests that come in together share one commit.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError, StatementError

from bot.models import RECEIVED, WebhookEvent
from core import bulk, logs, metrics
from core.clock import AT_ONCE
from core.db import table
from core.line.signature import verify
from core.runtime import Runtime
from crm.channels import Channels, OpenChannel

log = logs.get(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Row = dict[str, Any]

MAX_BODY = 1_048_576
USER_ID = re.compile(r"U[0-9a-f]{32}")
CONNECTIVITY_TOKENS = frozenset({"0" * 32, "f" * 32})  # LINE's console once sent such test events
LATEST_TIMESTAMP = 4_102_444_800_000  # the year 2100, in milliseconds


class Intake:
    """The ASGI application below `/webhook`: raw, since this is the hottest path there is."""

    def __init__(self, runtime: Runtime, channels: Channels) -> None:
        self._runtime = runtime
        self._channels = channels
        self._group = GroupCommit(runtime)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 200, 400, 401, 404, 405, 413 or 503."""
        try:
            status, text = await self._take(scope, receive)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.error("intake.not_stored", error=type(error).__name__)  # noqa: TRY400 - no details
            status, text = 503, "not stored, send it again"
            if _is_about_values(error):
                status, text = 400, "holds values that cannot be stored"
        metrics.webhook(status)
        body = orjson.dumps({"message": text}) if text else b"{}"
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _take(self, scope: Scope, receive: Receive) -> tuple[int, str]:
        if scope["method"] != "POST":
            return 405, "LINE sends POST"
        channel = await self._channels.find(scope["path"].rpartition("/webhook/")[2])
        if channel is None:
            return 404, "unknown channel"
        raw = await _body(receive)
        if raw is None:
            return 413, f"larger than {MAX_BODY} bytes"
        if not verify(channel.secrets, raw, _header(scope, b"x-line-signature")):
            return 401, "signature missing or wrong"
        return await self.keep(channel, raw)

    async def keep(self, channel: OpenChannel, raw: bytes) -> tuple[int, str]:
        """Store the events of a body whose signature is right; returns status and text."""
        events = read_events(raw)
        if events is None:
            return 400, "not a webhook body"
        if events:
            received_at = await self._runtime.clock.now()
            try:
                rows = [row for e in events if (row := to_row(e, channel, received_at)) is not None]
            except RecursionError:
                return 400, "nested too deeply"
            await self._group.store(rows)
        return 200, ""


@dataclass(slots=True)
class _Waiting:
    rows: list[Row]
    done: asyncio.Future[None]


class GroupCommit:
    """Stores the rows of all requests that wait, in one transaction; then the next ones."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def store(self, rows: list[Row]) -> None:
        """Return when the rows are committed; raise when they could not be."""
        if not rows:
            return
        waiting = _Waiting(rows, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        await waiting.done

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            await self._store(group)
            self._runtime.wakes.wake("events")

    async def _store(self, group: list[_Waiting]) -> None:
        try:
            await self._commit([row for waiting in group for row in waiting.rows])
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must hear of it
            await self._apart(group, error)
        else:
            for waiting in group:
                _resolve(waiting)

    async def _apart(self, group: list[_Waiting], error: Exception) -> None:
        """Store each request alone, so that one request's fault is not the others'."""
        if len(group) == 1 or not _is_about_values(error):
            for waiting in group:
                _resolve(waiting, error)
            return
        for waiting in group:
            try:
                await self._commit(waiting.rows)
            except Exception as own:  # noqa: BLE001
                _resolve(waiting, own)
            else:
                _resolve(waiting)

    async def _commit(self, rows: list[Row]) -> None:
        try:
            await self._insert(rows)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            await self._insert(rows)  # a kept connection was cut; what is stored already stays
        metrics.EVENTS_RECEIVED.inc(len(rows))

    async def _insert(self, rows: list[Row]) -> None:
        async with self._runtime.db.statement() as connection:
            await bulk.insert_rows(connection, table(WebhookEvent), rows)


def _is_about_values(error: Exception) -> bool:
    """Whether the rows themselves cannot be stored, so that sending them again is no use."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, StatementError)  # a value that cannot even be written as JSON
    # asyncpg's errors all come as one class; their SQLSTATE tells data (22), constraints (23) and
    # limits (54) from a server that is full, stops or is gone.
    state = getattr(error.orig, "sqlstate", None)
    return state[:2] in {"22", "23", "54"} if state else isinstance(error, DataError)


def _resolve(waiting: _Waiting, error: Exception | None = None) -> None:
    if waiting.done.done():  # the client went away
        return
    if error is None:
        waiting.done.set_result(None)
    else:
        waiting.done.set_exception(error)


def read_events(raw: bytes) -> list[dict[str, Any]] | None:
    """The events of a webhook body; None when it is not one. What is no event is left out."""
    try:
        body = _loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    events = body.get("events", [])
    if not isinstance(events, list):
        return None
    return [event for event in events if isinstance(event, dict)]


def to_row(event: dict[str, Any], channel: OpenChannel, received_at: datetime) -> Row | None:
    """The row to store for one event; None for LINE's old connectivity test.

    Nothing is demanded of an event: what LINE adds tomorrow is stored today.
    """
    token, kind = event.get("replyToken"), event.get("type")
    if isinstance(token, str) and token in CONNECTIVITY_TOKENS:
        return None
    return {
        "webhook_event_id": _event_id(event),
        "channel_id": channel.id,
        "lane": lane_of(event, channel.id),
        "type": kind[:40] if isinstance(kind, str) else "unknown",
        "timestamp": _timestamp(event, received_at),
        "payload": event,
        "received_at": received_at,
        "state": RECEIVED,
        "attempts": 0,
        "retry_at": AT_ONCE,
    }


def lane_of(event: dict[str, Any], channel_id: int) -> str:
    """Whose event it is; the events of one lane act in order."""
    source = event.get("source")
    if not isinstance(source, dict):
        return f"{channel_id}:-"
    for name in ("userId", "groupId", "roomId"):
        value = source.get(name)
        if isinstance(value, str) and value:
            return f"{channel_id}:{value}"[:80]
    return f"{channel_id}:-"


def user_id_of(event: dict[str, Any]) -> str | None:
    """The user id of an event in a one-to-one chat; None for groups, rooms and unknown forms."""
    source = event.get("source")
    if not isinstance(source, dict) or source.get("type") != "user":
        return None
    user_id = source.get("userId")
    return user_id if isinstance(user_id, str) and USER_ID.fullmatch(user_id) else None


def _event_id(event: dict[str, Any]) -> str:
    given = event.get("webhookEventId")
    if isinstance(given, str) and 0 < len(given) <= 80:  # noqa: PLR2004 - the column's width
        return given
    return "sha256:" + sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()


def _timestamp(event: dict[str, Any], received_at: datetime) -> int:
    given = event.get("timestamp")
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= LATEST_TIMESTAMP:
        return given
    return int(received_at.timestamp() * 1000)


def _loads(raw: bytes) -> Any:  # noqa: ANN401
    if b"\\u0000" not in raw:
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass  # half a surrogate pair, perhaps: the standard library is more patient
    return _storable(json.loads(raw, parse_constant=lambda _name: None))


def _storable(value: Any) -> Any:  # noqa: ANN401
    """PostgreSQL takes neither NUL nor half a surrogate pair in text."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(inner) for key, inner in value.items()}
    if isinstance(value, int) and abs(value) > 2**53 and abs(value) >= 2**63:
        return float(value) if abs(value) < 10**300 else None
    return value


async def _body(receive: Receive) -> bytes | None:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY:
            return None
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key.lower() == name), None)
