"""Template messages: buttons, confirm, carousel, image carousel.

Source: https://developers.line.biz/en/reference/messaging-api/#template-messages
"""

from simulator.actions import Place, action
from simulator.checks import (
    Check,
    Findings,
    anything,
    by_type,
    graphemes,
    join,
    listing,
    matching,
    one_of,
    shape,
    text,
    url,
)

COLOR = matching(r"#[0-9a-fA-F]{6}", "Must be a colour as #RRGGBB")
MAX_COLUMNS = 10
_SHORT_TEXT = 60  # Buttons and columns, as soon as a picture or a title stands above the text.
_PICTURE: dict[str, Check] = {
    "imageAspectRatio": one_of("rectangle", "square"),
    "imageSize": one_of("cover", "contain"),
}
_CARD: dict[str, Check] = {
    "thumbnailImageUrl": url,
    "imageBackgroundColor": COLOR,
    "title": text(40, count=graphemes),
    "defaultAction": action(Place.default_action),
}


def _text_is_short_under_a_picture(value: dict[str, object], path: str, found: Findings) -> None:
    crowded = value.get("thumbnailImageUrl") is not None or value.get("title") is not None
    said = value.get("text")
    if crowded and isinstance(said, str) and graphemes(said) > _SHORT_TEXT:
        found.add(join(path, "text"), f"Length must be between 1 and {_SHORT_TEXT}")


def _columns_are_alike(value: dict[str, object], path: str, found: Findings) -> None:
    columns = value.get("columns")
    columns = [c for c in columns if isinstance(c, dict)] if isinstance(columns, list) else []
    for name in ("thumbnailImageUrl", "title"):
        if len({column.get(name) is not None for column in columns}) > 1:
            found.add(join(path, "columns"), f"All columns or none must have {name}")
    if len({len(c["actions"]) for c in columns if isinstance(c.get("actions"), list)}) > 1:
        found.add(join(path, "columns"), "All columns must have the same number of actions")


def _actions(least: int, most: int) -> Check:
    return listing(action(Place.template), least, most)


_COLUMN = shape(
    {"text": text(120, count=graphemes), "actions": _actions(1, 3)},
    _CARD,
    _text_is_short_under_a_picture,
)
_IMAGE_COLUMN = shape({"imageUrl": url, "action": action(Place.image_carousel)})

template: Check = by_type(
    {
        "buttons": shape(
            {"type": anything, "text": text(160, count=graphemes), "actions": _actions(1, 4)},
            {**_CARD, **_PICTURE},
            _text_is_short_under_a_picture,
        ),
        "confirm": shape(
            {"type": anything, "text": text(240, count=graphemes), "actions": _actions(2, 2)}
        ),
        "carousel": shape(
            {"type": anything, "columns": listing(_COLUMN, 1, MAX_COLUMNS)},
            _PICTURE,
            _columns_are_alike,
        ),
        "image_carousel": shape(
            {"type": anything, "columns": listing(_IMAGE_COLUMN, 1, MAX_COLUMNS)}
        ),
    }
)
