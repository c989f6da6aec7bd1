"""Linking from a page of the shop inside LINE (LIFF), whose ID token LINE itself vouches for.

`POST /link/liff` with JSON: `id_token`, `member_number`, and `birthday` or `phone`. The token says
which LINE user it is, so that no ticket is needed; the membership is proved as everywhere. Any page
may ask, as nothing but the token counts: there are no cookies here.
"""

from dataclasses import dataclass
from datetime import datetime

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bot.linking import masked, thanked
from bot.pages import words
from bot.pages.forms import BadForm, media_type, read_body
from bot.pages.rendering import PRIVATE
from core.db import table
from core.errors import Unavailable
from core.line.login import MAX_LENGTH, BadIdToken, verify_id_token
from core.runtime import Runtime
from crm import channels, policies
from crm.linking import links, proving
from crm.linking.links import Linked, TooManyFriends
from crm.linking.policy import LinkPolicy
from crm.linking.proving import Claim
from crm.models import FOLLOWING, Friend

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Content-Type",
}
REFUSALS: dict[str, tuple[int, tuple[str, str]]] = {
    "unreadable": (400, words.UNREADABLE),
    "too_large": (413, ("送信された内容が大きすぎます。", "What was sent is too large.")),
    "closed": (404, ("LINEログインでの連携は受け付けていません。", "This way is closed.")),
    "id_token": (
        401,
        ("LINEのログインを確認できません。開き直してください。", "LINE does not vouch for this."),
    ),
    "line": (503, words.LINE_SILENT.sentence),
    "no_friend": (
        404,
        ("先にこのLINE公式アカウントを友だち追加してください。", "Add the account first."),
    ),
    "wrong": (422, words.WRONG),
    "incomplete": (422, words.INCOMPLETE),
    "too_many": (429, words.TOO_MANY),
    "too_many_friends": (409, words.TOO_MANY_FRIENDS.sentence),
}


class LiffBody(BaseModel):
    """What the page sends."""

    model_config = ConfigDict(extra="forbid")

    id_token: str = Field(max_length=MAX_LENGTH)
    member_number: str = Field(max_length=60)
    birthday: str = Field("", max_length=30)
    phone: str = Field("", max_length=30)


@dataclass(frozen=True, slots=True)
class LiffDoor:
    """The endpoint over one runtime."""

    runtime: Runtime

    async def __call__(self, request: Request) -> Response:
        """Link the LINE user of the token."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=CORS)
        now = await self.runtime.clock.now()
        try:
            body = await _read(request)
            friends = await self._friends(body, now)
            linked = await self._link(friends, body, now)
        except _Refused as refused:
            status, (japanese, english) = REFUSALS[refused.code]
            told = {"error": refused.code, "message": english, "message_ja": japanese}
            return JSONResponse(told, status, {**PRIVATE, **CORS})
        self.runtime.wakes.wake("reactions")
        answer = {
            "linked": True,
            "member_number": masked(linked.member_number),
            "thanks": thanked(linked.thanks),
        }
        return JSONResponse(answer, 200, {**PRIVATE, **CORS})

    async def _friends(self, body: LiffBody, now: datetime) -> list[int]:
        """The friend on each of the shop's channels; LINE is asked with nothing locked."""
        async with self.runtime.db.reading() as session:
            policy, _version = await policies.read(session, LinkPolicy)
        open_ = await channels.of(self.runtime).all()
        if not policy.login_channel_id or not open_:
            raise _Refused("closed")
        try:
            user = await verify_id_token(
                self.runtime.line, open_[0].access_token, body.id_token,
                login_channel_id=policy.login_channel_id, now=now,
            )  # fmt: skip
        except BadIdToken:
            raise _Refused("id_token") from None
        except Unavailable:
            raise _Refused("line") from None
        friend = table(Friend)
        mine = (friend.c.user_id == user.user_id) & (friend.c.status == FOLLOWING)
        async with self.runtime.db.reading() as session:
            found = await session.scalars(select(friend.c.id).where(mine).order_by(friend.c.id))
            ids = list(found)
        if not ids:
            raise _Refused("no_friend")
        return ids

    async def _link(self, friends: list[int], body: LiffBody, now: datetime) -> Linked:
        """Prove the membership once, then link the person on every channel."""
        claim = Claim(body.member_number, body.birthday, body.phone)
        zone = self.runtime.settings.zone
        async with self.runtime.db.transaction() as session:
            proved = await proving.prove(session, friends[0], claim, now=now)
            linked = None
            try:
                for friend_id in friends if proved.customer_id is not None else []:
                    linked = await links.link(
                        session, friend_id, proved.customer_id or 0, method="line_login", now=now,
                        zone=zone,
                    )  # fmt: skip
            except TooManyFriends:
                linked, refused = None, "too_many_friends"
            else:
                refused = proved.outcome
        if linked is None:
            raise _Refused(refused)
        return linked


class _Refused(Exception):
    """Not linked, for one of `REFUSALS`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


async def _read(request: Request) -> LiffBody:
    if media_type(request) != "application/json":
        raise _Refused("unreadable")
    try:
        return LiffBody.model_validate(orjson.loads(await read_body(request)))
    except BadForm:
        raise _Refused("too_large") from None
    except (ValidationError, ValueError):
        raise _Refused("unreadable") from None
