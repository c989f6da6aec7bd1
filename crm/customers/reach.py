"""Which friend a fact about a customer is told to."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from crm.models import FOLLOWING, Friend


async def following_friend(session: AsyncSession, customer_ids: Collection[int]) -> dict[int, int]:
    """Each customer's friend who still follows, the one who followed last; none has no key."""
    if not customer_ids:
        return {}
    friend = table(Friend)
    query = select(friend.c.id, friend.c.customer_id, friend.c.followed_at).where(
        bulk.is_one_of(session, friend.c.customer_id, sorted(set(customer_ids))),
        friend.c.status == FOLLOWING,
    )
    rows: list[Any] = list(await session.execute(query))
    rows.sort(key=lambda row: (row.followed_at is not None, row.followed_at or 0, row.id))
    return {row.customer_id: row.id for row in rows}
