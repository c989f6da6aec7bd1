"""Coupon definitions: what a coupon gives, on which conditions, for how long, how often.

A change of a definition is for copies issued later; what has been issued keeps its dates and its
number of uses. Discount and conditions are those of the definition when a copy is used.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from core.errors import Conflict, Fault, Invalid, NotFound, StaleVersion
from crm.coupons.models import Coupon, CouponCode, IssuedCoupon

MAX_YEN = 10_000_000
RESERVED = frozenset({"check", "redeem"})  # paths of the admin API


def _bad(english: str, japanese: str) -> ValueError:
    return ValueError(f"{english}／{japanese}")


class Discount(BaseModel):
    """What a coupon gives: exactly one of amount, percent, gift and free shipping.

    `{"type": "amount", "value": 500}` is read as `{"amount": 500}`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: int | None = Field(None, ge=1, le=MAX_YEN, description="Yen off")
    percent: int | None = Field(None, ge=1, le=100, description="Percent off")
    max_yen: int | None = Field(None, ge=1, le=MAX_YEN, description="With percent: at most this")
    gift: str | None = Field(None, min_length=1, max_length=60, description="What is given")
    free_shipping: Literal[True] | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_type(cls, value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict) and value.keys() >= {"type"} and len(value) <= 3:  # noqa: PLR2004
            rest = {k: v for k, v in value.items() if k not in {"type", "value"}}
            if isinstance(value["type"], str) and value["type"] in cls.model_fields:
                given = value.get("value", rest.pop(value["type"], True))
                return {value["type"]: given, **rest}
        return value

    @model_validator(mode="after")
    def _one(self) -> "Discount":
        kinds = (self.amount, self.percent, self.gift, self.free_shipping)
        if sum(kind is not None for kind in kinds) != 1:
            raise _bad(
                "give exactly one of amount, percent, gift and free_shipping",
                "amount・percent・gift・free_shipping のどれか一つを指定してください",
            )
        if self.max_yen is not None and self.percent is None:
            raise _bad("max_yen goes with percent only", "max_yen は percent と一緒に使います")
        return self

    def said(self) -> tuple[str, str]:
        """What it gives, in Japanese and in English."""
        if self.amount is not None:
            return f"{self.amount:,}円引き", f"¥{self.amount:,} off"
        if self.percent is not None:
            ja, en = ("", "") if self.max_yen is None else (
                f"（最大{self.max_yen:,}円）", f" (up to ¥{self.max_yen:,})"
            )  # fmt: skip
            return f"{self.percent}%引き{ja}", f"{self.percent}% off{en}"
        if self.gift is not None:
            return f"{self.gift}プレゼント", f"Gift: {self.gift}"
        return "送料無料", "Free shipping"

    def yen_off(self, base: int | None) -> int | None:
        """Yen off a sum of goods, fractions dropped; None where it is not money, or unknowable."""
        if self.amount is not None:
            return self.amount if base is None else min(self.amount, base)
        if self.percent is None or base is None:
            return None
        off = base * self.percent // 100
        return off if self.max_yen is None else min(off, self.max_yen)


class Conditions(BaseModel):
    """When a coupon may be used; an empty list asks for nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minimum_total: int | None = Field(None, ge=1, le=MAX_YEN, description="Yen, tax included")
    skus: list[str] = Field(
        default_factory=list, max_length=200, description="One of these products, or categories"
    )
    categories: list[str] = Field(default_factory=list, max_length=50)
    ranks: list[str] = Field(default_factory=list, max_length=20, description="Keys of ranks")
    stores: list[str] = Field(default_factory=list, max_length=200)

    @field_validator("skus", "categories", "ranks", "stores")
    @classmethod
    def _plain(cls, values: list[str]) -> list[str]:
        if any(not value.strip() or len(value) > 100 for value in values):  # noqa: PLR2004
            raise _bad("each has 1 to 100 characters", "それぞれ1〜100文字にしてください")
        return list(dict.fromkeys(value.strip() for value in values))

    def said(self) -> list[str]:
        """The conditions that customers are told, in Japanese, a line each."""
        lines = []
        if self.minimum_total is not None:
            lines.append(f"{self.minimum_total:,}円（税込）以上のお買い物")
        if self.skus or self.categories:
            lines.append("対象商品：" + "、".join(self.categories or ["一部商品"]))
        if self.stores:
            lines.append("対象店舗：" + "、".join(self.stores))
        if self.ranks:
            lines.append("対象ランクの会員さま限定")
        return lines


class CouponDraft(BaseModel):
    """A coupon as staff define it.

    A copy is good from its issue, or from `valid_from` if that is later, to the end of the shop's
    day `valid_days` days after the day of issue (which does not count, as in article 140 of the
    Civil Code), or to `valid_until`, whichever is earlier; without either it does not expire.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=60)
    description: str = Field("", max_length=500)
    discount: Discount
    conditions: Conditions = Field(default_factory=Conditions)
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    valid_days: int | None = Field(None, ge=1, le=3650)
    max_uses: int = Field(1, ge=1, le=1000, description="Uses of one copy")
    per_customer: int = Field(1, ge=1, le=1000, description="Copies that one customer may get")
    max_redemptions: int | None = Field(None, ge=1, le=1_000_000_000, description="Uses in all")
    remind_days: int | None = Field(
        None, ge=1, le=365, description="Remind so many days before the last day"
    )
    code_source: Literal["generated", "pool"] = "generated"
    pool_warning: int = Field(
        0, ge=0, le=1_000_000, description="Warn when so few codes of the pool are free"
    )
    state: Literal["active", "archived"] = Field(
        "active", description="An archived coupon is not issued any more; held copies stay good"
    )

    @field_validator("name")
    @classmethod
    def _not_blank(cls, name: str) -> str:
        if not name.strip():
            raise _bad("must not be empty", "空にはできません")
        return name.strip()

    @model_validator(mode="after")
    def _fits(self) -> "CouponDraft":
        if self.valid_from and self.valid_until and self.valid_until <= self.valid_from:
            raise _bad("valid_until must be after valid_from",
                       "valid_until は valid_from より後にしてください")  # fmt: skip
        if self.remind_days and self.valid_days is None and self.valid_until is None:
            raise _bad("remind_days needs valid_days or valid_until",
                       "remind_days には valid_days か valid_until が必要です")  # fmt: skip
        return self


