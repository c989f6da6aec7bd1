"""Linking by an order: who knows an order of a member who has no LINE account linked yet.

An order number alone proves little, so that by default the order's telephone number, e-mail address
or postal code must be named as well, and every answer that is not a success is the same: whether
the order is unknown, somebody else's, too old or not here yet, is not told.

An order that is not here yet is waited for. What the friend has named as proof is noted on their
own anonymous record meanwhile; when the order comes, the two are compared again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from crm import policies
from crm.customers import contact, locking, records
from crm.customers.records import UNSET, CustomerDraft, Text
from crm.linking import attempts, links
from crm.linking.links import Linked, TooManyFriends
from crm.linking.models import DONE, EXPIRED, WAITING, LinkAttempt, PendingLink
from crm.linking.policy import LinkPolicy
from crm.linking.proving import plain, same_phone
from crm.models import Customer, Friend
from crm.purchases.models import Purchase

Outcome = Literal["linked", "waiting", "too_many", "incomplete", "already", "off"]
MAX_WAITING = 3  # orders that one friend may wait for
SHORTEST = 3
ASKED = timedelta(minutes=10)
METHOD = "order"


@dataclass(frozen=True, slots=True)
class Named:
    """What came of naming an order."""

    outcome: Outcome
    linked: Linked | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """A link that had waited for its order."""

    pending_id: int
    friend_id: int
    linked: Linked


async def name(
    session: AsyncSession, friend_id: int, order: str, proof: str, *, now: datetime, zone: ZoneInfo
) -> Named:
    """A friend names an order, and what proves that it is theirs where the policy asks for it.

    The caller commits whatever the outcome: tries are counted.
    """
    policy, _version = await policies.read(session, LinkPolicy)
    number, needs_proof = folded(order), policy.order_link == "order_and_phone"
    if not policy.order:
        return Named("off")
    kept = _proof_fields(proof)
    if len(number) < SHORTEST or (needs_proof and not kept):
        return Named("incomplete")
    friend, own = await _lock_own(session, friend_id)
    if await links.membership(session, friend) is not None:
        return Named("already")
    subjects = [attempts.of_friend(friend_id)]
    if await attempts.too_many(session, subjects, now=now):
        return Named("too_many")
    found = await _owner(session, number, kept if needs_proof else None, policy, now)
    if found is not None:
        linked = await _try_link(session, friend_id, found, now=now, zone=zone)
        if linked is not None:
            return Named("linked", linked)
    await attempts.note(session, subjects, now=now)
    if needs_proof:
        await records.change(session, own, _draft(kept), now=now, source="linking")
    await _wait(session, friend_id, number, policy, now)
    return Named("waiting")


async def complete(
    session: AsyncSession, order_ids: Collection[str], *, now: datetime, zone: ZoneInfo
) -> list[Completed]:
    """Links that waited for one of these orders, which are here now, and whose proof holds."""
    numbers = {folded(order_id) for order_id in order_ids}
    waiting = await _waiting(session, numbers, now) if numbers else []
    if not waiting:
        return []
    policy, _version = await policies.read(session, LinkPolicy)
    if not policy.order:
        return []
    done = []
    for row in waiting:  # the few who wait for just these orders
        linked = await _complete(session, row, policy, now=now, zone=zone)
        if linked is not None:
            done.append(Completed(row.id, row.friend_id, linked))
    return done


def folded(order: str) -> str:
    """One form for an order number: narrow, capitals, without spaces and a leading #."""
    return plain(order).lstrip("#").upper()


async def _complete(
    session: AsyncSession,
    row: Any,  # noqa: ANN401
    policy: LinkPolicy,
    *,
    now: datetime,
    zone: ZoneInfo,
) -> Linked | None:
    friend, own = await _lock_own(session, row.friend_id)
    if await links.membership(session, friend) is not None:
        return None
    needs_proof = policy.order_link == "order_and_phone"
    proof = {key: getattr(own, key) for key in ("phone", "email", "postal_code")}
    kept = {key: value for key, value in proof.items() if value}
    found = await _owner(session, row.order_id, kept if needs_proof else None, policy, now)
    linked = None
    if found is not None:
        linked = await _try_link(session, row.friend_id, found, now=now, zone=zone)
    if linked is not None:
        pending = table(PendingLink)
        ended = update(pending).where(pending.c.id == row.id)
        await session.execute(ended.values(state=DONE, done_at=now))
    return linked


async def _try_link(
    session: AsyncSession, friend_id: int, customer_id: int, *, now: datetime, zone: ZoneInfo
) -> Linked | None:
    try:
        return await links.link(session, friend_id, customer_id, method=METHOD, now=now, zone=zone)
    except TooManyFriends:
        return None


