"""Handling: in order per friend, once, and one bad event holds up nobody else."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.conversation import converse
from bot.handling import FIRST_PAUSE, MAX_ATTEMPTS, belt, due, handle_batch
from bot.models import HANDLED, IGNORED, PARKED, RECEIVED, ReceivedMessage, WebhookEvent
from bot.turn import Replies, Turn
from core import jobs
from core.db import table
from core.errors import Invalid
from core.jobs import BeltRunner
from core.runtime import Runtime, running
from crm import channels
from crm.models import Activity, Friend
from delivery.models import Delivery
from tests.bot.helpers import (
    HANA,
    KEN,
    YUI,
    Event,
    Webhook,
    count,
    edited,
    event,
    follow,
    handle,
    kinds,
    make_due,
    rest,
    rows,
    said,
    states,
    text,
    unfollow,
)
from tests.breaking import Statements, Stopped, dying_at_commit


class Heard:
    """An answerer that notes who said what and fails at some words."""

    def __init__(self, fails_at: Sequence[str] = (), *, says: str | None = None) -> None:
        self.fails_at, self.says = set(fails_at), says
        self.texts: list[str] = []

    async def __call__(self, turn: Turn) -> Replies | None:
        words = turn.text or turn.type
        if words in self.fails_at:
            raise Invalid(self.says) if self.says else ValueError("hunter2")
        self.texts.append(words)
        turn.note("replied", text=words)
        return [{"type": "text", "text": words}]


async def work_off(runtime: Runtime, answer: Any) -> None:
    """Handle until nothing moves."""
    while await handle_batch(runtime, answer):
        pass


async def acted(runtime: Runtime) -> list[str]:
    """Which words have acted, in order: what was rolled back is not among them."""
    return [row.data["text"] for row in await rows(runtime, Activity)]


async def test_events_of_one_friend_act_in_order_of_their_time_however_they_arrive(
    webhook: Webhook, runtime: Runtime
) -> None:
    events = [text(str(n), user, at=n) for n in range(30) for user in (HANA, KEN)]
    random.Random(1).shuffle(events)
    heard = Heard()

    for start in range(0, 60, 7):
        await webhook.bring(*events[start : start + 7])
    await work_off(runtime, heard)

    assert heard.texts == [str(n) for n in range(30) for _ in range(2)]


async def test_events_of_the_same_moment_act_as_they_came(
    webhook: Webhook, runtime: Runtime
) -> None:
    heard = Heard()
    await webhook.bring(*(text(str(n)) for n in range(20)))

    await work_off(runtime, heard)

    assert heard.texts == [str(n) for n in range(20)]


async def test_answers_wait_in_the_order_in_which_they_were_given(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring(text("2", at=2), text("1", at=1), text("3", at=3))

    await work_off(runtime, Heard())

    assert await said(runtime) == ["1", "2", "3"]


async def test_an_event_that_fails_is_tried_again_and_then_parked_for_all_to_see(
    webhook: Webhook, runtime: Runtime
) -> None:
    heard = Heard(["bad"])
    await webhook.bring(text("bad"))

    for attempt, seconds in enumerate((1, 2, 4, 8, 16), start=1):  # FIRST_PAUSE, then doubled
        before = runtime.clock.wall()
        await handle_batch(runtime, heard)
        after = runtime.clock.wall()
        [row] = await rows(runtime, WebhookEvent)
        pause = timedelta(seconds=seconds)
        assert (row.state, row.attempts) == (RECEIVED, attempt)
        assert before + pause <= row.retry_at <= after + pause
        await make_due(runtime)
    await handle_batch(runtime, heard)
    await work_off(runtime, heard)

    [row] = await rows(runtime, WebhookEvent)
    assert (row.state, row.reason, row.attempts) == (PARKED, "ValueError", MAX_ATTEMPTS)
    assert timedelta(seconds=1) == FIRST_PAUSE
    assert not heard.texts


async def test_an_event_that_backs_off_is_not_tried_before_its_time(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring(text("bad"))
    await handle_batch(runtime, Heard(["bad"]))
    await rest(runtime)

    assert await handle_batch(runtime, Heard()) == 0
    [row] = await rows(runtime, WebhookEvent)
    assert (row.state, row.attempts) == (RECEIVED, 1)
    async with runtime.db.reading() as session:
        assert (await due(session, await runtime.clock.now())).count == 1


async def test_a_failure_shows_its_kind_and_for_our_own_errors_its_sentence(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring(text("bad"))
    await work_off(runtime, Heard(["bad"], says="a message is too long" + "x" * 500))

    [row] = await rows(runtime, WebhookEvent)
    assert row.reason.startswith("a message is too long")
    assert len(row.reason) == 200


async def test_one_bad_event_holds_up_nobody_else_and_its_friends_later_ones_only_until_the_end(
    webhook: Webhook, runtime: Runtime
) -> None:
    heard = Heard(["bad"])
    await webhook.bring(
        text("before", at=1), text("bad", at=2), text("after", at=3), text("ken", KEN, at=4),
        text("yui", YUI, at=1),
    )  # fmt: skip

    await work_off(runtime, heard)
    first = await acted(runtime)
    for _ in range(MAX_ATTEMPTS):
        await make_due(runtime)
        await work_off(runtime, heard)

    assert sorted(first) == ["before", "ken", "yui"]
    assert (await acted(runtime))[3:] == ["after"]
    assert sorted((await states(runtime)).values()) == [*[HANDLED] * 4, PARKED]


async def test_a_bad_event_does_not_undo_what_others_of_its_batch_did(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring(text("ken", KEN), text("bad"), text("yui", YUI))

    await work_off(runtime, Heard(["bad"]))

    recorded = [row.data["text"] for row in await rows(runtime, Activity)]
    assert sorted(recorded) == ["ken", "yui"]
    assert sorted(await said(runtime)) == ["ken", "yui"]


async def test_an_answer_that_line_would_refuse_parks_its_own_event_only(
    webhook: Webhook, runtime: Runtime
) -> None:
    async def too_long(turn: Turn) -> Replies:
        return [{"type": "text", "text": "x" * (6_000 if turn.text == "bad" else 1)}]

    await webhook.bring(text("bad"), text("good", KEN))
    for _ in range(MAX_ATTEMPTS):
        await work_off(runtime, too_long)
        await make_due(runtime)

    found = await rows(runtime, WebhookEvent)
    assert [row.state for row in found] == [PARKED, HANDLED]
    assert "5000" in found[0].reason
    assert await said(runtime) == ["x"]


async def test_many_events_behind_a_bad_one_do_not_keep_others_waiting(
    webhook: Webhook, runtime: Runtime
) -> None:
    heard = Heard(["bad"])
    await webhook.bring(text("bad", at=0), *(text(f"hana {n}", at=n) for n in range(1, 250)))
    await handle_batch(runtime, heard)
    await rest(runtime)

    await webhook.bring(text("ken", KEN))
    await work_off(runtime, heard)

    assert await acted(runtime) == ["ken"]


async def test_many_friends_who_back_off_do_not_keep_others_waiting(
    webhook: Webhook, runtime: Runtime
) -> None:
    heard = Heard(["bad"])
    people = [f"U{number:032x}" for number in range(120)]
    await webhook.bring(*(text("bad", person) for person in people))
    await webhook.bring(*(text("later", person, at=1) for person in people))
    for _ in range(3):
        await handle_batch(runtime, heard)
        await rest(runtime)

    await webhook.bring(text("ken", KEN, at=5))
    await work_off(runtime, heard)

    assert await acted(runtime) == ["ken"]


async def test_a_late_older_event_may_act_while_a_newer_one_of_the_friend_backs_off(
    webhook: Webhook, runtime: Runtime
) -> None:
    heard = Heard(["bad"])
    await webhook.bring(text("bad", at=10))
    await work_off(runtime, heard)
    await webhook.bring(text("older", at=5), text("newer", at=15))
    await work_off(runtime, heard)
    heard.fails_at.clear()
    await make_due(runtime)
    await work_off(runtime, heard)

    assert await acted(runtime) == ["older", "bad", "newer"]


@pytest.mark.parametrize("commit", [1, 2])
async def test_a_crash_at_the_commit_leaves_all_to_be_done_again_once(
    webhook: Webhook, runtime: Runtime, commit: int
) -> None:
    await webhook.bring(follow(), text("こんにちは", at=1), text("はい", KEN, at=1))

    with suppress(Stopped), dying_at_commit(runtime, commit):
        await handle_batch(runtime, converse)
    await make_due(runtime)
    await handle(runtime)
    await make_due(runtime)
    await handle(runtime)

    assert sorted(await kinds(runtime)) == ["followed", "replied", "replied"]
    assert await count(runtime, Delivery) == 2
    assert await count(runtime, ReceivedMessage) == 2
    assert await count(runtime, Friend) == 2
    assert set((await states(runtime)).values()) == {HANDLED}


async def test_a_redelivered_event_does_not_act_again_after_it_was_handled(
    webhook: Webhook, runtime: Runtime
) -> None:
    greeting = follow()
    await webhook.bring_and_handle(greeting)
    await webhook.bring_and_handle(greeting | {"deliveryContext": {"isRedelivery": True}})

    assert await kinds(runtime) == ["followed"]


@pytest.mark.parametrize("kind", ["message", "postback", "follow"])
async def test_in_standby_another_module_speaks_and_we_do_not(
    webhook: Webhook, runtime: Runtime, kind: str
) -> None:
    made = text("ヘルプ") | {"type": kind, "mode": "standby", "postback": {"data": "x"}}
    del made["replyToken"]

    await webhook.bring_and_handle(made)

    [row] = await rows(runtime, WebhookEvent)
    assert (row.state, row.reason) == (HANDLED, "standby")
    assert await count(runtime, Delivery) == 0
    assert await count(runtime, Friend) == 1


@pytest.mark.parametrize(
    "source",
    [{"type": "group", "groupId": "C" + "1" * 32, "userId": HANA},
     {"type": "room", "roomId": "R" + "1" * 32, "userId": HANA},
     {"type": "group", "groupId": "C" + "1" * 32}, {"type": "tomorrow", "userId": HANA}],
    ids=["group", "room", "group without user", "unknown source"],
)  # fmt: skip
async def test_groups_get_no_answer_and_make_no_friends(
    webhook: Webhook, runtime: Runtime, source: dict[str, str]
) -> None:
    await webhook.bring_and_handle(text("ヘルプ", source=source))

    [row] = await rows(runtime, WebhookEvent)
    assert (row.state, row.reason) == (IGNORED, "no friend")
    assert await count(runtime, Friend) == 0
    assert await count(runtime, Delivery) == 0


async def test_what_is_said_in_a_group_is_not_kept(webhook: Webhook, runtime: Runtime) -> None:
    group = {"type": "group", "groupId": "C" + "1" * 32, "userId": HANA}
    message = text("ひみつのはなし", source=group)

    await webhook.bring_and_handle(
        message, edited(message["message"]["id"], "ひみつのつづき", at=1) | {"source": group}
    )

    assert await count(runtime, ReceivedMessage) == 0
    assert "ひみつ" not in str([row.payload for row in await rows(runtime, WebhookEvent)])


async def test_a_friend_in_a_group_and_alone_are_two_lanes(
    webhook: Webhook, runtime: Runtime
) -> None:
    group = {"type": "group", "groupId": "C" + "1" * 32, "userId": HANA}

    await webhook.bring_and_handle(
        event("join", None, source={"type": "group", "groupId": "C" + "1" * 32}),
        event("memberJoined", None, source=group, joined={"members": []}),
        text("ひとり"),
        event("delivery", None, delivery={"data": "x"}),
        event("accountLink", None, link={"result": "failed", "nonce": "x"}),
    )

    found = [(row.type, row.state) for row in await rows(runtime, WebhookEvent)]
    assert found == [
        ("join", IGNORED), ("memberJoined", IGNORED), ("message", HANDLED), ("delivery", IGNORED),
        ("accountLink", IGNORED),
    ]  # fmt: skip


async def test_an_event_for_a_channel_that_is_gone_from_memory_still_finds_it(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring(text("こんにちは"))
    channels.of(runtime).forget()

    await handle(runtime)

    assert set((await states(runtime)).values()) == {HANDLED}


async def test_a_hundred_events_cost_few_statements(webhook: Webhook, runtime: Runtime) -> None:
    people = [f"U{number:032x}" for number in range(90)]
    await webhook.bring_and_handle(*(text("こんにちは", p) for p in people[:2]))
    await webhook.bring(*(text("こんにちは", p, at=1) for p in people))

    with Statements(runtime) as spent:
        await handle_batch(runtime, converse)

    assert spent.number <= 40
    assert set((await states(runtime)).values()) == {HANDLED}


async def test_the_belt_goes_on_when_the_database_was_away_for_a_moment(
    webhook: Webhook, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FAILURE_PAUSE_SECONDS", 0.01)
    runner = BeltRunner(runtime, [belt(converse)])
    await webhook.bring(text("こんにちは"))

    with dying_at_commit(runtime):
        await runner.run("events")
    await make_due(runtime)
    await runner.run("events")

    assert set((await states(runtime)).values()) == {HANDLED}
    assert await count(runtime, Delivery) == 1


async def test_two_workers_at_once_keep_the_order_and_act_once(
    webhook: Webhook, runtime: Runtime
) -> None:
    """On PostgreSQL two workers hold different rows; on a file they queue up. Both must hold."""
    people = [f"U{number:032x}" for number in range(12)]
    events: list[Event] = []
    for number in range(25):
        events += [text(str(number), person, at=number) for person in people]
        events += [follow(people[0], at=number), unfollow(people[1], at=number)]
    random.Random(2).shuffle(events)
    order: dict[str, list[str]] = defaultdict(list)

    async def note(turn: Turn) -> Replies | None:
        await asyncio.sleep(0)
        return await converse(turn)

    async def arrive() -> None:
        for start in range(0, len(events), 20):
            await webhook.bring(*events[start : start + 20])
            await asyncio.sleep(0.002)

    async with running(runtime.settings) as other:
        arriving = asyncio.create_task(arrive())
        while not arriving.done() or await waiting(runtime):
            moved = await asyncio.gather(
                *(handle_batch(worker, note) for worker in (runtime, other, runtime, other))
            )
            if not any(moved):
                await make_due(runtime)
        await arriving

    found = await rows(runtime, WebhookEvent)
    assert {row.state for row in found} == {HANDLED}
    assert len(found) == len(events)
    for delivery in await rows(runtime, Delivery):
        order[delivery.friend_id].append(delivery.source)
    assert sum(map(len, order.values())) == 25 * 12
    assert len({source for sources in order.values() for source in sources}) == 25 * 12
    assert (await kinds(runtime)).count("replied") == 25 * 12


async def waiting(runtime: Runtime) -> bool:
    """Whether any event is open."""
    async with runtime.db.reading() as session:
        query = select(table(WebhookEvent).c.id).where(table(WebhookEvent).c.state == RECEIVED)
        return (await session.execute(query.limit(1))).first() is not None


async def test_two_workers_never_let_a_later_event_overtake(
    webhook: Webhook, runtime: Runtime
) -> None:
    """Each friend counts up; whoever sees a number out of turn has overtaken."""
    people = [f"U{number:032x}" for number in range(6)]
    latest: dict[str, int] = dict.fromkeys(people, -1)
    tried: list[tuple[str, int]] = []

    async def count_up(turn: Turn) -> Replies | None:
        number = int(turn.text or "-1")
        await asyncio.sleep(0.001)
        tried.append((turn.friend.user_id, number))
        turn.note("replied", number=number)
        return None

    async with running(runtime.settings) as other:
        for number in range(20):
            for person in people:
                await webhook.bring(text(str(number), person, at=number))
            await asyncio.gather(
                *(handle_batch(worker, count_up) for worker in (runtime, other, runtime, other))
            )
        while await waiting(runtime):
            await asyncio.gather(*(handle_batch(worker, count_up) for worker in (runtime, other)))

    by_id = {row.id: row.user_id for row in await rows(runtime, Friend)}
    for row in await rows(runtime, Activity):
        person = by_id[row.friend_id]
        assert row.data["number"] == latest[person] + 1
        latest[person] = row.data["number"]
    assert set(latest.values()) == {19}
    assert len(tried) == len(set(tried))


async def test_two_workers_who_meet_the_same_new_friends_make_each_once(
    webhook: Webhook, runtime: Runtime
) -> None:
    async with running(runtime.settings) as other:
        for round_ in range(10):
            people = [f"U{round_:016x}{number:016x}" for number in range(10)]
            for number in range(4):
                await webhook.bring(*(text("x", p, at=number) for p in random.sample(people, 10)))
            while await waiting(runtime):
                await asyncio.gather(*(handle(worker) for worker in (runtime, other, runtime)))

    friends = await rows(runtime, Friend)
    assert len(friends) == 100
    assert len({friend.customer_id for friend in friends}) == 100
    assert {row.attempts for row in await rows(runtime, WebhookEvent)} == {1}
    assert (await kinds(runtime)).count("replied") == 400


async def test_events_that_arrive_while_others_are_handled_are_not_lost(
    webhook: Webhook, runtime: Runtime
) -> None:
    handled = asyncio.create_task(_handle_until_told(runtime, total=120))

    await asyncio.gather(*(webhook.bring(text(str(n), KEN, at=n)) for n in range(120)))
    async with asyncio.timeout(60):
        await handled

    assert (await kinds(runtime)).count("replied") == 120


async def _handle_until_told(runtime: Runtime, *, total: int) -> None:
    done = 0
    while done < total:
        done += await handle_batch(runtime, converse)
        await asyncio.sleep(0.001)


async def test_an_event_that_was_parked_can_be_let_in_again(
    webhook: Webhook, runtime: Runtime
) -> None:
    heard = Heard(["bad"])
    await webhook.bring(text("bad"))
    for _ in range(MAX_ATTEMPTS):
        await work_off(runtime, heard)
        await make_due(runtime)
    heard.fails_at.clear()

    async with runtime.db.transaction() as session:
        parked = update(table(WebhookEvent)).where(table(WebhookEvent).c.state == PARKED)
        await session.execute(parked.values(state=RECEIVED, attempts=0))
    await make_due(runtime)
    await work_off(runtime, heard)

    assert await acted(runtime) == ["bad"]
    assert set((await states(runtime)).values()) == {HANDLED}
