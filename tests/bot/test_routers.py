"""Routers: who is asked first, what "not mine" means, which texts meet."""

from typing import Any, ClassVar, cast

import pytest

from bot.conversation import BUTTONS, ROUTES, built_in_overlaps, converse
from bot.router import (
    Router,
    answer,
    any_postback,
    any_text,
    event,
    in_order,
    kinds_of,
    message_of,
    text_contains,
    text_is,
    text_matches,
    text_starts,
)
from bot.turn import Replies, Turn
from core.buttons import ButtonData
from core.errors import Invalid

NOTHING = cast("Any", None)


def turn_of(made: dict[str, Any]) -> Turn:
    """A turn of which only the event is looked at."""
    return Turn(NOTHING, NOTHING, NOTHING, NOTHING, 1, made, NOTHING, NOTHING)


def typed(words: str) -> Turn:
    return turn_of({"type": "message", "message": {"type": "text", "text": words}})


def says(words: str) -> Any:
    async def handler(_turn: Turn) -> Replies:
        return [{"type": "text", "text": words}]

    handler.__name__ = words
    return handler


async def not_mine(_turn: Turn) -> Replies | None:
    return None


async def who(turn: Turn, *routers: Router) -> tuple[str | None, Any]:
    name, replies = await answer(turn, in_order(routers))
    return name, replies and [reply["text"] for reply in replies]


async def test_the_higher_priority_is_asked_first_then_the_order_of_writing() -> None:
    first, second = Router("first"), Router("second")
    first.on(any_text)(says("low"))
    first.on(any_text, priority=5)(says("five"))
    second.on(any_text, priority=5)(says("five-later"))
    second.on(any_text, priority=9)(says("nine"))

    names = [route.name for route in in_order([first, second])]

    assert names == ["second.nine", "first.five", "second.five-later", "first.low"]
    assert await who(typed("x"), first, second) == ("second.nine", ["nine"])


async def test_none_is_not_mine_and_an_empty_answer_is_an_answer() -> None:
    router = Router("r")
    router.on(any_text, priority=9)(not_mine)

    async def silent(_turn: Turn) -> Replies:
        return []

    router.on(any_text, priority=5)(silent)
    router.on(any_text)(says("too late"))

    assert await who(typed("x"), router) == ("r.silent", [])


async def test_nobody_answers_what_nobody_matches() -> None:
    router = Router("r")
    router.on(text_is("ポイント"))(says("points"))

    assert await who(typed("クーポン"), router) == (None, None)
    assert await who(turn_of({"type": "tomorrow"}), router) == (None, None)


TEXTS = [
    (text_is("ポイント", "points"), "ﾎﾟｲﾝﾄ", True),
    (text_is("ポイント", "points"), "Ｐｏｉｎｔｓ", True),
    (text_is("ポイント"), "ポイント！", False),
    (text_starts("予約"), "予約したい", True),
    (text_starts("予約"), "ご予約", False),
    (text_contains("クーポン"), "今日のくーぽんは", True),
    (text_contains("クーポン"), "今日は", False),
    (text_matches("^[0-9]{4}$"), "１２３４", True),
    (text_matches("^[0-9]{4}$"), "12345", False),
    (any_text, "なんでも", True),
]


@pytest.mark.parametrize(("match", "words", "meets"), TEXTS)
def test_texts_meet(match: Any, words: str, meets: bool) -> None:
    assert match(typed(words)) is meets


@pytest.mark.parametrize("match", [match for match, _words, _meets in TEXTS])
@pytest.mark.parametrize(
    "made",
    [{"type": "postback", "postback": {"data": "ポイント"}}, {"type": "follow"}, {},
     {"type": "message"}, {"type": "message", "message": {"type": "sticker", "text": "ポイント"}},
     {"type": "message", "message": {"type": "text"}},
     {"type": "messageEdited", "message": {"type": "text", "text": "ポイント"}}],
)  # fmt: skip
def test_what_was_not_typed_meets_no_text(match: Any, made: dict[str, Any]) -> None:
    assert match(turn_of(made)) is False


def test_other_matches_meet_their_own_kind_alone() -> None:
    image = turn_of({"type": "message", "message": {"type": "image", "id": "1"}})
    tap = turn_of({"type": "postback", "postback": {"data": "x"}})

    assert message_of("image", "video")(image)
    assert not message_of("sticker")(image)
    assert event("message")(image)
    assert not event("follow")(image)
    assert any_postback(tap)
    assert not any_postback(image)
    assert not any_postback(turn_of({"type": "postback", "postback": {"data": 7}}))


def test_a_pattern_that_cannot_be_read_fails_at_once_not_at_the_first_customer() -> None:
    with pytest.raises(Invalid):
        text_matches("(")


def test_taps_are_found_by_their_kind() -> None:
    class Show(ButtonData):
        kind: ClassVar[str] = "show"

    router = Router("r")

    @router.tap(Show)
    async def show(_turn: Turn, _button: Show) -> Replies:
        return []

    assert kinds_of([router]) == {Show: show}


def test_our_own_rules_do_not_overlap_and_our_buttons_are_told_apart() -> None:
    assert built_in_overlaps() == []
    assert len({kind.kind for kind in BUTTONS}) == len(BUTTONS)
    assert len({route.name for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize("kind", ["join", "leave", "tomorrow", "", "unsend"])
async def test_events_that_are_nobodys_get_no_answer(kind: str) -> None:
    assert await converse(turn_of({"type": kind})) is None
