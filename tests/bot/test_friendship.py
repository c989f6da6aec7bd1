"""Followed, blocked, back again: told apart by when it happened, not by when we hear of it."""

import itertools

import pytest
from sqlalchemy import insert

from core.clock import AT_ONCE
from core.db import table
from core.runtime import Runtime
from crm.models import Activity, Customer
from delivery.models import SENT, SUPPRESSED, WAITING, Delivery
from tests.bot.helpers import (
    HANA,
    KEN,
    Event,
    Webhook,
    count,
    event,
    follow,
    friend,
    handle,
    kinds,
    rows,
    text,
    unfollow,
)


async def news(runtime: Runtime) -> list[tuple[str, bool | None]]:
    """The activities, and of each follow whether it was a return."""
    return [(row.kind, row.data.get("back")) for row in await rows(runtime, Activity)]


async def test_a_new_friend_is_new(webhook: Webhook, runtime: Runtime) -> None:
    await webhook.bring_and_handle(follow())

    hana = await friend(runtime)
    assert (hana.status, hana.follow_count) == ("following", 1)
    assert hana.followed_at == hana.status_at
    assert await news(runtime) == [("followed", False)]
    assert await count(runtime, Customer) == 1


async def test_who_blocks_and_comes_back_is_back(webhook: Webhook, runtime: Runtime) -> None:
    await webhook.bring_and_handle(follow(at=1))
    await webhook.bring_and_handle(unfollow(at=2))
    blocked = await friend(runtime)
    await webhook.bring_and_handle(follow(at=3, unblocked=True))

    hana = await friend(runtime)
    assert (blocked.status, blocked.blocked_at) == ("blocked", blocked.status_at)
    assert (hana.status, hana.blocked_at, hana.follow_count) == ("following", None, 2)
    assert await news(runtime) == [("followed", False), ("blocked", None), ("followed", True)]
    assert await count(runtime, Customer) == 1


@pytest.mark.parametrize("flag", [True, False])
async def test_who_came_back_is_known_by_our_own_memory_whatever_line_says(
    webhook: Webhook, runtime: Runtime, flag: bool
) -> None:
    await webhook.bring_and_handle(follow(at=1), unfollow(at=2))
    await webhook.bring_and_handle(follow(at=3, unblocked=flag))

    assert (await news(runtime))[-1] == ("followed", True)


@pytest.mark.parametrize("told", [None, {}, {"isUnblocked": "true"}, "x"])
async def test_old_or_strange_follow_events_are_first_ones(
    webhook: Webhook, runtime: Runtime, told: object
) -> None:
    await webhook.bring_and_handle(event("follow", follow=told))

    assert await news(runtime) == [("followed", False)]


async def test_somebody_unblocks_whom_we_never_met(webhook: Webhook, runtime: Runtime) -> None:
    await webhook.bring_and_handle(follow(unblocked=True))

    assert await news(runtime) == [("followed", True)]


