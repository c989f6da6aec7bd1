"""What the simulator's tests share: a small cast, calls, a shop that can be told how to answer."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import uvicorn
from httpx2 import AsyncClient, Response
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response as Answer
from starlette.routing import Route

from simulator.ids import user_id_for
from simulator.settings import ChannelSettings

CHANNEL = ChannelSettings("2000000001", "a-secret", "a-token")
AUTHORIZED = {"Authorization": "Bearer a-token"}
HANA, KEN, YUI, NOBODY = (user_id_for(name) for name in ("hana", "ken", "yui", "nobody"))
KEY = "123e4567-e89b-12d3-a456-426614174000"
HELLO: dict[str, Any] = {"type": "text", "text": "こんにちは"}


async def send(client: AsyncClient, kind: str, body: object, *, key: str | None = None) -> Response:
    """Ask a message endpoint."""
    headers = dict(AUTHORIZED)
    if key is not None:
        headers["X-Line-Retry-Key"] = key
    return await client.post(f"/v2/bot/message/{kind}", json=body, headers=headers)


async def push(client: AsyncClient, to: str, *messages: object, key: str | None = None) -> Response:
    """Push messages to one person."""
    return await send(client, "push", {"to": to, "messages": list(messages) or [HELLO]}, key=key)


async def ask(client: AsyncClient, method: str, path: str, body: object = None) -> Response:
    """Ask any endpoint of LINE's API as the channel."""
    return await client.request(method, path, json=body, headers=AUTHORIZED)


def png(width: int, height: int, *, padding: int = 0) -> bytes:
    """A plain PNG; `padding` adds bytes to its size."""
    rows = (b"\0" + b"\x80" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"tEXt", b"x" * padding)]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in [*chunks, (b"IEND", b"")]
    )
    return b"\x89PNG\r\n\x1a\n" + body


@contextlib.asynccontextmanager
async def running(app: Any) -> AsyncIterator[str]:
    """A real server on a free port of 127.0.0.1; gives its address."""
    # asyncio switches Nagle's delays off only where the protocol is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment, method-assign]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


class FakeShop:
    """Takes webhooks, answers as told, and has just enough of the admin API."""

    def __init__(self, secret: str = "a-secret") -> None:
        self.secret = secret
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: Callable[[dict[str, Any]], int | float] = lambda _: 200
        self.activities: dict[str, dict[str, Any]] = {}
        self.told: dict[str, dict[str, dict[str, Any]]] = {}
        self.known: list[str] = []
        self.now = "2027-01-10T00:00:00+00:00"
        self.on_travel: Callable[[], Any] | None = None
        self.app = Starlette(
            routes=[
                Route("/webhook/{channel_id}", self.webhook, methods=["POST"]),
                Route("/readyz", self.ready),
                Route("/api/v1/clock", self.clock, methods=["GET", "POST"]),
                Route("/api/v1/friends", self.friends),
                Route("/api/v1/activities", self.activity, methods=["POST"]),
                Route("/api/v1/customers", self.customers),
                Route("/api/v1/{what:path}", self.take, methods=["POST"]),
            ]
        )

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events that came, repeats included."""
        return [event for body in self.bodies for event in body["events"]]

    async def webhook(self, request: Request) -> Answer:
        """Verify, record, answer; a fraction means: wait so many seconds first."""
        raw = await request.body()
        wanted = base64.b64encode(hmac.digest(self.secret.encode(), raw, hashlib.sha256)).decode()
        if request.headers.get("x-line-signature") != wanted:
            return Answer(status_code=401)
        body = orjson.loads(raw)
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        answer = self.answers(body)
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            return Answer(status_code=200)
        if answer == 200:
            self.known += [e["source"]["userId"] for e in body["events"] if e["type"] == "follow"]
        return Answer(status_code=answer)

    async def ready(self, request: Request) -> Answer:
        """Always."""
        return JSONResponse({})

    async def clock(self, request: Request) -> Answer:
        """Stands still unless told."""
        if request.method == "POST" and self.on_travel is not None:
            await self.on_travel()
        ran = [{"at": self.now, "what": "welcome", "count": 1}]
        return JSONResponse({"now": self.now, "ran": ran})

    async def friends(self, request: Request) -> Answer:
        """Two hundred a page."""
        start = int(request.query_params.get("cursor", 0))
        page = self.known[start : start + 200]
        more = str(start + 200) if start + 200 < len(self.known) else None
        items = [
            {"user_id": user_id, "id": f"f-{user_id}", "customer_id": f"c-{user_id}"}
            for user_id in page
        ]
        return JSONResponse({"items": items, "next_cursor": more})

    async def customers(self, request: Request) -> Answer:
        """All members at once."""
        told = self.told.get("customers", {}).values()
        items = [{"id": each["member_number"], "member_number": each["member_number"]}
                 for each in told]  # fmt: skip
        return JSONResponse({"items": items, "next_cursor": None})

    async def take(self, request: Request) -> Answer:
        """Whatever is told, once per Idempotency-Key."""
        what, key = request.path_params["what"], request.headers["idempotency-key"]
        known = key in self.told.setdefault(what, {})
        self.told[what][key] = await request.json()
        return JSONResponse({}, 200 if known else 201)

    async def activity(self, request: Request) -> Answer:
        """Once per idempotency key."""
        body = await request.json()
        known = body["idempotency_key"] in self.activities
        self.activities[body["idempotency_key"]] = body
        return JSONResponse({}, 200 if known else 201)


async def eventually(holds: Callable[[], object]) -> None:
    """Wait until something holds; the test's own deadline is ten seconds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  anything may be waited for
            await asyncio.sleep(0.01)
