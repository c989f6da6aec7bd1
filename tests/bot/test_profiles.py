"""Profiles: fetched off the hot path, patiently; nobody's greeting waits for LINE for ever."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from bot.profiles import FIRST_PAUSE, LONGEST_PAUSE, fetch
from core.clock import AT_ONCE
from core.db import table
from core.line.client import Profile
from core.runtime import Runtime
from crm import friends
from crm.models import Friend
from simulator.people import Person
from tests.bot.helpers import HANA, Webhook, follow, friend, rows, text
from tests.conftest import CHANNEL_ID, StandIn
from tests.shop import Shop


async def make_profiles_due(runtime: Runtime) -> None:
    async with runtime.db.transaction() as session:
        wanted = update(table(Friend)).where(table(Friend).c.profile_due_at.is_not(None))
        await session.execute(wanted.values(profile_due_at=AT_ONCE))


def asked(line: StandIn) -> int:
    """How often LINE was asked for a profile."""
    return sum(n for (name, _status), n in line.platform.requests.items() if name == "profile")


def know(line: StandIn, user: str, name: str) -> None:
    """Have LINE know somebody as our friend."""
    line.platform.people.add(Person(user, name))
    line.platform.channels[CHANNEL_ID].friend(user).status = "friend"


async def test_handling_does_not_ask_line(
    webhook: Webhook, runtime: Runtime, line: StandIn
) -> None:
    know(line, HANA, "花")

    await webhook.bring_and_handle(follow(), text("こんにちは", at=1))

    assert asked(line) == 0
    assert (await friend(runtime)).display_name is None


async def test_a_new_friends_profile_is_fetched_once(
    webhook: Webhook, runtime: Runtime, line: StandIn
) -> None:
    know(line, HANA, "花")
    await webhook.bring_and_handle(follow())

    moved = [await fetch(runtime), await fetch(runtime)]
    await webhook.bring_and_handle(text("こんにちは", at=1))
    moved.append(await fetch(runtime))

    hana = await friend(runtime)
    assert moved == [1, 0, 0]
    assert asked(line) == 1
    assert (hana.display_name, hana.profile_due_at) == ("花", None)
    assert hana.profile_fetched_at is not None


async def test_whoever_comes_back_is_asked_about_again(
    webhook: Webhook, runtime: Runtime, line: StandIn
) -> None:
    know(line, HANA, "花")
    await webhook.bring_and_handle(follow())
    await fetch(runtime)
    know(line, HANA, "花子")

    await webhook.bring_and_handle(follow(at=5, unblocked=True))
    await fetch(runtime)

    assert (await friend(runtime)).display_name == "花子"


async def test_somebody_line_tells_nothing_of_is_not_asked_about_again(
    webhook: Webhook, runtime: Runtime, line: StandIn
) -> None:
    await webhook.bring_and_handle(text("こんにちは"))  # LINE does not know this user: 404

    await fetch(runtime)
    await make_profiles_due(runtime)

    hana = await friend(runtime)
    assert await fetch(runtime) == 0
    assert asked(line) == 1
    assert (hana.display_name, hana.profile_due_at, hana.profile_attempts) == (None, None, 0)


@pytest.mark.parametrize("fault", ["500", "429", "502_html", "cut_before", "401"])
async def test_while_line_has_trouble_it_is_asked_ever_less_often(
    webhook: Webhook, runtime: Runtime, line: StandIn, fault: str
) -> None:
    know(line, HANA, "花")
    await webhook.bring_and_handle(follow())
    line.platform.faults.set({"rules": [{"kind": fault, "endpoint": "profile"}]})

    for attempt in range(4):
        before = runtime.clock.wall()
        await fetch(runtime)
        hana = await friend(runtime)
        pause = FIRST_PAUSE * 2**attempt
        assert hana.profile_attempts == attempt + 1
        assert before + pause <= hana.profile_due_at <= runtime.clock.wall() + pause
        await make_profiles_due(runtime)
    line.platform.faults.clear()
    await fetch(runtime)

    hana = await friend(runtime)
    assert (hana.display_name, hana.profile_attempts) == ("花", 0)


async def test_the_pause_has_an_end(webhook: Webhook, runtime: Runtime, line: StandIn) -> None:
    await webhook.bring_and_handle(follow())
    line.platform.faults.set({"rules": [{"kind": "500", "endpoint": "profile"}]})
    async with runtime.db.transaction() as session:
        await session.execute(update(table(Friend)).values(profile_attempts=10_000))

    await fetch(runtime)

    assert (await friend(runtime)).profile_due_at <= runtime.clock.wall() + LONGEST_PAUSE


async def test_one_persons_trouble_is_not_the_others(
    webhook: Webhook, runtime: Runtime, line: StandIn
) -> None:
    people = [f"U{number:032x}" for number in range(60)]
    for number, person in enumerate(people):
        know(line, person, f"友{number}")
    await webhook.bring_and_handle(*(follow(person) for person in people))
    line.platform.faults.set({"rules": [{"kind": "500", "endpoint": "profile", "times": 5}]})

    moved = [await fetch(runtime) for _ in range(3)]

    named = [row for row in await rows(runtime, Friend) if row.display_name]
    assert moved == [50, 10, 0]
    assert len(named) == 55


async def test_two_workers_do_not_ask_twice(
    webhook: Webhook, runtime: Runtime, line: StandIn
) -> None:
    know(line, HANA, "花")
    await webhook.bring_and_handle(follow())

    async with runtime.db.transaction() as session:
        lease = timedelta(seconds=20)
        first = await friends.claim_profiles(session, wall=_now(runtime), lease=lease, limit=50)
    async with runtime.db.transaction() as session:
        second = await friends.claim_profiles(session, wall=_now(runtime), lease=lease, limit=50)
        later = _now(runtime) + 2 * lease
        third = await friends.claim_profiles(session, wall=later, lease=lease, limit=50)

    assert (len(first), len(second), len(third)) == (1, 0, 1)


def _now(runtime: Runtime) -> datetime:
    return runtime.clock.wall()


async def test_strange_profiles_do_not_spoil_the_others(webhook: Webhook, runtime: Runtime) -> None:
    people = [f"U{number:032x}" for number in range(4)]
    await webhook.bring_and_handle(*(follow(person) for person in people))
    ids = [row.id for row in await rows(runtime, Friend)]
    told: list[Any] = [
        Profile(people[0], "花" * 500, "https://example.com/" + "x" * 5_000, None, "x" * 100),
        Profile(people[1], "a\x00b", "https://example.com/\x00", None, "ja\x00"),
        Profile(people[2], "", None, None, None),
        Profile(people[3], "健", "https://example.com/p.png", "hello", "ja"),
    ]

    async with runtime.db.transaction() as session:
        now = await runtime.clock.now()
        await friends.keep_profiles(session, dict(zip(ids, told, strict=True)), now=now)

    found = {row.user_id: row for row in await rows(runtime, Friend)}
    assert found[people[0]].display_name == "花" * 100
    assert found[people[0]].picture_url is None  # half an address is none
    assert "\x00" not in found[people[1]].display_name
    assert (found[people[3]].display_name, found[people[3]].language) == ("健", "ja")


WELCOME = """\
key: hello
name: ごあいさつ
trigger: {on: followed}
steps:
  - say: "{{ friend.name }}、ようこそ"
"""


async def test_a_greeting_goes_by_name_and_without_one_while_line_tells_none(
    shop: Shop, line: StandIn
) -> None:
    await shop.publish(WELCOME)
    hana, ken = await shop.new_person("花"), await shop.new_person("健")

    await hana.follow()
    await shop.work()
    line.platform.faults.set({"rules": [{"kind": "500", "endpoint": "profile"}]})
    await ken.follow()
    async with shop.http.post(f"{shop.line_url}/simulator/webhooks/drain"):
        pass
    for _ in range(20):
        for name in ("events", "profiles", "reactions", "steps", "dispatch"):
            await shop.runner.run(name)

    assert await hana.texts() == ["花さん、ようこそ"]
    assert await ken.texts() == ["お客さま、ようこそ"]
