"""The pages that are shown at the till, and the barcode of the card in the chat."""

import io
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from barcode import get_barcode_class  # type: ignore[import-untyped]
from httpx2 import ASGITransport, AsyncClient
from PIL import Image
from sqlalchemy import select, update

from core.clock import SimulatedClock
from core.db import table
from core.runtime import Runtime
from crm import cards
from crm.coupons import definition, issuing
from crm.coupons.definition import CouponDraft, Discount
from crm.customers import locking
from crm.models import FOLLOWING, Channel, Customer, Friend
from server.app import Server
from server.card_pictures import HEIGHT, WIDTH, member_picture, qr_svg

NUMBER = "MN-000123"
NAME = "鈴木 <健>"


@pytest.fixture
async def http(runtime: Runtime) -> AsyncIterator[AsyncClient]:
    """The server over ASGI."""
    transport = ASGITransport(Server(runtime, None))
    async with AsyncClient(transport=transport, base_url="http://shop.test") as client:
        yield client


@pytest.fixture
async def now(runtime: Runtime) -> datetime:
    """The shop's time."""
    return await runtime.clock.now()


@pytest.fixture
async def ken(runtime: Runtime, now: datetime) -> Friend:
    """A gold member with LINE."""
    async with runtime.db.transaction() as session:
        customer = Customer(member_number=NUMBER, name=NAME, rank="gold", created_at=now)
        session.add(customer)
        await session.flush()
        channel = await session.scalar(select(table(Channel).c.id))
        assert channel is not None
        assert customer.id is not None
        friend = Friend(
            channel_id=channel, user_id="U" + "b" * 32, customer_id=customer.id, status=FOLLOWING,
            status_at=now, created_at=now,
        )  # fmt: skip
        session.add(friend)
        await session.flush()
        return friend


async def issue(runtime: Runtime, friend: Friend, now: datetime) -> int:
    """A coupon for this friend; returns the copy's id."""
    async with runtime.db.transaction() as session:
        draft = CouponDraft(name="お誕生日", discount=Discount(amount=500), valid_days=30)
        await definition.save(session, "b", draft, now=now, expected=None)
        await locking.lock(session, [friend.customer_id])
        made = await issuing.issue(
            session, "b", [friend.customer_id], reason="x", now=now, zone=runtime.settings.zone
        )
        return made.new[friend.customer_id]


async def unlink(runtime: Runtime, friend: Friend, now: datetime) -> None:
    """The friend gets a fresh record."""
    async with runtime.db.transaction() as session:
        fresh = Customer(created_at=now)
        session.add(fresh)
        await session.flush()
        change = update(table(Friend)).where(table(Friend).c.id == friend.id)
        await session.execute(change.values(customer_id=fresh.id))


def page_of(runtime: Runtime, friend: Friend, now: datetime, issued_id: int | None = None) -> str:
    """The address of the page."""
    assert friend.id is not None
    token = cards.link(runtime.seal, friend.id, now=now, issued_id=issued_id)
    return f"/card/coupon/{token}" if issued_id else f"/card/{token}"


def picture_of(runtime: Runtime, friend: Friend, now: datetime) -> str:
    """The address of the barcode."""
    assert friend.id is not None
    token = cards.link(runtime.seal, friend.id, now=now, what=cards.PICTURE)
    return f"/images/card/{token}.png"


async def test_the_card_page_shows_the_member_and_may_not_be_kept_or_framed(
    http: AsyncClient, runtime: Runtime, ken: Friend, now: datetime
) -> None:
    answer = await http.get(page_of(runtime, ken, now))

    assert answer.status_code == 200
    for words in ("鈴木 &lt;健&gt; さま", NUMBER, "ゴールド", "会員証", "<svg"):
        assert words in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    [nonce] = set(re.findall(r'nonce="([^"]+)"', answer.text))
    assert f"'nonce-{nonce}'" in policy