async def find(session: AsyncSession, key: str, *, lock: bool = False) -> Coupon:
    """The definition. Raises `NotFound`."""
    query = select(Coupon).where(table(Coupon).c.key == key)
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    found = await session.scalar(query)
    if found is None:
        raise NotFound("coupon", key)
    return found


async def save(
    session: AsyncSession, key: str, draft: CouponDraft, *, now: datetime, expected: int | None
) -> tuple[Coupon, bool]:
    """Create or replace a definition; returns it and whether it is new.

    Raises `StaleVersion` when it is not at the `expected` version any more (None expects nothing),
    and `Invalid`.
    """
    query = select(Coupon).where(table(Coupon).c.key == key)
    found = await session.scalar(query.with_for_update(key_share=True))
    _check(key, draft, found)
    if found is None:
        if expected is not None:
            raise NotFound("coupon", key)
        found = Coupon(key=key, name="", discount={}, created_at=now, updated_at=now, version=0)
        session.add(found)
    elif expected is not None and expected != found.version:
        raise StaleVersion(current=found.version)
    new = found.version == 0
    for name in CouponDraft.model_fields:
        setattr(found, name, getattr(draft, name))
    found.discount = draft.discount.model_dump(exclude_none=True)
    found.conditions = draft.conditions.model_dump(exclude_defaults=True)
    found.version, found.updated_at = found.version + 1, now
    await session.flush()
    return found, new


async def remove(session: AsyncSession, key: str) -> None:
    """Delete a definition that was never issued. Raises `NotFound` and `Conflict`."""
    found = await find(session, key, lock=True)
    issued, code = table(IssuedCoupon), table(CouponCode)
    one = select(issued.c.id).where(issued.c.coupon_id == found.id).limit(1)
    if await session.scalar(one) is not None:
        raise Conflict(
            f"クーポン「{key}」は発行済みのため削除できません。アーカイブしてください。"
            "／It has been issued; set its state to archived instead."
        )
    await session.execute(delete(code).where(code.c.coupon_id == found.id))
    await session.delete(found)
    await session.flush()


def term(
    coupon: Coupon, *, now: datetime, zone: ZoneInfo
) -> tuple[datetime, datetime | None, datetime | None]:
    """From when, until when (exclusive), and when to remind of a copy that is issued now.

    The reminder falls on the start of the shop's day `remind_days` before the last day; None where
    that is not after the day of issue.
    """
    until = [] if coupon.valid_until is None else [coupon.valid_until]
    if coupon.valid_days is not None:
        until.append(midnight(now, zone, days=coupon.valid_days + 1))
    expires_at = min(until, default=None)
    starts_at = now if coupon.valid_from is None else max(now, coupon.valid_from)
    if expires_at is None or coupon.remind_days is None:
        return starts_at, expires_at, None
    last_moment = expires_at - timedelta(seconds=1)
    remind_at = midnight(last_moment, zone, days=-coupon.remind_days)
    return starts_at, expires_at, remind_at if remind_at > now else None


def midnight(moment: datetime, zone: ZoneInfo, *, days: int) -> datetime:
    """The start of the shop's day so many days after the day of a moment; aware."""
    day = moment.astimezone(zone).date() + timedelta(days=days)
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def discount_of(coupon: Any) -> Discount:  # noqa: ANN401
    """The discount of a coupon's row."""
    return Discount.model_validate(coupon.discount)


def conditions_of(coupon: Any) -> Conditions:  # noqa: ANN401
    """The conditions of a coupon's row."""
    return Conditions.model_validate(coupon.conditions)


def _check(key: str, draft: CouponDraft, found: Coupon | None) -> None:
    faults: list[Fault] = []
    if key in RESERVED:
        faults.append(Fault("key", f"{key!r} is reserved", f"「{key}」は使えません"))
    if found is not None and draft.max_redemptions is not None:
        faults += _too_few(found.redeemed, draft.max_redemptions)
    if faults:
        raise Invalid("The coupon has 1 fault.", faults)


def _too_few(redeemed: int, allowed: int) -> Sequence[Fault]:
    if allowed >= redeemed:
        return ()
    return [
        Fault(
            "max_redemptions",
            f"must not be under {redeemed}, which have been used already",
            f"すでに{redeemed}回使われているため、それより少なくできません",
        )
    ]
