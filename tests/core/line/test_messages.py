import copy
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from core.line import sdk_models
from core.line.actions import Place, check_action
from core.line.flex import BUBBLE_BYTES, CAROUSEL_BYTES, compact_bytes
from core.line.flex_components import NESTING
from core.line.messages import check_messages
from tests.core.line.samples import (
    EVERY_KIND,
    HANA,
    PICTURE,
    Json,
    box,
    bubble,
    buttons,
    carousel,
    column,
    flex,
    image,
    imagemap,
    picker,
    postback,
    quick,
    template,
    text,
    text_v2,
    uri,
    video,
    words,
)

APPLE = "🍎"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
MENTION = {"type": "mention", "mentionee": {"type": "user", "userId": HANA}}
EMOJI = {"type": "emoji", "productId": "5ac1bfd5", "emojiId": "001"}


def paths(message: Any, **options: Any) -> list[str]:
    """Where the problems of one message are, without the common beginning."""
    found = check_messages([message], **options)
    return [problem.path.removeprefix("messages[0]").removeprefix(".") for problem in found]


def of_length(size: int, prefix: str = "https://shop.example/") -> str:
    return prefix + "a" * (size - len(prefix))


def sized_bubble(size: int) -> Json:
    """A bubble of exactly `size` bytes; three bytes for each あ."""
    texts = [words("あ" * 1500) for _ in range(size // 5000)]
    made = bubble(*texts, words("a"))
    made["body"]["contents"][-1]["text"] = "a" * (size - (compact_bytes(made) or 0) + 1)
    return made


def deep(levels: int) -> Json:
    made = box()
    for _ in range(levels - 1):
        made = box(made)
    return flex({"type": "bubble", "body": made})


@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda message: message["type"])
def test_a_good_message_has_no_problem(message: Json) -> None:
    before = copy.deepcopy(message)

    assert check_messages([message]) == []
    assert check_messages([message], thorough=True) == []
    assert message == before


ALLOWED: list[Json] = [
    # Messages are counted in UTF-16 units: an apple is two.
    text("a" * 5000),
    text(APPLE * 2500),
    text("会員証", sender={"name": APPLE * 10}),
    text(sender={"name": "Online shop"}),
    {**EVERY_KIND[0], "emojis": []},
    text(
        f"{APPLE}$$",
        emojis=[
            {"index": 3, "productId": "1", "emojiId": "1"},
            {"index": 2, "productId": "1", "emojiId": "1"},
        ],
    ),
    text_v2("{{}} {a}{a}", substitution={"a": EMOJI}),
    text_v2("{a}", substitution={"a": {"type": "mention", "mentionee": {"type": "all"}}}),
    text_v2("x", substitution={f"k{number}": MENTION for number in range(20)}),
    text_v2("no placeholder"),
    {"type": "textV2", "text": "x"},
    # Template texts, labels and what a customer says are counted as readers count.
    buttons(text=FAMILY * 160),
    buttons(text="a" * 60, title=FAMILY * 40),
    buttons(actions=[postback(label=FAMILY * 20)] * 4),
    template(type="confirm", text="a" * 240, actions=[postback(), postback()]),
    carousel(*[column(text="a" * 120)] * 10),
    carousel(column(title="a", text="a" * 60, actions=[postback()] * 3)),
    template(type="image_carousel", columns=[{"imageUrl": PICTURE, "action": uri("a" * 12)}]),
    quick(*[postback()] * 13),
    quick(postback(data="a" * 300)),
    quick(postback(data=APPLE * 150)),
    quick(postback(displayText=FAMILY * 300)),
    quick(postback(inputOption="openKeyboard", fillInText="a" * 300)),
    quick({"type": "message", "label": "a", "text": FAMILY * 300}),
    quick(uri(link=of_length(1000))),
    quick(uri(link="http://shop.example")),
    quick(uri(link="tel:0312345678")),
    quick(uri(link="line://ti/p/@shop")),
    quick({**uri(), "altUri": {"desktop": "https://shop.example/pc"}}),
    quick({"type": "clipboard", "label": "a", "clipboardText": "a" * 1000}),
    quick(picker(mode="time", initial="00:00", min="00:00", max="23:59")),
    quick(picker(mode="datetime", min="2026-04-01T09:00", max="2026-04-01t10:00")),
    quick(picker(min="1900-01-01", max="2100-12-31", initial="2028-02-29")),
    imagemap(actions=[]),
    imagemap(actions=imagemap()["actions"] * 50),
    flex(sized_bubble(BUBBLE_BYTES)),
    flex({"type": "carousel", "contents": [bubble()] * 12}),
    flex({"type": "carousel", "contents": [bubble(), bubble(size="mega")]}),
    flex(bubble(*[image(animated=True)] * 10)),
    flex(bubble(image(aspectRatio="1:3", size="5xl"))),
    flex(bubble(image(aspectRatio="100000:100000", size="45.5%"))),
    flex(bubble(box(cornerRadius="4px", width="50%", borderWidth="semi-bold"))),
    flex(bubble({"type": "button", "action": postback(label=FAMILY * 40)})),
    flex(bubble(words(action=uri(None)))),
    flex({"type": "bubble", "hero": video(), "size": "giga"}),
    flex({"type": "bubble", "hero": video(altContent=box())}),
    {**EVERY_KIND[3], "originalContentUrl": of_length(2000)},
    {**EVERY_KIND[7], "deliveryTag": "a" * 30},
    {**EVERY_KIND[6], "title": APPLE * 50, "latitude": -90, "longitude": 180},
    deep(NESTING),
]


@pytest.mark.parametrize("message", ALLOWED)
def test_what_just_fits_passes(message: Json) -> None:
    assert check_messages([message]) == []


AREA = {"x": 0, "y": 0, "width": 1, "height": 1}

REFUSED: list[tuple[Json, str]] = [
    ({}, "type"),
    ({"type": 1}, "type"),
    ({"type": "txt", "text": "a"}, "type"),
    ({"type": "text"}, "text"),
    (text(""), "text"),
    (text(None), "text"),  # type: ignore[arg-type]
    (text("a" * 5001), "text"),
    (text(APPLE * 2500 + "a"), "text"),
    (text("\ud83c"), "text"),
    (text(txet="a"), "txet"),
    (text(quoteToken=""), "quoteToken"),
    (text("$", emojis=[{"index": 1, "productId": "1", "emojiId": "1"}]), "emojis[0].index"),
    # The dollar after an apple is at 2, not at 1.
    (text(f"{APPLE}$", emojis=[{"index": 1, "productId": "1", "emojiId": "1"}]), "emojis[0].index"),
    (text("$", emojis=[{"index": 0, "productId": "1", "emojiId": "1"}] * 2), "emojis[1].index"),
    (text("$", emojis=[{"index": 0, "productId": "1"}]), "emojis[0].emojiId"),
    (
        text(
            "$" * 21,
            emojis=[{"index": n, "productId": "1", "emojiId": "1"} for n in range(21)],
        ),
        "emojis",
    ),
    (text_v2("{whom}"), "text"),
    (text_v2("{who"), "text"),
    (text_v2("who}"), "text"),
    (text_v2("{}"), "text"),
    ({"type": "textV2", "text": "{who}"}, "text"),
    (text_v2("x", substitution=[]), "substitution"),
    (text_v2("x", substitution={"a-b": EMOJI}), "substitution.?"),
    (text_v2("x", substitution={"a" * 21: EMOJI}), "substitution." + "a" * 21),
    (text_v2("x", substitution={"a": {"type": "name"}}), "substitution.a.type"),
    (
        text_v2("x", substitution={"a": {"type": "mention", "mentionee": {"type": "user"}}}),
        "substitution.a.mentionee.userId",
    ),
    (text_v2("x", substitution={f"k{n}": MENTION for n in range(21)}), "substitution"),
    (text_v2("x", substitution={f"k{n}": EMOJI for n in range(21)}), "substitution"),
    (text(sender={"name": APPLE * 10 + "a"}), "sender.name"),
    (text(sender={"name": "LINE公式"}), "sender.name"),
    (text(sender={"iconUrl": "http://shop.example/a.png"}), "sender.iconUrl"),
    ({"type": "sticker", "packageId": 446, "stickerId": "1988"}, "packageId"),
    ({**EVERY_KIND[3], "originalContentUrl": of_length(2001)}, "originalContentUrl"),
    ({**EVERY_KIND[3], "originalContentUrl": "https://"}, "originalContentUrl"),
    ({**EVERY_KIND[3], "originalContentUrl": "https://[::1"}, "originalContentUrl"),
    ({**EVERY_KIND[3], "originalContentUrl": "https://shop.example/春"}, "originalContentUrl"),
    ({**EVERY_KIND[3], "originalContentUrl": "https://shop.example/a b"}, "originalContentUrl"),
    ({**EVERY_KIND[3], "originalContentUrl": "data:image/png;base64,AA"}, "originalContentUrl"),
    ({"type": "image", "originalContentUrl": PICTURE}, "previewImageUrl"),
    ({**EVERY_KIND[4], "trackingId": "a" * 101}, "trackingId"),
    ({**EVERY_KIND[4], "trackingId": "春"}, "trackingId"),
    ({**EVERY_KIND[5], "duration": "60000"}, "duration"),
    ({**EVERY_KIND[5], "duration": True}, "duration"),
    ({**EVERY_KIND[6], "title": APPLE * 50 + "a"}, "title"),
    ({**EVERY_KIND[6], "address": "a" * 101}, "address"),
    ({**EVERY_KIND[6], "latitude": 90.1}, "latitude"),
    ({**EVERY_KIND[6], "longitude": float("nan")}, "longitude"),
    ({**EVERY_KIND[7], "deliveryTag": "a" * 31}, "deliveryTag"),
    ({**EVERY_KIND[7], "deliveryTag": "spring-2026"}, "deliveryTag"),
    (imagemap(baseUrl="https://shop.example/map.PNG"), "baseUrl"),
    (imagemap(altText="a" * 1501), "altText"),
    (imagemap(baseSize={"width": 1039, "height": 1}), "baseSize.width"),
    (imagemap(actions=imagemap()["actions"] * 51), "actions"),
    (imagemap(actions=[{"type": "message", "area": AREA, "text": "a" * 401}]), "actions[0].text"),
    (imagemap(actions=[{"type": "postback", "area": AREA}]), "actions[0].type"),
    (imagemap(actions=[{"type": "message", "text": "a"}]), "actions[0].area"),
    (imagemap(video={"originalContentUrl": PICTURE, "previewImageUrl": PICTURE}), "video.area"),
    ({**buttons(), "altText": "a" * 1501}, "altText"),
    (buttons(text="a" * 161), "template.text"),
    (buttons(text="a" * 61, title="a"), "template.text"),
    (buttons(text="a" * 61, thumbnailImageUrl=PICTURE), "template.text"),
    (buttons(title="a" * 41), "template.title"),
    (buttons(actions=[]), "template.actions"),
    (buttons(actions=[postback()] * 5), "template.actions"),
    (buttons(actions=[uri(None)]), "template.actions[0].label"),
    (buttons(actions=[postback(label="a" * 21)]), "template.actions[0].label"),
    (buttons(actions=[{"type": "camera", "label": "a"}]), "template.actions[0].type"),
    (buttons(imageSize="fit"), "template.imageSize"),
    (buttons(imageBackgroundColor="white"), "template.imageBackgroundColor"),
    (template(type="confirm", text="a" * 241, actions=[postback()] * 2), "template.text"),
    (template(type="confirm", text="a", actions=[postback()]), "template.actions"),
    (template(type="confirm", text="a", actions=[postback()] * 3), "template.actions"),
    (template(type="button", text="a", actions=[postback()]), "template.type"),
    (carousel(*[column()] * 11), "template.columns"),
    (carousel(), "template.columns"),
    (carousel(column(text="a" * 121)), "template.columns[0].text"),
    (carousel(column(text="a" * 61, title="a")), "template.columns[0].text"),
    (carousel(column(), column(actions=[postback()] * 2)), "template.columns"),
    (carousel(column(), column(title="a")), "template.columns"),
    (carousel(column(thumbnailImageUrl=PICTURE), column()), "template.columns"),
    (carousel(column(actions=[postback()] * 4)), "template.columns[0].actions"),
    (
        template(type="image_carousel", columns=[{"imageUrl": PICTURE, "action": uri("a" * 13)}]),
        "template.columns[0].action.label",
    ),
    (quick(*[postback()] * 14), "quickReply.items"),
    (quick(), "quickReply.items"),
    (text(quickReply={}), "quickReply.items"),
    (text(quickReply={"items": [{"action": postback()}]}), "quickReply.items[0].type"),
    (quick({"type": "camera", "label": "a" * 21}), "quickReply.items[0].action.label"),
    (quick({"type": "camera"}), "quickReply.items[0].action.label"),
    (quick(postback(data="a" * 301)), "quickReply.items[0].action.data"),
    (quick(postback(data=APPLE * 150 + "a")), "quickReply.items[0].action.data"),
    (quick(postback(displayText=FAMILY * 301)), "quickReply.items[0].action.displayText"),
    (quick(postback(displayText="a", text="a")), "quickReply.items[0].action.text"),
    (quick(postback(fillInText="a")), "quickReply.items[0].action.fillInText"),
    (
        quick(postback(fillInText="a", inputOption="openVoice")),
        "quickReply.items[0].action.fillInText",
    ),
    (quick(postback(inputOption="open")), "quickReply.items[0].action.inputOption"),
    (
        quick({"type": "message", "label": "a", "text": "a" * 301}),
        "quickReply.items[0].action.text",
    ),
    (quick(uri(link=of_length(1001))), "quickReply.items[0].action.uri"),
    (quick(uri(link="javascript:alert(1)")), "quickReply.items[0].action.uri"),
    (quick(uri(link="shop.example")), "quickReply.items[0].action.uri"),
    (quick(uri(link="tel:")), "quickReply.items[0].action.uri"),
    (quick(picker(mode="day")), "quickReply.items[0].action.mode"),
    (quick(picker(initial="2026-02-30")), "quickReply.items[0].action.initial"),
    (quick(picker(initial="1899-12-31")), "quickReply.items[0].action.initial"),
    (quick(picker(max="2101-01-01")), "quickReply.items[0].action.max"),
    (quick(picker(mode="time", initial="24:00")), "quickReply.items[0].action.initial"),
    (quick(picker(mode="time", initial="9:00")), "quickReply.items[0].action.initial"),
    (
        quick(picker(mode="datetime", min="2026-04-01 09:00")),
        "quickReply.items[0].action.min",
    ),
    (
        quick(picker(mode="datetime", min="2026-04-01T09:00Z")),
        "quickReply.items[0].action.min",
    ),
    (
        quick(picker(min="2026-04-01", max="2026-04-01")),
        "quickReply.items[0].action.min",
    ),
    (
        quick({"type": "clipboard", "label": "a", "clipboardText": "a" * 1001}),
        "quickReply.items[0].action.clipboardText",
    ),
    (
        quick({"type": "richmenuswitch", "label": "a", "data": "", "richMenuAliasId": "a"}),
        "quickReply.items[0].action.type",
    ),
    ({**flex(bubble()), "altText": "a" * 1501}, "altText"),
    (flex(sized_bubble(BUBBLE_BYTES + 1)), "contents"),
    (
        flex({"type": "carousel", "contents": [sized_bubble(CAROUSEL_BYTES // 3)] * 3}),
        "contents",
    ),
    (flex({"type": "carousel", "contents": [bubble()] * 13}), "contents.contents"),
    (flex({"type": "carousel", "contents": []}), "contents.contents"),
    (
        flex({"type": "carousel", "contents": [bubble(), bubble(size="kilo")]}),
        "contents.contents[1].size",
    ),
    (
        flex({"type": "carousel", "contents": [{"type": "bubble", "hero": video()}]}),
        "contents.contents[0].hero",
    ),
    (flex({"type": "bubble"}), "contents"),
    (flex({"type": "bubble", "body": words()}), "contents.body.type"),
    (flex({"type": "bubble", "hero": video(), "size": "nano"}), "contents.size"),
    (flex(bubble(size="large")), "contents.size"),
    (flex(bubble(video())), "contents.body.contents[0].type"),
    (flex(bubble({"type": "icon", "url": PICTURE})), "contents.body.contents[0].type"),
    (flex(bubble({"type": "span", "text": "a"})), "contents.body.contents[0].type"),
    (flex(bubble(box(image(), layout="baseline"))), "contents.body.contents[0].contents[0].type"),
    (flex(bubble({"type": "box", "contents": []})), "contents.body.contents[0].layout"),
    (flex(bubble({"type": "text"})), "contents.body.contents[0].text"),
    (flex(bubble(words(""))), "contents.body.contents[0].text"),
    (flex(bubble(words(color="#F60"))), "contents.body.contents[0].color"),
    (flex(bubble(words(size="huge"))), "contents.body.contents[0].size"),
    (flex(bubble(words(wrap="true"))), "contents.body.contents[0].wrap"),
    (flex(bubble(words(flex=-1))), "contents.body.contents[0].flex"),
    (flex(bubble(words(margin="10"))), "contents.body.contents[0].margin"),
    (flex(bubble(words(action=uri("a" * 41)))), "contents.body.contents[0].action.label"),
    (
        flex(bubble({"type": "button", "action": uri(None)})),
        "contents.body.contents[0].action.label",
    ),
    (flex(bubble({"type": "button"})), "contents.body.contents[0].action"),
    (flex(bubble(image(aspectRatio="1:3.1"))), "contents.body.contents[0].aspectRatio"),
    (flex(bubble(image(aspectRatio="10:31"))), "contents.body.contents[0].aspectRatio"),
    (flex(bubble(image(aspectRatio="100001:1"))), "contents.body.contents[0].aspectRatio"),
    (flex(bubble(image(url="http://shop.example/a.png"))), "contents.body.contents[0].url"),
    (flex(bubble(*[image(animated=True)] * 11)), "contents"),
    (
        flex(bubble(box(background={"type": "linearGradient", "angle": "360deg"}))),
        "contents.body.contents[0].background.angle",
    ),
    (deep(NESTING + 1), "contents.body" + ".contents[0]" * NESTING),
]


@pytest.mark.parametrize(("message", "path"), REFUSED)
def test_what_does_not_fit_is_reported_where_it_is(message: Json, path: str) -> None:
    assert path in paths(message)


def test_nothing_is_said_twice() -> None:
    for message, _ in REFUSED:
        found = check_messages([message])
        assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("messages", "path"),
    [
        (None, "messages"),
        ({}, "messages"),
        ("text", "messages"),
        ([], "messages"),
        ([text()] * 6, "messages"),
        ([None], "messages[0]"),
        ([text(), text("")], "messages[1].text"),
    ],
)
def test_the_list_itself_is_checked(messages: object, path: str) -> None:
    assert [problem.path for problem in check_messages(messages)] == [path]


def test_a_typing_error_is_met_with_the_nearest_name() -> None:
    [problem] = check_messages([flex(bubble(words(colour="#FF0000")))])

    assert problem.path == "messages[0].contents.body.contents[0].colour"
    assert "did you mean `color`?" in problem.message
    assert "「color」のことではありませんか" in problem.message_ja


def test_a_limit_and_what_was_found_are_both_named() -> None:
    [problem] = check_messages([text("a" * 5001)])

    assert "5001" in problem.message
    assert "5000" in problem.message
    assert "5001文字" in problem.message_ja
    assert "5000文字まで" in problem.message_ja


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "localhost:8000"])
def test_plain_http_passes_for_this_machine_when_allowed(host: str) -> None:
    message = {**EVERY_KIND[3], "originalContentUrl": f"http://{host}/a.png"}

    assert paths(message) == ["originalContentUrl"]
    assert paths(message, allow_http=True) == []


@pytest.mark.parametrize("host", ["shop.example", "localhost.shop.example", "127.0.0.1.example"])
def test_plain_http_elsewhere_is_never_allowed(host: str) -> None:
    message = {**EVERY_KIND[3], "originalContentUrl": f"http://{host}/a.png"}

    assert paths(message, allow_http=True) == ["originalContentUrl"]


def test_what_a_message_says_is_never_repeated() -> None:
    secret = "山田花子-090-0000-0000"
    spoilt: list[Any] = [
        secret,
        {"type": secret},
        text(secret * 400),
        {**text(), secret: secret},
        text(quoteToken=[secret], sender={"name": secret, "iconUrl": secret}),
        text_v2("{" + secret + "}", substitution={secret: secret}),
        quick(postback(data=secret * 20, mode=secret), uri(link=secret), picker(mode=secret)),
        flex(bubble(words(color=secret, size=secret, weight=secret))),
    ]

    for message in spoilt:
        found = check_messages([message], thorough=True)
        assert found
        assert secret not in repr(found)


def test_a_thorough_check_reports_what_the_sdk_would_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful:
        def from_dict(self, value: Json) -> "Forgetful":
            self.value = value
            return self

        def to_dict(self) -> Json:
            kept = copy.deepcopy(self.value)
            del kept["contents"]["body"]["contents"][0]["text"]
            del kept["contents"]["size"]
            kept["contents"]["footer"]["contents"] = []
            return kept

    monkeypatch.setattr(sdk_models, "_message_model", Forgetful)

    found = paths(flex(bubble(words(), size="kilo", footer=box(words()))), thorough=True)

    assert found == ["contents.body.contents[0].text", "contents.size", "contents.footer.contents"]


def test_a_thorough_check_reports_what_the_sdk_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strict:
        def from_dict(self, value: Json) -> "Strict":
            raise ValueError(f"secret {value}")

    monkeypatch.setattr(sdk_models, "_message_model", Strict)

    [problem] = check_messages([text("山田花子")], thorough=True)

    assert problem.path == "messages[0]"
    assert "山田花子" not in repr(problem)


def test_rich_menu_actions_follow_rules_of_their_own() -> None:
    switch = {"type": "richmenuswitch", "data": "tab=2", "richMenuAliasId": "points-2"}

    assert check_action(switch, Place.rich_menu) == []
    assert check_action({"type": "uri", "uri": "tel:0312345678"}, Place.rich_menu) == []
    [problem] = check_action({**switch, "richMenuAliasId": "Points"}, Place.rich_menu, path="a")
    assert problem.path == "a.richMenuAliasId"
    assert check_action({"type": "camera", "label": "a"}, Place.rich_menu)


NAMES = """
    type text items action contents body hero altText template columns label data mode min max
    size url uri emojis index substitution quickReply sender layout aspectRatio
"""
KINDS = """
    text textV2 flex template imagemap bubble carousel box image video buttons confirm postback
    uri datetimepicker mention emoji
"""
KEYS = st.sampled_from(NAMES.split())
TYPES = st.sampled_from(KINDS.split())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | TYPES,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | KEYS, inner)
        | st.dictionaries(KEYS, inner).flatmap(
            lambda made: TYPES.map(lambda kind: {**made, "type": kind})
        )
    ),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a JSON value with each key or index in it."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_any_json_is_checked_without_an_exception(value: Any) -> None:
    for messages in (value, [value], [flex(value)], [quick(value)], [template(type=value)]):
        for problem in check_messages(messages):
            assert problem.message
            assert problem.message_ja


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(EVERY_KIND), JSON)
def test_a_good_message_with_one_strange_value_is_checked_without_an_exception(
    data: st.DataObject, message: Json, value: Any
) -> None:
    spoilt = copy.deepcopy(message)
    container, key = data.draw(st.sampled_from(places(spoilt)))
    container[key] = value

    check_messages([spoilt], thorough=True)


def test_absurd_depth_and_size_are_reported_not_raised() -> None:
    deepest: Any = {}
    for _ in range(5000):
        deepest = {"type": "box", "layout": "vertical", "contents": [deepest]}

    assert check_messages([flex({"type": "bubble", "body": deepest})])
    assert check_messages([flex(bubble(words(flex=10**30)))])
    assert check_messages([flex(bubble(words("\ud800")))])
    assert check_messages([text(quoteToken=deepest)])
    assert check_messages([{"a" * 100_000: 1, "type": "text", "text": "a"}])
