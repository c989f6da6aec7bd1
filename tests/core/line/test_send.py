import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from core.line.answers import Answer, Outcome, mask_user_ids
from core.line.client import LineClient
from core.line.endpoints import SendKind
from tests.core.line.bad_line import (
    BadLine,
    Behaviour,
    answer,
    answer_and_hang_up,
    bad_line,
    hang_up,
    reset,
    silence,
    stall,
    write,
)

KEY = UUID("123e4567-e89b-12d3-a456-426614174000")
TOKEN = "token-of-the-shop"
BODY = '{"to":"U1","messages":[{"type":"text","text":"おかえり"}]}'.encode()
HANA = "U" + "0" * 31 + "1"

PUSHED = b'{"sentMessages":[{"id":"461230966842064897","quoteToken":"q"},{"id":"2"}]}'
OVER_QUOTA = b'{"message":"You have reached your monthly limit."}'
TOO_FAST = b'{"message":"The API rate limit has been exceeded. Try again later."}'
USED_TOKEN = b'{"message":"Invalid reply token"}'
TAKEN = (
    b'{"message":"The retry key is already accepted","sentMessages":[{"id":"461230966842064897"}]}'
)
HTML = b"<html><body>Bad Gateway</body></html>"
IDS = {"X-Line-Request-Id": "own-1", "x-line-accepted-request-id": "first-1"}


@contextlib.asynccontextmanager
async def client(line: BadLine, **options: Any) -> AsyncIterator[LineClient]:
    patience = {"total_seconds": 2.0, "connect_seconds": 1.0, "read_seconds": 0.3}
    async with LineClient(line.url, line.url, **{**patience, **options}) as made:
        yield made


async def push(made: LineClient, kind: SendKind = SendKind.push) -> Answer:
    key = None if kind is SendKind.reply else KEY
    return await made.send(kind, TOKEN, BODY, retry_key=key)


async def sent_once(behaviour: Behaviour, kind: SendKind = SendKind.push) -> Answer:
    """Send once to a server that behaves so, and see that it got exactly one request."""
    async with bad_line(behaviour) as line, client(line) as made:
        got = await push(made, kind)
        assert [request.body for request in line.requests] == [BODY]
    return got


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (SendKind.reply, "/v2/bot/message/reply"),
        (SendKind.push, "/v2/bot/message/push"),
        (SendKind.multicast, "/v2/bot/message/multicast"),
        (SendKind.broadcast, "/v2/bot/message/broadcast"),
    ],
)
async def test_the_very_bytes_go_to_the_right_place(kind: SendKind, path: str) -> None:
    async with bad_line(answer(200, PUSHED, IDS)) as line, client(line) as made:
        got = await push(made, kind)

    [request] = line.requests
    assert (request.method, request.target, request.body) == ("POST", path, BODY)
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers.get("x-line-retry-key") == (
        None if kind is SendKind.reply else "123e4567-e89b-12d3-a456-426614174000"
    )
    assert got == Answer(Outcome.accepted, status=200, request_id="own-1")


