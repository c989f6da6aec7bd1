"""Issuing copies of a coupon, to sets of customers.

A copy's source is the coupon, the reason and the customer, so that the same reason issues once. How
many copies a customer may get is counted over the member, with what came to them by merges.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, literal, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import Database, table
from core.errors import Conflict
from crm.coupons import codes, news
from crm.coupons.definition import discount_of, find, term
from crm.coupons.models import ARCHIVED, HELD, POOL, REVOKED, Coupon, CouponCode, IssuedCoupon
from crm.models import Customer

BATCH = 5_000
MAX_REASON = 75


class PoolEmpty(Conflict):
    """The pool has fewer codes left than are wanted."""

    def __init__(self, key: str, *, free: int, wanted: int) -> None:
        super().__init__(
            f"クーポン「{key}」のコードが足りません（残り{free}件、必要{wanted}件）。追加してください。"
            f"／The pool of {key!r} has {free} code(s) left and {wanted} are wanted; fill it."
        )
        self.free, self.wanted = free, wanted


class NotIssuable(Conflict):
    """The coupon is archived, or over for everybody."""


@dataclass(frozen=True, slots=True)
class Issued:
    """What became of an issue.

    `new`: customer → id of their new copy. `same`: customers who had got one for the same reason,
    with that copy's id. `full`: customers who have as many as one may get. `pool_free`: codes left;
    None where codes are generated. `pool_low`: the shop wants to be warned of that.
    """

    new: dict[int, int]
    same: dict[int, int]
    full: frozenset[int]
    pool_free: int | None = None
    pool_low: bool = False


async def issue(
    session: AsyncSession,
    coupon_key: str,
    customer_ids: Collection[int],
    *,
    reason: str,
    now: datetime,
    zone: ZoneInfo,
) -> Issued:
    """Give each customer a copy, at most 5,000 of them; the caller has locked them.

    `reason`, e.g. `enrolment:12:step:3`, has up to 75 characters. Raises `NotFound`, `NotIssuable`,
    and `PoolEmpty` when the pool does not reach for all: then nobody gets one.
    """
    wanted = sorted(set(customer_ids))
    if len(wanted) > BATCH or not 0 < len(reason) <= MAX_REASON:
        raise ValueError("issue to at most 5,000 customers, for a reason of 1 to 75 characters")
    coupon = await find(session, coupon_key)
    if coupon.code_source == POOL:  # one at a time takes codes out of a pool
        coupon = await find(session, coupon_key, lock=True)
    _check_issuable(coupon, now)
    same, full = await _have(session, coupon, wanted, reason)
    lucky = [id_ for id_ in wanted if id_ not in same and id_ not in full]
    taken, left = await _codes(session, coupon, len(lucky))
    new = await _insert(session, coupon, dict(zip(lucky, taken, strict=True)), reason, now, zone)
    low = left is not None and codes.is_low(coupon, left)
    return Issued(new, same, full - same.keys(), left, low)


async def issue_widely(
    db: Database,
    coupon_key: str,
    *,
    where: ColumnElement[bool] | None = None,
    reason: str,
    now: datetime,
    zone: ZoneInfo,
) -> int:
    """Give a copy to every customer for whom `where` (over the customer table) holds.

    In batches, each a transaction of its own: after a crash the same call gives the rest theirs.
    Returns how many copies are new. Raises as `issue`; an empty pool is found before the first.
    """
    customer = table(Customer)
    alive = customer.c.merged_into_id.is_(None) & customer.c.erased_at.is_(None)
    who = alive & (true() if where is None else where)
    await _check_pool(db, coupon_key, who)
    issued, last = 0, 0
    while True:
        query = select(customer.c.id).where(who, customer.c.id > last).order_by(customer.c.id)
        query = query.limit(BATCH).with_for_update(key_share=True)
        async with db.transaction() as session:
            ids = list(await session.scalars(query))
            if not ids:
                return issued
            done = await issue(session, coupon_key, ids, reason=reason, now=now, zone=zone)
        issued, last = issued + len(done.new), ids[-1]


def _check_issuable(coupon: Coupon, now: datetime) -> None:
    if coupon.state == ARCHIVED:
        raise NotIssuable(
            f"クーポン「{coupon.key}」はアーカイブ済みのため発行できません。"
            "／It is archived and is not issued any more."
        )
    if coupon.valid_until is not None and coupon.valid_until <= now:
        raise NotIssuable(
            f"クーポン「{coupon.key}」は有効期限が過ぎているため発行できません。"
            "／It is over for everybody."
        )


async def _have(
    session: AsyncSession, coupon: Coupon, ids: Sequence[int], reason: str
) -> tuple[dict[int, int], frozenset[int]]:
    """Who has got a copy for this reason, and who has as many as one may get.

    A source names the record that it was issued to, so what a merge has moved is told by its reason
    and not by its whole source.
    """
    copy = table(IssuedCoupon)
    prefix = _source(coupon.key, reason, "")
    for_it = func.substr(copy.c.source, 1, len(prefix)) == literal(prefix)
    query = select(
        copy.c.customer_id,
        func.count().filter(copy.c.state != REVOKED).label("count"),
        func.max(copy.c.id).filter(for_it).label("same"),
    )
    query = query.where(copy.c.coupon_id == coupon.id)
    query = query.where(bulk.is_one_of(session, copy.c.customer_id, ids))
    rows: list[Any] = list(await session.execute(query.group_by(copy.c.customer_id)))
    same = {row.customer_id: row.same for row in rows if row.same is not None}
    full = frozenset(row.customer_id for row in rows if row.count >= coupon.per_customer)
    return same, full


async def _codes(session: AsyncSession, coupon: Coupon, count: int) -> tuple[list[str], int | None]:
    """Codes for so many copies, and how many the pool has left then."""
    if coupon.code_source != POOL:
        return codes.generate(count), None
    code = table(CouponCode)
    query = select(code.c.code).where(
        code.c.coupon_id == coupon.id, code.c.issued_coupon_id.is_(None)
    )
    taken = list(await session.scalars(query.order_by(code.c.id).limit(count)))
    left = await codes.free(session, coupon.id) - len(taken)
    if len(taken) < count:
        raise PoolEmpty(coupon.key, free=len(taken), wanted=count)
    codes.note_level(coupon, left)
    return taken, left


async def _insert(
    session: AsyncSession,
    coupon: Coupon,
    code_of: dict[int, str],
    reason: str,
    now: datetime,
    zone: ZoneInfo,
) -> dict[int, int]:
    if not code_of:
        return {}
    valid_from, expires_at, remind_at = term(coupon, now=now, zone=zone)
    alike = {
        "coupon_id": coupon.id, "state": HELD, "max_uses": coupon.max_uses, "used": 0,
        "issued_at": now, "valid_from": valid_from, "expires_at": expires_at,
        "remind_at": remind_at,
    }  # fmt: skip
    rows = [
        alike | {"customer_id": id_, "code": codes.compact(code),
                 "source": _source(coupon.key, reason, id_)}
        for id_, code in code_of.items()
    ]  # fmt: skip
    copy = table(IssuedCoupon)
    await bulk.insert_rows(session, copy, rows)
    mine = bulk.is_one_of(session, copy.c.code, [row["code"] for row in rows])
    query = select(copy.c.customer_id, copy.c.id).where(mine, copy.c.coupon_id == coupon.id)
    new: dict[int, int] = {row.customer_id: row.id for row in await session.execute(query)}
    if new.keys() != code_of.keys():
        raise Conflict("Somebody issued the same at the same moment; try again.")
    if coupon.code_source == POOL:
        await _take(session, {code_of[id_]: copy_id for id_, copy_id in new.items()})
    await _tell(session, coupon, new, reason, expires_at, now)
    return new


async def _take(session: AsyncSession, copy_of: dict[str, int]) -> None:
    rows = [{"code": code, "issued_coupon_id": id_} for code, id_ in copy_of.items()]
    await bulk.update_rows(session, table(CouponCode), rows, key="code")


async def _tell(
    session: AsyncSession,
    coupon: Coupon,
    new: dict[int, int],
    reason: str,
    expires_at: datetime | None,
    now: datetime,
) -> None:
    ja, en = discount_of(coupon).said()
    data = {
        "coupon": coupon.key, "name": coupon.name, "discount": ja, "discount_en": en,
        "reason": reason, "expires_at": news.told(expires_at),
    }  # fmt: skip
    copies = [
        news.Copy(id_, customer_id, data | {"issued_id": id_}) for customer_id, id_ in new.items()
    ]
    await news.tell(session, "coupon_issued", copies, now=now)


async def _check_pool(db: Database, coupon_key: str, who: ColumnElement[bool]) -> None:
    """Refuse at once what a pool cannot give to all; who has one already needs no code."""
    copy, customer = table(IssuedCoupon), table(Customer)
    async with db.reading() as session:
        coupon = await find(session, coupon_key)
        if coupon.code_source != POOL:
            return
        has = select(copy.c.customer_id).where(copy.c.coupon_id == coupon.id)
        query = select(func.count()).where(who, customer.c.id.not_in(has))
        wanted = await session.scalar(query) or 0
        left = await codes.free(session, coupon.id)
    if left < wanted:
        raise PoolEmpty(coupon_key, free=left, wanted=wanted)


def _source(coupon_key: str, reason: str, customer: int | str) -> str:
    return f"{coupon_key}:{reason}:{customer}"
