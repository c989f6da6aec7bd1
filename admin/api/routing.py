"""Routes of the admin API: each states the least role that may use it, or nobody may."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header
from fastapi.requests import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute, APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.bodies import MAX_BYTES, MAX_BYTES_IN, StrictRequest, check_text
from admin.api.changes import Change, Replay
from admin.api.paging import Cursors
from admin.api.problems import FORBIDDEN, HEADERS, UNAUTHORIZED, Refusal
from admin.clock import AdvanceClock
from admin.idempotency import KEY_PATTERN
from admin.models import ROLES
from admin.tokens import Caller, Tokens
from core.errors import Fault, Invalid
from core.runtime import Runtime

BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]{1,200})", re.IGNORECASE)
ROLE = "x-least-role"
TITLE_JA = "x-title-ja"
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class Api:
    """What all endpoints share."""

    runtime: Runtime
    tokens: Tokens
    cursors: Cursors
    advance: AdvanceClock | None
    moving: asyncio.Lock = field(default_factory=asyncio.Lock)  # one moves the time at a time


def least(role: str, title_ja: str, **extra: Any) -> dict[str, Any]:  # noqa: ANN401
    """What a route says of itself: the least role that may use it, and its Japanese title."""
    assert role in ROLES
    return {ROLE: role, TITLE_JA: title_ja, **extra}


class AdminRoute(APIRoute):
    """Knows the caller, reads the body, then runs the endpoint as one change."""

    @property
    def least_role(self) -> str | None:
        """The least role that may use this route; None is nobody."""
        role = (self.openapi_extra or {}).get(ROLE)
        return role if role in ROLES else None

    def get_route_handler(self) -> Handler:
        endpoint = super().get_route_handler()

        async def handle(request: Request) -> Response:
            api: Api = request.app.state.api
            now = await api.runtime.clock.now()
            caller = await authorise(api.tokens, request, self.least_role, now=now)
            strict = StrictRequest(request.scope, request.receive)
            strict.max_bytes = (self.openapi_extra or {}).get(MAX_BYTES_IN, MAX_BYTES)
            self._check_query(strict)
            await strict.read(takes_json=self.body_field is not None)
            change = Change(api.runtime, caller, now, await _hash(strict))
            request.state.change = change
            response = await _run(endpoint, strict, change)
            api.tokens.note_use(caller, now=now)
            response.headers.update(HEADERS)
            return response

        return handle

    def _check_query(self, request: Request) -> None:
        query = request.scope.get("query_string", b"")
        check_text(*(text for pair in request.query_params.multi_items() for text in pair))
        check_text(*(str(value) for value in request.path_params.values()))
        if query and not self.dependant.query_params:
            name = next(iter(request.query_params), "")
            raise Invalid("This path takes no query parameters.", [
                Fault(name[:60], "unknown parameter", "このパラメーターはありません")])  # fmt: skip


async def authorise(
    tokens: Tokens, request: Request, least_role: str | None, *, now: datetime
) -> Caller:
    """Who calls; a `Refusal` (401, 403) where they may not use this route."""
    found = BEARER.fullmatch(request.headers.get("authorization", "").strip())
    caller = await tokens.find(found[1], now=now) if found else None
    if caller is None:
        detail = "Send a valid token: `Authorization: Bearer TOKEN`."
        raise Refusal(UNAUTHORIZED, detail, headers={"WWW-Authenticate": "Bearer"})
    if least_role is None:
        raise Refusal(FORBIDDEN, "Nobody may use this path.")
    if not caller.may(least_role):
        detail = f"This needs the role {least_role} or higher; the token's role is {caller.role}."
        raise Refusal(FORBIDDEN, detail, extra={"required_role": least_role})
    return caller


async def _run(endpoint: Handler, request: Request, change: Change) -> Response:
    try:
        async with change:
            response = await endpoint(request)
            await change.keep_answer(response)
    except Replay as replay:
        headers = {"Idempotency-Replayed": "true", **replay.answer.headers}
        return Response(
            replay.answer.body, replay.answer.status, headers, media_type="application/json"
        )
    change.done()
    return response


async def _hash(request: StrictRequest) -> str:
    """What makes two requests the same: method, path, query and body, whatever its spacing."""
    body = await request.body()
    if body and request.media_type == "application/json":
        body = orjson.dumps(await request.json(), option=orjson.OPT_SORT_KEYS)
    query = f"?{request.url.query}" if request.url.query else ""
    head = f"{request.method} {request.url.path}{query}\n".encode()
    return hashlib.sha256(head + body).hexdigest()


def router(tag: str) -> APIRouter:
    """A router for one resource."""
    return APIRouter(route_class=AdminRoute, tags=[tag])


def _api(request: Request) -> Api:
    api: Api = request.app.state.api
    return api


def _caller(request: Request) -> Caller:
    change: Change = request.state.change
    return change.caller


def _change(request: Request) -> Change:
    change: Change = request.state.change
    return change


def _creation(
    change: Annotated[Change, Depends(_change)],
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=KEY_PATTERN,
            description="Up to 255 printable characters of your own choice: a repetition with the "
            "same key and the same body is answered as before and changes nothing.",
            examples=["4f6d1c0e-2a70-4c7e-9a54-1f1f0c2b7c11"],
        ),
    ] = None,
) -> Change:
    change.key = idempotency_key
    return change


async def _reading(api: Annotated[Api, Depends(_api)]) -> AsyncIterator[AsyncSession]:
    async with api.runtime.db.reading() as session:
        yield session


Shared = Annotated[Api, Depends(_api)]
Who = Annotated[Caller, Depends(_caller)]
Changing = Annotated[Change, Depends(_change)]
Creating = Annotated[Change, Depends(_creation)]
Reading = Annotated[AsyncSession, Depends(_reading, scope="function")]