OUTCOMES: list[tuple[Behaviour, Outcome, int | None]] = [
    (answer(200), Outcome.accepted, 200),
    (answer(202), Outcome.accepted, 202),
    (answer(204, b""), Outcome.accepted, 204),
    # A 2xx is a 2xx, whatever its body.
    (answer(200, HTML), Outcome.accepted, 200),
    (answer(200, b"[]"), Outcome.accepted, 200),
    (answer(200, b'{"sentMessages":[null,{"id":null},{}]}'), Outcome.accepted, 200),
    (answer(200, b'{"sentMess', missing=20), Outcome.accepted, 200),
    (answer(200, b"x" * 3_000_000), Outcome.accepted, 200),
    (answer(200, b"no gzip", {"Content-Encoding": "gzip"}), Outcome.accepted, 200),
    (stall(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"sent'), Outcome.accepted, 200),
    (answer(409, TAKEN), Outcome.already_accepted, 409),
    (answer(400, b'{"message":"bad"}'), Outcome.refused, 400),
    (answer(400, USED_TOKEN), Outcome.refused, 400),
    (answer(401), Outcome.bad_token, 401),
    (answer(403), Outcome.refused, 403),
    (answer(404), Outcome.refused, 404),
    (answer(413, HTML), Outcome.refused, 413),
    (answer(415), Outcome.refused, 415),
    (answer(400, b"{", missing=9), Outcome.refused, 400),
    (answer(429, TOO_FAST), Outcome.rate_limited, 429),
    (answer(429, HTML), Outcome.rate_limited, 429),
    (answer(429, OVER_QUOTA), Outcome.over_quota, 429),
    (answer(500), Outcome.unknown, 500),
    (answer(502, HTML), Outcome.unknown, 502),
    (answer(503, b""), Outcome.unknown, 503),
    (answer(504, HTML, missing=5), Outcome.unknown, 504),
    # Never followed: the message and the token would go somewhere else.
    (answer(307, b"", {"Location": "/elsewhere"}), Outcome.unknown, 307),
    (answer(302, b"", {"Location": "/elsewhere"}), Outcome.unknown, 302),
    (hang_up, Outcome.unknown, None),
    (reset, Outcome.unknown, None),
    (silence, Outcome.unknown, None),
    (write(b"HTTP/1.1 200 OK\r\nContent-"), Outcome.unknown, None),
    (write(b"SSH-2.0-OpenSSH\r\n\r\n"), Outcome.unknown, None),
    (stall(b"HTTP/1.1 "), Outcome.unknown, None),
]


@pytest.mark.parametrize(("behaviour", "outcome", "status"), OUTCOMES)
async def test_each_end_of_a_push_has_its_outcome(
    behaviour: Behaviour, outcome: Outcome, status: int | None
) -> None:
    got = await sent_once(behaviour)

    assert (got.outcome, got.status) == (outcome, status)


async def test_a_repeat_gives_the_id_of_the_accepted_request() -> None:
    got = await sent_once(answer(409, TAKEN, IDS))

    assert got.request_id == "first-1"


async def test_a_409_without_the_accepted_id_does_not_pass_its_own_off() -> None:
    got = await sent_once(answer(409, TAKEN, {"X-Line-Request-Id": "own-1"}))

    assert got.request_id is None


async def test_a_409_to_a_request_without_a_key_is_a_refusal() -> None:
    got = await sent_once(answer(409), SendKind.reply)

    assert got.outcome is Outcome.refused


async def test_a_used_reply_token_is_told_apart_from_other_refusals() -> None:
    used = await sent_once(answer(400, USED_TOKEN), SendKind.reply)
    other = await sent_once(answer(400, b'{"message":"bad"}'), SendKind.reply)

    assert used.outcome is Outcome.invalid_reply_token
    assert other.outcome is Outcome.refused


async def test_a_reply_never_carries_a_retry_key() -> None:
    async with bad_line(answer()) as line, client(line) as made:
        with pytest.raises(ValueError, match="retry key"):
            await made.send(SendKind.reply, TOKEN, BODY, retry_key=KEY)

    assert line.requests == []


async def test_details_are_told_without_user_ids() -> None:
    body = {
        "message": f"The property, to[0] {HANA}, is invalid",
        "details": [{"property": "messages[0].text", "message": "May not be empty"}, None, {}],
    }

    got = await sent_once(answer(400, orjson.dumps(body)))

    assert got.detail == (
        "The property, to[0] U***, is invalid; messages[0].text: May not be empty"
    )


async def test_details_are_cut_to_500_characters() -> None:
    got = await sent_once(answer(400, orjson.dumps({"message": "あ" * 900})))

    assert len(got.detail) == 500


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-1", None), ("nan", None), ("inf", None), ("soon", None)],
)
async def test_a_wait_that_line_asks_for_is_passed_on(header: str, seconds: float | None) -> None:
    got = await sent_once(answer(429, TOO_FAST, {"Retry-After": header}))

    assert got.retry_after == seconds


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "トークン"])
async def test_a_malformed_token_is_a_bad_token_and_stays_here(token: str) -> None:
    async with bad_line(answer()) as line, client(line) as made:
        got = await made.send(SendKind.push, token, BODY, retry_key=KEY)

    assert got.outcome is Outcome.bad_token
    assert token not in got.detail or not token
    assert line.requests == []


async def test_a_kept_connection_that_line_cuts_after_reading_is_unknown_and_not_repeated() -> None:
    async with bad_line(answer(), hang_up) as line, client(line) as made:
        first, second = await push(made), await push(made)

    assert (first.outcome, second.outcome) == (Outcome.accepted, Outcome.unknown)
    assert (len(line.requests), line.connections) == (2, 1)


async def test_a_kept_connection_that_line_resets_after_reading_is_unknown_and_not_repeated() -> (
    None
):
    async with bad_line(answer(), reset) as line, client(line) as made:
        first, second = await push(made), await push(made)

    assert (first.outcome, second.outcome) == (Outcome.accepted, Outcome.unknown)
    assert (len(line.requests), line.connections) == (2, 1)


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced() -> None:
    async with bad_line(answer_and_hang_up(), answer()) as line, client(line) as made:
        await push(made)
        await line.hung_up.wait()
        await asyncio.sleep(0.05)
        second = await push(made)

    assert second.outcome is Outcome.accepted
    assert (len(line.requests), line.connections) == (2, 2)


