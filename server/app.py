"""The web application: webhook intake (raw), admin API, start page, health, readiness, metrics."""

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import func, select, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from admin.api import create_api
from bot.intake import Intake
from bot.pages.linking import create_pages
from core import logs, metrics
from core.db import table
from core.runtime import Runtime
from crm import channels
from crm.models import BLOCKED, FOLLOWING, Channel, Friend
from flows.models import PUBLISHED, Flow
from server import card_pages, hooks, inbox_api, migrations, privacy_api
from server.travel import Traveller
from server.worker import BELTS

log = logs.get(__name__)

ASGIApp = Callable[..., Awaitable[None]]
PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"),
    autoescape=True,
    undefined=StrictUndefined,
)


class Server:
    """The ASGI application. Webhooks go straight to the intake, all else through Starlette."""

    def __init__(self, runtime: Runtime, traveller: Traveller | None) -> None:
        self.intake = Intake(runtime, channels.of(runtime))
        more = [inbox_api.routes, privacy_api.routes]
        self._api = create_api(runtime, advance=traveller, more=more)
        self.pages = _pages(runtime, self._api)

    async def settled(self) -> None:
        """Return when nothing is written any more that no request waits for."""
        await self._api.state.api.tokens.settled()

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Pass a request to its door."""
        if scope["type"] == "http" and scope["path"].startswith("/webhook/"):
            await self.intake(scope, receive, send)
        else:
            await self.pages(scope, receive, send)


def _pages(runtime: Runtime, api: FastAPI) -> Starlette:
    async def start(_request: Request) -> Response:
        facts = await _facts(runtime)
        return HTMLResponse(PAGES.get_template("start.html").render(facts))

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        checks = {"database": await _database_ready(runtime), "queue": await _queue_ready(runtime)}
        # Without the queue everything still runs, by the sweep: slower, and that is for people.
        ready = checks["database"] == "ok"
        return JSONResponse(
            {"status": "ok" if ready else "not ready", **checks}, status_code=200 if ready else 503
        )

    async def prometheus(_request: Request) -> Response:
        await _measure(runtime)
        return Response(generate_latest(metrics.REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/", start),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", prometheus),
            *card_pages.routes(runtime),
            Mount("/api/v1", api),
            Mount("/hooks", hooks.create_hooks(runtime)),
            Mount("/link", create_pages(runtime)),
        ]
    )


async def _facts(runtime: Runtime) -> dict[str, Any]:
    """What the start page shows: counts only, nothing personal."""
    async with runtime.db.reading() as session:
        channel, friend, flow = table(Channel), table(Friend), table(Flow)
        count = select(func.count())
        return {
            "channels": list(await session.execute(select(channel.c.name, channel.c.channel_id))),
            "following": await session.scalar(
                count.select_from(friend).where(friend.c.status == FOLLOWING)
            ),
            "blocked": await session.scalar(
                count.select_from(friend).where(friend.c.status == BLOCKED)
            ),
            "flows": await session.scalar(count.select_from(flow).where(flow.c.state == PUBLISHED)),
            "phone_url": runtime.settings.phone_url,
            "public_url": runtime.settings.public_url,
            "simulated": runtime.clock.simulated,
            "now": (await runtime.clock.now()).astimezone(runtime.settings.zone),
        }


async def _database_ready(runtime: Runtime) -> str:
    try:
        async with runtime.db.reading() as session:
            await session.execute(text("SELECT 1"))
        at = await migrations.current(runtime.db)
    except Exception as error:  # noqa: BLE001 - whatever keeps it from answering
        return type(error).__name__
    return "ok" if at == migrations.head() else "not migrated: run okaeri migrate"


async def _queue_ready(runtime: Runtime) -> str:
    return "ok" if await runtime.wakes.answers() else "does not answer"


async def _measure(runtime: Runtime) -> None:
    now = await runtime.clock.now()
    async with runtime.db.reading() as session:
        for belt in BELTS:
            due = await belt.due(session, now)
            age = (now - due.oldest_at).total_seconds() if due.oldest_at else 0.0
            metrics.BACKLOG.labels(belt.name).set(due.count)
            metrics.OLDEST.labels(belt.name).set(max(0.0, age))
