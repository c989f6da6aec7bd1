"""Travel: what is refused, and what is told."""

import asyncio
from datetime import timedelta

import pytest

from core.clock import RealClock
from core.errors import Conflict
from core.jobs import BeltRunner
from core.runtime import Runtime, running
from server.travel import Traveller
from server.worker import BELTS, look
from tests.conftest import SECRET_KEY
from tests.shop import Shop

THREE_DAYS = """\
key: later
name: のちほど
trigger: {on: followed}
steps:
  - say: 一日目
  - wait: {days: 1}
  - say: 二日目
  - wait: {days: 1}
  - say: 三日目
"""


def traveller(runtime: Runtime) -> Traveller:
    return Traveller(runtime, BeltRunner(runtime, BELTS))


async def test_time_does_not_travel_back(runtime: Runtime) -> None:
    now = await runtime.clock.now()

    with pytest.raises(Conflict, match="cannot go back"):
        await traveller(runtime)(now - timedelta(seconds=1))

    assert await runtime.clock.now() == now


async def test_travelling_to_now_runs_what_is_due_and_stays(runtime: Runtime) -> None:
    now = await runtime.clock.now()

    assert await traveller(runtime)(now) == []
    assert await runtime.clock.now() == now


async def test_a_real_clock_cannot_be_moved(runtime: Runtime) -> None:
    real = runtime.settings.model_copy(update={"clock": "real"})
    assert real.key == SECRET_KEY

    async with running(real) as real_runtime:
        assert isinstance(real_runtime.clock, RealClock)
        with pytest.raises(Conflict, match="real one"):
            await traveller(real_runtime)(await real_runtime.clock.now() + timedelta(days=1))


async def test_everything_on_the_way_runs_in_order_and_at_its_own_moment(shop: Shop) -> None:
    await shop.publish(THREE_DAYS)
    hana = await shop.new_person("花")
    await hana.follow()
    await shop.work()
    began = await shop.runtime.clock.now()

    ran = await shop.travel(timedelta(days=10))

    steps = [round((r.at - began) / timedelta(hours=1)) for r in ran if r.what == "steps"]
    assert steps[:2] == [24, 48]
    assert await hana.texts() == ["一日目", "二日目", "三日目"]
    assert [r.at for r in ran] == sorted(r.at for r in ran)
    assert await shop.runtime.clock.now() == began + timedelta(days=10)


async def test_two_journeys_at_once_go_one_after_the_other(shop: Shop) -> None:
    await shop.publish(THREE_DAYS)
    hana = await shop.new_person("花")
    await hana.follow()
    await shop.work()
    now = await shop.runtime.clock.now()

    await asyncio.gather(
        shop.traveller(now + timedelta(days=2)), shop.traveller(now + timedelta(days=4))
    )

    assert await hana.texts() == ["一日目", "二日目", "三日目"]
    assert await shop.runtime.clock.now() == now + timedelta(days=4)


async def test_nothing_is_left_due_on_arrival(shop: Shop) -> None:
    await shop.publish(THREE_DAYS)
    await (await shop.new_person("花")).follow()
    await shop.work()

    await shop.travel(timedelta(days=1))

    found = await look(shop.runtime, await shop.runtime.clock.now())
    assert {belt.name: count for belt, count, _next in found if count} == {}
