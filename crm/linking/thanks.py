"""Thanks for linking: points, a coupon or both, once for a member and once for a LINE account.

Either of them having been thanked is enough for no more: not after unlinking and linking again, not
for a second LINE account of the member, not for the same LINE account with another member.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import logs
from core.db import insert_new, table
from core.errors import OkaeriError
from crm.coupons import issuing
from crm.coupons.models import Coupon
from crm.linking.models import LinkThanks
from crm.linking.policy import LinkPolicy
from crm.models import Customer, Friend
from crm.points import ledger
from crm.points.ledger import Grant

log = logs.get(__name__)

MAX_MERGES = 20
REASON = "会員連携のお礼"


@dataclass(frozen=True, slots=True)
class Thanks:
    """What was given: points, and a coupon by its name."""

    points: int = 0
    coupon: str | None = None


async def give(
    session: AsyncSession,
    member: Customer,
    friend: Friend,
    policy: LinkPolicy,
    *,
    now: datetime,
    zone: ZoneInfo,
) -> Thanks | None:
    """Thank a member whose record is locked; None where the policy thanks nobody or it was done.

    A coupon that cannot be issued (none left, ended) does not stop the link: the shop reads it in
    its log, and the member is thanked when they link again.
    """
    if not policy.thanks_points and not policy.thanks_coupon:
        return None
    assert member.id is not None
    mine = [f"member:{id_}" for id_ in await _all_ids(session, member.id)]
    theirs = f"line:{friend.user_id}"
    if await _thanked(session, [*mine, theirs]):
        return None
    try:
        async with session.begin_nested():
            given = await _hand_over(session, member.id, policy, now=now, zone=zone)
    except OkaeriError as error:
        log.warning("linking.thanks_failed", customer=member.id, error=type(error).__name__)
        return None
    rows = [{"subject": subject, "thanked_at": now} for subject in (f"member:{member.id}", theirs)]
    query = insert_new(session, table(LinkThanks)).values(rows)
    await session.execute(query.on_conflict_do_nothing())
    return given


async def _hand_over(
    session: AsyncSession, customer_id: int, policy: LinkPolicy, *, now: datetime, zone: ZoneInfo
) -> Thanks:
    name = None
    if policy.thanks_coupon is not None:
        key = policy.thanks_coupon
        await issuing.issue(session, key, [customer_id], reason="link-thanks", now=now, zone=zone)
        coupon = table(Coupon)
        name = await session.scalar(select(coupon.c.name).where(coupon.c.key == key))
    if policy.thanks_points:
        source = f"link-thanks:{customer_id}"
        grant = Grant(customer_id, policy.thanks_points, source=source, reason=REASON)
        await ledger.grant(session, [grant], now=now)
    return Thanks(policy.thanks_points, name)


async def _thanked(session: AsyncSession, subjects: list[str]) -> bool:
    kept = table(LinkThanks)
    query = select(kept.c.subject).where(kept.c.subject.in_(subjects)).limit(1)
    return await session.scalar(query) is not None


async def _all_ids(session: AsyncSession, customer_id: int) -> set[int]:
    """The record and all that were merged into it."""
    customer = table(Customer)
    found, new = {customer_id}, {customer_id}
    for _ in range(MAX_MERGES):
        query = select(customer.c.id).where(customer.c.merged_into_id.in_(new))
        new = set(await session.scalars(query)) - found
        if not new:
            break
        found |= new
    return found
