"""Small talk: shop rules by word and by button, help, stickers, pictures, and the fallback."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from core.buttons import Choice
from core.runtime import Runtime
from crm.models import Activity
from delivery import text_rules
from delivery.models import Delivery
from delivery.text_rules import RuleDraft
from tests.bot.helpers import HANA, Webhook, event, friend, handle, rows, said, text


async def write_rule(runtime: Runtime, key: str, **draft: Any) -> None:
    """Save a text rule as staff would."""
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        await text_rules.save(session, key, RuleDraft(**draft), now=now)


async def ask(webhook: Webhook, words: str) -> dict[str, Any]:
    """Type something; returns the one message that answers it."""
    return await answered(webhook, text(words))


async def answered(webhook: Webhook, made: dict[str, Any]) -> dict[str, Any]:
    before = len(await rows(webhook.runtime, Delivery))
    await webhook.bring_and_handle(made)
    new = (await rows(webhook.runtime, Delivery))[before:]
    [message] = [m for row in new for m in orjson.loads(row.messages)]
    assert [row.purpose for row in new] == ["answer"]
    return dict(message)


def choices(message: dict[str, Any]) -> list[str]:
    """The words of a message's quick replies."""
    items = message.get("quickReply", {}).get("items", [])
    assert all(item["action"]["label"] == item["action"]["text"] for item in items)
    return [item["action"]["text"] for item in items]


def tap(data: str, **more: Any) -> dict[str, Any]:
    return event("postback", postback={"data": data, **more})


async def test_a_rule_of_the_shop_answers_before_everything_else(
    webhook: Webhook, runtime: Runtime
) -> None:
    await write_rule(runtime, "help", words=["ヘルプ"], say="当店のヘルプです")

    assert (await ask(webhook, "ﾍﾙﾌﾟ"))["text"] == "当店のヘルプです"


async def test_the_highest_priority_then_the_older_rule_answers(
    webhook: Webhook, runtime: Runtime
) -> None:
    await write_rule(runtime, "wide", match="contains", words=["予約"], say="広い")
    await write_rule(runtime, "same", match="starts", words=["予約"], say="同じ")
    await write_rule(runtime, "narrow", words=["予約"], say="狭い", priority=5)

    assert (await ask(webhook, "予約"))["text"] == "狭い"
    assert (await ask(webhook, "予約したい"))["text"] == "広い"


async def test_a_disabled_rule_does_not_answer(webhook: Webhook, runtime: Runtime) -> None:
    await write_rule(runtime, "off", words=["予約"], say="x", enabled=False)

    assert "スタッフが確認" in (await ask(webhook, "予約"))["text"]


async def test_rules_know_who_asks(webhook: Webhook, runtime: Runtime) -> None:
    say = "{{ friend.name }}、{{ shop.name }}です"
    await write_rule(runtime, "who", words=["だれ"], say=say)

    assert (await ask(webhook, "だれ"))["text"] == "お客さま、当店です"


async def test_help_lists_what_surely_gets_an_answer(webhook: Webhook, runtime: Runtime) -> None:
    await write_rule(runtime, "a", words=["営業時間", "何時"], say="8時から")
    await write_rule(runtime, "b", match="regex", words=["^どこ"], say="ここ")
    await write_rule(runtime, "c", words=["x" * 21], say="長い")
    await write_rule(runtime, "d", words=["予約"], say="はい", priority=5)

    message = await ask(webhook, "使い方")

    ours = ["会員証", "ポイント", "ランク", "クーポン", "通知設定", "連携"]
    lines = message["text"].split("\n")
    assert lines[1:-1] == [f"・{word}" for word in [*ours, "予約", "営業時間"]]
    assert choices(message) == [*ours, "予約", "営業時間"]


async def test_help_of_a_shop_without_rules_is_still_kind(webhook: Webhook) -> None:
    message = await ask(webhook, "help")

    assert "お問い合わせ" in message["text"]
    assert choices(message)[0] == "会員証"


