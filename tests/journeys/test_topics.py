"""Who has switched a topic off is not written to about it, and stays a friend."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from core.db import table
from core.errors import Invalid
from crm.customers import topics
from crm.models import Friend
from delivery.models import Delivery
from tests.shop import Person, Shop

LATER = """\
key: {key}
name: のちほど
trigger: {{on: followed}}
{more}
steps:
  - wait: {{days: 1}}
  - say: {key}のお知らせ
"""


async def _decide(shop: Shop, person: Person, topic: str, granted: bool) -> None:
    now = await shop.runtime.clock.now()
    friend = table(Friend)
    async with shop.runtime.db.transaction() as session:
        whose = select(friend.c.customer_id).where(friend.c.user_id == person.user_id)
        customer_id = await session.scalar(whose)
        assert customer_id is not None
        await topics.decide(session, customer_id, topic, granted, source="test", now=now)


async def _states(shop: Shop) -> dict[str, int]:
    async with shop.runtime.db.reading() as session:
        rows = await session.execute(select(table(Delivery).c.state, table(Delivery).c.reason))
        found = [f"{row.state}:{row.reason}" for row in rows]
    return {state: found.count(state) for state in found}


async def test_a_refused_topic_is_not_pushed_and_all_else_is(shop: Shop) -> None:
    for key, more in (("news", ""), ("sales", "topic: sales"), ("order", "caps: transactional")):
        await shop.publish(LATER.format(key=key, more=more))
    hana, ken = await shop.new_person("花"), await shop.new_person("健")
    for person in (hana, ken):
        await person.follow()
    await shop.work()

    await _decide(shop, hana, "news", granted=False)
    await shop.travel(timedelta(days=1, hours=1))

    assert sorted(await hana.texts()) == ["orderのお知らせ", "salesのお知らせ"]
    assert len(await ken.texts()) == 3
    assert await _states(shop) == {"sent:None": 5, "suppressed:opted_out": 1}


async def test_who_wants_it_again_hears_of_it_again(shop: Shop) -> None:
    await shop.publish(LATER.format(key="news", more="entry: {once: always}"))
    hana = await shop.new_person("花")
    await hana.follow()
    await shop.work()

    await _decide(shop, hana, "news", granted=False)
    await _decide(shop, hana, "news", granted=True)
    await shop.travel(timedelta(days=1, hours=1))

    assert await hana.texts() == ["newsのお知らせ"]


async def test_an_answer_to_what_one_just_did_comes_all_the_same(shop: Shop) -> None:
    await shop.publish(
        "key: thanks\nname: お礼\ntrigger: {on: replied}\nentry: {once: always}\n"
        "steps:\n  - say: ありがとうございます\n"
    )
    hana = await shop.new_person("花")
    await hana.follow()
    await shop.work()
    await _decide(shop, hana, "news", granted=False)

    await hana.say("こんにちは")
    await shop.work()

    assert "ありがとうございます" in await hana.texts()


async def test_a_flow_for_a_topic_that_there_is_not_is_refused(shop: Shop) -> None:
    with pytest.raises(Invalid) as refused:
        await shop.publish(LATER.format(key="rain", more="topic: weather"))

    (fault,) = refused.value.faults
    assert fault.path == "topic"
    assert "known are news, sales, coupons, points" in fault.message
