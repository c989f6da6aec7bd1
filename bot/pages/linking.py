"""The linking pages, `/link/…`: sign in to a membership, or name an order, for one friend.

The friend stands in the address, as a signed ticket that their own chat got. `/start` goes on to
LINE's dialog, which checks whose LINE account it is; `/page` links at once; `/order` takes an order
number. `/liff` is for a page of the shop inside LINE, whose ID token says who it is.
Nothing is changed by looking at a page, and no call to LINE is made while anything is locked.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bot.linking import masked, thanked
from bot.pages import words
from bot.pages.forms import BadForm, read_form
from bot.pages.liff import LiffDoor
from bot.pages.rendering import PRIVATE, page
from bot.pages.words import Both, Told
from core import logs
from core.db import table
from core.line.client import LineError
from core.runtime import Runtime
from crm import channels, policies
from crm.linking import links, nonces, orders, proving, tickets
from crm.linking.links import Linked, TooManyFriends
from crm.linking.policy import LinkPolicy
from crm.linking.proving import Claim
from crm.linking.tickets import ExpiredTicket, ForeignTicket
from crm.models import Channel, Friend

log = logs.get(__name__)

NO_MORE_ROOM = "too_many_friends"


class Stop(Exception):
    """Show this instead."""

    def __init__(self, told: Told) -> None:
        super().__init__(told.title[1])
        self.told = told


@dataclass(frozen=True, slots=True)
class _Visit:
    """Whose page it is, and the rules that hold."""

    friend_id: int
    user_id: str
    channel_id: int
    name: str | None
    shop: str
    basic_id: str | None
    member_number: str | None
    linked: bool
    policy: LinkPolicy
    now: datetime


class LinkPages:
    """The pages over one runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def start(self, request: Request) -> Response:
        """Sign in, then confirm in LINE's own dialog; or on to the shop's sign-in page."""
        visit = await self._visit(request, "account_link")
        if visit.policy.sign_in_url:
            if request.method != "GET":
                raise Stop(words.CLOSED)
            return await self._away(visit, {}, visit.policy.sign_in_url)
        if request.method != "POST":
            return self._sign_in(visit, dialog=True)
        claim = await self._claim(request)
        async with self._runtime.db.transaction() as session:
            proved = await proving.prove(session, visit.friend_id, claim, now=visit.now)
            nonce = "" if proved.customer_id is None else await nonces.issue(
                session, proved.customer_id, now=visit.now, friend_id=visit.friend_id
            )  # fmt: skip
        if proved.outcome != "proved":
            return self._refused(visit, proved.outcome, claim, dialog=True)
        dialog = f"{self._runtime.settings.line_access_url}/dialog/bot/accountLink"
        return await self._away(visit, {"nonce": nonce}, dialog)

    async def sign_in(self, request: Request) -> Response:
        """Sign in and be linked."""
        visit = await self._visit(request, "page")
        if request.method != "POST":
            return self._sign_in(visit, dialog=False)
        claim = await self._claim(request)
        outcome, linked = await self._prove_and_link(visit, claim)
        if linked is None:
            return self._refused(visit, outcome, claim, dialog=False)
        return self._done(visit, linked)

    async def order(self, request: Request) -> Response:
        """Name an order and be linked, or wait for it."""
        visit = await self._visit(request, "order")
        if visit.linked:
            return self._told(words.ALREADY, visit)
        if request.method != "POST":
            return self._order(visit)
        form = await read_form(request, public_url=self._runtime.settings.public_url)
        typed = form.get("order", "")
        zone = self._runtime.settings.zone
        async with self._runtime.db.transaction() as session:
            named = await orders.name(
                session, visit.friend_id, typed, form.get("proof", ""), now=visit.now, zone=zone
            )
        if named.linked is not None:
            return self._done(visit, named.linked)
        if named.outcome == "too_many":
            return self._order(visit, 429, words.TOO_MANY, typed)
        if named.outcome == "incomplete":
            return self._order(visit, 422, words.ORDER_INCOMPLETE, typed)
        told = {"waiting": words.WAITING, "already": words.ALREADY, "off": words.CLOSED}
        return self._told(told.get(named.outcome, words.CLOSED), visit)

    def stop(self, told: Told) -> Response:
        """A page for a request that belongs to no friend."""
        return self._told(told, None)

    async def _visit(self, request: Request, way: str) -> _Visit:
        now = await self._runtime.clock.now()
        try:
            friend_id = tickets.read(self._runtime.seal, request.path_params["ticket"], now=now)
        except ExpiredTicket:
            raise Stop(words.EXPIRED) from None
        except ForeignTicket:
            raise Stop(words.FORGED) from None
        async with self._runtime.db.reading() as session:
            visit = await _visit_of(session, friend_id, now)
        if visit is None:
            raise Stop(words.FORGED)
        if not getattr(visit.policy, way):
            raise Stop(words.CLOSED)
        return visit

    async def _claim(self, request: Request) -> Claim:
        form = await read_form(request, public_url=self._runtime.settings.public_url)
        return Claim(form.get("member_number", ""), form.get("birthday", ""), form.get("phone", ""))

    async def _prove_and_link(self, visit: _Visit, claim: Claim) -> tuple[str, Linked | None]:
        zone = self._runtime.settings.zone
        async with self._runtime.db.transaction() as session:
            proved = await proving.prove(session, visit.friend_id, claim, now=visit.now)
            if proved.customer_id is None:
                return proved.outcome, None
            try:
                linked = await links.link(
                    session, visit.friend_id, proved.customer_id, method="page", now=visit.now,
                    zone=zone,
                )  # fmt: skip
            except TooManyFriends:
                return NO_MORE_ROOM, None
        return proved.outcome, linked

    async def _away(self, visit: _Visit, query: dict[str, str], url: str) -> Response:
        """Redirect with a link token, which is asked for only now, as it lives ten minutes."""
        open_ = await channels.of(self._runtime).by_ids({visit.channel_id})
        try:
            token = open_[visit.channel_id].access_token
            link_token = await self._runtime.line.issue_link_token(token, visit.user_id)
        except LineError:
            raise Stop(words.LINE_SILENT) from None
        target = _with_query(url, {"linkToken": link_token, **query})
        # No referrer: the ticket in our address is not for the page that follows.
        return RedirectResponse(target, 303, {**PRIVATE, "Referrer-Policy": "no-referrer"})

    def _refused(self, visit: _Visit, outcome: str, claim: Claim, *, dialog: bool) -> Response:
        if outcome == NO_MORE_ROOM:
            return self._told(words.TOO_MANY_FRIENDS, visit)
        status, fault = {
            "wrong": (422, words.WRONG),
            "incomplete": (422, words.INCOMPLETE),
            "too_many": (429, words.TOO_MANY),
        }[outcome]
        number = claim.member_number
        return self._sign_in(visit, status, fault, number, dialog=dialog)

    def _sign_in(
        self,
        visit: _Visit,
        status: int = 200,
        fault: Both | None = None,
        member_number: str = "",
        *,
        dialog: bool,
    ) -> Response:
        return self._page(
            "sign_in.html", visit, status, title="会員証とLINEを連携", fault=fault, dialog=dialog,
            member_number=member_number,
            linked_to=masked(visit.member_number) if visit.linked else None,
        )  # fmt: skip

    def _order(
        self, visit: _Visit, status: int = 200, fault: Both | None = None, order: str = ""
    ) -> Response:
        needs_proof = visit.policy.order_link == "order_and_phone"
        return self._page(
            "order.html", visit, status, title="注文番号で会員証とLINEを連携", fault=fault,
            order=order, needs_proof=needs_proof,
        )  # fmt: skip

    def _done(self, visit: _Visit, linked: Linked) -> Response:
        self._runtime.wakes.wake("reactions")
        title = ("連携が完了しました", "You are linked") if linked.new else words.ALREADY.title
        sentence = ("会員証とLINEがつながりました。トークで「会員証」と送ってみてください。",
                    "Send “会員証” in the chat to see your card.")  # fmt: skip
        told = Told(200, "good", title, sentence)
        number, gift = masked(linked.member_number), thanked(linked.thanks)
        return self._told(told, visit, number=number, gift=gift)

    def _told(
        self, told: Told, visit: _Visit | None, *, number: str = "", gift: str = ""
    ) -> Response:
        title, title_en = told.title
        return self._page(
            "told.html", visit, told.status, title=title, title_en=title_en, look=told.look,
            sentences=[told.sentence], number=number, gift=gift, back=self._back(visit),
            notes=[words.ANY_TIME] if told.look == "good" else [],
        )  # fmt: skip

    def _page(self, template: str, visit: _Visit | None, status: int, **values: Any) -> Response:  # noqa: ANN401
        values.setdefault("notes", [words.ANY_TIME])
        return page(
            self._runtime.settings, template, status,
            shop=(visit.shop if visit else "") or "会員連携",
            name=visit.name if visit else None, **values,
        )  # fmt: skip

    def _back(self, visit: _Visit | None) -> str | None:
        """The way back into the chat; in the demo, the phone in the browser."""
        if visit is None:
            return None
        if phone := self._runtime.settings.phone_url:
            return _with_query(phone, {"user": visit.user_id})
        return f"https://line.me/R/ti/p/{visit.basic_id}" if visit.basic_id else None


