"""What a tap does, and which action may stand where.

Source: https://developers.line.biz/en/reference/messaging-api/#action-objects
"""

from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from urllib.parse import urlsplit

import regex

from simulator.checks import (
    Check,
    Findings,
    by_type,
    graphemes,
    join,
    matching,
    one_of,
    shape,
    text,
)

MAX_URI = 1_000
MAX_DATA = 300
ALIAS_ID = "[a-z0-9_-]{1,32}"


class Place(StrEnum):
    """Where an action stands."""

    template = "template"
    default_action = "default_action"
    image_carousel = "image_carousel"
    quick_reply = "quick_reply"
    rich_menu = "rich_menu"
    flex_button = "flex_button"
    flex = "flex"


# Longest label by place, and whether it must be there.
_LABELS: dict[Place, tuple[int, bool]] = {
    Place.template: (20, True),
    Place.default_action: (20, False),
    Place.image_carousel: (12, False),
    Place.quick_reply: (20, True),
    Place.rich_menu: (20, False),
    Place.flex_button: (40, True),
    Place.flex: (40, False),
}
_EVERYWHERE = ("postback", "message", "uri", "datetimepicker", "clipboard")
_ONLY_HERE: dict[Place, tuple[str, ...]] = {
    Place.quick_reply: ("camera", "cameraRoll", "location"),
    Place.rich_menu: ("richmenuswitch",),
}
_NOT_IN_URI = regex.compile(r"[^\x21-\x7e]")
_MOMENTS = {
    "date": (r"\d{4}-\d{2}-\d{2}", "%Y-%m-%d"),
    "time": (r"\d{2}:\d{2}", "%H:%M"),
    "datetime": (r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}", "%Y-%m-%dT%H:%M"),
}
_FIRST_YEAR, _LAST_YEAR = 1900, 2100


def uri(value: object, path: str, found: Findings) -> None:
    """Up to 1,000 characters, scheme http, https, line or tel, percent-encoded."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_URI:
        found.add(path, f"Must be a URI of 1 to {MAX_URI} characters")
    elif not _is_uri(value):
        found.add(path, "Invalid action URI: http, https, line or tel, percent-encoded")


def _is_uri(value: str) -> bool:
    if _NOT_IN_URI.search(value):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    if parts.scheme in {"http", "https"}:
        return bool(parts.hostname)
    return parts.scheme in {"line", "tel"} and len(value) > len(parts.scheme) + 1


def _postback_rules(value: dict[str, object], path: str, found: Findings) -> None:
    if value.get("displayText") is not None and value.get("text") is not None:
        found.add(join(path, "text"), "displayText and text cannot be used together")
    if value.get("fillInText") is not None and value.get("inputOption") != "openKeyboard":
        found.add(join(path, "fillInText"), "Can only be used with inputOption openKeyboard")


def _moment(value: object, mode: str) -> datetime | None:
    pattern, layout = _MOMENTS[mode]
    if not isinstance(value, str) or not regex.fullmatch(pattern, value):
        return None
    try:
        moment = datetime.strptime(value.replace("t", "T"), layout)  # noqa: DTZ007  wall clock
    except ValueError:
        return None
    return moment if _FIRST_YEAR <= moment.year <= _LAST_YEAR else None


def _picker_rules(value: dict[str, object], path: str, found: Findings) -> None:
    mode = value.get("mode")
    if not isinstance(mode, str) or mode not in _MOMENTS:
        return
    moments = {}
    for name in ("min", "initial", "max"):
        if value.get(name) is not None:
            moments[name] = _moment(value[name], mode)
            if moments[name] is None:
                found.add(join(path, name), f"Invalid format for mode {mode}")
    _check_order([(name, when) for name, when in moments.items() if when], path, found)


def _check_order(moments: list[tuple[str, datetime]], path: str, found: Findings) -> None:
    for (earlier, one), (later, other) in pairwise(moments):
        if one > other or (one == other and (earlier, later) == ("min", "max")):
            found.add(join(path, earlier), f"Must be before {later}")


def _is_object(value: object, path: str, found: Findings) -> None:
    if not isinstance(value, str):
        found.add(path, "Must be a string")


def _kinds(label: tuple[dict[str, Check], dict[str, Check]]) -> dict[str, Check]:
    needed, allowed = label
    always = {"type": _is_object, **needed}
    short = text(MAX_DATA, count=graphemes)
    data = text(MAX_DATA)
    return {
        "postback": shape(
            {**always, "data": data},
            {
                **allowed,
                "displayText": short,
                "text": short,
                "inputOption": one_of("closeRichMenu", "openRichMenu", "openKeyboard", "openVoice"),
                "fillInText": short,
            },
            _postback_rules,
        ),
        "message": shape({**always, "text": short}, allowed),
        "uri": shape({**always, "uri": uri}, {**allowed, "altUri": shape({"desktop": uri})}),
        "datetimepicker": shape(
            {**always, "data": data, "mode": one_of(*_MOMENTS)},
            {**allowed, "initial": _is_object, "max": _is_object, "min": _is_object},
            _picker_rules,
        ),
        "clipboard": shape({**always, "clipboardText": text(1_000)}, allowed),
        "camera": shape(always, allowed),
        "cameraRoll": shape(always, allowed),
        "location": shape(always, allowed),
        "richmenuswitch": shape(
            {**always, "richMenuAliasId": matching(ALIAS_ID)}, {**allowed, "data": data}
        ),
    }


def _at(place: Place) -> Check:
    longest, needed = _LABELS[place]
    label = {"label": text(longest, count=graphemes)}
    kinds = _kinds((label, {}) if needed else ({}, label))
    allowed = (*_EVERYWHERE, *_ONLY_HERE.get(place, ()))
    return by_type({kind: kinds[kind] for kind in allowed})


_CHECKS = {place: _at(place) for place in Place}


def action(place: Place) -> Check:
    """The check for an action object that stands in this place."""
    return _CHECKS[place]
