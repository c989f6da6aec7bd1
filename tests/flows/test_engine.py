"""Who enters a flow, how they walk, and when they leave; once, whatever runs at once or breaks."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from core.db import table
from core.runtime import Runtime
from crm.models import BLOCKED, Friend
from delivery.models import MessageTemplate
from flows import engine, store
from flows.engine import BATCH, MAX_ATTEMPTS
from flows.models import FlowVersion
from server import reactions
from tests.breaking import Statements, Stopped, dying_at_commit
from tests.cast import Cast
from tests.flows.conftest import Life, flow

DAY = timedelta(days=1)


# (once, what happens on which days) → how many enter
@pytest.mark.parametrize(
    ("once", "days", "entered"),
    [
        ("ever", [0, 0, 400], 1),
        ("always", [0, 0, 400], 3),
        ("per 30d", [0, 0, 29], 1),
        ("per 30d", [0, 31], 2),
        ("per 30d", [0, 31, 59], 2),
    ],
)
async def test_how_often_one_person_enters(
    life: Life, cast: Cast, once: str, days: list[int], entered: int
) -> None:
    ken = await cast.ken()
    await life.publish(flow(on="purchased", once=once))
    today = 0
    for day in days:
        await life.travel(DAY * (day - today))
        today = day
        await life.happens("purchased", ken)

    assert len(await life.enrolments(ken)) == entered
    assert len(await life.texts(ken)) == entered


async def test_who_is_still_under_way_does_not_enter_anew(life: Life, cast: Cast) -> None:
    ken = await cast.ken()
    await life.publish(flow("wait: {days: 60}", on="purchased", once="per 30d"))

    await life.happens("purchased", ken)
    await life.travel(DAY * 45)
    await life.happens("purchased", ken)

    assert await life.states(ken) == ["active"]


async def test_only_who_meets_the_conditions_enters(life: Life, cast: Cast) -> None:
    hana, ken = await cast.hana(), await cast.ken()
    await life.publish(flow(on="purchased", where="{total: {gte: 3000}, source: {ne: web}}"))

    await life.happens("purchased", hana, data={"total": 2_999, "source": "till"})
    await life.happens("purchased", hana, data={"total": 9_000, "source": "web"})
    await life.happens("purchased", hana, data={"source": "till"})
    await life.happens("linked", hana, data={"total": 3_000, "source": "till"})
    await life.happens("purchased", ken, data={"total": 3_000, "source": "till"})

    assert await life.enrolments(hana) == []
    assert await life.states(ken) == ["finished"]


async def test_what_happened_before_the_flow_was_published_starts_nothing(
    life: Life, cast: Cast
) -> None:
    hana, ken = await cast.hana(), await cast.ken()
    await life.record("followed", hana)
    await life.react()
    await life.publish(flow())

    await life.happens("followed", hana, ago=DAY)  # imported today
    await life.happens("followed", ken)

    assert await life.enrolments(hana) == []
    assert await life.states(ken) == ["finished"]


async def test_an_activity_of_somebody_without_line_starts_nothing(life: Life, cast: Cast) -> None:
    ken = await cast.ken()
    await life.publish(flow(on="purchased", once="always"))

    await life.happens("purchased", replace_id(ken))

    assert await life.enrolments() == []


def replace_id(friend: Friend) -> Friend:
    """The same customer, met at the till."""
    return Friend(**friend.model_dump() | {"id": None})


async def test_two_workers_that_react_at_once_enrol_each_customer_once(
    life: Life, cast: Cast
) -> None:
    people = await cast.crowd(30)
    await life.publish(flow(on="purchased"))
    await life.record("purchased", *(friend for friend in people for _ in range(3)))

    await asyncio.gather(*(one_by_one(life.runtime) for _ in range(4)))

    rows = await life.enrolments()
    assert sorted(row.friend_id for row in rows) == sorted(friend.id or 0 for friend in people)


async def one_by_one(runtime: Runtime) -> None:
    """React in small batches, so that workers meet."""
    while await reactions._react(runtime, 7):  # noqa: SLF001
        pass


async def test_nobody_enters_a_paused_flow_and_who_is_under_way_waits(
    life: Life, cast: Cast
) -> None:
    hana, ken = await cast.hana(), await cast.ken()
    await life.publish(flow("say: 一", "wait: {days: 1}", "say: 二"))
    await life.happens("followed", hana)
    async with life.runtime.db.transaction() as session:
        await store.pause(session, "hello")

    await life.happens("followed", ken)
    await life.travel(DAY * 3)
    while_paused = (await life.texts(), await life.states(hana), await life.enrolments(ken))
    async with life.runtime.db.transaction() as session:
        await store.resume(session, "hello")
    await life.walk()

    assert while_paused == (["一"], ["on_hold"], [])
    assert await life.texts(hana) == ["一", "二"]
    assert await life.states(hana) == ["finished"]


async def test_a_pause_holds_whoever_is_entering_right_now(
    life: Life, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    hana = await cast.hana()
    await life.publish(flow())
    await life.record("followed", hana)
    at_the_door, enrol = asyncio.Event(), engine._enrol  # noqa: SLF001

    async def slowly(*args: Any) -> int:
        at_the_door.set()
        await asyncio.sleep(0.2)
        return await enrol(*args)

    async def pause() -> None:
        await at_the_door.wait()
        async with life.runtime.db.transaction() as session:
            await store.pause(session, "hello")

    monkeypatch.setattr(engine, "_enrol", slowly)
    await asyncio.gather(life.react(), pause())
    await life.walk()

    assert (await life.states(hana), await life.texts()) == (["on_hold"], [])


async def test_who_is_under_way_stays_on_their_version(life: Life, cast: Cast) -> None:
    hana, ken = await cast.hana(), await cast.ken()
    await life.publish(flow("say: 一", "wait: {days: 1}", "say: 古い"))
    await life.happens("followed", hana)
    await life.publish(flow("say: いち", "wait: {days: 1}", "say: 新しい"))
    await life.happens("followed", ken)

    await life.travel(DAY)

    assert await life.texts(hana) == ["一", "古い"]
    assert await life.texts(ken) == ["いち", "新しい"]


async def test_who_reaches_the_goal_leaves_and_hears_no_more_of_it(life: Life, cast: Cast) -> None:
    hana, ken = await cast.hana(), await cast.ken()
    await life.publish(flow("say: 一", "wait: {days: 1}", "say: 二", ends="purchased"))
    await life.happens("followed", hana, ken)

    await life.happens("purchased", hana)
    await life.travel(DAY * 2)

    assert await life.states(hana, ken) == ["exited", "finished"]
    assert [row.reason for row in await life.enrolments(hana)] == ["exit:purchased"]
    assert await life.texts(hana) == ["一"]


async def test_the_goal_counts_also_when_it_comes_in_the_same_breath(
    life: Life, cast: Cast
) -> None:
    """After an outage the follow and the purchase stand in one batch."""
    hana, ken = await cast.hana(), await cast.ken()
    await life.publish(flow(ends="purchased"))
    await life.record("followed", hana, ken)
    await life.record("purchased", hana)

    await life.react()
    await life.walk()

    assert await life.states(hana, ken) == ["exited", "finished"]
    assert await life.texts(hana) == []


async def test_the_activity_that_lets_in_does_not_let_out(life: Life, cast: Cast) -> None:
    ken = await cast.ken()
    await life.publish(
        flow("wait: {days: 1}", "say: はい", on="purchased", once="always", ends="purchased")
    )

    await life.happens("purchased", ken)
    await life.record("purchased", ken)
    await life.happens("purchased", ken)

    assert [row.state for row in await life.enrolments(ken)] == ["exited", "exited", "active"]


# how long ago it was bought, where the walk began a day ago
@pytest.mark.parametrize(
    ("bought", "state"),
    [
        (timedelta(hours=1), "exited"),
        (DAY + timedelta(minutes=4), "exited"),  # the till's clock may be slow
        (DAY + timedelta(minutes=6), "active"),
        (DAY * 300, "active"),
    ],
)
async def test_only_what_happened_after_the_walk_began_ends_it(
    life: Life, cast: Cast, bought: timedelta, state: str
) -> None:
    """A file of old purchases is read in while people are under way."""
    hana = await cast.hana()
    await life.publish(flow("wait: {days: 3}", "say: はい", ends="purchased"))
    await life.happens("followed", hana)
    await life.travel(DAY)

    await life.happens("purchased", hana, ago=bought)

    assert await life.states(hana) == [state]


async def test_an_old_goal_in_the_same_breath_does_not_count(life: Life, cast: Cast) -> None:
    hana = await cast.hana()
    await life.publish(flow(ends="purchased"))
    await life.record("followed", hana)
    await life.record("purchased", hana, ago=DAY)

    await life.react()
    await life.walk()

    assert await life.states(hana) == ["finished"]


async def test_who_blocks_us_leaves_every_flow(life: Life, cast: Cast) -> None:
    hana, ken = await cast.hana(), await cast.ken()
    for key in ("one", "two"):
        await life.publish(flow("wait: {days: 1}", "say: 二", key=key))
    await life.happens("followed", hana, ken)

    await life.happens("blocked", hana)
    await life.travel(DAY)

    assert [row.state for row in await life.enrolments(hana)] == ["exited", "exited"]
    assert [row.state for row in await life.enrolments(ken)] == ["finished", "finished"]
    assert await life.texts(hana) == []


async def test_a_held_walk_can_be_left_too(life: Life, cast: Cast) -> None:
    hana = await cast.hana()
    await life.publish(flow("wait: {days: 1}", "say: 二", ends="purchased"))
    await life.happens("followed", hana)
    async with life.runtime.db.transaction() as session:
        await store.pause(session, "hello")

    await life.happens("purchased", hana)

    assert await life.states(hana) == ["exited"]


async def test_a_step_does_not_go_to_who_has_blocked_us_meanwhile(life: Life, cast: Cast) -> None:
    hana = await cast.hana()
    await life.publish(flow("wait: {days: 1}", "say: 二"))
    await life.happens("followed", hana)
    async with life.runtime.db.transaction() as session:  # the news itself was lost
        await session.execute(update(table(Friend)).values(status=BLOCKED))

    await life.travel(DAY)

    assert (await life.states(hana), await life.texts()) == (["exited"], [])


async def test_who_has_no_name_yet_is_greeted_once_it_was_asked_for(life: Life, cast: Cast) -> None:
    hana = await cast.hana()
    await life.publish(flow('say: "{{ friend.name }}、ようこそ"'))
    friend = table(Friend)
    async with life.runtime.db.transaction() as session:
        await session.execute(update(friend).values(profile_fetched_at=None, display_name=None))
    await life.happens("followed", hana)
    before = await life.texts()

    async with life.runtime.db.transaction() as session:
        await session.execute(update(friend).values(profile_attempts=1))  # LINE did not tell
    await life.walk()

    assert (before, await life.texts()) == ([], ["お客さま、ようこそ"])


async def test_one_persons_bad_step_holds_up_nobody_else_and_stops_in_the_end(
    life: Life, cast: Cast
) -> None:
    people = await cast.crowd(5)
    unlucky = people[2]
    await life.publish(flow(f'say: "{"{{ friend.name }}" * 100}"'))
    async with life.runtime.db.transaction() as session:  # 60 × 100 is more than LINE's 5,000
        rename = update(table(Friend)).where(table(Friend).c.id == unlucky.id)
        await session.execute(rename.values(display_name="長" * 60))

    await life.happens("followed", *people)
    at_first = await life.states(*people)
    for _ in range(MAX_ATTEMPTS):
        await life.pauses_are_over()
        await life.walk()

    (stopped,) = await life.enrolments(unlucky)
    assert at_first == ["finished", "finished", "active", "finished", "finished"]
    assert stopped.state == "stopped"
    assert "messages[0].text" in stopped.reason
    assert len(await life.queued()) == 4


async def test_a_step_that_failed_is_not_tried_again_at_once(life: Life, cast: Cast) -> None:
    hana = await cast.hana()
    await keep_template(life, "gone")
    await life.publish(flow("message: gone"))
    async with life.runtime.db.transaction() as session:
        await session.execute(table(MessageTemplate).delete())

    await life.happens("followed", hana)
    await life.walk()
    tried = [row.attempts for row in await life.enrolments(hana)]
    await keep_template(life, "gone")
    await life.pauses_are_over()
    await life.walk()

    assert tried == [1]
    assert await life.texts(hana) == ["テンプレート"]


async def test_what_nobody_expected_stops_at_the_person_it_happens_to(
    life: Life, cast: Cast
) -> None:
    """A template from before a release, say, that this release can no longer fill in."""
    hana, ken = await cast.hana(), await cast.ken()
    await keep_template(life, "old")
    await life.publish(flow("message: old", key="old"))
    await life.publish(flow("say: はい", on="purchased", key="new"))
    async with life.runtime.db.transaction() as session:
        bad = [{"type": "text", "text": "{{ friend.name|truncate(1) }}"}]
        await session.execute(update(table(MessageTemplate)).values(messages=bad))

    await life.record("followed", hana)
    await life.record("purchased", ken)
    await life.react()
    await life.walk()

    assert await life.states(hana, ken) == ["active", "finished"]


async def test_a_version_this_release_cannot_read_holds_up_no_other_flow(
    life: Life, cast: Cast
) -> None:
    hana, ken = await cast.hana(), await cast.ken()
    await life.publish(flow("wait: {days: 1}", "say: 二", key="broken"))
    await life.happens("followed", hana)
    async with life.runtime.db.transaction() as session:
        await session.execute(update(table(FlowVersion)).values(definition={"key": "broken"}))
    await life.publish(flow(on="purchased", key="sound"))

    await life.happens("purchased", ken)
    await life.travel(DAY)

    assert await life.states(hana, ken) == ["active", "finished"]


async def test_a_step_and_what_it_sends_are_one_transaction(life: Life, cast: Cast) -> None:
    hana = await cast.hana()
    await life.publish(flow("say: 一", "wait: {days: 1}", "say: 二"))
    await life.record("followed", hana)
    await life.react()
    (before,) = await life.enrolments(hana)

    with dying_at_commit(life.runtime), pytest.raises(Stopped):
        await engine.advance(life.runtime)
    after_crash = (await life.enrolments(hana), await life.texts())
    await life.walk()

    assert after_crash == ([before], [])
    assert [row.step for row in await life.enrolments(hana)] == [2]
    assert await life.texts() == ["一"]


async def test_entering_and_having_reacted_are_one_transaction(life: Life, cast: Cast) -> None:
    hana = await cast.hana()
    await life.publish(flow())
    await life.record("followed", hana)

    with dying_at_commit(life.runtime), pytest.raises(Stopped):
        await reactions._react(life.runtime, 500)  # noqa: SLF001
    after_crash = await life.enrolments()
    await life.react()

    assert after_crash == []
    assert len(await life.enrolments(hana)) == 1


async def test_each_step_is_queued_once_however_many_workers_walk(life: Life, cast: Cast) -> None:
    people = await cast.crowd(80)
    await life.publish(flow("say: 一", "say: 二", "wait: {days: 1}", "say: 三"))
    await life.record("followed", *people)
    await life.react()

    await asyncio.gather(*(engine.advance(life.runtime) for _ in range(4)))

    assert {tuple(await life.texts(friend)) for friend in people[:9]} == {("一", "二")}
    sources = [row.source for row in await life.queued()]
    assert len(sources) == len(set(sources)) == 160


async def test_many_due_walks_go_in_bounded_batches_of_few_statements(
    life: Life, cast: Cast
) -> None:
    people = await cast.crowd(1_200)
    await life.publish(flow(*(f"say: その{number}" for number in range(3))))
    for some in (people[:3], people[3:]):
        await life.record("followed", *some)
        await life.react()

    moved, statements = [], []
    while True:
        with Statements(life.runtime) as counted:
            moved.append(await engine.advance(life.runtime))
        if not moved[-1]:
            break
        statements.append(counted.number)

    assert moved == [BATCH, BATCH, 200, 0]
    assert len(await life.queued()) == 1_200 * 3
    # One for each 500 deliveries, three here; nothing that grows with the people in the batch.
    assert max(statements) <= 12 + 3


async def test_reacting_to_many_takes_no_more_statements_than_to_few(
    life: Life, cast: Cast
) -> None:
    people = await cast.crowd(300)
    await life.publish(flow(ends="purchased"))

    async def statements(some: list[Friend]) -> int:
        await life.record("followed", *some)
        with Statements(life.runtime) as counted:
            await reactions.react(life.runtime)
        return counted.number

    few, many = await statements(people[:2]), await statements(people[2:])

    assert many <= few


async def test_waits_follow_the_shops_own_calendar(life: Life, cast: Cast) -> None:
    hana = await cast.hana()
    await life.publish(flow("wait: {days: 1, at: '19:00'}", "say: 晩"))
    await life.record("followed", hana)
    await life.react()
    abroad = life.runtime.settings.model_copy(update={"time_zone": "America/New_York"})

    await engine.advance(replace(life.runtime, settings=abroad))

    (row,) = await life.enrolments(hana)
    there = row.due_at.astimezone(abroad.zone)
    assert abroad.zone.key == "America/New_York"
    assert (there.hour, there.minute) == (19, 0)


async def keep_template(life: Life, key: str) -> None:
    now = await life.now()
    written = [{"type": "text", "text": "テンプレート"}]
    async with life.runtime.db.transaction() as session:
        template = MessageTemplate(key=key, messages=written, created_at=now, updated_at=now)
        session.add(template)
