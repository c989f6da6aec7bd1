"""The linking pages against bad input: a clear page, the right status, nothing changed."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from httpx2 import ASGITransport, AsyncClient, Response
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.routing import Mount

from bot.pages.forms import MAX_BODY
from bot.pages.linking import create_pages
from core.clock import SimulatedClock
from core.runtime import Runtime
from crm import policies
from crm.customers import records
from crm.customers.records import CustomerDraft
from crm.linking import tickets
from crm.linking.models import LinkAttempt, LinkNonce, MemberLink, PendingLink
from crm.linking.policy import LinkPolicy
from crm.models import Friend
from tests.bot.helpers import count, rows
from tests.cast import Cast
from tests.conftest import StandIn

FORM = {"member_number": "M-000123", "birthday": "19850228"}


class Visitor:
    """A browser on the linking pages, with a ticket for Hana."""

    def __init__(self, runtime: Runtime, http: AsyncClient, hana: Friend, ticket: str) -> None:
        self.runtime, self.http, self.hana, self.ticket = runtime, http, hana, ticket

    async def open(self, way: str = "page") -> Response:
        """Look at a page."""
        return await self.http.get(f"/link/{way}/{self.ticket}")

    async def send(self, way: str = "page", **headers: str) -> Response:
        """Send the right form."""
        return await self.http.post(f"/link/{way}/{self.ticket}", data=FORM, headers=headers)

    async def nothing_changed(self) -> None:
        """No link, no nonce, no try, and Hana is who she was."""
        for model in (MemberLink, LinkNonce, PendingLink, LinkAttempt):
            assert await count_of(self.runtime, model) == 0
        [friend] = await rows(self.runtime, Friend)
        assert friend.customer_id == self.hana.customer_id


async def count_of(runtime: Runtime, model: type) -> int:
    return await count(runtime, model)


@pytest.fixture
async def visitor(runtime: Runtime, line: StandIn) -> AsyncIterator[Visitor]:
    hana = await Cast(runtime, line).hana()
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        draft = CustomerDraft(member_number="M-000123", birthday="1985-02-28")
        await records.create(session, draft, now=now, source="test")
    app = Starlette(routes=[Mount("/link", create_pages(runtime))])
    ticket = tickets.issue(runtime.seal, hana.id or 0, now=now)
    async with AsyncClient(transport=ASGITransport(app), base_url="https://shop.test") as http:
        yield Visitor(runtime, http, hana, ticket)


def is_our_page(response: Response) -> None:
    """Japanese first, kept nowhere, framed by nobody, no script, and it tells nobody the ticket."""
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "same-origin"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert '<html lang="ja">' in response.text


async def test_the_page_says_whose_line_it_links(visitor: Visitor) -> None:
    page = await visitor.open()

    assert page.status_code == 200
    is_our_page(page)
    assert "「花」" in page.text
    assert "連携解除" in page.text
    await visitor.nothing_changed()


async def test_a_name_is_shown_as_text_whatever_it_holds(visitor: Visitor) -> None:
    async with visitor.runtime.db.transaction() as session:
        friend = await session.get_one(Friend, visitor.hana.id)
        friend.display_name = "<script>alert(1)</script>"

    page = await visitor.open()

    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text


@pytest.mark.parametrize("way", ["start", "page", "order"])
async def test_an_expired_link_changes_nothing(visitor: Visitor, way: str) -> None:
    clock = visitor.runtime.clock
    assert isinstance(clock, SimulatedClock)
    await clock.move_to(await clock.now() + timedelta(minutes=16))

    for page in (await visitor.open(way), await visitor.send(way)):
        assert page.status_code == 410
        is_our_page(page)
        assert "有効期限が切れました" in page.text
    await visitor.nothing_changed()


@pytest.mark.parametrize(
    "ticket", ["x", "1.2.3", "1.ffffffff.AAAAAAAAAAAAAA", "%00", "あ", "1" * 5_000, "../api/v1/me"]
)
async def test_a_forged_ticket_opens_nothing(visitor: Visitor, ticket: str) -> None:
    visitor.ticket = ticket

    for page in (await visitor.open(), await visitor.send()):
        assert page.status_code == 404
        is_our_page(page)
    await visitor.nothing_changed()


async def test_a_ticket_for_a_friend_who_is_not_there_opens_nothing(visitor: Visitor) -> None:
    now = await visitor.runtime.clock.now()
    visitor.ticket = tickets.issue(visitor.runtime.seal, 999, now=now)

    assert (await visitor.open()).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/link/page/{}", 405),
        ("DELETE", "/link/start/{}", 405),
        ("GET", "/link/liff", 405),
        ("GET", "/link/nowhere/{}", 404),
        ("GET", "/link/", 404),
        ("GET", "/link/page/{}/more", 404),
    ],
)
async def test_a_wrong_method_or_path_gets_a_page(
    visitor: Visitor, method: str, path: str, status: int
) -> None:
    page = await visitor.http.request(method, path.format(visitor.ticket))

    assert page.status_code == status
    is_our_page(page)
    await visitor.nothing_changed()


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"a=" + b"x" * MAX_BODY, "application/x-www-form-urlencoded", 413),
        (b"member_number=" + b"x" * 301, "application/x-www-form-urlencoded", 400),
        (b"member_number=%ff", "application/x-www-form-urlencoded", 400),
        (b"member_number=%00", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a=1" for _ in range(50)), "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 415),
        (b"", "multipart/form-data; boundary=x", 415),
        (b"", "application/x-www-form-urlencoded", 422),
    ],
)
async def test_a_strange_body_gets_a_clear_page(
    visitor: Visitor, body: bytes, kind: str, status: int
) -> None:
    page = await visitor.http.post(
        f"/link/page/{visitor.ticket}", content=body, headers={"content-type": kind}
    )

    assert page.status_code == status
    is_our_page(page)
    await visitor.nothing_changed()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://shop.test"}, 200),
        ({"origin": "http://localhost:8000"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({}, 200),
    ],
)
async def test_a_form_of_another_site_is_not_taken(
    visitor: Visitor, headers: dict[str, str], status: int
) -> None:
    page = await visitor.send(**headers)

    assert page.status_code == status
    if status == 403:
        await visitor.nothing_changed()


@pytest.mark.parametrize("way", ["start", "page", "order"])
async def test_a_way_that_the_policy_has_closed_is_closed(visitor: Visitor, way: str) -> None:
    now = await visitor.runtime.clock.now()
    closed = {"account_link": False, "page": False, "order": False}
    async with visitor.runtime.db.transaction() as session:
        await policies.save(session, LinkPolicy(**closed), expected=None, now=now)

    for page in (await visitor.open(way), await visitor.send(way)):
        assert page.status_code == 404
    await visitor.nothing_changed()


async def test_the_way_on_is_lines_dialog_and_no_other(visitor: Visitor) -> None:
    page = await visitor.http.post(
        f"/link/start/{visitor.ticket}?next=https://evil.example&linkToken=x",
        data=FORM | {"next": "https://evil.example"},
    )

    assert page.status_code == 303
    target = page.headers["location"]
    assert target.startswith("https://access.line.me/dialog/bot/accountLink?linkToken=")
    assert "evil" not in target
    assert page.headers["referrer-policy"] == "no-referrer"


async def test_when_line_is_silent_a_page_says_so(visitor: Visitor, line: StandIn) -> None:
    async with visitor.runtime.db.transaction() as session:
        friend = await session.get_one(Friend, visitor.hana.id)
        friend.user_id = "U" + "f" * 32

    page = await visitor.send("start")

    assert page.status_code == 503
    is_our_page(page)
    assert await count(visitor.runtime, MemberLink) == 0


async def test_a_member_who_has_been_linked_sees_it_on_the_page(visitor: Visitor) -> None:
    await visitor.send()

    page = await visitor.open()
    order = await visitor.open("order")

    assert "＊＊＊＊0123" in page.text
    assert "M-000123" not in page.text
    assert "すでに連携されています" in order.text


@pytest.mark.parametrize(
    ("body", "kind", "status", "error"),
    [
        (b"{}", "application/json", 400, "unreadable"),
        (b"[1", "application/json", 400, "unreadable"),
        (b'{"id_token": "a.b.c"}', "text/plain", 400, "unreadable"),
        (b"x" * (MAX_BODY + 1), "application/json", 413, "too_large"),
        (b'{"id_token": "a.b.c", "member_number": "1"}', "application/json", 404, "closed"),
    ],
)
async def test_strange_bodies_from_a_liff_page_get_a_clear_answer(
    visitor: Visitor, body: bytes, kind: str, status: int, error: str
) -> None:
    answer = await visitor.http.post("/link/liff", content=body, headers={"content-type": kind})

    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["message_ja"]
    await visitor.nothing_changed()


async def test_a_change_that_gave_way_to_another_one_asks_to_try_again(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def give_way(*_args: object, **_named: object) -> None:
        raise DBAPIError("UPDATE customer", None, Exception("deadlock detected"))

    monkeypatch.setattr("crm.linking.proving.prove", give_way)
    page = await visitor.send()

    assert page.status_code == 503
    assert "もう一度お試しください" in page.text
    assert "UPDATE" not in page.text
    await visitor.nothing_changed()