async def _visit_of(session: AsyncSession, friend_id: int, now: datetime) -> _Visit | None:
    friend = await session.get(Friend, friend_id)
    if friend is None:
        return None
    channel = table(Channel)
    query = select(channel.c.name, channel.c.basic_id).where(channel.c.id == friend.channel_id)
    shop: Any = (await session.execute(query)).one()
    policy, _version = await policies.read(session, LinkPolicy)
    member = await links.membership(session, friend)
    return _Visit(
        friend_id=friend_id, user_id=friend.user_id, channel_id=friend.channel_id,
        name=friend.display_name, shop=shop.name, basic_id=shop.basic_id,
        member_number=member.member_number if member else None, linked=member is not None,
        policy=policy, now=now,
    )  # fmt: skip


def _with_query(url: str, query: dict[str, str]) -> str:
    parts = urlsplit(url)
    pairs = [*parse_qsl(parts.query, keep_blank_values=True), *query.items()]
    return urlunsplit(parts._replace(query=urlencode(pairs)))


def create_pages(runtime: Runtime) -> Starlette:
    """The pages as one application, to be mounted at `/link`."""
    pages = LinkPages(runtime)
    told = {404: words.NOT_FOUND, 405: words.WRONG_METHOD}

    async def stopped(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Stop)
        return pages.stop(error.told)

    async def bad_form(_request: Request, error: Exception) -> Response:
        assert isinstance(error, BadForm)
        return pages.stop(words.BAD_FORM[error.status])

    async def http_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = pages.stop(told.get(error.status_code, words.NOT_FOUND))
        response.headers.update(error.headers or {})
        return response

    async def database_error(_request: Request, error: Exception) -> Response:
        # Away, or it gave this up for another change of the same person at the same moment.
        log.warning("linking.not_stored", error=type(error).__name__)
        return pages.stop(words.BUSY)

    ways = {"start": pages.start, "page": pages.sign_in, "order": pages.order}
    return Starlette(
        routes=[
            Route(f"/{way}/{{ticket}}", endpoint, methods=["GET", "POST"])
            for way, endpoint in ways.items()
        ]
        + [Route("/liff", LiffDoor(runtime).__call__, methods=["POST", "OPTIONS"])],
        exception_handlers={
            Stop: stopped, BadForm: bad_form, HTTPException: http_error,
            SQLAlchemyError: database_error, ConnectionError: database_error,
        },
    )  # fmt: skip
