"""The bill is known: every push is counted before it goes, and held when it does not fit."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from core.db import table
from core.runtime import Runtime
from crm.models import Channel
from delivery import quota
from delivery.dispatcher import dispatch
from tests.cast import Cast
from tests.delivery.conftest import Post


async def channel_id(runtime: Runtime) -> int:
    async with runtime.db.reading() as session:
        return int((await session.scalars(select(table(Channel).c.id))).one())


async def reserve(runtime: Runtime, wanted: int) -> int:
    channel, now = await channel_id(runtime), await runtime.clock.now()
    async with runtime.db.transaction() as session:
        return await quota.reserve(session, channel, wanted, now=now)


# Japan is nine hours ahead all year, so its month begins at 15:00 UTC.
@pytest.mark.parametrize(
    ("moment", "month"),
    [
        (datetime(2026, 10, 31, 14, 59, 59, tzinfo=UTC), "2026-10"),
        (datetime(2026, 10, 31, 15, 0, tzinfo=UTC), "2026-11"),
        (datetime(2026, 12, 31, 15, 0, tzinfo=UTC), "2027-01"),
        (datetime(2028, 2, 29, 14, 59, tzinfo=UTC), "2028-02"),
        (datetime(2028, 2, 29, 15, 0, tzinfo=UTC), "2028-03"),
    ],
)
def test_months_change_at_midnight_in_japan(moment: datetime, month: str) -> None:
    assert quota.month_of(moment) == month


# (limit, LINE's own count, ours, wanted) → granted: the higher count is believed
@pytest.mark.parametrize(
    ("limit", "used", "earlier", "wanted", "granted"),
    [
        (200, 0, 0, 10, 10),
        (200, 195, 0, 10, 5),
        (200, 0, 195, 10, 5),
        (200, 200, 0, 1, 0),
        (200, 250, 0, 1, 0),  # sent from LINE's manager meanwhile
        (0, 0, 0, 1, 0),
    ],
)
async def test_as_many_fit_as_the_month_has_left(
    post: Post, limit: int, used: int, earlier: int, wanted: int, granted: int
) -> None:
    await post.quota_is(limit, used=used)
    assert await reserve(post.runtime, earlier) == earlier

    assert await reserve(post.runtime, wanted) == granted


async def test_until_line_has_told_the_limit_everything_fits(post: Post) -> None:
    assert await reserve(post.runtime, 1_000_000) == 1_000_000


async def test_reserving_at_once_never_exceeds_the_limit(post: Post) -> None:
    await post.quota_is(100)

    granted = await asyncio.gather(*(reserve(post.runtime, 8) for _ in range(20)))

    assert sum(granted) == 100
    assert list((await post.counted()).values()) == [100]


async def test_a_new_month_begins_at_nothing(post: Post) -> None:
    await post.quota_is(5)
    assert await reserve(post.runtime, 9) == 5

    await _travel_to_next_month(post, timedelta(0))

    assert await reserve(post.runtime, 9) == 9
    assert list((await post.counted()).values()) == [5, 9]


async def test_giving_back_never_goes_below_nothing(post: Post) -> None:
    channel, now = await channel_id(post.runtime), await post.now()
    await reserve(post.runtime, 3)

    async with post.runtime.db.transaction() as session:
        await quota.give_back(session, channel, 2, reserved_at=now)
        await quota.give_back(session, channel, 2, reserved_at=now)

    assert list((await post.counted()).values()) == [0]


async def test_a_push_refused_after_midnight_is_given_back_to_the_month_that_counted_it(
    post: Post, cast: Cast
) -> None:
    ken = await cast.ken()
    await _travel_to_next_month(post, timedelta(minutes=-1))
    await post.queue(ken)
    post.faults({"kind": "429", "times": 1}, {"kind": "quota", "times": 1})
    await dispatch(post.runtime)

    await post.travel(timedelta(minutes=2))
    await reserve(post.runtime, 7)
    await post.send()

    assert list((await post.counted()).values()) == [0, 7]


async def test_what_does_not_fit_is_held_with_its_reason_and_the_rest_goes(
    post: Post, cast: Cast
) -> None:
    people = await cast.crowd(5)
    ids = [await post.queue(friend) for friend in people]
    await post.quota_is(3)

    await post.send()

    states = await post.states(*ids)
    assert (states.count("sent"), states.count("held")) == (3, 2)
    assert {(await post.delivery(id_)).reason for id_ in ids} == {None, "quota"}
    assert len(post.accepted) == 3


async def test_more_quota_lets_go_what_was_held_as_far_as_it_reaches(
    post: Post, cast: Cast
) -> None:
    people = await cast.crowd(4)
    await post.quota_is(0)
    ids = [await post.queue(friend) for friend in people]
    await post.send()
    held = await post.states(*ids)

    cast.line_channel.monthly_quota = 3
    assert await quota.refresh(post.runtime) == 1
    await post.send()

    assert held == ["held"] * 4
    assert await post.states(*ids) == ["sent", "sent", "sent", "held"]


@pytest.mark.parametrize(("hours", "state"), [(23, "sent"), (25, "held")])
async def test_what_was_held_for_longer_than_a_day_is_left_to_staff(
    post: Post, cast: Cast, hours: int, state: str
) -> None:
    id_ = await post.queue(await cast.ken())
    await post.quota_is(0)
    await post.send()

    await post.travel(timedelta(hours=hours))
    cast.line_channel.monthly_quota = None
    await quota.refresh(post.runtime)
    await post.send()

    assert await post.states(id_) == [state]


async def test_a_day_of_refusals_is_a_day_however_often_we_ask(post: Post, cast: Cast) -> None:
    """LINE may refuse while its count has room: a narrowcast has reserved the month's rest."""
    id_ = await post.queue(await cast.ken())
    post.faults({"kind": "quota", "endpoint": "push"})
    for _ in range(6):
        await quota.refresh(post.runtime)
        await post.send()
        await post.travel(timedelta(hours=5))

    post.faults()
    await quota.refresh(post.runtime)
    await post.send()

    assert await post.states(id_) == ["held"]
    assert list((await post.counted()).values())[-1] == 0


async def test_line_counts_what_its_own_manager_has_sent(post: Post, cast: Cast) -> None:
    await reserve(post.runtime, 10)
    now = post.line.platform.clock.now()
    cast.line_channel.usage[now.astimezone(quota.JAPAN).strftime("%Y%m")] = 180
    cast.line_channel.monthly_quota = 200

    await quota.refresh(post.runtime)

    assert await reserve(post.runtime, 50) == 20


async def test_when_line_does_not_answer_the_last_figures_stay(post: Post) -> None:
    await post.quota_is(5)
    post.faults({"kind": "502_html"})

    assert await quota.refresh(post.runtime) == 0
    assert await reserve(post.runtime, 9) == 5


async def _travel_to_next_month(post: Post, more: timedelta) -> None:
    now = (await post.now()).astimezone(quota.JAPAN)
    day_of_next = now.replace(day=1) + timedelta(days=32)
    first = day_of_next.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    await post.travel(first - now + more)
