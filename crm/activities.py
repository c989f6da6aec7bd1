"""Activities: append-only facts about customers, from which flows start and which reports count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.clock import AT_ONCE
from core.db import table
from crm.models import Activity

KINDS = frozenset(
    {
        "followed", "blocked", "linked", "unlinked", "link_failed", "purchased", "refunded",
        "shipped", "delivered", "order_placed", "order_cancelled",
        "tag_added", "tag_removed", "attribute_changed", "consent_changed", "customers_merged",
        "merge_undone", "rank_changed", "points_expiring", "coupon_issued",
        "points_granted", "points_spent", "points_expired", "points_taken_back",
        "points_given_back",
        "coupon_redeemed", "coupon_undone",
        "coupon_expiring", "link_clicked", "message_sent", "replied", "tapped",
        "answered", "cart_updated", "product_viewed", "restocked", "price_dropped",
        "subscription_upcoming", "subscription_cancelled", "birthday", "beacon_entered",
        "video_watched", "membership_changed",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """One activity to record; `source` is its natural key, under which it is recorded once."""

    customer_id: int
    kind: str
    occurred_at: datetime
    friend_id: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None


async def record(session: AsyncSession, facts: Sequence[Fact], *, now: datetime) -> int:
    """Add the facts that are not known yet; returns how many were new.

    They are due at once for whatever must act on them (`server/reactions.py`).
    """
    if not facts:
        return 0
    rows: list[dict[str, Any]] = [
        {
            "customer_id": fact.customer_id,
            "friend_id": fact.friend_id,
            "kind": fact.kind,
            "occurred_at": fact.occurred_at,
            "recorded_at": now,
            "data": dict(fact.data),
            "source": fact.source,
            "react_at": AT_ONCE,
        }
        for fact in facts
    ]
    return await bulk.insert_rows(session, table(Activity), rows)
