"""Wrong tries: whoever guesses at memberships is stopped, without being told what was right."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from crm.linking.models import LinkAttempt

MAX_WRONG = 5
WINDOW = timedelta(hours=1)


def of_friend(friend_id: int) -> str:
    """The tries of one LINE account."""
    return f"friend:{friend_id}"


def of_member(number: str) -> str:
    """The tries on one member number, whether there is such a member or not."""
    return f"member:{hashlib.sha256(number.encode()).hexdigest()[:32]}"


async def too_many(session: AsyncSession, subjects: Sequence[str], *, now: datetime) -> bool:
    """Whether one of the subjects has used up its tries: 5 wrong ones within an hour."""
    attempt = table(LinkAttempt)
    query = (
        select(func.count())
        .where(attempt.c.subject.in_(subjects), attempt.c.at > now - WINDOW)
        .group_by(attempt.c.subject)
    )
    return any(count >= MAX_WRONG for count in await session.scalars(query))


async def note(session: AsyncSession, subjects: Sequence[str], *, now: datetime) -> None:
    """Count a wrong try against each subject."""
    rows = [{"subject": subject, "at": now} for subject in subjects]
    await session.execute(insert(table(LinkAttempt)), rows)
