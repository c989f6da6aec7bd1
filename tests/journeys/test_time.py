"""Moving the simulated clock: what falls due on the way, in order, told once."""

from datetime import timedelta

from server import timetable
from server.travel import Traveller
from server.worker import working
from tests.shop import Shop


async def test_a_step_runs_at_its_moment_and_the_journey_tells_of_it(shop: Shop) -> None:
    await shop.publish_library()
    hana = await shop.new_person("花")
    await hana.follow()
    await shop.work()

    ran = await shop.travel(timedelta(days=4))

    zone = shop.runtime.settings.zone
    told = [(r.what, r.at.astimezone(zone).strftime("%H:%M"), r.count) for r in ran]
    assert [line for line in told if line[0] != "jobs"] == [
        ("steps", "19:00", 1),
        ("dispatch", "19:00", 1),
    ]
    assert [r.at for r in ran] == sorted(r.at for r in ran)


async def test_what_the_sweep_ran_meanwhile_is_told_as_well(shop: Shop) -> None:
    await shop.publish_library()
    hana = await shop.new_person("花")
    await hana.follow()
    await shop.work()

    async with working(shop.runtime) as runner:
        to = await shop.runtime.clock.now() + timedelta(days=4)
        ran = await Traveller(shop.runtime, runner)(to)

    assert {"steps", "dispatch"} <= {r.what for r in ran}
    assert len(await hana.heard()) == 3


async def test_housekeeping_is_made_up_for_once_however_long_the_journey(shop: Shop) -> None:
    entries = timetable.entries(shop.runtime)

    ran = await shop.travel(timedelta(days=365))

    assert [(r.what, r.count) for r in ran] == [("jobs", len(entries))]
