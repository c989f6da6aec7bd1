"""ID tokens: what LINE vouches for is looked at again before anybody is linked by it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.errors import Unavailable
from core.line.client import LineClient
from core.line.login import BadIdToken, Identity, verify_id_token
from tests.bot.helpers import HANA, KEN
from tests.conftest import free_port, serving

NOW = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
LOGIN = "2000000001"
GOOD = {
    "iss": "https://access.line.me",
    "sub": HANA,
    "aud": LOGIN,
    "exp": int(NOW.timestamp()) + 3_600,
    "nonce": "n-1",
}


class Voucher:
    """A LINE that answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status, self.claims = 200, dict[str, Any](GOOD)
        self.asked: dict[str, Any] = {}

    async def __call__(self, request: Request) -> Response:
        self.asked = dict(await request.form())
        return JSONResponse(self.claims, self.status)


@pytest.fixture
def voucher() -> Voucher:
    return Voucher()


@pytest.fixture
async def client(voucher: Voucher) -> AsyncIterator[LineClient]:
    app = Starlette(routes=[Route("/oauth2/v2.1/verify", voucher.__call__, methods=["POST"])])
    async with serving(app, free_port(), lifespan="off") as url, LineClient(api_url=url) as line:
        yield line


async def ask(client: LineClient, token: str = "a.b.c", **more: str) -> Identity:
    return await verify_id_token(
        client, "channel-token", token, login_channel_id=LOGIN, now=NOW, **more
    )


async def test_line_is_asked_for_our_channel_and_says_who_it_is(
    client: LineClient, voucher: Voucher
) -> None:
    assert await ask(client, user_id=HANA, nonce="n-1") == Identity(HANA)
    assert voucher.asked == {
        "id_token": "a.b.c", "client_id": LOGIN, "user_id": HANA, "nonce": "n-1",
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://evil.example"},
        {"aud": "2000000002"},
        {"aud": [LOGIN]},
        {"exp": int(NOW.timestamp()) - 301},
        {"exp": "soon"},
        {"exp": None},
        {"exp": float("1e30") * -1},
        {"sub": "somebody"},
        {"sub": None},
        {"sub": KEN},
        {"nonce": "n-2"},
    ],
)
async def test_what_does_not_fit_is_refused_although_line_said_yes(
    client: LineClient, voucher: Voucher, wrong: dict[str, Any]
) -> None:
    voucher.claims |= wrong

    with pytest.raises(BadIdToken):
        await ask(client, user_id=HANA, nonce="n-1")


@pytest.mark.parametrize("token", ["", "abc", "a.b", "a.b.c.d", "a.b.c\n", "あ.b.c", "a." * 9_000])
async def test_what_is_no_token_is_not_even_asked_about(
    client: LineClient, voucher: Voucher, token: str
) -> None:
    with pytest.raises(BadIdToken):
        await ask(client, token)
    assert voucher.asked == {}


@pytest.mark.parametrize(("status", "error"), [(400, BadIdToken), (500, Unavailable)])
async def test_a_no_is_told_from_no_answer(
    client: LineClient, voucher: Voucher, status: int, error: type[Exception]
) -> None:
    voucher.status = status

    with pytest.raises(error):
        await ask(client)
