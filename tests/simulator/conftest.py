"""A stand-in with three people: Hana and Ken are friends, Yui has blocked us."""

from collections.abc import AsyncIterator

import pytest
from httpx2 import ASGITransport, AsyncClient

from simulator import acting
from simulator.app import Simulator, close, create_app
from simulator.people import Person
from simulator.platform import Platform
from simulator.settings import Settings
from tests.simulator.helpers import CHANNEL, HANA, KEN, YUI, FakeShop, running


def populate(platform: Platform) -> None:
    """Hana and Ken follow, Yui follows and blocks; their webhooks are taken as delivered."""
    channel = platform.first_channel
    for user_id, name in ((HANA, "花"), (KEN, "健"), (YUI, "結衣")):
        platform.people.add(Person(user_id, name))
        acting.follow(platform, channel, user_id)
    acting.block(platform, channel, YUI)
    platform.webhooks.clear()


@pytest.fixture
def settings() -> Settings:
    """Strict; no shop behind it, no webhooks going anywhere."""
    return Settings(channels=(CHANNEL,), shop_url="http://127.0.0.1:9", simulated_clock=True)


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[Simulator]:
    """The application with its three people."""
    app = create_app(settings)
    populate(app.state.platform)
    yield app
    await close(app)


@pytest.fixture
def platform(app: Simulator) -> Platform:
    """What the application knows."""
    found: Platform = app.state.platform
    return found


@pytest.fixture
async def client(app: Simulator) -> AsyncIterator[AsyncClient]:
    """Calls without a network."""
    async with AsyncClient(transport=ASGITransport(app), base_url="http://line.test") as client:
        yield client


@pytest.fixture
def shop() -> FakeShop:
    """A shop that takes webhooks."""
    return FakeShop()


@pytest.fixture
async def live(shop: FakeShop) -> AsyncIterator[tuple[Simulator, AsyncClient]]:
    """A stand-in and a shop on real ports; rate limits off."""
    async with running(shop.app) as shop_url:
        app = create_app(
            Settings(
                channels=(CHANNEL,), shop_url=shop_url, rate_limits=False, allow_http_urls=True
            )
        )
        populate(app.state.platform)
        async with running(app) as url, AsyncClient(base_url=url, timeout=10) as client:
            yield app, client