async def _owner(
    session: AsyncSession,
    number: str,
    proof: dict[str, str] | None,
    policy: LinkPolicy,
    now: datetime,
) -> int | None:
    """The one customer whose order this is and who may be linked by it; None otherwise."""
    purchase, customer, friend = table(Purchase), table(Customer), table(Friend)
    has_friend = select(friend.c.id).where(friend.c.customer_id == customer.c.id).exists()
    query = (
        select(customer.c.id, customer.c.phone, customer.c.email, customer.c.postal_code)
        .distinct()
        .join(purchase, purchase.c.customer_id == customer.c.id)
        .where(purchase.c.order_id.in_(_ways_to_write(number)))
        .where(purchase.c.purchased_at > now - timedelta(days=policy.order_days))
        .where(purchase.c.cancelled_at.is_(None), customer.c.erased_at.is_(None))
        .where(customer.c.merged_into_id.is_(None), ~has_friend)
        .limit(20)
    )
    rows: Sequence[Any] = list(await session.execute(query))
    fitting = [row.id for row in rows if proof is None or _fits(row, proof)]
    return fitting[0] if len(fitting) == 1 else None


def _fits(row: Any, proof: dict[str, str]) -> bool:  # noqa: ANN401
    phone = same_phone(row.phone, proof["phone"]) if "phone" in proof else False
    others = [getattr(row, key) == proof[key] for key in ("email", "postal_code") if key in proof]
    return phone or any(others)


def _proof_fields(typed: str) -> dict[str, str]:
    """What somebody typed as proof, as the field that it fits; empty where it fits none."""
    readers = (("email", contact.email), ("postal_code", contact.postal_code),
               ("phone", contact.phone))  # fmt: skip
    for key, read in readers:
        try:
            return {key: read(typed)}
        except ValueError:
            continue
    return {}


def _draft(kept: dict[str, str]) -> CustomerDraft:
    given: dict[str, Text] = {**kept}
    return CustomerDraft(
        phone=given.get("phone", UNSET),
        email=given.get("email", UNSET),
        postal_code=given.get("postal_code", UNSET),
    )


def _ways_to_write(number: str) -> set[str]:
    return {way for n in (number, number.lower()) for way in (n, f"#{n}")}


async def _lock_own(session: AsyncSession, friend_id: int) -> tuple[Friend, Customer]:
    friend = table(Friend)
    query = select(Friend).where(friend.c.id == friend_id)
    found = (await session.scalars(query.execution_options(populate_existing=True))).one()
    own = await locking.locked(session, found.customer_id)
    await session.execute(select(friend.c.id).where(friend.c.id == friend_id).with_for_update(
        key_share=True))  # fmt: skip
    return found, own


async def _wait(
    session: AsyncSession, friend_id: int, number: str, policy: LinkPolicy, now: datetime
) -> None:
    """Wait for an order, unless the friend waits for it or for enough others already."""
    pending = table(PendingLink)
    mine = (pending.c.friend_id == friend_id) & (pending.c.state == WAITING)
    mine &= pending.c.expires_at > now
    waits_for = set(await session.scalars(select(pending.c.order_id).where(mine)))
    if number in waits_for or len(waits_for) >= MAX_WAITING:
        return
    row = {
        "friend_id": friend_id,
        "order_id": number,
        "state": WAITING,
        "created_at": now,
        "expires_at": now + timedelta(days=policy.pending_days),
    }
    await session.execute(insert(pending).values(row))


async def expect(session: AsyncSession, friend_id: int, *, now: datetime) -> None:
    """The friend was asked for an order number: what they type next may be one."""
    await attempts.note(session, [_asked(friend_id)], now=now)


async def expected(session: AsyncSession, friend_id: int, *, now: datetime) -> bool:
    """Whether the friend was asked for an order number a few minutes ago."""
    attempt = table(LinkAttempt)
    lately = (attempt.c.subject == _asked(friend_id)) & (attempt.c.at > now - ASKED)
    return await session.scalar(select(attempt.c.id).where(lately).limit(1)) is not None


def _asked(friend_id: int) -> str:
    return f"asked-order:{friend_id}"


async def _waiting(session: AsyncSession, numbers: Collection[str], now: datetime) -> list[Any]:
    pending = table(PendingLink)
    query = (
        select(pending)
        .where(pending.c.state == WAITING, pending.c.expires_at > now)
        .where(bulk.is_one_of(session, pending.c.order_id, sorted(numbers)))
        .order_by(pending.c.created_at, pending.c.id)
        .limit(500)
    )
    return list(await session.execute(query))


async def expire(session: AsyncSession, *, now: datetime, limit: int) -> int:
    """End waits that are over; returns how many."""
    pending = table(PendingLink)
    over = select(pending.c.id).where(pending.c.state == WAITING, pending.c.expires_at <= now)
    ended = update(pending).where(pending.c.id.in_(over.limit(limit)))
    made = await session.execute(ended.values(state=EXPIRED, done_at=now).returning(pending.c.id))
    return len(made.all())
