"""Whatever is signed: no 5xx at the door, and behind it every event comes to an end."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from bot.conversation import converse
from bot.handling import MAX_ATTEMPTS, handle_batch
from bot.models import HANDLED, IGNORED, PARKED, RECEIVED, WebhookEvent
from core.runtime import Runtime
from tests.bot.helpers import (
    HANA,
    START,
    Event,
    Webhook,
    body,
    count,
    handle,
    make_due,
    rows,
    states,
    text,
)

TEXTS = st.text(st.characters() | st.sampled_from("\x00\ud800\udfff\uffff🎁"), max_size=8)
NUMBERS = (
    st.integers(-(10**40), 10**40)
    | st.floats()
    | st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**300, 10**4_000, START])
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def strange(*usual: Any) -> st.SearchStrategy[Any]:
    """Mostly what is usual, sometimes anything."""
    return st.sampled_from(usual) | VALUES


TYPES = strange(
    "message", "messageEdited", "unsend", "follow", "unfollow", "postback", "beacon", "join",
    "membership", "videoPlayComplete", "accountLink", "delivery", "tomorrow",
)  # fmt: skip
SOURCES = VALUES | st.fixed_dictionaries(
    {"type": strange("user", "group", "room")},
    optional={"userId": strange(HANA, HANA + "\n", "U" + "F" * 32), "groupId": strange("C1")},
)
MESSAGES = VALUES | st.fixed_dictionaries(
    {},
    optional={"type": strange("text", "sticker", "image", "location", "tomorrow"),
              "id": strange("1", "2", ""), "text": strange("ポイント", "ヘルプ"),
              "packageId": VALUES, "latitude": VALUES, "quickReply": VALUES},
)  # fmt: skip
INSIDE = VALUES | st.dictionaries(
    st.sampled_from(["data", "params", "isUnblocked", "messageId", "hwid", "type", "trackingId",
                     "membershipId", "result", "nonce"]), VALUES, max_size=4,
)  # fmt: skip
EVENTS = VALUES | st.fixed_dictionaries(
    {},
    optional={
        "type": TYPES, "source": SOURCES, "message": MESSAGES, "mode": strange("active", "standby"),
        "timestamp": strange(START, START + 1, 0, -1), "webhookEventId": TEXTS | VALUES,
        "replyToken": TEXTS | VALUES, "deliveryContext": VALUES, "postback": INSIDE,
        "follow": INSIDE, "unsend": INSIDE, "beacon": INSIDE, "membership": INSIDE,
        "videoPlayComplete": INSIDE, "link": INSIDE,
    },
)  # fmt: skip
BODIES = VALUES | st.fixed_dictionaries(
    {"events": VALUES | st.lists(EVENTS, max_size=4)}, optional={"destination": VALUES}
)


async def bring_to_an_end(runtime: Runtime) -> None:
    """Handle, and try again at once what backs off, as often as it is ever tried."""
    for _ in range(MAX_ATTEMPTS):
        await handle(runtime)
        await make_due(runtime)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(given_body=BODIES)
async def test_any_json_that_is_signed_is_taken_or_refused_and_every_event_comes_to_an_end(
    webhook: Webhook, runtime: Runtime, given_body: Any
) -> None:
    raw = json.dumps(given_body).encode()

    answer = await webhook.post(raw)
    await handle(runtime)

    assert answer.status_code in {200, 400}
    open_ = [row for row in await rows(runtime, WebhookEvent) if row.state == RECEIVED]
    if open_:
        await bring_to_an_end(runtime)
    ends = set((await states(runtime)).values())
    assert ends <= {HANDLED, IGNORED, PARKED}


BY_HAND: list[Event] = [
    {},
    {"type": None},
    {"type": ["message"]},
    {"type": "x" * 5_000},
    {"webhookEventId": ""},
    {"webhookEventId": "\x00"},
    {"webhookEventId": "x" * 5_000},
    {"webhookEventId": {"a": 1}},
    {"replyToken": ["x"]},
    {"replyToken": {"x": 1}},
    {"replyToken": "x" * 5_000},
    {"replyToken": "\x00"},
    {"timestamp": -1},
    {"timestamp": 10**20},
    {"timestamp": "now"},
    {"timestamp": True},
    {"timestamp": 1.5},
    {"timestamp": 0},
    {"source": "user"},
    {"source": {"type": "user"}},
    {"source": {"type": "user", "userId": 7}},
    {"source": {"type": "user", "userId": HANA + "\n"}},
    {"source": {"type": "user", "userId": HANA + "\x00"}},
    {"source": {"type": "user", "userId": "x" * 5_000}},
    {"source": {"type": "group", "groupId": "\ud800"}},
    {"mode": {"standby": 1}},
    {"message": "text"},
    {"message": {"type": "text", "text": {"a": 1}}},
    {"message": {"type": "text", "text": "あ" * 100_000}},
    {"message": {"type": "text", "text": "\x00ポイント\x00"}},
    {"message": {"type": "text", "text": "\ud83c"}},
    {"message": {"type": "text", "text": ""}},
    {"message": {"type": "text", "text": "\n \u3000"}},
    {"message": {"type": {"x": 1}, "id": {"y": 2}}},
    {"message": {"type": "image", "id": "x" * 5_000}},
    {"message": {"type": "location", "latitude": 1e308, "longitude": [[[]]], "title": None}},
    {"message": {"type": "sticker", "packageId": {"a": {"b": "\x00"}}}},
    {"message": {"id": None}},
    {"\x00": "\x00", "\ud800": ["\udfff"]},
]


@pytest.mark.parametrize("kind", ["message", "messageEdited"])
async def test_wrong_types_everywhere_end_handled_or_ignored(
    webhook: Webhook, runtime: Runtime, kind: str
) -> None:
    usual = text("こんにちは")
    for number, wrong in enumerate(BY_HAND):
        made = usual | {"type": kind, "webhookEventId": f"wrong-{number}"} | wrong
        answer = await webhook.post(json.dumps({"events": [made]}).encode())
        assert answer.status_code == 200, wrong
    await handle(runtime)

    found = await rows(runtime, WebhookEvent)
    assert {row.state for row in found} <= {HANDLED, IGNORED}
    assert len(found) > len(BY_HAND) - 5


CONTENTS = {
    "postback": "postback", "follow": "follow", "unsend": "unsend", "beacon": "beacon",
    "membership": "membership", "videoPlayComplete": "videoPlayComplete", "accountLink": "link",
    "memberJoined": "joined",
}  # fmt: skip
INSIDE_BY_HAND: list[Any] = [
    None, 1, "x", [], {}, {"data": None}, {"data": "\x00" * 400, "params": 7},
    {"data": "x" * 5_000}, {"data": ".", "params": None}, {"isUnblocked": "yes"},
    {"messageId": ["x"]}, {"messageId": "x" * 5_000}, {"hwid": {"a": 1}, "type": ["enter"]},
    {"type": {"deep": [1, {"x": "\x00"}]}, "membershipId": 10**30},
    {"trackingId": ["x"]}, {"result": 1, "nonce": None},
]  # fmt: skip


async def test_wrong_contents_of_each_kind_end_handled(webhook: Webhook, runtime: Runtime) -> None:
    events = [
        text("x") | {"type": kind, "webhookEventId": f"{kind}-{number}", field: wrong}
        for kind, field in CONTENTS.items()
        for number, wrong in enumerate(INSIDE_BY_HAND)
    ]

    answer = await webhook.post(json.dumps({"events": events}).encode())
    await handle(runtime)

    assert answer.status_code == 200
    assert await count(runtime, WebhookEvent) == len(events)
    assert set((await states(runtime)).values()) == {HANDLED}


async def test_deep_nesting_is_taken_or_refused(webhook: Webhook, runtime: Runtime) -> None:
    inner = b'{"type":"message","source":{"type":"user","userId":"%s"},"%s":%s}'
    for depth in (10, 200, 300, 900, 1_000, 5_000, 100_000):
        deep = b"[" * depth + b"]" * depth
        for where in (b"x", b"type", b"source", b"webhookEventId", b"message", b"replyToken"):
            answer = await webhook.post(b'{"events":[%s]}' % (inner % (HANA.encode(), where, deep)))
            assert answer.status_code in {200, 400}, (depth, where)

    await bring_to_an_end(runtime)

    assert set((await states(runtime)).values()) <= {HANDLED, IGNORED, PARKED}


async def test_a_deep_event_does_not_hold_up_the_others(webhook: Webhook, runtime: Runtime) -> None:
    deep = b'{"events":[{"type":"x","webhookEventId":"deep","x":%s}]}' % (b"[" * 900 + b"]" * 900)
    await webhook.post(deep)

    await webhook.bring_and_handle(text("こんにちは"))

    assert [s for id_, s in (await states(runtime)).items() if id_ != "deep"] == [HANDLED]


async def test_ten_thousand_events_in_one_body_are_taken_and_handled(
    webhook: Webhook, runtime: Runtime
) -> None:
    people = [f"U{number:032x}" for number in range(100)]
    events = [
        {"type": "x", "timestamp": n, "webhookEventId": str(n), "source":
         {"type": "user", "userId": people[n % 100]}}
        for n in range(10_000)
    ]  # fmt: skip
    raw = b'{"events":[' + b",".join(orjson.dumps(e) for e in events) + b"]}"
    assert len(raw) > 1_048_576

    assert (await webhook.post(raw)).status_code == 413
    for start in range(0, 10_000, 5_000):
        await webhook.bring(*events[start : start + 5_000])
    batches = 0
    while await handle_batch(runtime, converse):
        batches += 1

    assert await count(runtime, WebhookEvent) == 10_000
    assert set((await states(runtime)).values()) == {HANDLED}
    assert batches < 200


async def test_more_small_events_than_fit_a_statements_parameters_are_taken(
    webhook: Webhook, runtime: Runtime
) -> None:
    raw = body(*[{"n": n} for n in range(10_000)])

    assert (await webhook.post(raw)).status_code == 200
    await handle(runtime)

    assert await count(runtime, WebhookEvent) == 10_000
    assert set((await states(runtime)).values()) == {IGNORED}
