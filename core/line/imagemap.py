"""Imagemap messages: one picture with areas to tap.

Source: https://developers.line.biz/en/reference/messaging-api/#imagemap-message
"""

from urllib.parse import urlsplit

from core.line.problems import Check
from core.line.rules import (
    Kinds,
    Rule,
    Shape,
    anything,
    items,
    link_url,
    resource_url,
    text,
    whole,
)

ACTIONS_MOST = 50
BASE_WIDTH = 1040
ALT_TEXT_UNITS = 1500

_PICTURE_ENDINGS = (".png", ".jpg", ".jpeg")

_AREA = Shape(
    {"x": whole(), "y": whole(), "width": whole(1), "height": whole(1)},
    required="x y width height",
)
_COMMON: dict[str, Rule] = {"type": anything, "area": _AREA, "label": text(100)}

_ACTION = Kinds(
    {
        "uri": Shape(_COMMON | {"linkUri": link_url}, required="area linkUri"),
        "message": Shape(_COMMON | {"text": text(400)}, required="area text"),
        "clipboard": Shape(_COMMON | {"clipboardText": text(1000)}, required="area clipboardText"),
    }
)

_VIDEO = Shape(
    {
        "originalContentUrl": resource_url,
        "previewImageUrl": resource_url,
        "area": _AREA,
        "externalLink": Shape({"linkUri": link_url, "label": text(30)}, required="linkUri label"),
    },
    required="originalContentUrl previewImageUrl area",
)


def _base_url(check: Check, value: object, path: str) -> None:
    """The folder of the pictures: LINE adds /240, /300, /460, /700 and /1040 to it."""
    found = len(check.problems)
    resource_url(check, value, path)
    if len(check.problems) == found and _names_a_file(str(value)):
        check.report(
            path,
            "LINE adds the width to this URL, so it must not end with a file extension.",
            "LINEがこのURLの後ろに画像の幅を付けます。拡張子は付けないでください。",
        )


def _names_a_file(url: str) -> bool:
    return urlsplit(url).path.lower().endswith(_PICTURE_ENDINGS)


IMAGEMAP: dict[str, Rule] = {
    "baseUrl": _base_url,
    "altText": text(ALT_TEXT_UNITS),
    "baseSize": Shape(
        {"width": whole(BASE_WIDTH, BASE_WIDTH), "height": whole(1)}, required="width height"
    ),
    "actions": items(_ACTION, 0, ACTIONS_MOST),
    "video": _VIDEO,
}
