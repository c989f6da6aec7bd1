"""A new friend is greeted by name, for free, and hears from the shop again three days later."""

from datetime import timedelta

from tests.conftest import StandIn
from tests.shop import Shop


async def test_a_new_friend_is_greeted_and_hears_from_us_three_days_later_at_seven(
    shop: Shop, line: StandIn
) -> None:
    await shop.publish_library()
    hana = await shop.new_person("花")

    await hana.follow()
    await shop.work()
    greeting = await hana.heard()
    await shop.travel(timedelta(days=2))
    before = await hana.heard()
    await shop.travel(timedelta(days=2))
    after = await hana.heard()

    assert [entry["via"] for entry in greeting] == ["reply", "reply"]
    assert greeting[0]["message"]["text"].startswith("花さん、はじめまして。\nみなと珈琲です。")
    assert len(before) == 2
    assert [entry["via"] for entry in after[2:]] == ["push"]
