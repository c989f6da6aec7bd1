"""Deliveries become calls, and each person gets each message once, whatever LINE and we break."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from core.db import table
from core.line.client import LineClient, SendKind
from core.runtime import Runtime
from crm import channels
from crm.models import BLOCKED, Friend
from delivery import dispatcher
from delivery.dispatcher import dispatch
from delivery.models import Delivery
from tests.breaking import Statements
from tests.cast import Cast
from tests.conftest import CHANNEL_TOKEN
from tests.delivery.conftest import Post


async def test_a_fresh_reply_token_serves_first_and_pushes_follow(post: Post, cast: Cast) -> None:
    hana = await cast.hana()
    await post.token_of(hana)

    await post.queue(hana, "ようこそ")
    await post.send()
    await post.queue(hana, "またどうぞ")
    await post.send()

    assert cast.said_to(hana) == [("reply", "ようこそ"), ("push", "またどうぞ")]
    assert (await post.counted()).popitem()[1] == 1  # a reply is free


async def test_an_old_reply_token_is_not_tried(post: Post, cast: Cast) -> None:
    hana = await cast.hana()
    await post.token_of(hana)

    await post.travel(timedelta(seconds=56))
    await post.queue(hana)
    await post.send()

    assert [call.endpoint for call in await post.calls()] == ["push"]


async def test_what_waits_for_one_person_goes_out_in_calls_of_five_in_order(
    post: Post, cast: Cast
) -> None:
    ken = await cast.ken()
    for words in (("一", "二"), ("三",), ("四", "五"), ("六", "七", "八"), ("九", "十", "十一")):
        await post.queue(ken, *words)

    await post.send()

    calls = [[m["text"] for m in call.messages] for call in post.accepted]
    assert calls == [
        ["一", "二", "三", "四", "五"],
        ["六", "七", "八"],  # three more would be six
        ["九", "十", "十一"],
    ]
    assert (await post.counted()).popitem()[1] == 3  # LINE counts people, not messages


async def test_what_is_not_due_yet_waits(post: Post, cast: Cast) -> None:
    ken = await cast.ken()
    later = await post.queue(ken, "あとで", due_in=timedelta(minutes=1))
    now = await post.queue(ken, "いま")

    await post.send()

    assert await post.states(now, later) == ["sent", "waiting"]


async def test_the_next_call_to_a_person_waits_until_the_one_before_is_settled(
    post: Post, cast: Cast
) -> None:
    hana, ken = await cast.hana(), await cast.ken()
    first = await post.queue(hana, "一")
    post.faults({"kind": "cut_before", "times": 1})
    await dispatch(post.runtime)

    second, other = await post.queue(hana, "二"), await post.queue(ken, "別の人へ")
    await dispatch(post.runtime)

    assert await post.states(first, second, other) == ["sending", "waiting", "sent"]
    await post.send()
    assert cast.said_to(hana) == [("push", "一"), ("push", "二")]


# Each of these ends with one message on the phone, under one key, and one push counted.
@pytest.mark.parametrize(
    ("fault", "seed"),
    [
        ("500", 1),  # the coin of this seed: not carried out
        ("500", 4),  # carried out, then 500
        ("cut_before", 1),
        ("cut_after", 1),
        ("502_html", 1),
        ("429", 1),
    ],
)
async def test_a_push_arrives_once_whatever_happens_to_the_first_attempts(
    post: Post, cast: Cast, fault: str, seed: int
) -> None:
    ken = await cast.ken()
    id_ = await post.queue(ken, "一度だけ")
    post.faults({"kind": fault, "endpoint": "push", "times": 3}, seed=seed)

    await post.send()

    (call,) = await post.calls()
    assert cast.said_to(ken) == [("push", "一度だけ")]
    assert [taken.retry_key for taken in post.accepted] == [str(call.id)]
    assert (await post.delivery(id_)).request_id == post.accepted[0].request_id
    assert (await post.delivery(id_)).state == "sent"
    assert (call.state, post.violations) == ("done", [])
    assert (await post.counted()).popitem()[1] == 1


def test_the_coins_of_the_seeds_fall_as_the_table_says(post: Post) -> None:
    def carried_out(seed: int) -> bool:
        post.faults({"kind": "500"}, seed=seed)
        post.line.platform.faults.strike("push")
        return post.line.platform.faults.heads()

    assert [carried_out(1), carried_out(4)] == [False, True]


@pytest.fixture
async def impatient(post: Post) -> AsyncIterator[Runtime]:
    """A runtime that waits for LINE a quarter of a second only."""
    url = post.line.url
    async with LineClient(url, url, total_seconds=0.25) as client:
        yield replace(post.runtime, line=client)


async def test_a_push_that_line_answers_too_late_arrives_once(
    post: Post, cast: Cast, impatient: Runtime
) -> None:
    ken = await cast.ken()
    id_ = await post.queue(ken, "遅れて届く")
    post.faults({"kind": "slow", "times": 1, "delay_seconds": 0.4})

    await dispatch(impatient)
    after_timeout = (await post.calls())[0]
    await asyncio.sleep(0.3)
    await post.send()

    assert (after_timeout.outcome, after_timeout.uncertain) == ("unknown", True)
    assert cast.said_to(ken) == [("push", "遅れて届く")]
    assert await post.states(id_) == ["sent"]


async def test_nobody_at_lines_address_is_no_reason_to_doubt(post: Post, cast: Cast) -> None:
    ken = await cast.ken()
    id_ = await post.queue(ken)
    async with LineClient("http://127.0.0.1:9", "http://127.0.0.1:9") as nowhere:
        await dispatch(replace(post.runtime, line=nowhere))

    (call,) = await post.calls()
    await post.send()

    assert (call.state, call.outcome, call.uncertain) == ("open", "not_sent", False)
    assert await post.states(id_) == ["sent"]


async def test_a_refused_token_keeps_messages_until_it_is_mended(post: Post, cast: Cast) -> None:
    hana, ken = await cast.hana(), await cast.ken()
    await post.token_of(hana)
    ids = [await post.queue(hana, "返信"), await post.queue(ken, "お知らせ")]
    await post.mend_token("a-token-that-LINE-does-not-know")
    await dispatch(post.runtime)
    while_broken = await post.states(*ids)

    await post.mend_token(CHANNEL_TOKEN)
    await post.lease_over()
    await post.send()

    assert while_broken == ["sending", "sending"]
    assert cast.said_to(hana) == [("reply", "返信")]
    assert cast.said_to(ken) == [("push", "お知らせ")]


async def test_over_lines_monthly_limit_a_push_is_held_and_not_counted(
    post: Post, cast: Cast
) -> None:
    id_ = await post.queue(await cast.ken())
    post.faults({"kind": "quota", "times": 1})

    await post.send()

    row = await post.delivery(id_)
    assert (row.state, row.reason, row.detail) == (
        "held",
        "quota",
        "You have reached your monthly limit.",
    )
    assert (await post.counted()).popitem()[1] == 0


async def test_what_line_finds_malformed_fails_with_its_words(post: Post, cast: Cast) -> None:
    ken = await cast.ken()
    id_ = await post.queue(ken)
    async with post.runtime.db.transaction() as session:  # past our own check
        d = table(Delivery)
        await session.execute(update(d).values(messages=b'[{"type":"text","text":""}]'))

    await post.send()

    row = await post.delivery(id_)
    assert (row.state, row.reason, row.attempts) == ("failed", "refused", 1)
    assert "messages[0].text" in row.detail
    assert (await post.counted()).popitem()[1] == 0


async def test_one_bad_message_does_not_hold_up_other_people(post: Post, cast: Cast) -> None:
    people = await cast.crowd(5)
    ids = [await post.queue(friend, friend.display_name or "") for friend in people]
    async with post.runtime.db.transaction() as session:
        d = table(Delivery)
        bad = update(d).where(d.c.id == ids[2])
        await session.execute(bad.values(messages=b'[{"type":"text","text":""}]'))

    await post.send()

    assert await post.states(*ids) == ["sent", "sent", "failed", "sent", "sent"]


# LINE refused the token for sure: a push follows. We do not know: staff decide.
async def test_a_push_follows_a_reply_whose_token_had_expired(post: Post, cast: Cast) -> None:
    hana = await cast.hana()
    await post.token_of(hana)
    post.line.platform.clock.advance(timedelta(minutes=2))  # LINE's clock is ahead of ours
    id_ = await post.queue(hana, "こんにちは")

    await post.send()

    assert {call.endpoint for call in await post.calls()} == {"reply", "push"}
    assert cast.said_to(hana) == [("push", "こんにちは")]
    assert await post.states(id_) == ["sent"]


async def test_a_push_follows_a_reply_whose_token_somebody_else_has_used(
    post: Post, cast: Cast
) -> None:
    hana = await cast.hana()
    token = await post.token_of(hana)
    body = b'{"replyToken":"%s","messages":[{"type":"text","text":"LINE Manager"}]}'
    send = post.runtime.line.send
    await send(SendKind.reply, CHANNEL_TOKEN, body % token.encode(), retry_key=None)
    await post.queue(hana, "こんにちは")

    await post.send()

    assert cast.said_to(hana) == [("reply", "LINE Manager"), ("push", "こんにちは")]


@pytest.mark.parametrize(
    ("fault", "state", "heard"),
    [
        ("cut_before", "sent", ["reply"]),  # the same token again
        ("502_html", "sent", ["reply"]),
        ("429", "sent", ["reply"]),
        ("cut_after", "held", ["reply"]),  # the token is used up: perhaps by us, so no push
    ],
)
async def test_an_answer_that_may_have_arrived_is_not_doubled(
    post: Post, cast: Cast, fault: str, state: str, heard: list[str]
) -> None:
    hana = await cast.hana()
    await post.token_of(hana)
    id_ = await post.queue(hana)
    post.faults({"kind": fault, "endpoint": "reply", "times": 1})

    await post.send()

    row = await post.delivery(id_)
    assert row.state == state
    assert row.reason == ("outcome_unknown" if state == "held" else None)
    assert [via for via, _text in cast.said_to(hana)] == heard
    assert post.violations == []


async def test_who_has_blocked_us_gets_nothing(post: Post, cast: Cast) -> None:
    id_ = await post.queue(await cast.yui())

    await post.send()

    row = await post.delivery(id_)
    assert (row.state, row.reason) == ("suppressed", "blocked")
    assert post.accepted == []
    assert await post.calls() == []


@pytest.mark.parametrize(
    ("fault", "state", "counted"),
    [
        ("429", "suppressed", 0),  # surely not taken: not tried again
        ("cut_before", "sent", 1),  # unknown: the same key tells, and LINE reaches nobody
    ],
)
async def test_who_blocks_us_between_two_attempts_is_left_alone(
    post: Post, cast: Cast, fault: str, state: str, counted: int
) -> None:
    ken = await cast.ken()
    id_ = await post.queue(ken)
    post.faults({"kind": fault, "times": 1})
    await dispatch(post.runtime)

    cast.block(ken)
    async with post.runtime.db.transaction() as session:
        await session.execute(update(table(Friend)).values(status=BLOCKED))
    await post.lease_over()
    await post.send()

    assert await post.states(id_) == [state]
    assert cast.said_to(ken) == []
    assert [call.state for call in await post.calls()] == ["done"]
    assert (await post.counted()).popitem()[1] == counted


async def test_a_batch_takes_a_bounded_number_of_statements(
    post: Post, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "SETTLE_SECONDS", 60)  # answers are else written as they come
    few, many = await cast.crowd(3), await cast.befriend(*(f"客{n}" for n in range(80)))

    async def statements(people: list[Friend]) -> int:
        for friend in people:
            await post.queue(friend)
        channels.of(post.runtime).forget()  # both read them anew
        with Statements(post.runtime) as counted:
            await dispatch(post.runtime)
        return counted.number

    assert await statements(few) >= await statements(many)
