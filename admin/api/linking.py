"""Linking: its policy, who is linked with whom, links that wait, nonces for the shop's own page."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import Field, model_validator
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.changes import Change
from admin.api.fields import (
    MAX_ID,
    Given,
    IfMatch,
    PathId,
    RowId,
    Told,
    check_version,
    like,
    tag_version,
    version_read,
)
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Changing, Creating, Reading, Shared, least, router
from core.db import table
from core.errors import Conflict, Fault, Invalid, NotFound
from core.line.login import MAX_LENGTH, BadIdToken, verify_id_token
from crm import channels, policies
from crm.coupons.models import Coupon
from crm.customers import locking, records
from crm.linking import links, nonces
from crm.linking.models import MemberLink, PendingLink
from crm.linking.policy import LinkPolicy
from crm.models import Customer, Friend

routes = router("linking")

Method = Literal["account_link", "page", "line_login", "order", "staff"]
State = Literal["waiting", "done", "expired"]

_POLICY: dict[str, Any] = {
    "account_link": True,
    "sign_in_url": "",
    "page": True,
    "order": True,
    "order_link": "order_and_phone",
    "order_days": 90,
    "pending_days": 14,
    "login_channel_id": "",
    "max_friends": 5,
    "thanks_points": 100,
    "thanks_coupon": None,
}
_LINK = {
    "id": 7,
    "friend_id": 12,
    "customer_id": 9,
    "member_number": "M-000123",
    "method": "page",
    "linked_at": "2026-11-22T01:00:00Z",
    "unlinked_at": None,
    "unlinked_by": None,
}


class LinkPolicySave(LinkPolicy):
    """Which ways to link are open, what they ask for, and how linking is thanked."""

    model_config = like(_POLICY)


class LinkPolicyRead(LinkPolicy):
    """The policy in force; version 0 is the one that holds until a policy is saved."""

    model_config = like(_POLICY | {"version": 3})

    version: int


class LinkRead(Told):
    """That a friend is or was a member."""

    model_config = like(_LINK)

    id: int
    friend_id: int
    customer_id: int
    member_number: str | None
    method: Method
    linked_at: datetime
    unlinked_at: datetime | None = Field(description="null: it holds")
    unlinked_by: str | None = Field(description="customer, relink, or the token of staff")


class LinkMade(LinkRead):
    """A link, and what came of making it."""

    model_config = like(_LINK | {"new": True, "thanks_points": 100, "thanks_coupon": None})

    new: bool = Field(description="false: they were linked already")
    thanks_points: int
    thanks_coupon: str | None


class LinkFilter(PageQuery):
    """Which links."""

    friend_id: int | None = Field(None, ge=1, le=MAX_ID)
    open: bool | None = Field(None, description="true: links that hold; false: ended ones")


class LinkGiven(Given):
    """Whom to link: a friend, or who signed in with LINE; to which member."""

    model_config = like({"friend_id": 12, "member_number": "M-000123"})

    friend_id: RowId | None = None
    id_token: str | None = Field(
        None, max_length=MAX_LENGTH, description="LINE Login or LIFF; LINE is asked whose it is"
    )
    customer_id: RowId | None = None
    member_number: str | None = Field(None, min_length=1, max_length=60)

    @model_validator(mode="after")
    def _one_of_each(self) -> "LinkGiven":
        if (self.friend_id is None) == (self.id_token is None):
            msg = (
                "give either friend_id or id_token"
                "／friend_id か id_token のどちらか一方を指定してください"
            )
            raise ValueError(msg)
        if (self.customer_id is None) == (self.member_number is None):
            msg = (
                "give either customer_id or member_number"
                "／customer_id か member_number のどちらか一方を指定してください"
            )
            raise ValueError(msg)
        return self


class NonceGiven(Given):
    """The member who has just signed in on the shop's own page."""

    model_config = like({"member_number": "M-000123"})

    member_number: str = Field(min_length=1, max_length=60)


class NonceMade(Told):
    """For the redirect to LINE's account link dialog; it serves once."""

    model_config = like(
        {
            "nonce": "CngAlZFyLMhIJcqV7n_6UkKAR-0SyQdg.0",
            "expires_at": "2026-11-22T01:10:00Z",
            "dialog_url": "https://access.line.me/dialog/bot/accountLink",
        }
    )

    nonce: str
    expires_at: datetime
    dialog_url: str = Field(description="Redirect there with `linkToken` and `nonce`")


class PendingRead(Told):
    """A link that waits for an order."""

    model_config = like(
        {
            "id": 3,
            "friend_id": 12,
            "order_id": "ABC-12345",
            "state": "waiting",
            "created_at": "2026-11-22T01:00:00Z",
            "expires_at": "2026-12-06T01:00:00Z",
            "done_at": None,
        }
    )

    id: int
    friend_id: int
    order_id: str
    state: State
    created_at: datetime
    expires_at: datetime
    done_at: datetime | None


