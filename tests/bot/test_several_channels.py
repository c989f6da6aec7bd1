"""One deployment, several official accounts: secrets, friends and tokens keep apart."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from bot.profiles import fetch
from core.runtime import Runtime
from crm import channels
from crm.models import Activity, Friend
from delivery.dispatcher import dispatch
from simulator.app import create_app
from simulator.people import Person
from simulator.platform import Platform
from simulator.settings import ChannelSettings, Settings
from tests.bot.helpers import (
    HANA,
    Webhook,
    body,
    follow,
    handle,
    rows,
    states,
    text,
    unsend,
    written,
)
from tests.conftest import CHANNEL_ID, CHANNEL_SECRET, CHANNEL_TOKEN, StandIn, free_port, serving

OTHER_ID, OTHER_SECRET, OTHER_TOKEN = "2000000002", "secret-of-the-other", "token-of-the-other"


@pytest.fixture
async def line() -> AsyncIterator[StandIn]:
    """A stand-in with two channels."""
    both = (
        ChannelSettings(CHANNEL_ID, CHANNEL_SECRET, CHANNEL_TOKEN, name="馬車道店"),
        ChannelSettings(OTHER_ID, OTHER_SECRET, OTHER_TOKEN, name="元町店"),
    )
    app = create_app(Settings(channels=both, shop_url="http://127.0.0.1:9", rate_limits=False))
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(app, free_port()))
        yield StandIn(app.state.platform, url)


@pytest.fixture
async def two(runtime: Runtime, line: StandIn) -> Platform:
    """Both channels are known to us, and Hana is a friend of both in LINE."""
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        await channels.add(
            session, runtime.seal, channel_id=OTHER_ID, name="", secret=OTHER_SECRET,
            access_token=OTHER_TOKEN, now=now,
        )  # fmt: skip
    line.platform.people.add(Person(HANA, "花"))
    for channel in line.platform.channels.values():
        channel.friend(HANA).status = "friend"
    await channels.introduce(runtime)
    return line.platform


async def say(webhook: Webhook, channel: str, secret: str, *events: object) -> int:
    answer = await webhook.post(body(*events), channel=channel, secret=secret)
    return answer.status_code


async def test_each_channel_takes_its_own_secret_alone(webhook: Webhook, two: Platform) -> None:
    assert await say(webhook, CHANNEL_ID, CHANNEL_SECRET, text("x")) == 200
    assert await say(webhook, OTHER_ID, OTHER_SECRET, text("x")) == 200
    assert await say(webhook, CHANNEL_ID, OTHER_SECRET, text("x")) == 401
    assert await say(webhook, OTHER_ID, CHANNEL_SECRET, text("x")) == 401


async def test_the_same_person_is_a_friend_of_each_channel_by_themselves(
    webhook: Webhook, runtime: Runtime, two: Platform
) -> None:
    await say(webhook, CHANNEL_ID, CHANNEL_SECRET, follow(at=1))
    await say(webhook, OTHER_ID, OTHER_SECRET, follow(at=1))
    await handle(runtime)
    await say(webhook, OTHER_ID, OTHER_SECRET, follow(at=2) | {"type": "unfollow"})
    await handle(runtime)

    found = {row.channel_id: row.status for row in await rows(runtime, Friend)}
    assert found == {1: "following", 2: "blocked"}
    assert len({row.customer_id for row in await rows(runtime, Friend)}) == 2
    assert [row.kind for row in await rows(runtime, Activity)] == [
        "followed",
        "followed",
        "blocked",
    ]


async def test_each_channel_answers_in_its_own_name_with_its_own_token(
    webhook: Webhook, runtime: Runtime, two: Platform
) -> None:
    help_, picture = text("ヘルプ"), text("豆")
    for without_token in (help_, picture):  # so that a push is the way to answer
        del without_token["replyToken"]
    await say(webhook, CHANNEL_ID, CHANNEL_SECRET, help_)
    await say(webhook, OTHER_ID, OTHER_SECRET, picture)
    await handle(runtime)
    while await dispatch(runtime):
        pass

    heard = {
        id_: [_text_of(entry)[:4] for entry in channel.friend(HANA).entries()]
        for id_, channel in two.channels.items()
    }
    assert heard == {CHANNEL_ID: ["このトー"], OTHER_ID: ["メッセー"]}
    assert {status for (_name, status), _n in two.requests.items()} == {200}


def _text_of(entry: Any) -> str:
    return str(entry["message"]["text"])


async def test_profiles_are_asked_of_the_channel_that_met_the_person(
    webhook: Webhook, runtime: Runtime, two: Platform
) -> None:
    two.channels[CHANNEL_ID].friend(HANA).status = "blocked"  # this channel is told nothing of her
    await say(webhook, CHANNEL_ID, CHANNEL_SECRET, text("x"))
    await say(webhook, OTHER_ID, OTHER_SECRET, text("x"))
    await handle(runtime)

    await fetch(runtime)

    found = {row.channel_id: row.display_name for row in await rows(runtime, Friend)}
    assert found == {1: None, 2: "花"}


async def test_each_channel_is_introduced_by_line_under_its_own_name(
    runtime: Runtime, two: Platform
) -> None:
    found = {channel.channel_id: channel.name for channel in await channels.of(runtime).all()}

    assert found == {CHANNEL_ID: "馬車道店", OTHER_ID: "元町店"}


async def test_a_message_taken_back_on_one_channel_stays_on_the_other(
    webhook: Webhook, runtime: Runtime, two: Platform
) -> None:
    one, other = text("ひとつ"), text("ふたつ")
    other["message"]["id"] = one["message"]["id"]
    await say(webhook, CHANNEL_ID, CHANNEL_SECRET, one)
    await say(webhook, OTHER_ID, OTHER_SECRET, other)
    await handle(runtime)

    await say(webhook, CHANNEL_ID, CHANNEL_SECRET, unsend(one["message"]["id"], at=1))
    await handle(runtime)

    assert [row.content for row in await written(runtime)] == [{}, {"text": "ふたつ"}]


async def test_an_event_id_is_one_event_whatever_channel_repeats_it(
    webhook: Webhook, runtime: Runtime, two: Platform
) -> None:
    """LINE's event ids are unique over all channels, so a repeat elsewhere is no new event."""
    once = text("x")
    await say(webhook, CHANNEL_ID, CHANNEL_SECRET, once)
    await say(webhook, OTHER_ID, OTHER_SECRET, once)

    assert len(await states(runtime)) == 1
