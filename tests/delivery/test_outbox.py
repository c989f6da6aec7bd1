"""Deliveries are queued once per source, and nothing malformed ever waits."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from core.db import table
from core.errors import Conflict, Invalid, NotFound
from crm.models import Friend
from delivery import outbox
from delivery.models import Delivery
from delivery.outbox import Parcel
from tests.cast import Cast
from tests.delivery.conftest import Post


async def queue(post: Post, *parcels: Parcel) -> int:
    now = await post.now()
    async with post.runtime.db.transaction() as session:
        return await outbox.queue(session, parcels, now=now)


async def parcel(post: Post, friend: Friend, source: str, *texts: str) -> Parcel:
    words = [{"type": "text", "text": text} for text in texts or ("はい",)]
    return Parcel(friend.channel_id, friend.id or 0, source, words, await post.now())


async def waiting(post: Post) -> int:
    async with post.runtime.db.reading() as session:
        return await session.scalar(select(func.count()).select_from(table(Delivery))) or 0


async def test_the_same_source_is_queued_once(post: Post, cast: Cast) -> None:
    one = await parcel(post, await cast.hana(), "event:1")

    new = [await queue(post, one), await queue(post, one)]

    assert (new, await waiting(post)) == ([1, 0], 1)


async def test_the_same_source_queued_at_once_by_many_is_queued_once(
    post: Post, cast: Cast
) -> None:
    one = await parcel(post, await cast.hana(), "event:1")

    new = await asyncio.gather(*(queue(post, one) for _ in range(8)))

    assert (sum(new), await waiting(post)) == (1, 1)


async def test_thousands_at_once_fit_whatever_a_statement_may_hold(post: Post, cast: Cast) -> None:
    hana = await cast.hana()
    many = [await parcel(post, hana, f"event:{number}") for number in range(7_000)]

    assert await queue(post, *many) == 7_000


@pytest.mark.parametrize(
    ("messages", "where"),
    [
        ([], "messages"),
        ([{"type": "text", "text": ""}], "messages[0].text"),
        ([{"type": "text", "text": "あ" * 5_001}], "messages[0].text"),
        ([{"type": "text", "text": "は"}] * 6, "messages"),
        ([{"type": "telegram"}], "messages[0].type"),
        ([{"type": "image", "originalContentUrl": "http://shop.example/a.png"}], "messages[0]"),
    ],
)
async def test_what_line_would_refuse_is_not_queued_and_neither_is_the_rest(
    post: Post, cast: Cast, messages: list[dict[str, Any]], where: str
) -> None:
    hana = await cast.hana()
    good = await parcel(post, hana, "event:1")
    bad = Parcel(hana.channel_id, hana.id or 0, "event:2", messages, await post.now())

    with pytest.raises(Invalid, match="event:2") as refused:
        await queue(post, good, bad)

    assert where in str(refused.value)
    assert await waiting(post) == 0


async def test_five_thousand_characters_are_taken(post: Post, cast: Cast) -> None:
    assert await queue(post, await parcel(post, await cast.hana(), "event:1", "あ" * 5_000)) == 1


async def test_cancelling_suppresses_what_waits_and_nothing_else(post: Post, cast: Cast) -> None:
    hana, ken = await cast.hana(), await cast.ken()
    sent = await post.queue(hana)
    await post.send()
    soon, later = await post.queue(hana), await post.queue(hana, due_in=timedelta(days=3))
    other = await post.queue(ken)

    async with post.runtime.db.transaction() as session:
        number = await outbox.cancel(
            session, [hana.id or 0], reason="blocked", now=await post.now()
        )

    assert number == 2
    states = await post.states(sent, soon, later, other)
    assert states == ["sent", "suppressed", "suppressed", "waiting"]
    assert (await post.delivery(soon)).reason == "blocked"


@pytest.mark.parametrize("state", ["waiting", "sent", "suppressed"])
async def test_only_what_failed_or_is_held_can_be_retried(
    post: Post, cast: Cast, state: str
) -> None:
    friend = await (cast.yui() if state == "suppressed" else cast.hana())
    id_ = await post.queue(friend)
    if state != "waiting":
        await post.send()

    async with post.runtime.db.transaction() as session:
        with pytest.raises(Conflict, match=state):
            await outbox.retry(session, id_, now=await post.now())


async def test_a_delivery_that_never_was_cannot_be_retried(post: Post) -> None:
    async with post.runtime.db.transaction() as session:
        with pytest.raises(NotFound):
            await outbox.retry(session, 404, now=await post.now())


async def test_the_outbox_knows_what_is_due_and_when_the_next_one_is(
    post: Post, cast: Cast
) -> None:
    hana, now = await cast.hana(), await post.now()
    await post.queue(hana)
    await post.queue(hana, due_in=timedelta(hours=2))
    await post.queue(hana, due_in=timedelta(hours=1))

    async with post.runtime.db.reading() as session:
        found = await outbox.due(session, now)

    assert (found.count, found.oldest_at) == (1, now)
    assert found.next_at == now + timedelta(hours=1)
