"""At the till: whose card was scanned, and what the member holds that can be used now."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.fields import Told, like
from admin.api.problems import CONFLICT, INVALID, NOT_FOUND, Kind, Refusal
from admin.api.routing import Reading, Shared, Who, least, router
from core.db import table
from core.errors import Fault
from crm import cards
from crm.cards import ExpiredCode, ForgedCode
from crm.coupons import tokens
from crm.coupons.held import HeldCoupon, held
from crm.customers import locking
from crm.models import Customer
from crm.points import ledger
from crm.ranks import review

routes = router("customers")

_EXAMPLE = {
    "scanned": "card",
    "customer_id": 9,
    "member_number": "MN-000123",
    "name": "鈴木 健",
    "rank": {"key": "gold", "name": "ゴールド", "point_rate": 2.0, "next": "あと1,200円でプラチナ"},
    "points": {
        "usable": 1200,
        "pending": 30,
        "owed": 0,
        "next_expiry": {"at": "2027-03-31T15:00:00Z", "points": 200},
    },
    "coupons": [
        {
            "id": 31,
            "key": "birthday-500",
            "name": "お誕生日クーポン",
            "discount": "500円引き",
            "conditions": ["1,000円（税込）以上のお買い物"],
            "code": "ABCD-EFGH-JKLMN",
            "expires_at": "2026-12-31T15:00:00Z",
            "uses_left": 1,
        }
    ],
}


class LookupQuery(BaseModel):
    """What was scanned."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(
        min_length=1, max_length=100,
        description="The QR code of the card as it was scanned, or the member number",
    )  # fmt: skip


class RankShown(Told):
    """The member's rank."""

    key: str
    name: str
    point_rate: float = Field(description="Percent of what is paid")
    next: str | None = Field(description="How far it is to the next rank, in Japanese")


class ExpiryShown(Told):
    """What expires next."""

    at: datetime
    points: int


class PointsShown(Told):
    """The member's points."""

    usable: int
    pending: int
    owed: int
    next_expiry: ExpiryShown | None


class CouponShown(Told):
    """A coupon that can be used now."""

    id: int
    key: str
    name: str
    discount: str
    conditions: list[str]
    code: str
    expires_at: datetime | None
    uses_left: int


class LookupRead(Told):
    """Who stands at the till."""

    model_config = like(_EXAMPLE)

    scanned: Literal["card", "member_number"]
    customer_id: int
    member_number: str | None
    name: str | None
    rank: RankShown | None
    points: PointsShown
    coupons: list[CouponShown]


@routes.get(
    "/customers/lookup", summary="Look a customer up by card",
    responses={
        404: {"description": "No member has this number, or the card is not in use any more"},
        409: {"description": "The code on the card page was older than two minutes"},
    },
    openapi_extra=least("clerk", "会員証の読み取り"),
)  # fmt: skip
async def look_up_customer(
    asked: Annotated[LookupQuery, Query()], session: Reading, api: Shared, who: Who
) -> LookupRead:
    """Whose card this is: rank, points, and the coupons that can be used now.

    The QR code on the card page changes every 30 seconds and is taken for two minutes; older ones
    answer 409, and what is no code of ours 422. A member number (as the barcode holds it) that
    nobody has answers 404.
    """
    now = await api.runtime.clock.now()
    code = asked.code.strip()
    if tokens.is_token(code):
        raise _no(
            INVALID, "これはクーポンのコードです。クーポンの利用で読み取ってください。",
            "this is the code of a coupon; redeem it with POST /coupons/redeem",
        )  # fmt: skip
    if cards.is_card_code(code):
        return await _read(session, api, _of_card(api, code, now), "card", now)
    return await _read(session, api, await _of_number(session, code), "member_number", now)


def _of_card(api: Shared, code: str, now: datetime) -> int:
    try:
        return cards.open_card_code(api.runtime.seal, code, now)
    except ExpiredCode:
        raise _no(
            CONFLICT,
            "このコードは有効時間を過ぎています。お客さまの会員証を開き直して、もう一度読み取ってください。",
            "this code is older than two minutes; have the card opened again and scan it anew",
        ) from None
    except ForgedCode:
        raise _no(
            INVALID, "この会員証のコードは正しくありません。", "this is not a code of ours"
        ) from None


async def _of_number(session: AsyncSession, number: str) -> int:
    customer = table(Customer)
    query = select(customer.c.id).where(customer.c.member_number == number)
    found: int | None = await session.scalar(query)
    if found is None:
        raise _no(
            NOT_FOUND, "この番号の会員は見つかりません。", "no member has this number or code"
        )
    return found


async def _read(
    session: AsyncSession,
    api: Shared,
    customer_id: int,
    scanned: Literal["card", "member_number"],
    now: datetime,
) -> LookupRead:
    customer = table(Customer)
    today = (await locking.resolve(session, [customer_id])).get(customer_id)
    query = select(customer.c.member_number, customer.c.name, customer.c.erased_at)
    row: Any = (await session.execute(query.where(customer.c.id == today))).first()
    if today is None or row is None or row.member_number is None:
        raise _no(
            NOT_FOUND, "この会員証はもう使われていません。", "this card is not in use any more"
        )
    return LookupRead(
        scanned=scanned,
        customer_id=today,
        member_number=row.member_number,
        name=row.name,
        rank=await _rank(session, api, today, now),
        points=await _points(session, today, now),
        coupons=[
            _coupon(each)
            for each in await held(session, today, now=now)
            if each.valid_from <= now
        ],
    )  # fmt: skip


async def _rank(
    session: AsyncSession, api: Shared, customer_id: int, now: datetime
) -> RankShown | None:
    zone = api.runtime.settings.zone
    standing = await review.standing(session, customer_id, now=now, zone=zone)
    if standing.rank is None:
        return None
    tier = standing.rank
    return RankShown(key=tier.key, name=tier.name, point_rate=tier.point_rate, next=standing.hint())


async def _points(session: AsyncSession, customer_id: int, now: datetime) -> PointsShown:
    balance = await ledger.standing(session, customer_id, now=now)
    expiry = None
    if balance.next_expiry:
        at, points = balance.next_expiry
        expiry = ExpiryShown(at=at, points=points)
    return PointsShown(
        usable=balance.points, pending=balance.pending, owed=balance.owed, next_expiry=expiry
    )


def _coupon(each: HeldCoupon) -> CouponShown:
    return CouponShown(
        id=each.id, key=each.key, name=each.name, discount=each.discount,
        conditions=list(each.conditions), code=each.code, expires_at=each.expires_at,
        uses_left=each.uses_left,
    )  # fmt: skip


def _no(kind: Kind, ja: str, en: str) -> Refusal:
    return Refusal(kind, f"{ja}／{en}", [Fault("code", en, ja)])
