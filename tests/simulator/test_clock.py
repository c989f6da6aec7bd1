"""The clock: standing still, travelling with the shop."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from httpx2 import ASGITransport, AsyncClient

from simulator.app import Simulator, close, create_app
from simulator.clock import Clock, japan_day, to_ms
from simulator.settings import Settings
from tests.simulator.conftest import populate
from tests.simulator.helpers import CHANNEL, HANA, FakeShop, push, running

START = datetime(2026, 11, 22, 3, tzinfo=UTC)


def test_a_standing_clock_moves_with_events_only() -> None:
    clock = Clock(simulated=True, start=START)

    stamps = [clock.stamp() for _ in range(5)]

    assert stamps == sorted(set(stamps))
    assert stamps[-1] - to_ms(START) < 1_000
    before = clock.elapsed()
    clock.advance(timedelta(days=3))
    assert clock.now() - START > timedelta(days=3)
    assert clock.elapsed() - before >= 3 * 86_400


def test_a_real_clock_gives_no_stamp_twice() -> None:
    clock = Clock()

    stamps = [clock.stamp() for _ in range(1_000)]

    assert stamps == sorted(set(stamps))


def test_a_day_begins_at_midnight_in_japan() -> None:
    assert japan_day(to_ms(datetime(2026, 11, 22, 14, 59, tzinfo=UTC))) == "20261122"
    assert japan_day(to_ms(datetime(2026, 11, 22, 15, 0, tzinfo=UTC))) == "20261123"


@pytest.fixture
async def travellers(shop: FakeShop) -> AsyncIterator[tuple[Simulator, AsyncClient]]:
    """A stand-in whose shop has a clock of its own."""
    async with running(shop.app) as shop_url:
        app = create_app(
            Settings(channels=(CHANNEL,), shop_url=shop_url, shop_token="t", simulated_clock=True),
        )
        app.state.platform.clock.move_to(START)
        populate(app.state.platform)
        transport = ASGITransport(app)
        async with AsyncClient(transport=transport, base_url="http://line.test") as client:
            yield app, client
        await close(app)


async def test_travel_takes_the_shops_time_and_tells_what_ran(
    travellers: tuple[Simulator, AsyncClient], shop: FakeShop
) -> None:
    _, client = travellers
    shop.now = "2026-11-25T12:00:00+09:00"

    answer = await client.post("/simulator/clock", json={"advance_seconds": 259_200})

    assert answer.json()["now"] == "2026-11-25T03:00:00.000Z"
    assert answer.json()["ran"] == [{"at": shop.now, "what": "welcome", "count": 1}]
    assert (await client.get("/simulator/clock")).json()["simulated"] is True


async def test_messages_on_the_way_bear_the_time_of_the_way(
    travellers: tuple[Simulator, AsyncClient], shop: FakeShop
) -> None:
    _, client = travellers

    async def on_the_way() -> None:
        shop.now = "2026-11-23T10:00:00+00:00"
        await push(client, HANA)
        shop.now = "2026-11-25T03:00:00+00:00"

    shop.on_travel = on_the_way
    await client.post("/simulator/clock", json={"advance_seconds": 259_200})

    entry = (await client.get(f"/simulator/people/{HANA}/chat")).json()["messages"][-1]
    assert entry["at"].startswith("2026-11-23T10:00:00")


@pytest.mark.parametrize("seconds", [-1, "3", None, 10**9])
async def test_impossible_journeys_are_refused(client: AsyncClient, seconds: object) -> None:
    answer = await client.post("/simulator/clock", json={"advance_seconds": seconds})

    assert answer.status_code == 400


async def test_a_shop_that_is_not_there_is_said(travellers: tuple[Simulator, AsyncClient]) -> None:
    app, client = travellers
    app.state.shop.url = "http://127.0.0.1:9"

    answer = await client.post("/simulator/clock", json={"advance_seconds": 1})

    assert answer.status_code == 502
    assert "お店" in answer.json()["error"]
