"""Processes die, sleep and race, keys run out: each message arrives once, or staff decide."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from core.db import table
from core.errors import Conflict
from core.line.client import Answer, LineClient, SendKind
from delivery import dispatcher, outbox
from delivery.dispatcher import dispatch, release_claims
from delivery.models import Delivery
from tests.breaking import Stopped, dying_at_commit
from tests.cast import Cast
from tests.delivery.conftest import Post


async def test_a_crash_between_forming_and_sending_loses_nothing(
    post: Post, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    hana, ken = await cast.hana(), await cast.ken()
    await post.token_of(hana)
    ids = [await post.queue(hana, "返信"), await post.queue(ken, "お知らせ")]
    with monkeypatch.context() as broken:
        broken.setattr(dispatcher, "_send_all", _stop)
        with pytest.raises(Stopped):
            await dispatch(post.runtime)
    before = await post.calls()
    await dispatch(post.runtime)
    under_lease = list(post.accepted)

    await release_claims(post.runtime)
    await dispatch(post.runtime)

    assert under_lease == []  # another process leaves it alone until the lease is over
    assert {call.id for call in await post.calls()} == {call.id for call in before}
    assert cast.said_to(hana) == [("reply", "返信")]
    assert cast.said_to(ken) == [("push", "お知らせ")]
    assert await post.states(*ids) == ["sent", "sent"]


async def test_a_crash_between_sending_and_settling_doubles_nothing(post: Post, cast: Cast) -> None:
    ken = await cast.ken()
    id_ = await post.queue(ken, "一度だけ")
    await _dispatch_and_die_at_commit(post, number=2)
    before = (await post.calls(), await post.states(id_), len(post.accepted))

    await release_claims(post.runtime)
    await post.send()

    ((call,), states, taken) = before
    assert (call.state, call.uncertain, states, taken) == ("open", True, ["sending"], 1)
    assert [one.id for one in await post.calls()] == [call.id]
    assert cast.said_to(ken) == [("push", "一度だけ")]
    assert (await post.delivery(id_)).request_id == post.accepted[0].request_id


async def test_a_crash_while_forming_leaves_the_message_waiting(post: Post, cast: Cast) -> None:
    ken = await cast.ken()
    id_ = await post.queue(ken)
    await _dispatch_and_die_at_commit(post, number=1)

    assert (await post.states(id_), await post.calls(), post.accepted) == (["waiting"], [], [])
    await post.send()
    assert len(cast.said_to(ken)) == 1


async def test_a_reply_whose_settling_was_lost_is_left_to_staff(post: Post, cast: Cast) -> None:
    hana = await cast.hana()
    await post.token_of(hana)
    id_ = await post.queue(hana, "一度だけ")
    await _dispatch_and_die_at_commit(post, number=2)

    await release_claims(post.runtime)
    await post.send()

    row = await post.delivery(id_)
    assert (row.state, row.reason) == ("held", "outcome_unknown")
    assert cast.said_to(hana) == [("reply", "一度だけ")]


async def test_a_worker_cancelled_in_mid_call_loses_nothing(post: Post, cast: Cast) -> None:
    ken = await cast.ken()
    await post.queue(ken, "一度だけ")
    post.faults({"kind": "slow", "times": 1, "delay_seconds": 0.3})
    worker = asyncio.create_task(dispatch(post.runtime))
    await asyncio.sleep(0.15)
    worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker
    await asyncio.sleep(0.35)

    await release_claims(post.runtime)
    await post.send()

    assert cast.said_to(ken) == [("push", "一度だけ")]


class SleepyLine:
    """A LINE client whose process is paused between LINE's first answer and its return."""

    def __init__(self, client: LineClient) -> None:
        self._client = client
        self.asleep, self.awake = asyncio.Event(), asyncio.Event()

    async def send(
        self, kind: SendKind, token: str, body: bytes, *, retry_key: UUID | None
    ) -> Answer:
        answer = await self._client.send(kind, token, body, retry_key=retry_key)
        self.asleep.set()
        await self.awake.wait()
        return answer


@pytest.mark.parametrize(
    ("endpoint", "fault", "meanwhile"),
    [
        ("push", "cut_before", "sent"),  # it does not know, and another worker succeeded
        ("push", "500", "sent"),
        ("reply", None, "held"),  # it knows, and another worker found the token used up
    ],
)
async def test_a_worker_that_wakes_up_late_undoes_nothing_and_adds_what_it_knows(
    post: Post, cast: Cast, endpoint: str, fault: str | None, meanwhile: str
) -> None:
    ken = await cast.ken()
    if endpoint == "reply":
        await post.token_of(ken)
    id_ = await post.queue(ken, "一度だけ")
    post.faults(*([{"kind": fault, "times": 1}] if fault else []))
    line: Any = SleepyLine(post.runtime.line)
    sleeper = asyncio.create_task(dispatch(replace(post.runtime, line=line)))
    await line.asleep.wait()
    await post.lease_over()
    await post.send()
    by_another = await post.states(id_)

    line.awake.set()
    await sleeper

    (call,) = await post.calls()
    assert by_another == [meanwhile]
    assert (await post.states(id_), call.state) == (["sent"], "done")
    assert cast.said_to(ken) == [(endpoint, "一度だけ")]


