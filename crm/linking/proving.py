"""Proving a membership: its number, and the birthday or telephone number that the shop knows.

Every wrong combination gets one and the same answer, and tries are counted for the LINE account and
for the number that was tried, so that neither can be guessed at.
"""

import hmac
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from crm.customers import contact, locking, records
from crm.linking import attempts
from crm.models import Customer, Friend

Outcome = Literal["proved", "wrong", "too_many", "incomplete"]
MAX_TYPED = 100


@dataclass(frozen=True, slots=True)
class Claim:
    """What a customer has typed; empty where they left it out."""

    member_number: str
    birthday: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Proved:
    """What came of it; the member's id where it is proved."""

    outcome: Outcome
    customer_id: int | None = None


async def prove(session: AsyncSession, friend_id: int, claim: Claim, *, now: datetime) -> Proved:
    """Check a claim for a friend, and count it where it is wrong.

    The caller commits either way: a wrong try must stay counted. Both records and the friend are
    locked, so that tries at the same time are counted one after the other.
    """
    number = plain(claim.member_number)
    if not number or not (claim.birthday.strip() or claim.phone.strip()):
        return Proved("incomplete")
    member_id = (await records.by_member_number(session, [number])).get(number)
    await _lock(session, friend_id, member_id)
    subjects = [attempts.of_friend(friend_id), attempts.of_member(number)]
    if await attempts.too_many(session, subjects, now=now):
        return Proved("too_many")
    member = None if member_id is None else await locking.locked(session, member_id)
    if member is None or member.erased_at is not None or not _fits(member, claim):
        await attempts.note(session, subjects, now=now)
        return Proved("wrong")
    return Proved("proved", member.id)


def plain(typed: str) -> str:
    """A member number or order number as it is compared: narrow, without spaces around."""
    return "".join(unicodedata.normalize("NFKC", typed).split())[:MAX_TYPED]


def same_phone(known: str | None, typed: str) -> bool:
    """Whether somebody typed this telephone number, in whatever form."""
    try:
        return known is not None and _equal(contact.phone(typed), known)
    except ValueError:
        return False


def same_birthday(known: str | None, typed: str) -> bool:
    """Whether somebody typed this birthday; where the year is not known, day and month decide."""
    try:
        given = contact.birthday(typed)
    except ValueError:
        return False
    if known is None:
        return False
    return _equal(given[-5:], known[-5:]) if known.startswith("--") else _equal(given, known)


def _fits(member: Customer, claim: Claim) -> bool:
    """What is given must be right, all of it."""
    given = [
        (claim.birthday.strip(), same_birthday(member.birthday, claim.birthday)),
        (claim.phone.strip(), same_phone(member.phone, claim.phone)),
    ]
    return all(right for typed, right in given if typed)


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


async def _lock(session: AsyncSession, friend_id: int, member_id: int | None) -> None:
    friend = table(Friend)
    own = await session.scalar(select(friend.c.customer_id).where(friend.c.id == friend_id))
    await locking.lock(session, {id_ for id_ in (own, member_id) if id_ is not None})
    mine = select(friend.c.id).where(friend.c.id == friend_id)
    await session.execute(mine.with_for_update(key_share=True))