async def test_the_code_on_the_page_changes_every_thirty_seconds(
    http: AsyncClient, runtime: Runtime, ken: Friend, now: datetime
) -> None:
    page = page_of(runtime, ken, now)
    assert isinstance(runtime.clock, SimulatedClock)

    first = (await http.get(page)).text
    await runtime.clock.move_to(now + timedelta(seconds=31))
    second = (await http.get(page)).text

    code = cards.card_code(runtime.seal, ken.customer_id, now)
    assert qr_svg(code, "会員証のQRコード") in first
    assert qr_svg(code, "会員証のQRコード") not in second
    part = (await http.get(f"{page}?part=live")).text
    assert part.startswith("<section")
    assert part.strip() in second


async def test_an_old_page_says_how_to_get_a_new_one(
    http: AsyncClient, runtime: Runtime, ken: Friend, now: datetime
) -> None:
    page = page_of(runtime, ken, now - timedelta(hours=13))

    answer = await http.get(page)

    assert answer.status_code == 410
    assert "有効期限が切れました" in answer.text
    assert "「会員証」" in answer.text
    assert NUMBER not in answer.text


@pytest.mark.parametrize(
    "path", ["/card/x", "/card/coupon/x", "/card/1..ffffffff.aaaaaaaaaaaaaa", "/card/" + "a" * 900]
)
async def test_a_forged_page_is_not_found(http: AsyncClient, path: str, ken: Friend) -> None:
    answer = await http.get(path)

    assert answer.status_code == 404
    assert "見つかりません" in answer.text


async def test_after_unlinking_old_links_show_nothing_of_the_member(
    http: AsyncClient, runtime: Runtime, ken: Friend, now: datetime
) -> None:
    issued = await issue(runtime, ken, now)
    pages = [page_of(runtime, ken, now), page_of(runtime, ken, now, issued)]
    await unlink(runtime, ken, now)

    for page in [*pages, picture_of(runtime, ken, now)]:
        answer = await http.get(page)
        assert answer.status_code == 410
        assert NUMBER not in answer.text
        assert "お誕生日" not in answer.text


async def test_the_coupon_page_shows_the_code_until_it_is_used(
    http: AsyncClient, runtime: Runtime, ken: Friend, now: datetime
) -> None:
    page = page_of(runtime, ken, now, await issue(runtime, ken, now))

    held = await http.get(page)
    assert isinstance(runtime.clock, SimulatedClock)
    await runtime.clock.move_to(now + timedelta(days=40))
    token = page_of(runtime, ken, now + timedelta(days=40), 1)
    over = await http.get(token)

    assert held.status_code == 200
    assert {"お誕生日", "500円引き"} <= set(re.findall("お誕生日|500円引き", held.text))
    assert over.status_code == 410
    assert "使用済みか期限切れ" in over.text


async def test_a_coupons_link_is_no_link_to_the_card(
    http: AsyncClient, runtime: Runtime, ken: Friend, now: datetime
) -> None:
    assert ken.id is not None
    token = cards.link(runtime.seal, ken.id, now=now, issued_id=1)

    assert (await http.get(f"/card/{token}")).status_code == 410


async def test_the_barcode_is_a_png_that_holds_the_member_number(
    http: AsyncClient, runtime: Runtime, ken: Friend, now: datetime
) -> None:
    answer = await http.get(picture_of(runtime, ken, now))
    old = await http.get(picture_of(runtime, ken, now - timedelta(days=31)))

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert _modules(answer.content) == get_barcode_class("code128")(NUMBER).build()[0]
    assert (old.status_code, old.content) == (410, b"")
    assert (await http.get("/images/card/x.png")).status_code == 404


@pytest.mark.parametrize("number", ["A" * 60, "会員１２３", "1", "9" * 60, "x y~!"])
def test_any_member_number_makes_a_picture_that_line_takes(number: str) -> None:
    png = member_picture(number)

    with Image.open(io.BytesIO(png)) as picture:
        assert (picture.format, picture.size) == ("PNG", (WIDTH, HEIGHT))
        assert picture.convert("L").getextrema() == (0, 255)
    assert len(png) < 20_000


def _modules(png: bytes) -> str:
    """The bars across the middle of the picture, as ones and zeros."""
    with Image.open(io.BytesIO(png)) as picture:
        row = [picture.convert("L").getpixel((x, HEIGHT // 2)) == 0 for x in range(WIDTH)]
    bars = "".join("1" if dark else "0" for dark in row).strip("0")
    width = min(len(run) for run in re.findall("1+|0+", bars))
    return bars[::width]
