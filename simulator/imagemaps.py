"""Imagemap messages: one picture with tappable areas.

Source: https://developers.line.biz/en/reference/messaging-api/#imagemap-message
"""

from collections.abc import Mapping

from simulator.actions import uri
from simulator.checks import Check, Findings, anything, by_type, listing, shape, text, url, whole

WIDTH = 1040
MAX_ACTIONS = 50
_MANY = 100_000

_area = shape(
    {
        "x": whole(0, _MANY),
        "y": whole(0, _MANY),
        "width": whole(1, _MANY),
        "height": whole(1, _MANY),
    }
)
_tap: dict[str, Check] = {"type": anything, "area": _area}
_label: dict[str, Check] = {"label": text(100)}
_action = by_type(
    {
        "uri": shape({**_tap, "linkUri": uri}, _label),
        "message": shape({**_tap, "text": text(400)}, _label),
        "clipboard": shape({**_tap, "clipboardText": text(1_000)}, _label),
    }
)
_link = shape({"linkUri": uri, "label": text(30)})
_video = shape(
    {"originalContentUrl": url, "previewImageUrl": url, "area": _area}, {"externalLink": _link}
)


def _base_url(value: object, path: str, found: Findings) -> None:
    url(value, path, found)
    if isinstance(value, str) and value.lower().endswith((".png", ".jpg", ".jpeg")):
        found.add(path, "The URL is extended by /1040 and so on: no file extension")


def message(common: Mapping[str, Check]) -> Check:
    """The check for an imagemap message; `common` are the properties of every message."""
    size = shape({"width": whole(WIDTH, WIDTH), "height": whole(1, _MANY)})
    return shape(
        {
            "type": anything,
            "baseUrl": _base_url,
            "altText": text(1_500),
            "baseSize": size,
            "actions": listing(_action, 0, MAX_ACTIONS),
        },
        {**common, "video": _video},
    )
