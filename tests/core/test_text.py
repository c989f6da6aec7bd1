"""Folding and matching: what people type meets what shops wrote, however it is written."""

import time

import pytest
from hypothesis import given, strategies as st

from core.errors import Invalid
from core.text import fold
from core.text_match import TextMatch, check_pattern, overlaps

SAME = [
    ["ポイント", "ﾎﾟｲﾝﾄ", "ぽいんと", " ポイント ", "\u3000ポイント\u3000", "ホ\u309aイント"],
    ["point", "POINT", "Point", "ＰＯＩＮＴ", "ｐｏｉｎｔ"],
    ["メニュー 2", "メニュー　２", "めにゅー　2", "ﾒﾆｭｰ\n2", "メニュー\t  2"],
    ["ヴァイオリン", "ゔぁいおりん", "ｳﾞｧｲｵﾘﾝ"],
    ["ガ", "か\u3099", "ｶﾞ", "が"],
    ["㍿", "株式会社"],
    ["①", "1", "１"],
    ["straße", "STRASSE"],
    ["?", "？"],
    ["", " ", "\u3000\n"],
]


@pytest.mark.parametrize("ways", SAME, ids=[ways[0] or "nothing" for ways in SAME])
def test_all_ways_to_write_it_fold_to_one(ways: list[str]) -> None:
    assert {fold(way) for way in ways} == {fold(ways[0])}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ポイント", "ホイント"),
        ("はは", "ぱぱ"),
        ("びょういん", "びよういん"),
        ("ー", "-"),
        ("花", "華"),
    ],
)
def test_different_words_stay_different(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.text())
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)


# how, words, typed, whether it meets
MEETINGS = [
    ("exact", ["ポイント"], "ぽいんと", True),
    ("exact", ["ﾎﾟｲﾝﾄ"], " ポイント ", True),
    ("exact", ["ポイント"], "ポイントは？", False),
    ("exact", ["ポイント", "points"], "ＰＯＩＮＴＳ", True),
    ("exact", ["営業 時間"], "営業　　時間", True),
    ("exact", ["営業時間"], "営業 時間", False),
    ("starts", ["予約"], "予約したい", True),
    ("starts", ["予約"], "明日の予約", False),
    ("starts", ["ﾖﾔｸ"], "よやくしたい", True),
    ("contains", ["クーポン"], "今日のｸｰﾎﾟﾝはありますか", True),
    ("contains", ["COUPON"], "any coupons?", True),
    ("contains", ["クーポン"], "クッポン", False),
    ("regex", ["^\\d{3}-?\\d{4}$"], "１２３-４５６７", True),
    ("regex", ["^\\d{3}-?\\d{4}$"], "1234", False),
    ("regex", ["予約.*(明日|あした)"], "予約を明日", True),
    ("regex", ["HELLO"], "hello there", True),
    ("regex", ["x", "y"], "only y", True),
]


@pytest.mark.parametrize(("how", "words", "typed", "meets"), MEETINGS)
def test_what_is_typed_meets_the_rule(how: str, words: list[str], typed: str, meets: bool) -> None:
    assert TextMatch(how, tuple(words)).matches(fold(typed)) is meets


@pytest.mark.parametrize(
    ("pattern", "typed", "meets"),
    [
        ("ポイント|クーポン", "クーポンください", True),
        ("ﾎﾟｲﾝﾄ+", "ポイント", True),
        ("^[ァ-ヶー]+$", "メニュー", True),
        ("^[ァ-ヶー]+$", "献立", False),
        ("^\\D+$", "メニュー", True),
        ("^\\D+$", "メニュー２", False),
        ("Ｐoint １０", "point 10", True),
        ("か\u3099く", "ガク", True),
    ],
)
def test_a_pattern_is_folded_like_the_texts_and_keeps_its_meaning(
    pattern: str, typed: str, meets: bool
) -> None:
    assert TextMatch("regex", (pattern,)).matches(fold(typed)) is meets


@pytest.mark.parametrize(
    "bomb", ["(a+)+$", "(a|a)*$", "(a|aa)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*a){25}$"]
)
def test_a_pattern_that_explodes_answers_nobody_and_holds_nobody_up(bomb: str) -> None:
    began = time.monotonic()

    for _ in range(3):
        TextMatch("regex", (bomb,)).matches("a" * 5_000 + "!")

    # Without the bound this takes years. It is no measure of speed.
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<x>a)(?P<x", "a{2,1}", "\\"])
def test_a_pattern_that_cannot_be_read_is_refused_when_it_is_written(pattern: str) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        check_pattern(pattern)


def rule(name: str, how: str, *words: str, priority: int = 0) -> tuple[str, TextMatch, int]:
    return name, TextMatch(how, words), priority


def test_rules_that_meet_the_same_words_are_told_with_who_answers() -> None:
    found = overlaps(
        [
            rule("points", "exact", "ポイント"),
            rule("any-points", "contains", "ﾎﾟｲﾝﾄ", priority=5),
            rule("hours", "exact", "営業時間"),
            rule("digits", "regex", "^ぽい"),
        ]
    )

    told = {(o.winner, o.other, o.words, o.same_priority) for o in found}
    assert told == {
        ("any-points", "points", ("ぽいんと",), False),
        ("any-points", "digits", ("ぽいんと",), False),
        ("points", "digits", ("ぽいんと",), True),
    }


def test_rules_apart_do_not_overlap() -> None:
    assert not overlaps(
        [
            rule("a", "exact", "ポイント"),
            rule("b", "starts", "ポイントカード"),
            rule("c", "regex", "^x"),
        ]
    )
