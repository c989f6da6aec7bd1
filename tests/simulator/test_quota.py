"""Quota, rate limits, statistics and aggregation units."""

from datetime import UTC, datetime, timedelta

from httpx2 import ASGITransport, AsyncClient

from simulator.app import close, create_app
from simulator.clock import japan_month
from simulator.platform import Platform
from simulator.rate_limits import HOUR, SECOND, Buckets, Rate
from simulator.settings import Settings
from tests.simulator.helpers import CHANNEL, HANA, HELLO, KEN, YUI, ask, push, send

OVER = {"message": "You have reached your monthly limit."}


async def usage(client: AsyncClient) -> int:
    answer = await ask(client, "GET", "/v2/bot/message/quota/consumption")
    return int(answer.json()["totalUsage"])


async def test_people_times_requests_are_counted(client: AsyncClient) -> None:
    await push(client, HANA, HELLO, HELLO, HELLO)  # 1
    await send(client, "multicast", {"to": [HANA, KEN, YUI], "messages": [HELLO]})  # 2
    await send(client, "broadcast", {"messages": [HELLO]})  # 2

    assert await usage(client) == 5
    quota = (await ask(client, "GET", "/v2/bot/message/quota")).json()
    assert quota == {"type": "limited", "value": 5_000}


async def test_what_does_not_fit_fails_whole(client: AsyncClient, platform: Platform) -> None:
    await client.put("/simulator/quota", json={"value": 1})

    many = await send(client, "multicast", {"to": [HANA, KEN], "messages": [HELLO]})
    one = await push(client, HANA)
    another = await push(client, HANA)
    blocked = await push(client, YUI)

    assert [a.status_code for a in (many, one, another, blocked)] == [429, 200, 429, 200]
    assert many.json() == OVER
    assert len(platform.accepted) == 2


async def test_a_new_month_begins_at_midnight_in_japan(
    client: AsyncClient, platform: Platform
) -> None:
    platform.clock.move_to(datetime(2026, 11, 30, 14, 59, tzinfo=UTC))  # 23:59 in Japan
    await push(client, HANA)
    assert await usage(client) == 1

    platform.clock.advance(timedelta(minutes=2))
    assert await usage(client) == 0


async def test_without_a_cap_the_quota_is_none(client: AsyncClient, platform: Platform) -> None:
    platform.first_channel.monthly_quota = None

    assert (await ask(client, "GET", "/v2/bot/message/quota")).json() == {"type": "none"}


async def test_delivery_counts_are_ready_the_next_day(
    client: AsyncClient, platform: Platform
) -> None:
    platform.clock.move_to(datetime(2026, 11, 22, 3, tzinfo=UTC))
    await push(client, HANA)
    path = "/v2/bot/message/delivery/push?date=20261122"
    insight = "/v2/bot/insight/message/delivery?date=20261122"
    assert (await ask(client, "GET", path)).json() == {"status": "unready"}

    platform.clock.advance(timedelta(days=1))

    assert (await ask(client, "GET", path)).json() == {"status": "ready", "success": 1}
    assert (await ask(client, "GET", insight)).json() == {"status": "ready", "apiPush": 1}
    assert (await ask(client, "GET", path + "0")).status_code == 400


async def test_the_1001st_unit_of_a_month_is_dropped_in_silence(
    client: AsyncClient, platform: Platform
) -> None:
    month = japan_month(platform.clock.ms())
    platform.first_channel.units[month] = {f"unit_{n}": None for n in range(1_000)}
    body = {"to": HANA, "messages": [HELLO], "customAggregationUnits": ["one_more"]}

    assert (await send(client, "push", body)).status_code == 200

    info = (await ask(client, "GET", "/v2/bot/message/aggregation/info")).json()
    assert info == {"numOfCustomAggregationUnits": 1_000}
    assert platform.accepted[0].unit is None


def test_a_bucket_holds_its_count_and_refills_evenly() -> None:
    buckets, rate = Buckets(), Rate(60, HOUR)

    taken = sum(buckets.take("c", "broadcast", rate, 0.0) for _ in range(100))

    assert taken == 60
    assert not buckets.take("c", "broadcast", rate, 59.0)
    assert buckets.take("c", "broadcast", rate, 60.1)  # One token a minute
    assert buckets.take("c", "push", Rate(2_000, SECOND), 0.0)
    assert buckets.take("other", "broadcast", rate, 0.0)


async def test_the_61st_broadcast_of_an_hour_is_429_and_travel_refills(
    client: AsyncClient, platform: Platform
) -> None:
    body = {"messages": [HELLO]}
    statuses = [(await send(client, "broadcast", body)).status_code for _ in range(61)]
    assert statuses == [200] * 60 + [429]

    platform.clock.advance(timedelta(hours=1))
    assert (await send(client, "broadcast", body)).status_code == 200


async def test_rate_limits_can_be_switched_off() -> None:
    app = create_app(Settings(channels=(CHANNEL,), rate_limits=False))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://line.test") as client:
        statuses = {
            (await send(client, "broadcast", {"messages": [HELLO]})).status_code for _ in range(70)
        }
    await close(app)

    assert statuses == {200}
