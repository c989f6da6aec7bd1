"""Activities about many customers at once, each told to the friend who follows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from crm import activities
from crm.activities import Fact
from crm.customers import reach

AT_A_TIME = 1_000  # rows of one statement; a database takes some 32,000 parameters


@dataclass(frozen=True, slots=True)
class News:
    """What happened to a customer just now.

    Without a `source` it has no natural key: whoever tells it has made sure that it is news.
    """

    customer_id: int
    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    source: str | None = None


async def tell(session: AsyncSession, news: Sequence[News], *, now: datetime) -> None:
    """Record what just happened as activities."""
    friends = await reach.following_friend(session, {each.customer_id for each in news})
    facts = [
        Fact(
            each.customer_id, each.kind, now, friends.get(each.customer_id), each.data, each.source,
        )
        for each in news
    ]  # fmt: skip
    for start in range(0, len(facts), AT_A_TIME):
        await activities.record(session, facts[start : start + AT_A_TIME], now=now)
