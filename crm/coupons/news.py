"""What happens to copies, as activities: one row each, many in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.clock import AT_ONCE
from core.db import table
from crm.customers import reach
from crm.models import Activity


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy to tell of: the id that the activity's source ends with, whose it is, and the data."""

    id: int
    customer_id: int
    data: Mapping[str, Any]


async def tell(session: AsyncSession, kind: str, copies: Sequence[Copy], *, now: datetime) -> None:
    """Record an activity of this kind for each, under the source `KIND:ID`, once.

    As `crm.activities.record`, but for thousands at a time.
    """
    friend_of = await reach.following_friend(session, [copy.customer_id for copy in copies])
    rows = [
        {
            "customer_id": copy.customer_id,
            "friend_id": friend_of.get(copy.customer_id),
            "kind": kind,
            "occurred_at": now,
            "recorded_at": now,
            "data": copy.data,
            "source": f"{kind}:{copy.id}",
            "react_at": AT_ONCE,
        }
        for copy in copies
    ]
    await bulk.insert_rows(session, table(Activity), rows)


def told(moment: datetime | None) -> str | None:
    """A moment as activities tell it."""
    return None if moment is None else moment.astimezone(UTC).isoformat()
