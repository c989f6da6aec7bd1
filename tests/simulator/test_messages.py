"""Message objects: what LINE takes, and each rule by something that breaks it."""

from typing import Any

import pytest

from simulator.messages import check_messages

URL = "https://shop.example/a.jpg"
SMILE = {"type": "emoji", "productId": "5", "emojiId": "001"}
TEXT = {"type": "text", "text": "a"}


def wrong(*messages: object, allow_http: bool = False) -> list[str]:
    """The paths of what is wrong."""
    return [d.property for d in check_messages(list(messages), allow_http=allow_http).details]


GOOD: list[dict[str, Any]] = [
    TEXT,
    {"type": "text", "text": "あ" * 5_000},
    {"type": "text", "text": "$ $", "emojis": [{"index": 2, "productId": "5", "emojiId": "1"}]},
    {"type": "text", "text": "a", "sender": {"name": "みなと", "iconUrl": URL}},
    {
        "type": "textV2",
        "text": "{{ {smile}",
        "substitution": {"smile": SMILE},
    },
    {"type": "sticker", "packageId": "446", "stickerId": "1988"},
    {"type": "image", "originalContentUrl": URL, "previewImageUrl": URL},
    {"type": "video", "originalContentUrl": URL, "previewImageUrl": URL, "trackingId": "a-1"},
    {"type": "audio", "originalContentUrl": URL, "duration": 1},
    {"type": "location", "title": "店", "address": "横浜", "latitude": 35.4, "longitude": 139},
    {"type": "coupon", "couponId": "01ABC", "deliveryTag": "autumn_1"},
    {
        "type": "imagemap",
        "baseUrl": "https://shop.example/map",
        "altText": "地図",
        "baseSize": {"width": 1040, "height": 700},
        "actions": [
            {"type": "uri", "linkUri": URL, "area": {"x": 0, "y": 0, "width": 9, "height": 9}}
        ],
    },
]


@pytest.mark.parametrize("message", GOOD, ids=lambda m: m["type"])
def test_good_messages_are_taken(message: dict[str, Any]) -> None:
    found = check_messages([message])

    assert (found.details, found.unknown) == ([], [])


# What is wrong -> where LINE would say so
BAD: list[tuple[dict[str, Any], str]] = [
    ({"type": "text"}, "messages[0].text"),
    ({"type": "text", "text": None}, "messages[0].text"),
    ({"type": "text", "text": ""}, "messages[0].text"),
    ({"type": "text", "text": 5}, "messages[0].text"),
    ({"type": "text", "text": "a" * 5_001}, "messages[0].text"),
    ({"type": "text", "text": "🍎" * 2_501}, "messages[0].text"),  # 2 units each: 5,002
    ({"text": "no type"}, "messages[0].type"),
    ({"type": "carrierPigeon"}, "messages[0].type"),
    (
        {**TEXT, "emojis": [{"index": 0, "productId": "5", "emojiId": "1"}]},
        "messages[0].emojis[0].index",
    ),
    (
        {**TEXT, "text": "$", "emojis": [{"index": 0, "emojiId": "1"}]},
        "messages[0].emojis[0].productId",
    ),
    (
        {**TEXT, "text": "$" * 21, "emojis": [{"index": 0, "productId": "5", "emojiId": "1"}] * 21},
        "messages[0].emojis",
    ),
    ({**TEXT, "sender": {"name": "a" * 21}}, "messages[0].sender.name"),
    ({**TEXT, "sender": {"name": "LINE公式"}}, "messages[0].sender.name"),
    ({**TEXT, "sender": {"iconUrl": "http://shop.example/a"}}, "messages[0].sender.iconUrl"),
    ({"type": "textV2", "text": "a { b"}, "messages[0].text"),
    ({"type": "textV2", "text": "{name}"}, "messages[0].text"),
    (
        {"type": "textV2", "text": "a", "substitution": {"né": SMILE}},
        "messages[0].substitution.né",
    ),
    ({"type": "sticker", "packageId": "a", "stickerId": "1"}, "messages[0].packageId"),
    ({"type": "image", "originalContentUrl": URL}, "messages[0].previewImageUrl"),
    (
        {"type": "image", "originalContentUrl": "http://127.0.0.1/a", "previewImageUrl": URL},
        "messages[0].originalContentUrl",
    ),
    (
        {"type": "image", "originalContentUrl": URL + "a" * 2_000, "previewImageUrl": URL},
        "messages[0].originalContentUrl",
    ),
    (
        {"type": "image", "originalContentUrl": "https://例え.jp/", "previewImageUrl": URL},
        "messages[0].originalContentUrl",
    ),
    (
        {"type": "image", "originalContentUrl": "https://[bad", "previewImageUrl": URL},
        "messages[0].originalContentUrl",
    ),
    (
        {
            "type": "video",
            "originalContentUrl": URL,
            "previewImageUrl": URL,
            "trackingId": "日本",
        },
        "messages[0].trackingId",
    ),
    ({"type": "audio", "originalContentUrl": URL, "duration": 0}, "messages[0].duration"),
    ({"type": "audio", "originalContentUrl": URL, "duration": True}, "messages[0].duration"),
    (
        {"type": "location", "title": "a" * 101, "address": "b", "latitude": 0, "longitude": 0},
        "messages[0].title",
    ),
    (
        {"type": "location", "title": "a", "address": "b", "latitude": 91, "longitude": 0},
        "messages[0].latitude",
    ),
    ({"type": "coupon", "couponId": "a", "deliveryTag": "a-b"}, "messages[0].deliveryTag"),
    ({**GOOD[-1], "baseUrl": "https://shop.example/map.png"}, "messages[0].baseUrl"),
    (
        {**GOOD[-1], "baseSize": {"width": 1000, "height": 700}},
        "messages[0].baseSize.width",
    ),
    ({**GOOD[-1], "actions": GOOD[-1]["actions"] * 51}, "messages[0].actions"),
    ({**GOOD[-1], "altText": "a" * 1_501}, "messages[0].altText"),
]


@pytest.mark.parametrize(("message", "where"), BAD)
def test_each_mistake_is_found(message: dict[str, Any], where: str) -> None:
    assert wrong(message) == [where]


@pytest.mark.parametrize(
    ("messages", "where"),
    [(None, "messages"), ([], "messages"), ([TEXT] * 6, "messages"), ("a", "messages")],
)
def test_one_to_five_messages_make_a_request(messages: object, where: str) -> None:
    assert [d.property for d in check_messages(messages).details] == [where]


def test_the_second_message_is_named_by_its_place() -> None:
    assert wrong(TEXT, {"type": "text"}) == ["messages[1].text"]


def test_local_http_urls_pass_only_where_allowed() -> None:
    image = {
        "type": "image",
        "originalContentUrl": "http://localhost:8000/a.png",
        "previewImageUrl": "http://127.0.0.1:8000/a.png",
    }

    assert wrong(image, allow_http=True) == []
    assert len(wrong(image)) == 2
    image["originalContentUrl"] = "http://shop.example/a.png"
    assert wrong(image, allow_http=True) == ["messages[0].originalContentUrl"]


def test_a_misspelt_property_is_noticed_but_not_refused() -> None:
    found = check_messages([{**TEXT, "quickReplies": {}}])

    assert (found.details, found.unknown) == ([], ["messages[0].quickReplies"])
