"""Talking to the bot: words, buttons, stickers, and an answer that helps when nothing fits."""

from typing import Any

import pytest

from delivery import text_rules
from delivery.text_rules import RuleDraft
from server.demo import SAMPLE
from server.tasks import read_rules
from tests.conftest import StandIn
from tests.shop import Person, Shop


@pytest.fixture
async def hana(shop: Shop) -> Person:
    """Hana, a friend of the shop with the sample shop's text rules."""
    now = await shop.runtime.clock.now()
    async with shop.runtime.db.transaction() as session:
        for _file, rules in read_rules(SAMPLE / "replies.yaml", allow_http=True):
            for key, draft in rules.items():
                await text_rules.save(session, key, draft, now=now)
    person = await shop.new_person("花")
    await person.follow()
    await shop.work()
    return person


@pytest.mark.parametrize(
    ("typed", "begins"),
    [
        ("営業時間", "営業時間は 8:00"),
        ("　ＨＯＵＲＳ　", "営業時間は 8:00"),
        ("ハンドドリップのイレカタを教えて", "おいしい淹れ方は"),
        ("ありがとうございました", "こちらこそ"),
        ("つかいかた", "このトークでできること"),
        ("予約したいのですが", "メッセージありがとうございます"),
    ],
)
async def test_a_word_however_it_is_typed_gets_its_answer(
    shop: Shop, hana: Person, typed: str, begins: str
) -> None:
    await hana.say(typed)
    await shop.work()

    (answer,) = await hana.heard()
    assert answer["message"]["text"].startswith(begins)
    assert answer["via"] == "reply"


async def test_a_button_of_the_greeting_answers_like_its_word(shop: Shop, hana: Person) -> None:
    await shop.publish_library()
    ken = await shop.new_person("健")
    await ken.follow()
    await shop.work()
    _text, buttons = await ken.heard()
    action: dict[str, Any] = buttons["message"]["template"]["actions"][0]

    await ken.tap(action)
    await shop.work()

    assert (await ken.texts())[-1].startswith("営業時間は 8:00")


async def test_a_forged_button_does_nothing_but_get_a_polite_word(shop: Shop, hana: Person) -> None:
    await hana.tap({"type": "postback", "label": "x", "data": "choice.1..WyLllrbmpa0iXQ.forged"})
    await shop.work()

    (answer,) = await hana.texts()
    assert answer == "このボタンは今はお使いいただけません。"


async def test_a_sticker_gets_a_friendly_word_and_a_way_on(shop: Shop, hana: Person) -> None:
    await hana.sticker()
    await shop.work()

    (answer,) = await hana.heard()
    labels = [item["action"]["label"] for item in answer["message"]["quickReply"]["items"]]
    assert "スタンプ" in answer["message"]["text"]
    assert {"営業時間", "ヘルプ"} <= set(labels)


async def test_several_words_at_once_are_answered_in_order_in_one_free_reply(
    shop: Shop, hana: Person, line: StandIn
) -> None:
    for word in ("営業時間", "淹れ方", "ありがとう"):
        await hana.say(word)
    await shop.work()

    texts = await hana.texts()
    begins = ["営業時間は", "おいしい淹れ方", "こちらこそ"]
    assert [text.startswith(word) for text, word in zip(texts, begins, strict=True)] == [True] * 3
    assert {entry["via"] for entry in await hana.heard()} == {"reply"}


async def test_two_rules_for_the_same_word_are_reported(shop: Shop, hana: Person) -> None:
    now = await shop.runtime.clock.now()
    async with shop.runtime.db.transaction() as session:
        draft = RuleDraft(words=["夏の営業時間", "ランチ"], priority=10, say="別の答え")
        _rule, _new, found = await text_rules.save(session, "other", draft, now=now)

    assert [(o.words, o.winner, o.other, o.same_priority) for o in found] == [
        (("夏の営業時間",), "hours", "other", True)
    ]
