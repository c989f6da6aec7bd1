"""Valid message objects, one of each kind, for tests to spoil."""

from typing import Any

PICTURE = "https://shop.example/a.png"
HANA = "U" + "0" * 31 + "1"

Json = dict[str, Any]


def text(words: str = "こんにちは", **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


def uri(label: str | None = "開く", link: str = "https://shop.example/") -> Json:
    action = {"type": "uri", "uri": link}
    return action if label is None else {**action, "label": label}


def postback(**more: Any) -> Json:
    return {"type": "postback", "label": "もらう", "data": "coupon:1", **more}


def quick(*actions: Json) -> Json:
    items = [{"type": "action", "action": action} for action in actions]
    return text(quickReply={"items": items})


def template(**fields: Any) -> Json:
    return {"type": "template", "altText": "お知らせ", "template": fields}


def buttons(**more: Any) -> Json:
    return template(**{"type": "buttons", "text": "どうぞ", "actions": [postback()], **more})


def column(**more: Any) -> Json:
    return {"text": "どうぞ", "actions": [postback()], **more}


def carousel(*columns: Json) -> Json:
    return template(type="carousel", columns=list(columns))


def flex(contents: Any) -> Json:
    return {"type": "flex", "altText": "お知らせ", "contents": contents}


def box(*contents: Any, layout: str = "vertical", **more: Any) -> Json:
    return {"type": "box", "layout": layout, "contents": list(contents), **more}


def bubble(*contents: Any, **more: Any) -> Json:
    return {"type": "bubble", "body": box(*contents), **more}


def words(value: str = "会員証", **more: Any) -> Json:
    return {"type": "text", "text": value, **more}


def image(**more: Any) -> Json:
    return {"type": "image", "url": PICTURE, **more}


def video(**more: Any) -> Json:
    fields = {"type": "video", "url": "https://shop.example/a.mp4", "previewUrl": PICTURE}
    return {**fields, "altContent": image(), **more}


def picker(**more: Any) -> Json:
    return {"type": "datetimepicker", "label": "日を選ぶ", "data": "d", "mode": "date", **more}


def imagemap(**more: Any) -> Json:
    area = {"x": 0, "y": 0, "width": 520, "height": 520}
    return {
        "type": "imagemap",
        "baseUrl": "https://shop.example/map",
        "altText": "地図",
        "baseSize": {"width": 1040, "height": 520},
        "actions": [{"type": "uri", "linkUri": "https://shop.example/", "area": area}],
        **more,
    }


def text_v2(value: str = "{who}さん、{{こんにちは}}", **more: Any) -> Json:
    who = {"type": "mention", "mentionee": {"type": "user", "userId": HANA}}
    return {"type": "textV2", "text": value, "substitution": {"who": who}, **more}


EVERY_KIND: list[Json] = [
    text("はい $", emojis=[{"index": 3, "productId": "5ac1bfd5", "emojiId": "001"}]),
    text_v2(),
    {"type": "sticker", "packageId": "446", "stickerId": "1988"},
    {"type": "image", "originalContentUrl": PICTURE, "previewImageUrl": PICTURE},
    {
        "type": "video",
        "originalContentUrl": "https://shop.example/a.mp4",
        "previewImageUrl": PICTURE,
        "trackingId": "spring-2026",
    },
    {"type": "audio", "originalContentUrl": "https://shop.example/a.m4a", "duration": 60000},
    {
        "type": "location",
        "title": "本店",
        "address": "東京都千代田区一丁目",
        "latitude": 35.6,
        "longitude": 139.7,
    },
    {"type": "coupon", "couponId": "01JABC", "deliveryTag": "spring_2026"},
    imagemap(
        video={
            "originalContentUrl": "https://shop.example/a.mp4",
            "previewImageUrl": PICTURE,
            "area": {"x": 0, "y": 0, "width": 1040, "height": 500},
            "externalLink": {"linkUri": "https://shop.example/", "label": "もっと"},
        }
    ),
    buttons(
        thumbnailImageUrl=PICTURE,
        imageAspectRatio="square",
        imageSize="cover",
        imageBackgroundColor="#FFFFFF",
        title="春",
        defaultAction=uri(),
        actions=[postback(), uri(), picker(initial="2026-04-01", min="2026-01-01")],
    ),
    template(type="confirm", text="よいですか", actions=[postback(), uri()]),
    carousel(column(title="一"), column(title="二")),
    template(type="image_carousel", columns=[{"imageUrl": PICTURE, "action": uri(None)}]),
    flex(bubble(words(), image(), {"type": "separator"}, size="kilo")),
    flex(bubble(words(), hero=video(aspectRatio="20:13"))),
    flex(
        {
            "type": "carousel",
            "contents": [
                bubble(words(), styles={"body": {"backgroundColor": "#FF6600", "separator": True}}),
                bubble(
                    box({"type": "icon", "url": PICTURE}, words(), layout="baseline"),
                    {"type": "button", "action": uri(), "style": "primary", "height": "sm"},
                    {"type": "filler"},
                    {
                        "type": "text",
                        "contents": [{"type": "span", "text": "太字", "weight": "bold"}],
                        "lineSpacing": "6px",
                    },
                    box(
                        paddingAll="5%",
                        offsetTop="-4px",
                        background={
                            "type": "linearGradient",
                            "angle": "90deg",
                            "startColor": "#FF0000",
                            "endColor": "#00FF00CC",
                            "centerColor": "#0000FF",
                            "centerPosition": "10%",
                        },
                    ),
                ),
            ],
        }
    ),
    text(
        quickReply={
            "items": [
                {"type": "action", "imageUrl": PICTURE, "action": postback(displayText="はい")},
                {"type": "action", "action": {"type": "camera", "label": "撮る"}},
                {"type": "action", "action": {"type": "cameraRoll", "label": "選ぶ"}},
                {"type": "action", "action": {"type": "location", "label": "ここ"}},
                {
                    "type": "action",
                    "action": {"type": "clipboard", "label": "写す", "clipboardText": "A-1"},
                },
            ]
        },
        sender={"name": "おかえり", "iconUrl": PICTURE},
    ),
]
