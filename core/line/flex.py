"""Flex Messages: bubbles and carousels of bubbles.

Source: https://developers.line.biz/en/reference/messaging-api/#flex-message
"""

import orjson

from core.line.actions import ACTIONS, Place
from core.line.flex_components import COLOUR, IMAGE, VIDEO, nested_box
from core.line.problems import Check
from core.line.rules import Kinds, Shape, anything, boolean, choice, items

# LINE says "30 KB" and "50 KB" and not which; the smaller reading is safe under both.
BUBBLE_BYTES = 30_000
CAROUSEL_BYTES = 50_000
CAROUSEL_BUBBLES = 12
ANIMATED_IMAGES = 10

_DEFAULT_BUBBLE_SIZE = "mega"
_VIDEO_BUBBLE_SIZES = ("kilo", "mega", "giga")

_action = ACTIONS[Place.flex]
_ONLY_BOX = Kinds({"box": nested_box})
_HERO = Kinds({"box": nested_box, "image": IMAGE, "video": VIDEO})
_BLOCK_STYLE = Shape({"backgroundColor": COLOUR, "separator": boolean, "separatorColor": COLOUR})


def _whole_bubble(check: Check, bubble: dict[str, object], path: str) -> None:
    _at_most_bytes(check, bubble, path, BUBBLE_BYTES, "bubble")
    if not bubble.keys() & {"header", "hero", "body", "footer"}:
        check.report(
            path,
            "The bubble is empty: give it a header, hero, body or footer.",
            "バブルが空です。header、hero、body、footer のどれかが必要です。",
        )
    if _is_video(bubble.get("hero")) and _size(bubble) not in _VIDEO_BUBBLE_SIZES:
        check.report(
            f"{path}.size",
            "A bubble with a video must have size kilo, mega or giga.",
            "動画を使うバブルの size は kilo、mega、giga のどれかにしてください。",
        )


def _is_video(hero: object) -> bool:
    return isinstance(hero, dict) and hero.get("type") == "video"


def _size(bubble: dict[str, object]) -> object:
    return bubble.get("size", _DEFAULT_BUBBLE_SIZE)


def _whole_carousel(check: Check, carousel: dict[str, object], path: str) -> None:
    _at_most_bytes(check, carousel, path, CAROUSEL_BYTES, "carousel")
    contents = carousel.get("contents")
    if not isinstance(contents, list | tuple):
        return
    bubbles = [(index, bubble) for index, bubble in enumerate(contents) if isinstance(bubble, dict)]
    for index, bubble in bubbles[:CAROUSEL_BUBBLES]:
        if _size(bubble) != _size(bubbles[0][1]):
            check.report(
                f"{path}.contents[{index}].size",
                "All bubbles of a carousel must have the same size (mega where none is given).",
                "カルーセルのバブルはすべて同じ size にしてください（省略すると mega です）。",
            )
        if _is_video(bubble.get("hero")):
            check.report(
                f"{path}.contents[{index}].hero",
                "A video cannot stand in a carousel.",
                "カルーセルの中では動画を使えません。",
            )


def _at_most_bytes(check: Check, value: object, path: str, most: int, name: str) -> None:
    held = compact_bytes(value)
    if held is None:
        check.report(
            path,
            f"This {name} cannot be written as JSON.",
            "JSONとして書き出せない値が含まれています。",
        )
    elif held > most:
        check.report(
            path,
            f"The {name} is {held} bytes of compact JSON; at most {most} are allowed.",
            f"JSONが{held}バイトあります。{most}バイトまでです。",
        )


def compact_bytes(value: object) -> int | None:
    """Size as compact UTF-8 JSON, in bytes; None for what JSON cannot hold (or nobody reads)."""
    try:
        return len(orjson.dumps(value))
    except TypeError:
        return None


_BUBBLE = Kinds(
    {
        "bubble": Shape(
            {
                "type": anything,
                "size": choice("nano", "micro", "deca", "hecto", "kilo", "mega", "giga"),
                "direction": choice("ltr", "rtl"),
                "header": _ONLY_BOX,
                "hero": _HERO,
                "body": _ONLY_BOX,
                "footer": _ONLY_BOX,
                "styles": Shape(dict.fromkeys(("header", "hero", "body", "footer"), _BLOCK_STYLE)),
                "action": _action,
            },
            further=_whole_bubble,
        )
    }
)

_CONTAINER = Kinds(
    {
        "bubble": _BUBBLE,
        "carousel": Shape(
            {"type": anything, "contents": items(_BUBBLE, 1, CAROUSEL_BUBBLES)},
            required="contents",
            further=_whole_carousel,
        ),
    }
)


def flex_container(check: Check, value: object, path: str) -> None:
    """The `contents` of a flex message: a bubble or a carousel of bubbles."""
    check.animated_images = 0
    _CONTAINER(check, value, path)
    if check.animated_images > ANIMATED_IMAGES:
        check.report(
            path,
            f"There are {check.animated_images} animated images; "
            f"at most {ANIMATED_IMAGES} are allowed.",
            f"動く画像が{check.animated_images}枚あります。{ANIMATED_IMAGES}枚までです。",
        )
