"""Friends: LINE users as seen on a channel; who follows, who blocked, who they are."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.clock import AT_ONCE
from core.db import insert_new, table
from core.line.client import Profile
from crm.activities import Fact
from crm.models import BLOCKED, FOLLOWING, Customer, Friend

_PICTURE = re.compile(r"[^\0]{1,2000}")  # the column's width; half an address is none


async def recognise(
    session: AsyncSession, channel_id: int, user_ids: Iterable[str], *, now: datetime
) -> dict[str, Friend]:
    """The friends with these user ids, locked; whoever is new becomes one, with a new customer.

    People known to LINE from before the installation come in here, at their first event of any
    kind. Their profile is asked for later, off this path.
    """
    wanted = sorted(set(user_ids))
    known = await _locked(session, channel_id, wanted)
    missing = [user_id for user_id in wanted if user_id not in known]
    if not missing:
        return known
    await _add(session, channel_id, missing, now)
    return await _locked(session, channel_id, wanted)


def follow(friend: Friend, *, at: datetime, unblocked: bool) -> Fact | None:
    """Note that the friend was added or came back; None when newer news is known.

    LINE does not promise that its `isUnblocked` is right, so our own memory counts as well.
    """
    if at < friend.status_at:
        return None
    back = unblocked or friend.follow_count > 0 or friend.status == BLOCKED
    friend.status, friend.status_at, friend.blocked_at = FOLLOWING, at, None
    friend.followed_at = at
    friend.follow_count += 1
    friend.profile_due_at = AT_ONCE
    return _fact(friend, "followed", at, {"back": back})


def block(friend: Friend, *, at: datetime) -> Fact | None:
    """Note that the friend blocked us; None when newer news is known."""
    if at < friend.status_at:
        return None
    friend.status, friend.status_at, friend.blocked_at = BLOCKED, at, at
    return _fact(friend, "blocked", at, {})


def seen(friend: Friend, *, at: datetime) -> None:
    """Whoever writes or taps has not blocked us, even when the news of their return was lost."""
    if friend.status == BLOCKED and at > friend.status_at:
        friend.status, friend.status_at, friend.blocked_at = FOLLOWING, at, None


async def claim_profiles(
    session: AsyncSession, *, wall: datetime, lease: timedelta, limit: int
) -> list[Any]:
    """Friends whose profile is to be fetched now: rows of id, channel_id, user_id, attempts.

    They come up again after the lease, should whoever claims them die.
    """
    friend = table(Friend)
    due = (
        select(friend.c.id)
        .where(friend.c.profile_due_at <= wall)
        .order_by(friend.c.profile_due_at, friend.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )
    ids = list(await session.scalars(due))
    query = (
        update(friend)
        .where(friend.c.id.in_(ids))
        .values(profile_due_at=wall + lease)
        .returning(friend.c.id, friend.c.channel_id, friend.c.user_id, friend.c.profile_attempts)
    )
    return list(await session.execute(query)) if ids else []


async def profiles_due(session: AsyncSession, wall: datetime) -> int:
    """How many profiles are to be fetched."""
    friend = table(Friend)
    query = select(func.count()).select_from(friend).where(friend.c.profile_due_at <= wall)
    return int(await session.scalar(query) or 0)


async def lock(session: AsyncSession, ids: Iterable[int]) -> None:
    """Lock friends before several of them are changed, in the one order that `recognise` keeps."""
    friend = table(Friend)
    query = select(friend.c.id).where(friend.c.id.in_(ids)).order_by(friend.c.id)
    await session.execute(query.with_for_update(key_share=True))


async def put_off_profiles(session: AsyncSession, until: Mapping[int, datetime]) -> None:
    """Try these friends again later, and count the try."""
    friend = table(Friend)
    rows = [{"id": id_, "profile_due_at": at} for id_, at in until.items()]
    await bulk.update_rows(session, friend, rows)
    counted = update(friend).where(friend.c.id.in_(list(until)))
    await session.execute(counted.values(profile_attempts=friend.c.profile_attempts + 1))


async def keep_profiles(
    session: AsyncSession, profiles: Mapping[int, Profile | None], *, now: datetime
) -> None:
    """Store what LINE told of friends, by their ids; None is somebody LINE tells nothing of."""
    done: dict[str, Any] = {
        "profile_due_at": None,
        "profile_attempts": 0,
        "profile_fetched_at": now,
    }
    told = [
        {"id": id_, **done, **_storable(profile)}
        for id_, profile in profiles.items()
        if profile is not None
    ]
    await bulk.update_rows(session, table(Friend), told)
    untold = [{"id": id_, **done} for id_, profile in profiles.items() if profile is None]
    await bulk.update_rows(session, table(Friend), untold)


def _storable(profile: Profile) -> dict[str, str | None]:
    """A profile as our columns take it: one that is odd must not hold up the others."""
    language, picture = profile.language, profile.picture_url
    return {
        "display_name": profile.display_name.replace("\0", "")[:100],
        "picture_url": picture if picture and _PICTURE.fullmatch(picture) else None,
        "language": language.replace("\0", "")[:35] if language else None,
    }


async def _locked(session: AsyncSession, channel_id: int, user_ids: list[str]) -> dict[str, Friend]:
    friend = table(Friend)
    query = (
        select(Friend)
        .where(friend.c.channel_id == channel_id, friend.c.user_id.in_(user_ids))
        .order_by(friend.c.id)  # one order for all, so that two workers cannot lock each other out
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return {found.user_id: found for found in await session.scalars(query)}


async def _add(session: AsyncSession, channel_id: int, user_ids: list[str], now: datetime) -> None:
    customer = table(Customer)
    rows = [{"created_at": now} for _ in user_ids]
    made = await session.scalars(insert(customer).values(rows).returning(customer.c.id))
    customers = dict(zip(user_ids, made, strict=True))
    friend = table(Friend)
    query = insert_new(session, friend).on_conflict_do_nothing(
        index_elements=["channel_id", "user_id"]
    )
    new = [
        {
            "channel_id": channel_id,
            "user_id": user_id,
            "customer_id": customers[user_id],
            "status": FOLLOWING,
            "status_at": AT_ONCE,  # any news is newer
            "follow_count": 0,
            "profile_due_at": AT_ONCE,
            "profile_attempts": 0,
            "created_at": now,
        }
        for user_id in user_ids
    ]
    added = set(await session.scalars(query.values(new).returning(friend.c.user_id)))
    lost = [customers[user_id] for user_id in user_ids if user_id not in added]
    if lost:  # another worker met them first
        await session.execute(delete(customer).where(customer.c.id.in_(lost)))


def _fact(friend: Friend, kind: str, at: datetime, data: dict[str, Any]) -> Fact:
    return Fact(
        customer_id=friend.customer_id,
        friend_id=friend.id,
        kind=kind,
        occurred_at=at,
        data=data,
        source=f"{kind}:{friend.id}:{at.isoformat()}",
    )
