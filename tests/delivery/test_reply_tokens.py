"""Reply tokens: one free reply each, within a minute of the event."""

from datetime import timedelta

import pytest

from delivery import reply_tokens
from tests.cast import Cast
from tests.delivery.conftest import Post


# (age of the event when it came, seconds since it came) → may it still serve?
@pytest.mark.parametrize(
    ("event_age", "later", "usable"),
    [
        (timedelta(0), 0, True),
        (timedelta(0), 54, True),
        (timedelta(0), 55, False),  # LINE's minute, less the way there
        (timedelta(minutes=19, seconds=30), 29, True),  # redelivered
        (timedelta(minutes=19, seconds=30), 30, False),  # 20 minutes after the event it is over
        (timedelta(minutes=20), 0, False),
    ],
)
async def test_how_long_a_token_serves(
    post: Post, cast: Cast, event_age: timedelta, later: int, usable: bool
) -> None:
    hana = await cast.hana()
    token = await post.token_of(hana, event_age=event_age)
    now = await post.now() + timedelta(seconds=later)

    async with post.runtime.db.transaction() as session:
        taken = await reply_tokens.take(session, [hana.id or 0], now=now)

    assert [found for found, _until in taken.values()] == ([token] if usable else [])


async def test_each_token_is_taken_once_the_oldest_first(post: Post, cast: Cast) -> None:
    hana, ken = await cast.hana(), await cast.ken()
    first = await post.token_of(hana)
    await post.travel(timedelta(seconds=5))
    second, kens = await post.token_of(hana), await post.token_of(ken)
    ids, now = [hana.id or 0, ken.id or 0], await post.now()

    async with post.runtime.db.transaction() as session:
        taken = [await reply_tokens.take(session, ids, now=now) for _ in range(3)]

    assert [{token for token, _until in one.values()} for one in taken] == [
        {first, kens},
        {second},
        set(),
    ]


async def test_a_token_that_comes_twice_is_kept_once(post: Post, cast: Cast) -> None:
    hana, now = await cast.hana(), await post.now()
    token = ("a-reply-token", hana.id or 0, now, now)

    async with post.runtime.db.transaction() as session:
        await reply_tokens.keep(session, [token], now=now)
        await reply_tokens.keep(session, [token], now=now)
        await reply_tokens.take(session, [hana.id or 0], now=now)
        await reply_tokens.keep(session, [token], now=now)
        again = await reply_tokens.take(session, [hana.id or 0], now=now)

    assert again == {}


async def test_old_tokens_are_forgotten(post: Post, cast: Cast) -> None:
    hana = await cast.hana()
    await post.token_of(hana)
    await post.travel(timedelta(minutes=21))
    await post.token_of(hana)

    async with post.runtime.db.transaction() as session:
        gone = await reply_tokens.forget_old(session, now=await post.now())

    assert gone == 1
