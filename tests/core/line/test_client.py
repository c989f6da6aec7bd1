import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import orjson
import pytest

from core.line import endpoints
from core.line.accounts import (
    BotInfo,
    FollowerPage,
    Profile,
    Quota,
    WebhookEndpoint,
    WebhookTest,
)
from core.line.answers import Outcome
from core.line.client import LineClient
from core.line.endpoints import SendKind
from core.line.errors import LineError
from tests.core.line.bad_line import (
    BadLine,
    Behaviour,
    Request,
    answer,
    bad_line,
    hang_up,
    silence,
)

TOKEN = "token-of-the-shop"
HANA = "U" + "0" * 31 + "1"

Call = Callable[[LineClient], Coroutine[Any, Any, object]]


@contextlib.asynccontextmanager
async def client(*behaviours: Behaviour) -> AsyncIterator[tuple[LineClient, BadLine]]:
    async with (
        bad_line(*behaviours) as line,
        LineClient(line.url + "/", line.url + "/data/", read_seconds=0.3) as made,
    ):
        yield made, line


async def asked(call: Call, *behaviours: Behaviour) -> tuple[object, Request]:
    """The result of one call, and the one request it made."""
    async with client(*behaviours) as (made, line):
        result = await call(made)
        [request] = line.requests
    return result, request


def says(body: object, status: int = 200) -> Behaviour:
    return answer(status, orjson.dumps(body), {"Content-Type": "application/json"})


CALLS: list[tuple[Call, Behaviour, str, object, object]] = [
    (
        lambda line: line.bot_info(TOKEN),
        says({"userId": "U1", "basicId": "@shop", "chatMode": "a new mode", "new": {}}),
        "GET /v2/bot/info",
        None,
        BotInfo("U1", "@shop", None, None, None, "a new mode", None),
    ),
    (
        lambda line: line.profile(TOKEN, HANA),
        says({"userId": HANA, "displayName": "花", "pictureUrl": 7, "language": "ja"}),
        f"GET /v2/bot/profile/{HANA}",
        None,
        Profile(HANA, "花", None, None, "ja"),
    ),
    (
        lambda line: line.profile(TOKEN, "a/../b c"),
        says({"message": "Not found"}, 404),
        "GET /v2/bot/profile/a%2F..%2Fb%20c",
        None,
        None,
    ),
    (
        lambda line: line.followers(TOKEN),
        says({"userIds": [HANA, None], "next": "n=1&2"}),
        "GET /v2/bot/followers/ids?limit=1000",
        None,
        FollowerPage((HANA,), "n=1&2"),
    ),
    (
        lambda line: line.followers(TOKEN, "n=1&2"),
        says({"userIds": []}),
        "GET /v2/bot/followers/ids?limit=1000&start=n%3D1%262",
        None,
        FollowerPage((), None),
    ),
    (
        lambda line: line.quota(TOKEN),
        says({"type": "limited", "value": 5000}),
        "GET /v2/bot/message/quota",
        None,
        Quota(5000),
    ),
    (
        lambda line: line.quota(TOKEN),
        says({"type": "none"}),
        "GET /v2/bot/message/quota",
        None,
        Quota(None),
    ),
    (
        lambda line: line.quota_consumption(TOKEN),
        says({"totalUsage": 12}),
        "GET /v2/bot/message/quota/consumption",
        None,
        12,
    ),
    (
        lambda line: line.webhook_endpoint(TOKEN),
        says({"endpoint": "https://shop.example/webhook/1", "active": True}),
        "GET /v2/bot/channel/webhook/endpoint",
        None,
        WebhookEndpoint("https://shop.example/webhook/1", active=True),
    ),
    (
        lambda line: line.webhook_endpoint(TOKEN),
        says({}, 404),
        "GET /v2/bot/channel/webhook/endpoint",
        None,
        None,
    ),
    (
        lambda line: line.set_webhook_endpoint(TOKEN, "https://shop.example/webhook/1"),
        says({}),
        "PUT /v2/bot/channel/webhook/endpoint",
        {"endpoint": "https://shop.example/webhook/1"},
        None,
    ),
    (
        lambda line: line.test_webhook_endpoint(TOKEN),
        says({"success": False, "statusCode": 401, "reason": "ERROR_STATUS_CODE", "detail": "d"}),
        "POST /v2/bot/channel/webhook/test",
        {},
        WebhookTest(success=False, status=401, reason="ERROR_STATUS_CODE", detail="d"),
    ),
    (
        lambda line: line.test_webhook_endpoint(TOKEN, "https://shop.example/w"),
        says({"success": True, "statusCode": 200, "reason": "OK", "detail": "200"}),
        "POST /v2/bot/channel/webhook/test",
        {"endpoint": "https://shop.example/w"},
        WebhookTest(success=True, status=200, reason="OK", detail="200"),
    ),
    (
        lambda line: line.issue_link_token(TOKEN, HANA),
        says({"linkToken": "NMZTNuVrPTqlr2IF8Bnymkb7rXfYv5EY"}),
        f"POST /v2/bot/user/{HANA}/linkToken",
        None,
        "NMZTNuVrPTqlr2IF8Bnymkb7rXfYv5EY",
    ),
    (
        lambda line: line.show_loading(TOKEN, HANA, 5),
        says({}, 202),
        "POST /v2/bot/chat/loading/start",
        {"chatId": HANA, "loadingSeconds": 5},
        None,
    ),
    (
        lambda line: line.validate(SendKind.multicast, TOKEN, [{"type": "text", "text": "花"}]),
        says({}),
        "POST /v2/bot/message/validate/multicast",
        {"messages": [{"type": "text", "text": "花"}]},
        [],
    ),
    (
        lambda line: _body_of(
            line.call(endpoints.CREATE_RICH_MENU, TOKEN, json={"name": "メニュー"})
        ),
        says({"richMenuId": "richmenu-1"}),
        "POST /v2/bot/richmenu",
        {"name": "メニュー"},
        {"richMenuId": "richmenu-1"},
    ),
]


