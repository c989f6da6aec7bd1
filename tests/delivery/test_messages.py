"""Messages that staff write: what they may hold, and how they are filled in for one friend."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from core.buttons import MAX_DATA, Choice, unpack
from core.runtime import Runtime
from core.sealing import Seal
from delivery import messages
from delivery.models import MessageTemplate

NOW = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)
SIGNER = Seal("a-secret-key-for-tests-only").signer("buttons")
HANA = messages.values_for(display_name="花", shop_name="みなと珈琲")
ANY_NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100)


def fill(written: list[dict[str, Any]], **values: Any) -> list[dict[str, Any]]:
    known = messages.values_for(**values) if values else HANA
    return messages.fill(written, known, SIGNER)


def says(text: str, **values: Any) -> str:
    return str(fill(messages.say(text), **values)[0]["text"])


def buttons(**more: Any) -> list[dict[str, Any]]:
    action = {"type": "postback", "label": "もらう", "data": "coupon:1", **more}
    template = {"type": "buttons", "text": "どうぞ", "actions": [action]}
    return [{"type": "template", "altText": "クーポン", "template": template}]


def faults(written: object) -> list[tuple[str, str]]:
    return [(fault.path, fault.message) for fault in messages.check_draft(written)]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("ただの文", "ただの文"),
        ("{{ friend.name }}、ようこそ", "花さん、ようこそ"),
        ("{{friend.display_name}}様", "花様"),
        ("{{ shop.name }}です", "みなと珈琲です"),
        ("{{ friend.name }}と{{ friend.name }}", "花さんと花さん"),
        ("{{ friend.display_name|default('あなた', true) }}", "花"),
        ("{{ 'a' or friend.name }}", "a"),
        ("{ friend.name }", "{ friend.name }"),
        ("5 % 引き {", "5 % 引き {"),
        ("{# 社内メモ #}いらっしゃいませ", "いらっしゃいませ"),
        ("{% raw %}{{ }}{% endraw %}", "{{ }}"),
    ],
)
def test_placeholders_are_filled_in(written: str, read: str) -> None:
    assert messages.check_draft(messages.say(written)) == []
    assert says(written) == read


@pytest.mark.parametrize(
    ("display_name", "shop_name", "read"),
    [("健", "豆屋", "健さん 健 豆屋"), (None, "", "お客さま  当店"), ("", "", "お客さま  当店")],
)
def test_who_has_no_name_is_addressed_politely(
    display_name: str | None, shop_name: str, read: str
) -> None:
    written = "{{ friend.name }} {{ friend.display_name }} {{ shop.name }}"

    assert says(written, display_name=display_name, shop_name=shop_name) == read


# What staff (or somebody in their name) may not write, and a word of the reason they read.
@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("{{ freind.name }}", "unknown placeholder 'freind.name'"),
        ("{{ friend.nmae }}", "unknown placeholder 'friend.nmae'"),
        ("{{ name }}", "unknown placeholder 'name'"),
        ("{{ friend }}", "unknown placeholder 'friend'"),
        ("{{ friend }} {{ friend.name }}", "unknown placeholder 'friend'"),
        ("{{ friend.name|default(friend) }}", "unknown placeholder 'friend'"),
        ("{{ friend.__class__ }}", "unknown placeholder 'friend.__class__'"),
        ("{{ friend.__class__.__mro__ }}", "unknown placeholder"),
        ("{{ friend.name.__class__ }}", "unknown placeholder"),
        ("{{ friend['name'] }}", "may not contain Getitem"),
        ("{{ ''['__class__'] }}", "may not contain Getitem"),
        ("{{ friend.name.upper() }}", "may not contain Call"),
        ("{{ self }}", "unknown placeholder 'self'"),
        ("{{ range(10**9) }}", "may not contain"),
        ("{{ 'a' * 999999999 }}", "may not contain Mul"),
        ("{{ 'a' ~ 'b' }}", "may not contain Concat"),
        ("{{ [1,2] }}", "may not contain List"),
        ("{{ friend.name if true }}", "may not contain CondExpr"),
        ("{% for i in [1] %}{% endfor %}", "may not contain For"),
        ("{% set x = 1 %}", "may not contain Assign"),
        ("{% include 'x' %}", "may not contain Include"),
        ("{% import 'os' as os %}", "may not contain Import"),
        ("{{ friend.name|attr('__class__') }}", "may not contain Filter"),
        ("{{ friend.name|map('upper') }}", "may not contain Filter"),
        ("{{ friend.name|nosuchfilter }}", "may not contain Filter"),
        ("{{ friend.name", "placeholder cannot be read"),
        ("{{ }}", "placeholder cannot be read"),
        ("{% endif %}", "placeholder cannot be read"),
        ("{# 閉じない", "placeholder cannot be read"),
        ("{{ friend.name|truncate('x') }}", "placeholder cannot be filled in"),
        ("{{ friend.name|truncate(1) }}", "placeholder cannot be filled in"),
        ("{{ friend.name|upper(1) }}", "placeholder cannot be filled in"),
        ("半\x00角", "NUL"),
    ],
)
def test_what_could_break_or_leak_is_refused_when_it_is_saved(written: str, reason: str) -> None:
    ((path, message),) = faults(messages.say(written))

    assert path == "messages[0].text"
    assert reason in message


def test_a_placeholder_is_checked_wherever_it_stands() -> None:
    written = buttons(label="{{ friend.nmae }}", data="{% if x %}")

    paths = [path for path, _message in faults(written)]

    assert paths == [
        "messages[0].template.actions[0].label",
        "messages[0].template.actions[0].data",
    ]


def test_every_fault_has_words_for_the_shop_in_japanese() -> None:
    found = messages.check_draft([*messages.say("{{ x }}"), *messages.say("{{")], path="steps[3]")

    assert [fault.path for fault in found] == [
        "steps[3].messages[0].text",
        "steps[3].messages[1].text",
    ]
    assert "「x」という差し込みはありません" in found[0].message_ja
    assert all(fault.message_ja for fault in found)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("text", "messages"),
        (["text"], "messages"),
        ([], "messages"),
        ([{}], "messages[0].type"),
        (messages.say(""), "messages[0].text"),
        (messages.say("あ" * 5_001), "messages[0].text"),
        (messages.say("x") * 6, "messages"),
        ([{"type": "text", "text": b"bytes"}], "messages"),
        ([{"type": "text", "text": 2**70}], "messages"),
        ([{"type": "text", "text": "\ud83c"}], "messages"),
    ],
)
def test_what_line_or_json_cannot_take_is_answered(written: object, path: str) -> None:
    assert [where for where, _message in faults(written)][:1] == [path]


# A message must not break on the one friend whose name is long, or whom LINE does not name.
@pytest.mark.parametrize(
    ("written", "whom"),
    [
        (buttons(label="{{ friend.name }}"), "a friend with a long name"),
        (messages.say("{{ friend.display_name }}"), "a friend without a name"),
        (buttons(data="{{ friend.name }}" * 4), "a friend with a long name"),
    ],
)
def test_unusual_names_are_thought_of_when_a_message_is_saved(
    written: list[dict[str, Any]], whom: str
) -> None:
    found = faults(written)

    assert found
    assert whom in found[0][1]


@given(name=ANY_NAME)
def test_any_name_arrives_as_it_is_and_never_as_code(name: str) -> None:
    written = [*messages.say("{{ friend.display_name }}"), *buttons(label="{{ shop.name }}")]

    sent = orjson.loads(orjson.dumps(fill(written, display_name=name, shop_name=name)))

    assert sent[0] == {"type": "text", "text": name}
    assert sent[1]["template"]["actions"][0]["label"] == name


@given(
    name=st.sampled_from(
        [
            '"',
            "\\",
            '"}],"to":"U1',
            "\n",
            "\u2028",
            "{{ shop.name }}",
            "{% raw %}",
            "</script>",
            "🍎",
        ]
    ),
    around=st.text(max_size=5),
)
def test_quotes_newlines_and_braces_in_names_stay_text(name: str, around: str) -> None:
    whole = around.replace("\x00", "") + name

    assert says("{{ friend.display_name }}", display_name=whole, shop_name="") == whole


@given(name=ANY_NAME, other=ANY_NAME)
def test_filling_in_for_one_friend_leaves_nothing_for_the_next(name: str, other: str) -> None:
    written = [*messages.say("{{ friend.display_name }}"), *buttons()]
    before = orjson.dumps(written)

    fill(written, display_name=name, shop_name="")
    sent = fill(written, display_name=other, shop_name="")

    assert sent[0]["text"] == other
    assert orjson.dumps(written) == before


@given(text=st.text(max_size=80))
def test_whatever_staff_type_is_either_refused_or_can_be_filled_in_for_anybody(text: str) -> None:
    written = messages.say(text)

    if not messages.check_draft(written):
        for name in ("花", None, "あ" * 20):
            assert fill(written, display_name=name, shop_name="")[0]["text"]


NAMES = ["friend", ".name", ".", "__class__", "shop.name", "upper", "truncate", "default"]
SIGNS = ["|", "(", ")", "[", "]", "{{", "}}", "{%", "%}", "1", "-1", "'x'", ",", "or"]


@given(expression=st.lists(st.sampled_from(NAMES + SIGNS), max_size=10).map(" ".join))
def test_no_expression_gets_past_the_check_and_fails_later(expression: str) -> None:
    written = messages.say("{{ " + expression + " }}。")

    if not messages.check_draft(written):
        sent = fill(written)[0]["text"]
        assert "<class" not in sent
        assert "{'name'" not in sent


def test_buttons_of_staff_are_signed_and_come_back_as_they_were_written() -> None:
    data = fill(buttons(data="{{ shop.name }}:1"))[0]["template"]["actions"][0]["data"]

    assert unpack(data, [Choice], SIGNER, now=NOW) == Choice(value="みなと珈琲:1")
    assert len(data) <= MAX_DATA


def test_buttons_deep_in_a_flex_message_are_signed_too() -> None:
    action = {"type": "postback", "label": "はい", "data": "yes"}
    box = {"type": "box", "layout": "vertical", "contents": [{"type": "button", "action": action}]}
    written = [
        {"type": "flex", "altText": "？", "contents": {"type": "bubble", "body": box}},
    ]

    assert messages.check_draft(written) == []
    data = fill(written)[0]["contents"]["body"]["contents"][0]["action"]["data"]
    assert unpack(data, [Choice], SIGNER, now=NOW) == Choice(value="yes")


def test_button_data_too_long_once_signed_is_refused_when_saved() -> None:
    (fault,) = messages.check_draft(buttons(data="x" * 299))

    assert "300 characters" in fault.message


async def test_templates_are_found_by_key_and_missing_ones_left_out(runtime: Runtime) -> None:
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        for key in ("welcome", "goodbye"):
            written = messages.say("ようこそ")
            session.add(MessageTemplate(key=key, messages=written, created_at=now, updated_at=now))
        await session.flush()

        found = await messages.templates(session, ["welcome", "no-such"])

    assert found == {"welcome": messages.say("ようこそ")}
