"""Reply tokens: one free reply each, within a minute of the event.

Source: https://developers.line.biz/en/reference/messaging-api/#send-reply-message-reply-token
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import insert_new, table
from delivery.models import ReplyToken

USABLE_FOR = timedelta(seconds=55)  # of LINE's minute, less the way there
EVENT_MAX_AGE = timedelta(minutes=20)


async def keep(
    session: AsyncSession, tokens: Sequence[tuple[str, int, datetime, datetime]], *, now: datetime
) -> None:
    """Keep the tokens (token, friend id, event time, received) that may still serve."""
    rows = [
        {"token": token, "friend_id": friend_id, "usable_until": until}
        for token, friend_id, event_at, received_at in tokens
        if (until := min(received_at + USABLE_FOR, event_at + EVENT_MAX_AGE)) > now
    ]
    if rows:
        query = insert_new(session, table(ReplyToken)).on_conflict_do_nothing()
        await session.execute(query.values(rows))


async def take(
    session: AsyncSession, friend_ids: Sequence[int], *, now: datetime
) -> dict[int, tuple[str, datetime]]:
    """Use up one fresh token of each friend that has one: friend id → (token, usable until).

    The caller holds the friends' locks, so nobody else takes the same token.
    """
    token = table(ReplyToken)
    query = (
        select(token.c.token, token.c.friend_id, token.c.usable_until)
        .where(
            bulk.is_one_of(session, token.c.friend_id, friend_ids),
            token.c.usable_until > now,
            token.c.used_at.is_(None),
        )
        .order_by(token.c.usable_until.desc())
    )
    rows: list[Any] = list(await session.execute(query))
    chosen = {row.friend_id: (row.token, row.usable_until) for row in rows}  # the oldest stays
    if chosen:
        used = [taken for taken, _until in chosen.values()]
        await session.execute(update(token).where(token.c.token.in_(used)).values(used_at=now))
    return chosen


async def forget_old(session: AsyncSession, *, now: datetime) -> int:
    """Delete tokens that can serve no more; returns how many."""
    token = table(ReplyToken)
    gone = await session.execute(
        delete(token).where(token.c.usable_until < now - EVENT_MAX_AGE).returning(token.c.token)
    )
    return len(gone.all())
