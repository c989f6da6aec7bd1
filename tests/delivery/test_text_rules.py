"""Text rules: the shop's own answers, checked when they are saved, asked by priority."""

from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Invalid, NotFound, StaleVersion
from core.runtime import Runtime
from core.text import fold
from core.text_match import Overlap
from delivery import text_rules
from delivery.text_rules import RuleDraft


def draft(*words: str, **more: Any) -> RuleDraft:
    return RuleDraft(words=list(words), **{"say": "はい", **more})


async def save(runtime: Runtime, session: AsyncSession, key: str, written: RuleDraft) -> bool:
    now = await runtime.clock.now()
    _rule, new, _overlaps = await text_rules.save(session, key, written, now=now)
    return new


async def answering(session: AsyncSession, text: str) -> str | None:
    found = text_rules.find(await text_rules.enabled(session), fold(text))
    return found.key if found else None


# (how, word, what a customer types) → does the rule answer?
@pytest.mark.parametrize(
    ("how", "word", "typed", "answers"),
    [
        ("exact", "営業時間", "営業時間", True),
        ("exact", "営業時間", "営業時間は？", False),
        ("exact", "ポイント", "ﾎﾟｲﾝﾄ", True),
        ("exact", "point", "  ＰＯＩＮＴ  ", True),
        ("starts", "予約", "予約したい", True),
        ("starts", "予約", "ご予約", False),
        ("contains", "予約", "ご予約", True),
        ("regex", "^注文 ?[0-9]+$", "注文１２", True),
        ("regex", "^注文 ?[0-9]+$", "注文", False),
        ("regex", "(a+)+$", "a" * 50 + "!", False),  # gives up instead of thinking for hours
    ],
)
async def test_when_a_rule_answers(
    runtime: Runtime, session: AsyncSession, how: str, word: str, typed: str, answers: bool
) -> None:
    await save(runtime, session, "rule", draft(word, match=how))

    assert await answering(session, typed) == ("rule" if answers else None)


async def test_the_highest_priority_answers_and_a_disabled_rule_never(
    runtime: Runtime, session: AsyncSession
) -> None:
    await save(runtime, session, "low", draft("時間", match="contains", priority=-5))
    await save(runtime, session, "high", draft("営業", match="contains", priority=5))
    await save(runtime, session, "off", draft("営業時間", priority=99, enabled=False))

    assert await answering(session, "営業時間") == "high"
    assert await answering(session, "時間") == "low"


async def test_saving_again_replaces_the_rule_and_counts_its_versions(
    runtime: Runtime, session: AsyncSession
) -> None:
    now = await runtime.clock.now()
    new = [
        await save(runtime, session, "hours", draft("時間")),
        await save(runtime, session, "hours", draft("開店")),
    ]

    with pytest.raises(StaleVersion) as stale:
        await text_rules.save(session, "hours", draft("閉店"), now=now, version=1)

    assert (new, stale.value.current) == ([True, False], 2)
    assert (await answering(session, "開店"), await answering(session, "時間")) == ("hours", None)


async def test_rules_that_meet_the_same_words_are_told_when_one_is_saved(
    runtime: Runtime, session: AsyncSession
) -> None:
    now = await runtime.clock.now()
    await text_rules.save(session, "hours", draft("営業時間"), now=now)
    await text_rules.save(session, "beans", draft("豆"), now=now)

    wide = draft("時間", match="contains", priority=3)
    _rule, _new, overlaps = await text_rules.save(session, "time", wide, now=now)

    assert overlaps == [Overlap(("営業時間",), winner="time", other="hours", same_priority=False)]


async def test_a_rule_can_be_removed_once(runtime: Runtime, session: AsyncSession) -> None:
    await save(runtime, session, "hours", draft("時間"))

    await text_rules.remove(session, "hours")

    assert await answering(session, "時間") is None
    with pytest.raises(NotFound):
        await text_rules.remove(session, "hours")


@pytest.mark.parametrize(
    ("written", "path"),
    [
        (draft("(", match="regex"), "words[0]"),
        (draft("a", "[", match="regex"), "words[1]"),
        (draft("a", say="{{ nobody.name }}"), "messages[0].text"),
        (draft("a", say=""), "messages[0].text"),
        (draft("a", say="あ" * 5_001), "messages[0].text"),
        (draft("a", say=None, messages=[]), "messages"),
        (draft("a", say=None, messages=[{"type": "fax"}]), "messages[0].type"),
    ],
)
def test_what_could_not_be_answered_is_refused_with_its_place(
    written: RuleDraft, path: str
) -> None:
    with pytest.raises(Invalid) as refused:
        text_rules.check(written)

    assert [fault.path for fault in refused.value.faults] == [path]
    assert all(fault.message_ja for fault in refused.value.faults)


@pytest.mark.parametrize(
    "fields",
    [
        {"words": []},
        {"words": [""]},
        {"words": ["　"]},
        {"words": ["x" * 201]},
        {"words": ["x"] * 51},
        {"words": ["a"], "match": "almost"},
        {"words": ["a"], "priority": 1_001},
        {"words": ["a"], "colour": "red"},
        {"words": ["a"], "messages": [{"type": "text", "text": "b"}]},
        {"words": ["a"], "say": None},
    ],
)
def test_a_draft_that_says_too_little_or_too_much_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RuleDraft(**{"say": "はい", **fields})