async def test_what_nobody_understands_goes_to_staff_with_a_way_on(
    webhook: Webhook, runtime: Runtime
) -> None:
    for number in range(8):
        await write_rule(runtime, f"r{number}", words=[f"ことば{number}"], say="x")

    message = await ask(webhook, "豆の焙煎度を変えられますか")

    assert "スタッフが確認" in message["text"]
    assert choices(message) == [*(f"ことば{number}" for number in range(6)), "ヘルプ"]


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ({"type": "sticker", "id": "1", "packageId": "1", "stickerId": "1"}, "スタンプ"),
        ({"type": "image", "id": "1", "contentProvider": {"type": "line"}}, "写真"),
        ({"type": "video", "id": "1", "duration": 1}, "動画"),
        ({"type": "audio", "id": "1", "duration": 1}, "音声"),
        ({"type": "file", "id": "1", "fileName": "x", "fileSize": 1}, "ファイル"),
        ({"type": "location", "id": "1", "latitude": 1, "longitude": 1}, "位置情報"),
        ({"type": "text", "id": "1", "text": ""}, "メッセージ"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
async def test_everything_a_friend_can_send_gets_a_friendly_word(
    webhook: Webhook, runtime: Runtime, message: dict[str, Any], word: str
) -> None:
    answer = await answered(webhook, event("message", message=message))

    assert word in answer["text"]
    assert choices(answer) == ["ヘルプ"]
    [activity] = await rows(runtime, Activity)
    assert (activity.kind, activity.data) == ("replied", {"type": message["type"]})


async def test_kinds_of_tomorrow_are_kept_and_not_answered(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring_and_handle(event("message", message={"type": "hologram", "id": "1"}))

    assert await said(runtime) == []


async def test_a_button_of_ours_counts_as_its_word(webhook: Webhook, runtime: Runtime) -> None:
    await write_rule(runtime, "hours", words=["営業時間"], say="8時から")
    data = Choice(value="営業時間").pack(runtime.buttons)

    answer = await answered(webhook, tap(data))

    assert answer["text"] == "8時から"
    assert [row.kind for row in await rows(runtime, Activity)] == ["tapped", "replied"]


async def test_a_button_without_a_rule_is_noted_and_not_answered(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring_and_handle(tap(Choice(value="はい").pack(runtime.buttons)))

    assert await said(runtime) == []
    [activity] = await rows(runtime, Activity)
    assert (activity.kind, activity.data) == ("tapped", {"value": "はい"})


async def test_a_button_of_ours_may_stand_for_a_word_that_the_bot_itself_answers(
    webhook: Webhook, runtime: Runtime
) -> None:
    answer = await answered(webhook, tap(Choice(value="ヘルプ").pack(runtime.buttons)))

    assert answer["text"].startswith("このトークでできること")
    assert [row.kind for row in await rows(runtime, Activity)] == ["tapped"]


async def test_a_button_in_a_rules_answer_is_signed_and_works(
    webhook: Webhook, runtime: Runtime
) -> None:
    action = {"type": "postback", "label": "はい", "data": "営業時間"}
    template = {"type": "confirm", "text": "見ますか", "actions": [action, action]}
    message = {"type": "template", "altText": "見ますか", "template": template}
    await write_rule(runtime, "ask", words=["聞く"], messages=[message])
    await write_rule(runtime, "hours", words=["営業時間"], say="8時から")

    buttons = (await ask(webhook, "聞く"))["template"]["actions"]
    answer = await answered(webhook, tap(buttons[0]["data"]))

    assert buttons[0]["data"] != "営業時間"
    assert answer["text"] == "8時から"


async def test_an_expired_button_says_so(webhook: Webhook, runtime: Runtime) -> None:
    now = await runtime.clock.now()
    data = Choice(value="x").pack(runtime.buttons, expires_at=now - timedelta(seconds=1))

    answer = await answered(webhook, tap(data))

    assert "期限が切れました" in answer["text"]
    assert await rows(runtime, Activity) == []


@pytest.mark.parametrize(
    "data", ["", "x", "choice.1..WyLllrbmpa0iXQ.forged", "action=buy&id=1", "a" * 300]
)
async def test_a_forged_or_foreign_button_acts_as_nothing(
    webhook: Webhook, runtime: Runtime, data: str
) -> None:
    answer = await answered(webhook, tap(data))

    assert "お使いいただけません" in answer["text"]
    assert await rows(runtime, Activity) == []


@pytest.mark.parametrize(
    "params",
    [{"newRichMenuAliasId": "b", "status": "SUCCESS"}, {"date": "2027-01-10"},
     {"time": "10:00"}, {"datetime": "2027-01-10T10:00"}],
)  # fmt: skip
async def test_a_menu_that_was_switched_or_a_date_of_others_is_not_answered(
    webhook: Webhook, runtime: Runtime, params: dict[str, str]
) -> None:
    await webhook.bring_and_handle(tap("switched", params=params))

    assert await said(runtime) == []


async def test_an_edited_message_is_not_answered_again(webhook: Webhook, runtime: Runtime) -> None:
    first = text("ヘルプ")

    await webhook.bring_and_handle(first, first | {"type": "messageEdited", "webhookEventId": "e"})

    assert len(await said(runtime)) == 1


async def test_a_pattern_that_explodes_falls_back_and_the_belt_goes_on(
    webhook: Webhook, runtime: Runtime
) -> None:
    await write_rule(runtime, "bomb", match="regex", words=["(a+)+$"], say="x")

    message = await ask(webhook, "a" * 3_000 + "!")

    assert "スタッフが確認" in message["text"]


async def test_an_answer_names_the_event_it_answers(webhook: Webhook, runtime: Runtime) -> None:
    await webhook.bring(text("こんにちは"))
    await handle(runtime)

    [delivery] = await rows(runtime, Delivery)
    assert delivery.source == "event:1"
    assert delivery.friend_id == (await friend(runtime, HANA)).id
