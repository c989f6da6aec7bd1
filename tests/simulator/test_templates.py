"""Template messages and quick replies."""

from typing import Any

import pytest

from simulator.messages import check_messages

URL = "https://shop.example/a.jpg"
YES = {"type": "message", "label": "はい", "text": "はい"}
COLUMN = {"text": "a", "actions": [YES]}


def template(body: object) -> dict[str, Any]:
    return {"type": "template", "altText": "選んでください", "template": body}


def wrong(message: dict[str, Any]) -> list[str]:
    found = [detail.property for detail in check_messages([message]).details]
    return [where.removeprefix("messages[0].") for where in found]


@pytest.mark.parametrize(
    "body",
    [
        {"type": "buttons", "text": "a" * 160, "actions": [YES] * 4},
        {"type": "buttons", "text": "a" * 60, "title": "題", "actions": [YES]},
        {"type": "buttons", "text": "a", "actions": [YES], "defaultAction": YES},
        {"type": "confirm", "text": "a" * 240, "actions": [YES, YES]},
        {"type": "carousel", "columns": [COLUMN] * 10},
        {"type": "image_carousel", "columns": [{"imageUrl": URL, "action": YES}] * 10},
    ],
)
def test_good_templates_are_taken(body: dict[str, Any]) -> None:
    assert wrong(template(body)) == []


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"type": "buttons", "text": "a" * 161, "actions": [YES]}, "text"),
        ({"type": "buttons", "text": "a" * 61, "title": "題", "actions": [YES]}, "text"),
        ({"type": "buttons", "text": "a" * 61, "thumbnailImageUrl": URL, "actions": [YES]}, "text"),
        ({"type": "buttons", "text": "a", "title": "a" * 41, "actions": [YES]}, "title"),
        ({"type": "buttons", "text": "a", "actions": [YES] * 5}, "actions"),
        ({"type": "buttons", "text": "a", "actions": []}, "actions"),
        ({"type": "confirm", "text": "a", "actions": [YES]}, "actions"),
        ({"type": "confirm", "text": "a" * 241, "actions": [YES, YES]}, "text"),
        ({"type": "carousel", "columns": [COLUMN] * 11}, "columns"),
        ({"type": "carousel", "columns": [{**COLUMN, "text": "a" * 121}]}, "columns[0].text"),
        ({"type": "carousel", "columns": [COLUMN, {**COLUMN, "title": "b"}]}, "columns"),
        ({"type": "carousel", "columns": [COLUMN, {"text": "a", "actions": [YES] * 2}]}, "columns"),
        (
            {"type": "carousel", "columns": [{"text": "a", "actions": [YES] * 4}]},
            "columns[0].actions",
        ),
        ({"type": "image_carousel", "columns": [{"imageUrl": URL}]}, "columns[0].action"),
        ({"type": "poster"}, "type"),
    ],
)
def test_each_mistake_is_found(body: dict[str, Any], where: str) -> None:
    assert wrong(template(body)) == [f"template.{where}"]


def test_alt_text_is_required_and_limited() -> None:
    body = {"type": "confirm", "text": "a", "actions": [YES, YES]}

    assert wrong({"type": "template", "template": body}) == ["altText"]
    assert wrong({**template(body), "altText": "a" * 1_501}) == ["altText"]


def test_thirteen_quick_replies_are_the_most() -> None:
    item = {"type": "action", "action": YES}

    assert wrong({"type": "text", "text": "a", "quickReply": {"items": [item] * 13}}) == []
    for items in ([item] * 14, []):
        message = {"type": "text", "text": "a", "quickReply": {"items": items}}
        assert wrong(message) == ["quickReply.items"]