async def _body_of(call: Coroutine[Any, Any, Any]) -> object:
    return (await call).json()


@pytest.mark.parametrize(("call", "behaviour", "target", "body", "result"), CALLS)
async def test_each_call_asks_and_reads_as_line_documents(
    call: Call, behaviour: Behaviour, target: str, body: object, result: object
) -> None:
    got, request = await asked(call, behaviour)

    assert got == result
    assert f"{request.method} {request.target}" == target
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert (orjson.loads(request.body) if request.body else None) == body


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (lambda line: line.bot_info(TOKEN), {"displayName": "a"}),
        (lambda line: line.profile(TOKEN, HANA), []),
        (lambda line: line.followers(TOKEN), {"userIds": None}),
        # Taking an unreadable cap for "no cap" would cost the shop money.
        (lambda line: line.quota(TOKEN), {"type": "limited"}),
        (lambda line: line.quota(TOKEN), {}),
        (lambda line: line.quota_consumption(TOKEN), {"totalUsage": "12"}),
        (lambda line: line.issue_link_token(TOKEN, HANA), {"linkToken": ""}),
    ],
)
async def test_an_answer_without_what_we_need_is_an_error(call: Call, body: object) -> None:
    async with client(says(body)) as (made, _):
        with pytest.raises(LineError) as caught:
            await call(made)

    assert (caught.value.status, caught.value.outcome) == (200, Outcome.unknown)


@pytest.mark.parametrize(
    ("behaviour", "status", "outcome"),
    [
        (says({"message": "no"}, 401), 401, Outcome.bad_token),
        (says({"message": "no"}, 403), 403, Outcome.refused),
        (says({"message": "no"}, 404), 404, Outcome.refused),
        (says({"message": "no"}, 429), 429, Outcome.rate_limited),
        (answer(502, b"<html>"), 502, Outcome.unknown),
        (silence, None, Outcome.unknown),
        (hang_up, None, Outcome.unknown),
    ],
)
async def test_whatever_else_happens_is_an_error_with_its_outcome(
    behaviour: Behaviour, status: int | None, outcome: Outcome
) -> None:
    async with client(behaviour) as (made, _):
        with pytest.raises(LineError) as caught:
            await made.bot_info(TOKEN)

    assert (caught.value.status, caught.value.outcome) == (status, outcome)
    assert TOKEN not in str(caught.value)


