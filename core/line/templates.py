"""Template messages: buttons, confirm, carousel and image carousel.

Source: https://developers.line.biz/en/reference/messaging-api/#template-messages
"""

from core.line.actions import ACTIONS, Place
from core.line.problems import Check
from core.line.rules import (
    Kinds,
    Rule,
    Shape,
    anything,
    choice,
    items,
    matching,
    resource_url,
    visible_at_most,
    visible_text,
)

CAROUSEL_COLUMNS = 10
TEXT_BESIDE_PICTURE = 60

_action = ACTIONS[Place.template]
_aspect = choice("rectangle", "square")
_size = choice("cover", "contain")

_PICTURE: dict[str, Rule] = {
    "thumbnailImageUrl": resource_url,
    "imageBackgroundColor": matching("#[0-9A-Fa-f]{6}", "#FFFFFF", most=7),
    "title": visible_text(40),
}


def _shorter_beside_picture(check: Check, value: dict[str, object], path: str) -> None:
    """With an image or a title there is room for 60 characters of text only."""
    words = value.get("text")
    if isinstance(words, str) and ("title" in value or "thumbnailImageUrl" in value):
        visible_at_most(check, words, f"{path}.text", TEXT_BESIDE_PICTURE)


def _even_columns(check: Check, carousel: dict[str, object], path: str) -> None:
    columns = carousel.get("columns")
    if not isinstance(columns, list | tuple):
        return
    held = [column for column in columns[:CAROUSEL_COLUMNS] if isinstance(column, dict)]
    _same_number_of_actions(check, held, f"{path}.columns")
    for name in ("title", "thumbnailImageUrl"):
        if len({name in column for column in held}) > 1:
            check.report(
                f"{path}.columns",
                f"Either all columns have `{name}` or none.",
                f"「{name}」はすべてのカラムに付けるか、どれにも付けないかにしてください。",
            )


def _same_number_of_actions(check: Check, columns: list[dict[str, object]], path: str) -> None:
    lists = [column.get("actions") for column in columns]
    numbers = {len(actions) for actions in lists if isinstance(actions, list | tuple)}
    if len(numbers) > 1:
        check.report(
            path,
            f"All columns need the same number of actions, not {_joined(numbers)}.",
            "すべてのカラムのアクション数をそろえてください"
            f"（いまは{_joined(numbers)}個がまざっています）。",
        )


def _joined(numbers: set[int]) -> str:
    return ", ".join(str(number) for number in sorted(numbers))


_COLUMN = Shape(
    {
        **_PICTURE,
        "text": visible_text(120),
        "actions": items(_action, 1, 3),
        "defaultAction": _action,
    },
    required="text actions",
    further=_shorter_beside_picture,
)

template = Kinds(
    {
        "buttons": Shape(
            {
                **_PICTURE,
                "type": anything,
                "imageAspectRatio": _aspect,
                "imageSize": _size,
                "text": visible_text(160),
                "actions": items(_action, 1, 4),
                "defaultAction": _action,
            },
            required="text actions",
            further=_shorter_beside_picture,
        ),
        "confirm": Shape(
            {"type": anything, "text": visible_text(240), "actions": items(_action, 2, 2)},
            required="text actions",
        ),
        "carousel": Shape(
            {
                "type": anything,
                "columns": items(_COLUMN, 1, CAROUSEL_COLUMNS),
                "imageAspectRatio": _aspect,
                "imageSize": _size,
            },
            required="columns",
            further=_even_columns,
        ),
        "image_carousel": Shape(
            {
                "type": anything,
                "columns": items(
                    Shape(
                        {"imageUrl": resource_url, "action": ACTIONS[Place.image_carousel]},
                        required="imageUrl action",
                    ),
                    1,
                    CAROUSEL_COLUMNS,
                ),
            },
            required="columns",
        ),
    }
)
