"""Actions: which may stand where, and how long their parts may be."""

from typing import Any

import pytest

from simulator.actions import Place, action
from simulator.checks import Findings

POSTBACK = {"type": "postback", "label": "はい", "data": "a=1"}
MESSAGE = {"type": "message", "label": "はい", "text": "はい"}
URI = {"type": "uri", "label": "店", "uri": "https://shop.example/"}
DATE = {"type": "datetimepicker", "label": "日", "data": "d", "mode": "date"}
CAMERA = {"type": "camera", "label": "撮る"}
SWITCH = {"type": "richmenuswitch", "richMenuAliasId": "tab-b", "data": "tab=b"}
CLIPBOARD = {"type": "clipboard", "label": "コピー", "clipboardText": "ABC"}
FAMILY = "👨‍👩‍👧"  # One grapheme, eight UTF-16 units.


def wrong(value: object, place: Place = Place.quick_reply) -> list[str]:
    found = Findings()
    action(place)(value, "", found)
    return [detail.property for detail in found.details]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        *[(one, Place.quick_reply) for one in (POSTBACK, MESSAGE, URI, DATE, CAMERA, CLIPBOARD)],
        (POSTBACK, Place.template),
        (SWITCH, Place.rich_menu),
        ({"type": "message", "text": "a"}, Place.rich_menu),
        ({"type": "message", "text": "a"}, Place.flex),
        ({"type": "uri", "uri": "tel:0451234567"}, Place.flex),
        ({"type": "uri", "uri": "line://nv/camera/"}, Place.flex),
        ({**MESSAGE, "label": FAMILY * 20, "text": FAMILY * 300}, Place.template),
        ({**DATE, "min": "2026-01-01", "initial": "2026-02-01", "max": "2026-03-01"}, Place.flex),
        ({**DATE, "mode": "datetime", "initial": "2026-01-01t10:00"}, Place.flex),
    ],
)
def test_good_actions_are_taken(value: dict[str, Any], place: Place) -> None:
    assert wrong(value, place) == []


@pytest.mark.parametrize(
    ("value", "place", "where"),
    [
        (CAMERA, Place.template, "type"),
        (CAMERA, Place.flex, "type"),
        (SWITCH, Place.quick_reply, "type"),
        ({"type": "message", "text": "a"}, Place.template, "label"),
        ({"type": "message", "text": "a"}, Place.quick_reply, "label"),
        ({"type": "message", "text": "a"}, Place.flex_button, "label"),
        ({**MESSAGE, "label": "a" * 21}, Place.template, "label"),
        ({**MESSAGE, "label": "a" * 13}, Place.image_carousel, "label"),
        ({**MESSAGE, "label": "a" * 41}, Place.flex_button, "label"),
        ({**MESSAGE, "text": "a" * 301}, Place.flex, "text"),
        ({**POSTBACK, "data": "a" * 301}, Place.flex, "data"),
        ({**POSTBACK, "data": "🍎" * 151}, Place.flex, "data"),
        ({**POSTBACK, "displayText": "a", "text": "b"}, Place.flex, "text"),
        ({**POSTBACK, "fillInText": "a"}, Place.flex, "fillInText"),
        ({**POSTBACK, "inputOption": "openDoor"}, Place.flex, "inputOption"),
        ({**URI, "uri": "ftp://shop.example/"}, Place.flex, "uri"),
        ({**URI, "uri": "javascript:alert(1)"}, Place.flex, "uri"),
        ({**URI, "uri": "https://shop.example/ a"}, Place.flex, "uri"),
        ({**URI, "uri": "https://shop.example/" + "a" * 1_000}, Place.flex, "uri"),
        ({**DATE, "mode": "week"}, Place.flex, "mode"),
        ({**DATE, "initial": "2026-1-1"}, Place.flex, "initial"),
        ({**DATE, "initial": "2026-02-30"}, Place.flex, "initial"),
        ({**DATE, "min": "2026-02-01", "max": "2026-02-01"}, Place.flex, "min"),
        ({**DATE, "min": "1899-12-31"}, Place.flex, "min"),
        ({**SWITCH, "richMenuAliasId": "Tab B"}, Place.rich_menu, "richMenuAliasId"),
        ({**CLIPBOARD, "clipboardText": ""}, Place.flex, "clipboardText"),
        ("tap", Place.flex, "type"),
    ],
)
def test_each_mistake_is_found(value: object, place: Place, where: str) -> None:
    assert wrong(value, place) == [where]
