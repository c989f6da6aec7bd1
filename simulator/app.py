"""The whole stand-in as one ASGI application."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from simulator import account_link, phone_api, sample_shop, workbench
from simulator.errors import LineError, not_found
from simulator.line_api import PREFIXES, LineApi
from simulator.platform import Platform
from simulator.settings import Settings
from simulator.shop import Shop, ShopError, follow_clock
from simulator.web import Json


class Simulator(Starlette):
    """LINE's API goes past Starlette's routing; pages, phone and workbench go through it."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(
            routes=[*account_link.ROUTES, *phone_api.routes(), *workbench.routes()],
            exception_handlers={404: _unknown_path, 405: _wrong_method},
            lifespan=_lifespan,
        )
        self.router.redirect_slashes = False
        self.state.platform = platform
        self.state.shop = Shop(platform.settings)
        self.state.journey = phone_api.new_journey()
        self._line_api = LineApi(platform)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose the way by the path."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIXES):
            await self._line_api(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def _unknown_path(request: Request, error: Exception) -> Response:
    return Json(not_found().body(), 404)


async def _wrong_method(request: Request, error: Exception) -> Response:
    return Json(LineError(405, "Method Not Allowed").body(), 405)


def create_app(settings: Settings | None = None, platform: Platform | None = None) -> Simulator:
    """The application; `app.state.platform` is everything it knows."""
    return Simulator(platform or Platform(settings or Settings()))


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    platform: Platform = app.state.platform
    if platform.settings.sample_shop:
        sample_shop.move_in(platform)
    platform.webhooks.start()
    task = asyncio.create_task(_wake_up(platform, app.state.shop))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await close(app)


async def _wake_up(platform: Platform, shop: Shop) -> None:
    """What needs the shop: its time, and telling it the sample shop's past."""
    if platform.settings.sample_shop:
        await sample_shop.tell_past(platform, shop)
    elif platform.clock.simulated and shop.has_token:
        with contextlib.suppress(ShopError):
            await shop.wait_until_ready()
            await follow_clock(platform, shop)


async def close(app: Starlette) -> None:
    """Let go of all connections and files."""
    await app.state.shop.close()
    await app.state.platform.close()