class PendingFilter(PageQuery):
    """Which waiting links."""

    state: State | None = None


@routes.get(
    "/linking-policy", summary="Get the linking policy",
    openapi_extra=least("viewer", "会員連携の設定の表示"),
)  # fmt: skip
async def get_linking_policy(session: Reading, response: Response) -> LinkPolicyRead:
    """The ways to link and their rules; the `ETag` is what a change wants as `If-Match`."""
    policy, version = await policies.read(session, LinkPolicy)
    tag_version(response, version)
    return LinkPolicyRead(**policy.model_dump(), version=version)


@routes.put(
    "/linking-policy", summary="Save the linking policy",
    openapi_extra=least("marketer", "会員連携の設定の保存"),
)  # fmt: skip
async def save_linking_policy(
    wanted: LinkPolicySave, change: Changing, response: Response, if_match: IfMatch = None
) -> LinkPolicyRead:
    """Save the policy. Links that are there stay; replacing a saved policy needs `If-Match`."""
    session = await change.begin()
    _, current = await policies.read(session, LinkPolicy)
    check_version(current, if_match, needed=current > 0)
    await _check_coupon(session, wanted.thanks_coupon)
    version = await policies.save(session, wanted, expected=version_read(if_match), now=change.now)
    change.note("linking-policy.save", "policy:linking", version=version)
    tag_version(response, version)
    return LinkPolicyRead(**wanted.model_dump(), version=version)


@routes.get("/links", summary="List links", openapi_extra=least("viewer", "会員連携の一覧"))
async def list_links(
    asked: Annotated[LinkFilter, Query()], session: Reading, api: Shared
) -> Page[LinkRead]:
    """Who is or was linked with which member, the newest first."""
    query = _narrowed(asked)
    return await page(
        session, api.cursors, asked, query, name="links", keys=[table(MemberLink).c.id],
        read=LinkRead.model_validate,
    )  # fmt: skip


@routes.get(
    "/customers/{id}/links", summary="List a customer's links",
    openapi_extra=least("viewer", "顧客の会員連携の一覧"),
)  # fmt: skip
async def list_links_of_customer(
    id_: PathId, asked: Annotated[LinkFilter, Query()], session: Reading, api: Shared
) -> Page[LinkRead]:
    """The LINE accounts of a member, also those that were unlinked."""
    today = (await locking.resolve(session, [id_])).get(id_)
    if today is None:
        raise NotFound("customer", id_)
    link = table(MemberLink)
    query = _narrowed(asked).where(link.c.customer_id == today)
    return await page(
        session, api.cursors, asked, query, name=f"links:{today}", keys=[link.c.id],
        read=LinkRead.model_validate,
    )  # fmt: skip


@routes.post(
    "/links", summary="Link a friend", status_code=201,
    responses={200: {"model": LinkMade, "description": "They were linked already"}},
    openapi_extra=least("clerk", "会員連携の登録"),
)  # fmt: skip
async def create_link(wanted: LinkGiven, change: Creating, response: Response) -> LinkMade:
    """Link a friend to a member, by staff or by the shop's own page with an ID token of LINE's.

    A friend who was another member is moved. With `id_token` the linking policy must name the LINE
    Login channel; the person must be a friend already.
    """
    friend_id = wanted.friend_id or await _friend_of_token(change, wanted.id_token or "")
    session = await change.begin()
    member_id = wanted.customer_id or await _member(session, wanted.member_number or "")
    try:
        made = await links.link(
            session, friend_id, member_id, method="staff" if wanted.friend_id else "line_login",
            now=change.now, zone=change.runtime.settings.zone, actor=change.caller.actor,
        )  # fmt: skip
    except NotFound as error:
        raise Invalid("Nobody was linked.", [
            Fault(f"{error.what}_id", str(error), "この番号の友だち・顧客は登録されていません"),
        ]) from None  # fmt: skip
    change.note("link.create", f"customer:{made.customer_id}", friend=friend_id, new=made.new)
    change.wake("reactions")
    response.status_code = 201 if made.new else 200
    thanks = made.thanks
    return LinkMade(
        **(await _read(session, made.link_id)).model_dump(), new=made.new,
        thanks_points=thanks.points if thanks else 0,
        thanks_coupon=thanks.coupon if thanks else None,
    )  # fmt: skip


