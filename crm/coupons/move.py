"""Copies when two records become one, and when they part again.

Nobody wins copies by a merge: of what the two have together, unused copies beyond what one customer
may get are revoked, the newest first, and come back when the merge is undone. Uses go with their
copies.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from crm.coupons.models import HELD, REVOKED, Coupon, IssuedCoupon, Redemption

Moved = dict[str, list[int]]


async def move(session: AsyncSession, from_id: int, into_id: int, *, now: datetime) -> Moved:
    """Give one record's copies and uses to the other; returns the ids for `move_back`.

    The caller has locked both customers.
    """
    copy = table(IssuedCoupon)
    theirs = update(copy).where(copy.c.customer_id == from_id).values(customer_id=into_id)
    moved = sorted(await session.scalars(theirs.returning(copy.c.id)))
    if not moved:
        return {"issued": [], "revoked": []}
    await _uses_follow(session, moved, into_id)
    revoked = await _surplus(session, into_id, moved)
    if revoked:
        many = update(copy).where(bulk.is_one_of(session, copy.c.id, revoked))
        await session.execute(many.values(state=REVOKED))
    return {"issued": moved, "revoked": revoked}


async def move_back(
    session: AsyncSession, from_id: int, into_id: int, moved: Moved, *, now: datetime
) -> None:
    """Undo a `move`; what was used since then stays used and goes with its copy."""
    copy = table(IssuedCoupon)
    if moved["revoked"]:
        again = update(copy).where(bulk.is_one_of(session, copy.c.id, moved["revoked"]))
        again = again.where(copy.c.state == REVOKED, copy.c.used < copy.c.max_uses)
        await session.execute(again.values(state=HELD))
    if moved["issued"]:
        mine = update(copy).where(bulk.is_one_of(session, copy.c.id, moved["issued"]))
        mine = mine.where(copy.c.customer_id == into_id)
        back = await session.scalars(mine.values(customer_id=from_id).returning(copy.c.id))
        await _uses_follow(session, list(back), from_id)


async def _uses_follow(session: AsyncSession, copies: Sequence[int], customer_id: int) -> None:
    redemption = table(Redemption)
    query = update(redemption).where(bulk.is_one_of(session, redemption.c.issued_coupon_id, copies))
    await session.execute(query.values(customer_id=customer_id))


async def _surplus(session: AsyncSession, into_id: int, moved: Sequence[int]) -> list[int]:
    """Unused copies beyond what one customer may get, of the coupons that both may have had."""
    copy, coupon = table(IssuedCoupon), table(Coupon)
    concerned = select(copy.c.coupon_id).where(bulk.is_one_of(session, copy.c.id, moved))
    query = select(copy.c.id, copy.c.coupon_id, copy.c.used, coupon.c.per_customer)
    query = query.join(coupon, coupon.c.id == copy.c.coupon_id)
    query = query.where(copy.c.customer_id == into_id, copy.c.coupon_id.in_(concerned))
    query = query.where(copy.c.state != REVOKED)
    copies_of: dict[int, list[Any]] = defaultdict(list)
    for row in await session.execute(query.order_by(copy.c.id.desc())):
        copies_of[row.coupon_id].append(row)
    surplus: list[int] = []
    theirs = set(moved)
    for copies in copies_of.values():
        unused = [row.id for row in copies if row.used == 0]
        came = sum(row.id in theirs for row in copies)
        surplus += unused[: min(came, max(0, len(copies) - copies[0].per_customer))]
    return sorted(surplus)
