"""Flex messages: containers, components, sizes."""

from typing import Any

import pytest

from simulator.messages import check_messages

URL = "https://shop.example/a.jpg"
TEXT: dict[str, Any] = {"type": "text", "text": "a"}
TAP = {"type": "uri", "label": "開く", "uri": "https://shop.example/"}
VIDEO = {
    "type": "video",
    "url": URL,
    "previewUrl": URL,
    "altContent": {"type": "image", "url": URL},
}


def box(*contents: object, layout: str = "vertical", **more: object) -> dict[str, Any]:
    return {"type": "box", "layout": layout, "contents": list(contents), **more}


def bubble(**blocks: object) -> dict[str, Any]:
    return {"type": "bubble", **(blocks or {"body": box(TEXT)})}


def wrong(contents: object) -> list[str]:
    message = {"type": "flex", "altText": "a", "contents": contents}
    found = [detail.property for detail in check_messages([message]).details]
    return [where.removeprefix("messages[0].contents").lstrip(".") for where in found]


@pytest.mark.parametrize(
    "contents",
    [
        bubble(),
        bubble(size="giga", hero=VIDEO),
        bubble(hero={"type": "image", "url": URL, "size": "full", "aspectRatio": "20:13"}),
        bubble(body=box(TEXT, {"type": "icon", "url": URL}, layout="baseline")),
        bubble(body=box({"type": "text", "contents": [{"type": "span", "text": "a"}]})),
        bubble(
            body=box({"type": "separator"}, {"type": "filler"}, {"type": "button", "action": TAP})
        ),
        bubble(body=box(TEXT, paddingAll="12px", width="50%", cornerRadius="md", action=TAP)),
        bubble(
            body=box(
                background={
                    "type": "linearGradient",
                    "angle": "359.9deg",
                    "startColor": "#ff0000",
                    "endColor": "#00ff0080",
                    "centerPosition": "10%",
                }
            )
        ),
        bubble(styles={"body": {"backgroundColor": "#ffffff", "separator": True}}, body=box(TEXT)),
        {"type": "carousel", "contents": [bubble()] * 12},
    ],
)
def test_good_contents_are_taken(contents: dict[str, Any]) -> None:
    assert wrong(contents) == []


@pytest.mark.parametrize(
    ("contents", "where"),
    [
        ({"type": "bubble"}, ""),
        ({"type": "poster"}, "type"),
        (bubble(size="tera", body=box(TEXT)), "size"),
        (bubble(size="nano", hero=VIDEO), "size"),
        (bubble(body=box(VIDEO)), "body.contents[0].type"),
        (bubble(body=TEXT), "body.type"),
        (bubble(body={"type": "box", "layout": "vertical"}), "body.contents"),
        (bubble(body=box(layout="diagonal")), "body.layout"),
        (bubble(body=box({"type": "icon", "url": URL})), "body.contents[0].type"),
        (bubble(body=box(box(), layout="baseline")), "body.contents[0].type"),
        (bubble(body=box({"type": "span", "text": "a"})), "body.contents[0].type"),
        (bubble(body=box({"type": "text", "text": ""})), "body.contents[0].text"),
        (bubble(body=box({"type": "text"})), "body.contents[0].text"),
        (bubble(body=box({**TEXT, "size": "huge"})), "body.contents[0].size"),
        (bubble(body=box({**TEXT, "color": "red"})), "body.contents[0].color"),
        (bubble(body=box({**TEXT, "flex": -1})), "body.contents[0].flex"),
        (bubble(body=box({**TEXT, "wrap": "yes"})), "body.contents[0].wrap"),
        (bubble(body=box(TEXT, spacing="wide")), "body.spacing"),
        (bubble(body=box({"type": "button"})), "body.contents[0].action"),
        (
            bubble(body=box({"type": "button", "action": {**TAP, "label": None}})),
            "body.contents[0].action.label",
        ),
        (
            bubble(hero={"type": "image", "url": URL, "aspectRatio": "1:4"}),
            "hero.aspectRatio",
        ),
        (bubble(hero={"type": "image", "url": "http://shop.example/"}), "hero.url"),
        (
            bubble(body=box(*[{"type": "image", "url": URL, "animated": True}] * 11)),
            "",
        ),
        ({"type": "carousel", "contents": [bubble()] * 13}, "contents"),
        ({"type": "carousel", "contents": []}, "contents"),
        (
            {"type": "carousel", "contents": [bubble(), bubble(size="kilo", body=box(TEXT))]},
            "contents",
        ),
        ({"type": "carousel", "contents": [bubble(hero=VIDEO)]}, "contents"),
    ],
)
def test_each_mistake_is_found(contents: dict[str, Any], where: str) -> None:
    assert wrong(contents) == [where]


def test_a_bubble_has_30_kilobytes_and_a_carousel_50() -> None:
    def of(kilobytes: int) -> dict[str, Any]:
        return bubble(body=box(*[{"type": "text", "text": "a" * 1_000}] * kilobytes))

    assert wrong(of(28)) == []
    assert wrong(of(30)) == [""]
    assert wrong({"type": "carousel", "contents": [of(23), of(23)]}) == []
    assert wrong({"type": "carousel", "contents": [of(25), of(25)]}) == [""]


def test_a_tap_anywhere_is_checked_too() -> None:
    contents = bubble(body=box(TEXT, action={"type": "camera", "label": "a"}))

    assert wrong(contents) == ["body.action.type"]