@routes.post(
    "/links/{id}/unlink", summary="Unlink a friend",
    openapi_extra=least("clerk", "会員連携の解除"),
)  # fmt: skip
async def end_link(id_: PathId, change: Creating) -> LinkRead:
    """End a link: the friend gets a fresh record, everything else stays with the member."""
    session = await change.begin()
    link = await _read(session, id_)
    if link.unlinked_at is not None:
        raise Conflict("この連携は、すでに解除されています。 / This link has ended already.")
    by = change.caller.actor[:60]
    left = await links.unlink(session, link.friend_id, by=by, now=change.now)
    ended = await _read(session, id_)
    if left is None or ended.unlinked_at is None:
        raise Conflict("この連携は、すでに解除されています。 / This link has ended already.")
    change.note("link.end", f"customer:{left.left_id}", friend=link.friend_id)
    change.wake("reactions")
    return ended


@routes.post(
    "/link-nonces", summary="Issue a nonce for account link", status_code=201,
    openapi_extra=least("clerk", "アカウント連携用ノンスの発行"),
)  # fmt: skip
async def create_nonce(wanted: NonceGiven, change: Creating) -> NonceMade:
    """A nonce for a member who has just signed in on the shop's own page (`sign_in_url`).

    Redirect the browser to `dialog_url` with the `linkToken` that the page got and this `nonce`.
    """
    session = await change.begin()
    member_id = await _member(session, wanted.member_number)
    nonce = await nonces.issue(session, member_id, now=change.now)
    change.note("link-nonce.create", f"customer:{member_id}")
    dialog = f"{change.runtime.settings.line_access_url}/dialog/bot/accountLink"
    return NonceMade(nonce=nonce, expires_at=change.now + nonces.LIFE, dialog_url=dialog)


@routes.get(
    "/pending-links", summary="List links that wait for an order",
    openapi_extra=least("viewer", "注文待ちの会員連携の一覧"),
)  # fmt: skip
async def list_pending_links(
    asked: Annotated[PendingFilter, Query()], session: Reading, api: Shared
) -> Page[PendingRead]:
    """Friends who named an order that was not here, or was not theirs for sure; newest first."""
    pending = table(PendingLink)
    query = select(pending)
    if asked.state is not None:
        query = query.where(pending.c.state == asked.state)
    return await page(
        session, api.cursors, asked, query, name="pending-links", keys=[pending.c.id],
        read=PendingRead.model_validate,
    )  # fmt: skip


def _select() -> Select[Any]:
    link, customer = table(MemberLink), table(Customer)
    query = select(*link.c, customer.c.member_number)
    return query.join(customer, customer.c.id == link.c.customer_id)


def _narrowed(asked: LinkFilter) -> Select[Any]:
    link, query = table(MemberLink), _select()
    if asked.friend_id is not None:
        query = query.where(link.c.friend_id == asked.friend_id)
    if asked.open is not None:
        holds = link.c.unlinked_at.is_(None)
        query = query.where(holds if asked.open else ~holds)
    return query


async def _read(session: AsyncSession, link_id: int) -> LinkRead:
    row = (await session.execute(_select().where(table(MemberLink).c.id == link_id))).first()
    if row is None:
        raise NotFound("link", link_id)
    return LinkRead.model_validate(row)


async def _member(session: AsyncSession, number: str) -> int:
    found = (await records.by_member_number(session, [number])).get(number)
    if found is None:
        raise Invalid("There is no such member.", [
            Fault("member_number", "there is no member with this number",
                  "この会員番号の会員はいません")])  # fmt: skip
    return found


async def _friend_of_token(change: Change, id_token: str) -> int:
    """The friend whose ID token this is; LINE is asked before anything is locked."""
    runtime = change.runtime
    async with runtime.db.reading() as session:
        policy, _version = await policies.read(session, LinkPolicy)
    open_ = await channels.of(runtime).all()
    if not policy.login_channel_id or not open_:
        raise Conflict(
            "会員連携の設定に、LINEログインのチャネルIDがありません。 / "
            "The linking policy names no LINE Login channel."
        )
    try:
        user = await verify_id_token(
            runtime.line, open_[0].access_token, id_token,
            login_channel_id=policy.login_channel_id, now=change.now,
        )  # fmt: skip
    except BadIdToken as error:
        raise Invalid("The ID token is not accepted.", [
            Fault("id_token", str(error), "LINEのIDトークンを確認できません"),
        ]) from None  # fmt: skip
    friend = table(Friend)
    async with runtime.db.reading() as session:
        query = select(friend.c.id).where(friend.c.user_id == user.user_id)
        found = await session.scalar(query.order_by(friend.c.id).limit(1))
    if found is None:
        raise Conflict(
            "この方はまだ友だち追加していません。 / This person is not a friend of the shop yet."
        )
    return int(found)


async def _check_coupon(session: AsyncSession, key: str | None) -> None:
    coupon = table(Coupon)
    query = select(coupon.c.id).where(coupon.c.key == key)
    if key is not None and await session.scalar(query) is None:
        raise Invalid("There is no such coupon.", [
            Fault("thanks_coupon", "there is no coupon with this key",
                  "このキーのクーポンはありません")])  # fmt: skip
