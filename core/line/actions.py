"""What a tap does: the action objects, and which of them may stand where.

Source: https://developers.line.biz/en/reference/messaging-api/#action-objects
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

from core.line.problems import Check, Problem
from core.line.rules import (
    Further,
    Kinds,
    Rule,
    Shape,
    anything,
    choice,
    date_text,
    datetime_text,
    link_url,
    matching,
    text,
    time_text,
    visible_text,
)

POSTBACK_DATA = 300
SPOKEN_TEXT = 300


class Place(StrEnum):
    """Where an action stands, which decides its label and the types that work there."""

    template = "template"
    image_carousel = "image_carousel"
    quick_reply = "quick_reply"
    flex_button = "flex_button"
    flex = "flex"
    rich_menu = "rich_menu"


# Longest label in grapheme clusters, and whether there must be one.
_LABELS = {
    Place.template: (20, True),
    Place.image_carousel: (12, False),
    Place.quick_reply: (20, True),
    Place.flex_button: (40, True),
    Place.flex: (40, False),
    Place.rich_menu: (20, False),
}

_ONLY_QUICK_REPLY = (
    "This action works in quick replies only.",
    "このアクションはクイックリプライでしか使えません。",
)
_ONLY_RICH_MENU = (
    "This action works in rich menus only, never in a message.",
    "このアクションはリッチメニュー専用です。メッセージでは使えません。",
)


def _either_shown_or_said(check: Check, action: dict[str, object], path: str) -> None:
    if "displayText" in action and "text" in action:
        check.report(
            f"{path}.text",
            "`displayText` and `text` cannot be used together; keep `displayText`.",
            "displayText と text は同時に使えません。displayText だけにしてください。",
        )
    if "fillInText" in action and action.get("inputOption") != "openKeyboard":
        check.report(
            f"{path}.fillInText",
            '`fillInText` needs `inputOption` "openKeyboard".',
            "fillInText を使うときは inputOption を openKeyboard にしてください。",
        )


_MOMENTS: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "date": (date_text, "2026-04-01"),
    "time": (time_text, "09:30"),
    "datetime": (datetime_text, "2026-04-01T09:30"),
}


def _picker_moments(check: Check, action: dict[str, object], path: str) -> None:
    mode = action.get("mode")
    if not isinstance(mode, str) or mode not in _MOMENTS:
        return
    fits, example = _MOMENTS[mode]
    moments = {name: action[name] for name in ("initial", "min", "max") if name in action}
    for name, value in moments.items():
        if isinstance(value, str) and not fits(value):
            _wrong_moment(check, f"{path}.{name}", mode, example)
            return
    _min_before_max(check, moments.get("min"), moments.get("max"), path)


def _wrong_moment(check: Check, path: str, mode: str, example: str) -> None:
    check.report(
        path,
        f"With mode {mode} this is written as {example}, from 1900 to 2100, without a time zone.",
        f"mode が {mode} のときは {example} のように書いてください（1900年〜2100年）。",
    )


def _min_before_max(check: Check, least: object, most: object, path: str) -> None:
    if isinstance(least, str) and isinstance(most, str) and least.lower() >= most.lower():
        check.report(
            f"{path}.min",
            "`min` must be earlier than `max`.",
            "min は max より前にしてください。",
        )


_ALT_URI = Shape({"desktop": link_url})
_MOMENT = text(100)


def _shapes(label: Rule, *, required: bool) -> dict[str, Rule]:
    common: dict[str, Rule] = {"type": anything, "label": label}

    def shape(fields: dict[str, Rule], needed: str, further: Further | None = None) -> Rule:
        needed = f"label {needed}" if required else needed
        return Shape(common | fields, required=needed, further=further)

    return {
        "postback": shape(
            {
                "data": text(POSTBACK_DATA, least=0),
                "displayText": visible_text(SPOKEN_TEXT),
                "text": visible_text(SPOKEN_TEXT),
                "inputOption": choice("closeRichMenu", "openRichMenu", "openKeyboard", "openVoice"),
                "fillInText": visible_text(SPOKEN_TEXT),
            },
            "data",
            _either_shown_or_said,
        ),
        "message": shape({"text": visible_text(SPOKEN_TEXT)}, "text"),
        "uri": shape({"uri": link_url, "altUri": _ALT_URI}, "uri"),
        "datetimepicker": shape(
            {
                "data": text(POSTBACK_DATA, least=0),
                "mode": choice("date", "time", "datetime"),
                "initial": _MOMENT,
                "min": _MOMENT,
                "max": _MOMENT,
            },
            "data mode",
            _picker_moments,
        ),
        "clipboard": shape({"clipboardText": text(1000)}, "clipboardText"),
        "camera": shape({}, ""),
        "cameraRoll": shape({}, ""),
        "location": shape({}, ""),
        "richmenuswitch": shape(
            {
                "data": text(POSTBACK_DATA, least=0),
                "richMenuAliasId": matching("[a-z0-9_-]{1,32}", "points-page", most=32),
            },
            "data richMenuAliasId",
        ),
    }


_QUICK_REPLY_TYPES = frozenset({"camera", "cameraRoll", "location"})
_RICH_MENU_TYPES = frozenset({"richmenuswitch"})


def _actions(place: Place) -> Kinds:
    most, required = _LABELS[place]
    shapes = _shapes(visible_text(most), required=required)
    misplaced: dict[str, tuple[str, str]] = {}
    if place is not Place.quick_reply:
        misplaced |= dict.fromkeys(_QUICK_REPLY_TYPES, _ONLY_QUICK_REPLY)
    if place is not Place.rich_menu:
        misplaced |= dict.fromkeys(_RICH_MENU_TYPES, _ONLY_RICH_MENU)
    return Kinds({kind: rule for kind, rule in shapes.items() if kind not in misplaced}, misplaced)


ACTIONS: Mapping[Place, Rule] = {place: _actions(place) for place in Place}


def check_action(action: object, place: Place, *, path: str = "action") -> list[Problem]:
    """Every broken rule of one action object as it would stand in `place`."""
    check = Check()
    ACTIONS[place](check, action, path)
    return check.problems