async def test_two_workers_at_once_send_nothing_twice(post: Post, cast: Cast) -> None:
    people = await cast.crowd(60)
    for friend in people:
        await post.queue(friend, "一")
        await post.queue(friend, "二")

    for _ in range(5):
        await asyncio.gather(*(dispatch(post.runtime) for _ in range(4)))

    assert {tuple(cast.said_to(friend)) for friend in people} == {(("push", "一"), ("push", "二"))}
    assert len(post.accepted) == 60
    assert post.violations == []


async def test_no_message_overtakes_one_that_another_worker_touches(post: Post, cast: Cast) -> None:
    """PostgreSQL would skip a locked delivery and send the next one first."""
    if post.runtime.db.is_sqlite:
        return  # one writer at a time: nothing to skip
    ken = await cast.ken()
    first = await post.queue(ken, "一")
    await post.queue(ken, "二")

    async with post.runtime.db.transaction() as session:
        d = table(Delivery)
        await session.execute(select(d.c.id).where(d.c.id == first).with_for_update())
        worker = asyncio.create_task(dispatch(post.runtime))
        await asyncio.sleep(0.2)
    await worker
    await post.send()

    assert [words for _via, words in cast.said_to(ken)] == ["一", "二"]


@pytest.mark.parametrize("hours", [23.5, 25, 24 * 7])
async def test_a_server_that_was_down_past_the_keys_lifetime_sends_nothing_blindly(
    post: Post, cast: Cast, hours: float
) -> None:
    ken = await cast.ken()
    id_ = await post.queue(ken, "一度だけ")
    await _dispatch_and_die_at_commit(post, number=2)

    await post.travel(timedelta(hours=hours))
    await release_claims(post.runtime)
    await post.send()

    row = await post.delivery(id_)
    assert (row.state, row.reason) == ("held", "outcome_unknown")
    assert cast.said_to(ken) == [("push", "一度だけ")]
    assert post.violations == []


async def test_what_stays_unknown_for_23_hours_is_held_and_never_sent_by_itself(
    post: Post, cast: Cast
) -> None:
    ken = await cast.ken()
    id_ = await post.queue(ken)
    post.faults({"kind": "cut_before", "endpoint": "push"})
    await dispatch(post.runtime)
    await post.travel(timedelta(hours=22))
    await post.lease_over()
    await dispatch(post.runtime)
    within = await post.states(id_)

    await post.travel(timedelta(hours=2))
    await post.lease_over()
    await dispatch(post.runtime)
    post.faults()
    await post.travel(timedelta(days=30))
    await post.send()

    row = await post.delivery(id_)
    assert (within, row.state, row.reason) == (["sending"], "held", "outcome_unknown")
    assert cast.said_to(ken) == []


async def test_staff_may_send_it_anew_under_a_new_key(post: Post, cast: Cast) -> None:
    ken = await cast.ken()
    id_ = await post.queue(ken, "もう一度")
    post.faults({"kind": "cut_before", "endpoint": "push"})
    await dispatch(post.runtime)
    await post.travel(timedelta(hours=24))
    await post.lease_over()
    await dispatch(post.runtime)
    post.faults()
    async with post.runtime.db.transaction() as session:
        await outbox.retry(session, id_, now=await post.now())

    await post.send()

    second = (await post.delivery(id_)).dispatch_id
    assert len(await post.calls()) == 2
    assert [taken.retry_key for taken in post.accepted] == [str(second)]
    assert cast.said_to(ken) == [("push", "もう一度")]
    with pytest.raises(Conflict):
        async with post.runtime.db.transaction() as session:
            await outbox.retry(session, id_, now=await post.now())


async def test_a_call_there_was_no_time_for_counts_as_not_made(
    post: Post, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    hana = await cast.hana()
    await post.token_of(hana)
    id_ = await post.queue(hana, "返信")
    with monkeypatch.context() as slow:
        slow.setattr(dispatcher, "CALL_TAKES", dispatcher.LEASE)
        await dispatch(post.runtime)
    (call,) = await post.calls()

    await post.travel(timedelta(minutes=5))
    await post.lease_over()
    await post.send()

    assert (call.state, call.uncertain) == ("open", False)
    assert cast.said_to(hana) == [("push", "返信")]  # the token is old, and nothing had gone out
    assert await post.states(id_) == ["sent"]


async def _stop(*_: object) -> list[Any]:
    raise Stopped


async def _dispatch_and_die_at_commit(post: Post, *, number: int) -> None:
    """Send, and die just before the commit of this number: 1 forms the calls, 2 settles them."""
    with dying_at_commit(post.runtime, number), pytest.raises(Stopped):
        await dispatch(post.runtime)