async def test_an_unfollow_that_comes_late_does_not_undo_the_return(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring_and_handle(follow(at=1))
    await webhook.bring_and_handle(follow(at=3, unblocked=True))
    await webhook.bring_and_handle(unfollow(at=2))

    assert (await friend(runtime)).status == "following"
    assert [kind for kind, _back in await news(runtime)] == ["followed", "followed"]


async def test_a_follow_that_comes_late_does_not_undo_the_block(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring_and_handle(unfollow(at=2))
    await webhook.bring_and_handle(follow(at=1))

    assert (await friend(runtime)).status == "blocked"
    assert await kinds(runtime) == ["blocked"]


ORDERS = list(itertools.permutations(range(4)))


@pytest.mark.parametrize("together", [True, False])
async def test_in_whatever_order_the_news_come_the_last_one_by_time_stands(
    webhook: Webhook, runtime: Runtime, together: bool
) -> None:
    for number, order in enumerate(ORDERS):
        user = f"U{number:032x}"
        events = [follow(user, at=1), unfollow(user, at=2), follow(user, at=3, unblocked=True),
                  unfollow(user, at=4)]  # fmt: skip
        if together:
            await webhook.bring_and_handle(*(events[n] for n in order))
        else:
            for n in order:
                await webhook.bring_and_handle(events[n])

    for number in range(len(ORDERS)):
        found = await friend(runtime, f"U{number:032x}")
        assert found.status == "blocked", ORDERS[number]
        if together:
            assert found.follow_count == 2


async def test_the_same_follow_twice_under_two_ids_is_one_activity(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring_and_handle(follow(at=1))
    await webhook.bring_and_handle(follow(at=1))

    assert await kinds(runtime) == ["followed"]


@pytest.mark.parametrize(
    "first",
    [text("こんにちは"), event("postback", postback={"data": "x"}), unfollow(),
     event("beacon", beacon={"hwid": "x", "type": "enter"}), event("tomorrow"),
     event("videoPlayComplete", videoPlayComplete={"trackingId": "x"}),
     event("membership", membership={"type": "joined", "membershipId": 1})],
    ids=lambda first: first["type"],
)  # fmt: skip
async def test_whoever_knew_us_before_is_a_friend_from_any_first_event_on(
    webhook: Webhook, runtime: Runtime, first: Event
) -> None:
    await webhook.bring_and_handle(first | {"webhookEventId": f"first-{runtime.db.url}"})

    hana = await friend(runtime)
    assert hana.status == ("blocked" if first["type"] == "unfollow" else "following")
    assert hana.follow_count == 0
    assert hana.profile_due_at == AT_ONCE
    assert "followed" not in await kinds(runtime)


async def test_who_writes_has_not_blocked_us_even_if_the_news_of_their_return_was_lost(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring_and_handle(follow(at=1), unfollow(at=2))
    await webhook.bring_and_handle(text("ただいま", at=3))

    hana = await friend(runtime)
    assert (hana.status, hana.blocked_at) == ("following", None)
    assert [row.state for row in await rows(runtime, Delivery)] == [WAITING]


async def test_a_message_from_before_the_block_does_not_lift_it(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring_and_handle(follow(at=1), unfollow(at=3))
    await webhook.bring_and_handle(text("まえ", at=2))

    assert (await friend(runtime)).status == "blocked"


async def queue(runtime: Runtime, user: str, *states: str) -> None:
    """Deliveries of a friend in these states."""
    whose = await friend(runtime, user)
    values = [
        {"channel_id": whose.channel_id, "friend_id": whose.id, "source": f"{user}:{number}",
         "purpose": "marketing", "messages": b'[{"type":"text","text":"x"}]', "message_count": 1,
         "state": state, "due_at": AT_ONCE, "attempts": 0, "created_at": AT_ONCE}
        for number, state in enumerate(states)
    ]  # fmt: skip
    async with runtime.db.transaction() as session:
        await session.execute(insert(table(Delivery)), values)


async def test_a_block_suppresses_what_waits_for_this_friend_and_nothing_else(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring_and_handle(follow(at=1), follow(KEN, at=1))
    await queue(runtime, HANA, WAITING, WAITING, SENT)
    await queue(runtime, KEN, WAITING)

    await webhook.bring_and_handle(unfollow(at=2))

    found = {row.source: (row.state, row.reason) for row in await rows(runtime, Delivery)}
    blocked = (SUPPRESSED, "blocked")
    assert found == {
        f"{HANA}:0": blocked, f"{HANA}:1": blocked, f"{HANA}:2": (SENT, None),
        f"{KEN}:0": (WAITING, None),
    }  # fmt: skip


async def test_a_late_block_suppresses_nothing(webhook: Webhook, runtime: Runtime) -> None:
    await webhook.bring_and_handle(follow(at=3))
    await queue(runtime, HANA, WAITING)

    await webhook.bring_and_handle(unfollow(at=2))

    assert [row.state for row in await rows(runtime, Delivery)] == [WAITING]


async def test_an_answer_given_in_the_same_batch_as_the_block_does_not_go_out(
    webhook: Webhook, runtime: Runtime
) -> None:
    """It may wait, but the dispatcher looks at the friend before it sends."""
    await webhook.bring(text("こんにちは", at=1), unfollow(at=2))
    await handle(runtime)

    hana = await friend(runtime)
    assert hana.status == "blocked"
    assert {row.state for row in await rows(runtime, Delivery)} <= {WAITING, SUPPRESSED}


async def test_other_news_of_a_friend_become_activities(webhook: Webhook, runtime: Runtime) -> None:
    await webhook.bring_and_handle(
        event("beacon", beacon={"hwid": "d41d8cd98f", "type": "enter"}),
        event("videoPlayComplete", videoPlayComplete={"trackingId": "video-1"}, at=1),
        event("membership", membership={"type": "joined", "membershipId": 3189}, at=2),
    )

    assert [(row.kind, row.data) for row in await rows(runtime, Activity)] == [
        ("beacon_entered", {"hwid": "d41d8cd98f", "type": "enter"}),
        ("video_watched", {"tracking_id": "video-1"}),
        ("membership_changed", {"type": "joined", "membership_id": 3189}),
    ]
