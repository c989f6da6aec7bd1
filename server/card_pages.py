"""Pages that a customer shows at the till: the member card and a coupon, with a QR code that
changes every 30 seconds, and the barcode that stands on the card in the chat.

The links to them are signed and end (`crm.cards`). They name the friend: once the friend is not
linked any more, or the coupon is not theirs, the page says so.
"""

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from core.db import table
from core.runtime import Runtime
from crm import cards, policies
from crm.cards import ExpiredCode, ForgedCode, Link
from crm.coupons import tokens
from crm.coupons.held import held, until_said
from crm.models import Channel, Customer, Friend
from crm.points import ledger
from crm.ranks.policy import RankPolicy
from server.card_pictures import member_picture, qr_svg

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"),
    autoescape=True,
    undefined=StrictUndefined,
)
GONE, NOT_FOUND = 410, 404
ACCENT, COUPON_ACCENT = "#067d3b", "#b5302a"

_CARD_WORDS = "会員証"
_COUPON_WORDS = "クーポン"


class _Says(Exception):
    """The page is a sentence instead: what is the matter, and which word to send in the chat."""

    def __init__(self, ja: str, en: str, word: str, status: int = GONE) -> None:
        super().__init__(ja)
        self.ja, self.en, self.word, self.status = ja, en, word, status


def routes(runtime: Runtime) -> Sequence[Route]:
    """Where the pages and pictures are."""

    async def card(request: Request) -> Response:
        return await _page(runtime, request, _card_facts, _CARD_WORDS)

    async def coupon(request: Request) -> Response:
        return await _page(runtime, request, _coupon_facts, _COUPON_WORDS)

    async def picture(request: Request) -> Response:
        return await _picture(runtime, str(request.path_params["token"]))

    return [
        Route("/card/coupon/{token}", coupon),
        Route("/card/{token}", card),
        Route("/images/card/{token}.png", picture),
    ]


async def _page(
    runtime: Runtime,
    request: Request,
    read: Any,  # noqa: ANN401 - one of the two below
    word: str,
) -> Response:
    nonce = secrets.token_urlsafe(16)
    try:
        link = await _opened(runtime, str(request.path_params["token"]), word)
        async with runtime.db.reading() as session:
            facts, status = await read(runtime, session, link), 200
        # The script of the page asks for what changes alone: a whole page parsed by a script would
        # have its style refused by our own content security policy, and say so on the console.
        name = "card_live.html" if request.query_params.get("part") == "live" else "card.html"
    except _Says as said:
        facts, status = {"ja": said.ja, "en": said.en, "word": said.word}, said.status
        name = "card_over.html"
    html = PAGES.get_template(name).render(facts | {"nonce": nonce})
    return HTMLResponse(html, status, headers=_headers(nonce))


async def _opened(runtime: Runtime, token: str, word: str) -> Link:
    try:
        return cards.open_link(runtime.seal, token, now=await runtime.clock.now())
    except ExpiredCode:
        raise _Says("このページの有効期限が切れました。", "This page has expired.", word) from None
    except ForgedCode:
        raise _Says(
            "このページは見つかりません。", "There is no such page.", word, NOT_FOUND
        ) from None


async def _card_facts(runtime: Runtime, session: AsyncSession, link: Link) -> dict[str, Any]:
    row = await _friend(session, link)
    if row is None or row.member_number is None or link.issued_id is not None:
        raise _Says("会員連携が解除されています。", "This account is not linked.", "連携")
    now = await runtime.clock.now()
    policy, _ = await policies.read(session, RankPolicy)
    tier = policy.tier(row.rank)
    balance = await ledger.standing(session, row.customer_id, now=now)
    # One address for the whole day, so that the barcode does not flicker when the page renews.
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    picture = cards.link(runtime.seal, link.friend_id, now=day, what=cards.PICTURE)
    code = cards.card_code(runtime.seal, row.customer_id, now)
    return {
        "title": "会員証", "title_en": "Member card", "shop": row.shop or "",
        "accent": tier.colour if tier else ACCENT,
        "name": row.name or row.display_name or "", "rank": tier.name if tier else "",
        "points": balance.points, "number": row.member_number,
        "picture": f"/images/card/{picture}.png",
        "lines": [], "shown_code": "", "qr": qr_svg(code, "会員証のQRコード"),
    }  # fmt: skip


async def _coupon_facts(runtime: Runtime, session: AsyncSession, link: Link) -> dict[str, Any]:
    now = await runtime.clock.now()
    row = await _friend(session, link)
    every = [] if row is None else await held(session, row.customer_id, now=now)
    coupon = next((each for each in every if each.id == link.issued_id), None)
    if row is None or coupon is None:
        raise _Says(
            "このクーポンは、使用済みか期限切れです。", "This coupon has been used or has expired.",
            _COUPON_WORDS,
        )  # fmt: skip
    until = until_said(coupon.expires_at, runtime.settings.zone)
    code = tokens.show_token(runtime.seal, coupon.id, now)
    return {
        "title": coupon.name, "title_en": coupon.discount_en, "shop": row.shop or "",
        "accent": COUPON_ACCENT, "name": coupon.discount, "rank": "", "points": None, "number": "",
        "picture": "", "lines": [until, *coupon.conditions], "shown_code": coupon.code,
        "qr": qr_svg(code, "クーポンのQRコード"),
    }  # fmt: skip


async def _picture(runtime: Runtime, token: str) -> Response:
    now = await runtime.clock.now()
    try:
        link = cards.open_link(runtime.seal, token, now=now, what=cards.PICTURE)
    except ExpiredCode:
        return Response(status_code=GONE)
    except ForgedCode:
        return Response(status_code=NOT_FOUND)
    async with runtime.db.reading() as session:
        row = await _friend(session, link)
    if row is None or row.member_number is None:
        return Response(status_code=GONE)
    png = await asyncio.to_thread(member_picture, row.member_number)
    return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


async def _friend(session: AsyncSession, link: Link) -> Any:  # noqa: ANN401
    friend, customer, channel = table(Friend), table(Customer), table(Channel)
    query = (
        select(
            friend.c.customer_id, friend.c.display_name, channel.c.name.label("shop"),
            customer.c.name, customer.c.member_number, customer.c.rank,
        )
        .join(customer, customer.c.id == friend.c.customer_id)
        .join(channel, channel.c.id == friend.c.channel_id)
        .where(friend.c.id == link.friend_id)
    )  # fmt: skip
    return (await session.execute(query)).first()


def _headers(nonce: str) -> dict[str, str]:
    only = f"'nonce-{nonce}'"
    return {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": f"default-src 'none'; img-src 'self' data:; connect-src 'self'; "
        f"style-src {only}; script-src {only}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
    }