async def test_an_id_that_no_path_can_hold_is_refused_here() -> None:
    async with client(says({})) as (made, line):
        with pytest.raises(LineError) as caught:
            await made.profile(TOKEN, "..")

    assert caught.value.outcome is Outcome.refused
    assert line.requests == []


async def test_what_line_finds_wrong_with_messages_is_told_as_problems() -> None:
    complaint = {
        "message": "The request body has 1 error(s)",
        "details": [{"message": "May not be empty", "property": "messages[0].text"}],
    }

    found, _ = await asked(
        lambda line: line.validate(SendKind.push, TOKEN, []), says(complaint, 400)
    )
    other, _ = await asked(
        lambda line: line.validate(SendKind.push, TOKEN, []), says({"message": "odd"}, 400)
    )

    assert [(problem.path, problem.message) for problem in found] == [  # type: ignore[attr-defined]
        ("messages[0].text", "LINE says: May not be empty")
    ]
    assert [problem.path for problem in other] == ["messages"]  # type: ignore[attr-defined]


async def test_a_validation_that_line_did_not_do_is_an_error() -> None:
    async with client(answer(500)) as (made, _):
        with pytest.raises(LineError):
            await made.validate(SendKind.push, TOKEN, [])


@pytest.mark.parametrize("seconds", [0, 4, 7, 61, 65])
async def test_the_loading_animation_takes_fives_only(seconds: int) -> None:
    async with client(says({})) as (made, line):
        with pytest.raises(ValueError, match="5, 10, 15"):
            await made.show_loading(TOKEN, HANA, seconds)

    assert line.requests == []


async def test_a_received_file_comes_in_pieces_from_the_data_host() -> None:
    picture = b"\x89PNG" + bytes(300_000)
    async with client(answer(200, picture, {"Content-Type": "image/png"})) as (made, line):
        pieces = [piece async for piece in made.message_content(TOKEN, "100/1")]

    assert b"".join(pieces) == picture
    assert len(pieces) > 1
    assert line.requests[0].target == "/data/v2/bot/message/100%2F1/content"


@pytest.mark.parametrize(
    ("behaviour", "status", "outcome"),
    [
        (answer(202), 202, Outcome.unknown),
        (answer(404), 404, Outcome.refused),
        (answer(410), 410, Outcome.refused),
        (answer(200, b"half", missing=100), 200, Outcome.unknown),
        (hang_up, None, Outcome.unknown),
    ],
)
async def test_a_file_that_does_not_come_whole_is_an_error(
    behaviour: Behaviour, status: int | None, outcome: Outcome
) -> None:
    async with client(behaviour) as (made, _):
        with pytest.raises(LineError) as caught:
            [piece async for piece in made.message_content(TOKEN, "1")]

    assert (caught.value.status, caught.value.outcome) == (status, outcome)


async def test_a_rich_menu_image_goes_to_the_data_host_as_it_is() -> None:
    async with client(says({})) as (made, line):
        await made.call(
            endpoints.SET_RICH_MENU_IMAGE,
            TOKEN,
            "richmenu-1",
            data=b"\x89PNG",
            content_type="image/png",
        )

    [request] = line.requests
    assert request.target == "/data/v2/bot/richmenu/richmenu-1/content"
    assert (request.headers["content-type"], request.body) == ("image/png", b"\x89PNG")


async def test_a_lost_get_may_be_asked_again_but_a_lost_post_never() -> None:
    async with client(says({}), hang_up, says({"linkToken": "t"})) as (made, line):
        await made.show_loading(TOKEN, HANA)
        with pytest.raises(LineError):
            await made.issue_link_token(TOKEN, HANA)

        assert len(line.requests) == 2


async def test_a_closed_client_leaves_no_connection_open() -> None:
    async with bad_line(answer()) as line:
        made = LineClient(line.url)
        await made.call(endpoints.BOT_INFO, TOKEN)
        await made.aclose()
        await line.hung_up.wait()

    assert line.connections == 1
