"""Following, blocking, coming back, taking a message back: as the customer does it on the phone."""

from datetime import timedelta

from sqlalchemy import select

from bot.models import ReceivedMessage, WebhookEvent
from core.db import table
from crm.models import Activity, Friend
from delivery.models import Delivery
from tests.conftest import StandIn
from tests.shop import Shop

LATER = """\
key: later
name: あとで
trigger: {on: followed}
entry: {once: always}
steps:
  - wait: {days: 1}
  - say: 一日たちました
"""


async def test_who_comes_back_after_a_block_is_welcomed_back_not_greeted_anew(shop: Shop) -> None:
    await shop.publish_library()
    yui = await shop.new_person("結衣")
    await yui.follow()
    await shop.work()

    await yui.block()
    await shop.work()
    await yui.follow()
    await shop.work()

    texts = await yui.texts()
    assert sum("はじめまして" in text for text in texts) == 1
    assert texts[-1].startswith("結衣さん、おかえりなさい。")


async def test_who_blocks_us_gets_nothing_that_was_still_to_come(shop: Shop) -> None:
    await shop.publish(LATER)
    yui = await shop.new_person("結衣")
    await yui.follow()
    await shop.work()

    await yui.block()
    await shop.work()
    await shop.travel(timedelta(days=2))
    await yui.follow()
    await shop.work()

    assert await yui.texts() == []


async def test_what_waits_in_the_outbox_is_suppressed_at_the_block(
    shop: Shop, line: StandIn
) -> None:
    await shop.publish(LATER)
    yui = await shop.new_person("結衣")
    await yui.follow()
    await shop.work()
    now = await shop.runtime.clock.now()
    await shop.runtime.clock.move_to(now + timedelta(days=1))  # type: ignore[attr-defined]
    await shop.runner.run("steps")  # queued, and not sent yet

    await yui.block()
    await shop.runner_rests("events")
    await shop.work()

    async with shop.runtime.db.reading() as session:
        delivery = (await session.execute(select(table(Delivery)))).one()
    assert (delivery.state, delivery.reason) == ("suppressed", "blocked")
    assert await yui.texts() == []


async def test_a_friend_from_before_the_installation_is_known_from_the_first_word(
    shop: Shop, line: StandIn
) -> None:
    ken = await shop.new_person("健")
    await ken.follow()
    await shop.work()
    await shop.forget_everybody()

    await ken.say("こんにちは")
    await shop.work()

    async with shop.runtime.db.reading() as session:
        friend = (await session.execute(select(table(Friend)))).one()
        kinds = list(await session.scalars(select(table(Activity).c.kind)))
    assert (friend.display_name, friend.status, friend.follow_count) == ("健", "following", 0)
    assert kinds == ["replied"]
    assert len(await ken.texts()) == 1


async def test_a_message_taken_back_is_forgotten_everywhere(shop: Shop) -> None:
    hana = await shop.new_person("花")
    await hana.follow()
    message_id = await hana.say("ひみつの電話番号です")
    await shop.work()

    await hana.unsend(message_id)
    await shop.work()

    async with shop.runtime.db.reading() as session:
        kept = [str(row) for row in await session.execute(select(table(ReceivedMessage)))]
        events = [str(row) for row in await session.execute(select(table(WebhookEvent)))]
    assert not any("ひみつ" in row for row in kept + events)
