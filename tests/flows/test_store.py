"""Flows as staff handle them: drafts, versions that never change, pause and resume."""

import asyncio

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from core.errors import Conflict, Invalid, NotFound, StaleVersion
from core.runtime import Runtime
from delivery.models import MessageTemplate
from flows import files, store
from flows.models import DRAFT, PAUSED, PUBLISHED, FlowVersion
from tests.flows.conftest import flow

ONE, TWO = files.read(flow("say: 一")), files.read(flow("say: 二"))


async def test_a_draft_is_saved_changed_and_left_as_it_is(
    runtime: Runtime, session: AsyncSession
) -> None:
    now = await runtime.clock.now()

    saved = [await store.save(session, definition, now=now) for definition in (ONE, ONE, TWO, TWO)]

    assert [changed for _flow, changed in saved] == [True, False, True, False]
    row = await store.get(session, "hello")
    assert (row.state, row.version, row.definition) == (DRAFT, 2, store.to_json(TWO))


async def test_a_change_on_top_of_somebody_elses_is_refused(
    runtime: Runtime, session: AsyncSession
) -> None:
    now = await runtime.clock.now()
    await store.save(session, ONE, now=now)
    await store.save(session, TWO, now=now, version=1)

    with pytest.raises(StaleVersion) as stale:
        await store.save(session, ONE, now=now, version=1)

    assert stale.value.current == 2
    assert (await store.get(session, "hello")).definition == store.to_json(TWO)


async def test_who_creates_a_flow_does_not_overwrite_one_made_meanwhile(
    runtime: Runtime, session: AsyncSession
) -> None:
    now = await runtime.clock.now()
    await store.save(session, ONE, now=now, as_new=True)

    with pytest.raises(Conflict, match="Somebody else"):
        await store.save(session, TWO, now=now, as_new=True)

    assert (await store.get(session, "hello")).definition == store.to_json(ONE)


async def test_what_is_published_stays_until_the_next_publishing(
    runtime: Runtime, session: AsyncSession
) -> None:
    now = await runtime.clock.now()
    await store.save(session, ONE, now=now)
    first, new = await store.publish(session, "hello", now=now)
    await store.save(session, TWO, now=now)
    while_draft = (await store.get(session, "hello")).published_version_id
    second, newer = await store.publish(session, "hello", now=now)
    _again, newest = await store.publish(session, "hello", now=now)

    assert (new, newer, newest) == (True, True, False)
    assert while_draft == first.id
    assert (first.number, second.number) == (1, 2)
    rows = list(await session.execute(select(table(FlowVersion)).order_by(table(FlowVersion).c.id)))
    assert [row.definition for row in rows] == [store.to_json(ONE), store.to_json(TWO)]


async def test_going_back_to_an_older_text_is_a_new_version(
    runtime: Runtime, session: AsyncSession
) -> None:
    now = await runtime.clock.now()
    numbers = []
    for definition in (ONE, TWO, ONE):
        await store.save(session, definition, now=now)
        version, _new = await store.publish(session, "hello", now=now)
        numbers.append(version.number)

    assert numbers == [1, 2, 3]


async def test_pausing_and_resuming_twice_is_as_once(
    runtime: Runtime, session: AsyncSession
) -> None:
    now = await runtime.clock.now()
    await store.save(session, ONE, now=now)
    await store.publish(session, "hello", now=now)

    paused = [(await store.pause(session, "hello")).version for _ in range(2)]
    paused_state = (await store.get(session, "hello")).state
    resumed = [(await store.resume(session, "hello")).version for _ in range(2)]

    assert (paused_state, (await store.get(session, "hello")).state) == (PAUSED, PUBLISHED)
    assert (len(set(paused)), len(set(resumed))) == (1, 1)


@pytest.mark.parametrize("changed", [False, True])
async def test_publishing_a_paused_flow_lets_it_go_on(
    runtime: Runtime, session: AsyncSession, changed: bool
) -> None:
    now = await runtime.clock.now()
    await store.save(session, ONE, now=now)
    await store.publish(session, "hello", now=now)
    await store.pause(session, "hello")

    await store.save(session, TWO if changed else ONE, now=now)
    _version, new = await store.publish(session, "hello", now=now)

    assert new is changed
    assert (await store.get(session, "hello")).state == PUBLISHED


async def test_a_draft_can_be_neither_paused_nor_resumed(
    runtime: Runtime, session: AsyncSession
) -> None:
    await store.save(session, ONE, now=await runtime.clock.now())

    with pytest.raises(Conflict, match="not published"):
        await store.pause(session, "hello")
    with pytest.raises(Conflict, match="not published"):
        await store.resume(session, "hello")


async def test_a_flow_that_is_not_there_is_answered(
    runtime: Runtime, session: AsyncSession
) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        await store.publish(session, "nowhere", now=await runtime.clock.now())
    with pytest.raises(NotFound, match="nowhere"):
        await store.pause(session, "nowhere")


async def test_a_step_that_names_no_template_is_refused_with_its_place(
    runtime: Runtime, session: AsyncSession
) -> None:
    now = await runtime.clock.now()
    definition = files.read(flow("say: 一", "message: known", "message: unknown"))
    written = [{"type": "text", "text": "はい"}]
    session.add(MessageTemplate(key="known", messages=written, created_at=now, updated_at=now))

    with pytest.raises(Invalid) as refused:
        await store.save(session, definition, now=now)

    assert [fault.path for fault in refused.value.faults] == ["steps[2].message"]
    assert "「unknown」" in refused.value.faults[0].message_ja


async def test_a_template_that_is_gone_at_publishing_is_noticed(
    runtime: Runtime, session: AsyncSession
) -> None:
    now = await runtime.clock.now()
    written = [{"type": "text", "text": "はい"}]
    session.add(MessageTemplate(key="known", messages=written, created_at=now, updated_at=now))
    await store.save(session, files.read(flow("message: known")), now=now)
    await session.execute(table(MessageTemplate).delete())

    with pytest.raises(Invalid, match="1 fault"):
        await store.publish(session, "hello", now=now)


async def test_an_exported_flow_applied_again_changes_nothing(
    runtime: Runtime, session: AsyncSession
) -> None:
    now = await runtime.clock.now()
    text = flow(
        "wait: {days: 3, at: '7:05'}", "say: 'はい: # いいえ'", where="{total: {gte: 3000}}"
    )
    saved, _changed = await store.save(session, files.read(text), now=now)

    exported = files.write(saved.definition)
    _flow, changed = await store.save(session, files.read(exported), now=now)

    assert not changed
    assert "gte: 3000\n" in exported


async def test_publishing_at_once_makes_one_version(runtime: Runtime) -> None:
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        await store.save(session, ONE, now=now)

    async def publish() -> bool:
        async with runtime.db.transaction() as session:
            _version, new = await store.publish(session, "hello", now=now)
            return new

    assert sorted(await asyncio.gather(*(publish() for _ in range(4)))) == [False] * 3 + [True]