async def test_a_refused_port_never_got_it() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening
        async with LineClient(f"http://127.0.0.1:{unused.getsockname()[1]}") as made:
            got = await push(made)

    assert (got.outcome, got.status) == (Outcome.not_sent, None)


async def test_an_unknown_host_never_got_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_such_name(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", no_such_name)
    async with LineClient("http://line.invalid") as made:
        got = await push(made)

    assert got.outcome is Outcome.not_sent


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_a_tls_handshake_that_fails_or_hangs_never_got_it(greeting: bytes) -> None:
    async with (
        bad_line(answer(), greeting=greeting) as line,
        LineClient(f"https://127.0.0.1:{line.port}", connect_seconds=0.3) as made,
    ):
        got = await push(made)

    assert got.outcome is Outcome.not_sent
    assert line.requests == []


async def test_waiting_in_vain_for_a_free_connection_sends_nothing() -> None:
    async with (
        bad_line(silence) as line,
        client(line, connections=1, connect_seconds=0.1, read_seconds=1.0) as made,
    ):
        first, second = await asyncio.gather(push(made), push(made))

    assert (first.outcome, second.outcome) == (Outcome.unknown, Outcome.not_sent)
    assert len(line.requests) == 1


async def test_an_impossible_address_never_got_it() -> None:
    async with LineClient("nowhere") as made:
        got = await push(made)

    assert got.outcome is Outcome.not_sent


async def test_only_cancelling_is_raised() -> None:
    calls: list[tuple[str, int | None]] = []
    async with (
        bad_line(silence) as line,
        client(line, on_call=lambda *told: calls.append(told[:2])) as made,
    ):
        sending = asyncio.ensure_future(push(made))
        await line.arrived.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

    assert calls == [("pushMessage", None)]


async def test_an_answer_before_the_whole_request_was_read_stands() -> None:
    async def refuse_and_reset(writer: asyncio.StreamWriter) -> None:
        await answer(413)(writer)
        await reset(writer)

    async with bad_line(refuse_and_reset, read_bodies=False) as line, client(line) as made:
        got = await made.send(SendKind.push, TOKEN, b"x" * 8_000_000, retry_key=KEY)

    # Whether the answer outruns the reset is the network's affair; nothing else may come of it.
    assert got.outcome in {Outcome.refused, Outcome.unknown}
    assert len(line.requests) == 1


async def test_two_megabytes_arrive_whole() -> None:
    body = b"x" * 2_000_000
    async with bad_line(answer()) as line, client(line, read_seconds=2.0) as made:
        got = await made.send(SendKind.broadcast, TOKEN, body, retry_key=KEY)

    assert got.outcome is Outcome.accepted
    assert [request.body for request in line.requests] == [body]


async def test_each_call_is_told_to_the_meter() -> None:
    calls: list[tuple[str, int | None, float]] = []
    async with (
        bad_line(answer(), answer(429), hang_up) as line,
        client(line, on_call=lambda *told: calls.append(told)) as made,
    ):
        for _ in range(3):
            await push(made, SendKind.multicast)

    assert [told[:2] for told in calls] == [
        ("multicast", 200),
        ("multicast", 429),
        ("multicast", None),
    ]
    assert all(told[2] >= 0 for told in calls)


async def test_a_broken_meter_spoils_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    def broken(operation: str, status: int | None, seconds: float) -> None:
        raise RuntimeError("no meter")

    async with bad_line(answer()) as line, client(line, on_call=broken) as made:
        got = await push(made)

    assert got.outcome is Outcome.accepted
    assert "on_call failed" in caplog.text


async def test_no_secret_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    for behaviour in (answer(401), answer(500, HTML), hang_up, reset):
        got = await sent_once(behaviour)
        assert TOKEN not in repr(got)

    assert TOKEN not in caplog.text
    assert "おかえり" not in caplog.text


def test_ids_of_users_groups_and_rooms_are_masked() -> None:
    digits = "0123456789abcdef" * 2

    assert mask_user_ids(f"U{digits},C{digits}/R{digits.upper()}") == "U***,C***/R***"
    assert mask_user_ids(f"to=U{digits}x") == "to=U***x"
    assert mask_user_ids("U123 and Uta") == "U123 and Uta"


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=200)
    | st.builds(
        lambda status, rest: b"HTTP/1.1 %d X\r\n" % status + rest,
        st.integers(0, 999),
        st.binary(max_size=80),
    )
    | st.builds(
        lambda status, body: (
            b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
        ),
        st.integers(100, 599),
        st.binary(max_size=80),
    )
)
def test_whatever_comes_back_is_an_answer(raw: bytes) -> None:
    async def send() -> Answer:
        return await sent_once(write(raw))

    assert isinstance(asyncio.run(send()), Answer)
