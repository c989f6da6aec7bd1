"""What happens to points, told as activities."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from crm import activities
from crm.activities import Fact
from crm.customers.reach import following_friend
from crm.points import models

KIND_OF = {
    models.GRANT: "points_granted",
    models.SPEND: "points_spent",
    models.EXPIRE: "points_expired",
    models.TAKE_BACK: "points_taken_back",
    models.GIVE_BACK: "points_given_back",
}
SLICE = 5_000


def kind_of(entry_kind: str, delta: int) -> str | None:
    """The activity that an entry is, if any: owed points are not told of on their own."""
    if entry_kind == models.CORRECT:
        return "points_granted" if delta > 0 else "points_taken_back"
    return KIND_OF.get(entry_kind)


async def tell(session: AsyncSession, facts: Sequence[Fact], *, now: datetime) -> int:
    """Record facts with the friend through whom each customer can be reached; how many are new."""
    if not facts:
        return 0
    friends = await following_friend(session, {fact.customer_id for fact in facts})
    reached = [replace(fact, friend_id=friends.get(fact.customer_id)) for fact in facts]
    return sum(
        [
            await activities.record(session, reached[start : start + SLICE], now=now)
            for start in range(0, len(reached), SLICE)
        ]
    )
