"""Activities: facts about customers, read here and taken in from tills, carts and other systems."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import BeforeValidator, Field
from sqlalchemy import Select, select

from admin import outside_facts
from admin.api.fields import MAX_ID, Given, Moment, RowId, Told, like
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Creating, Reading, Shared, least, router
from admin.outside_facts import KINDS_FROM_OUTSIDE, MAX_BATCH, OutsideFact
from core.db import table
from crm.models import Activity
from flows.definition import known_activity

routes = router("activities")

_EXAMPLE = {
    "kind": "purchased", "customer_id": 9, "occurred_at": "2026-11-22T10:00:00+09:00",
    "data": {"total": 3200}, "idempotency_key": "till-2:receipt-80211",
}  # fmt: skip


def _kind(value: Any) -> Any:  # noqa: ANN401
    return known_activity(value) if isinstance(value, str) else value


Kind = Annotated[str, BeforeValidator(_kind), Field(max_length=40)]


class ActivityRead(Told):
    """One fact about a customer."""

    model_config = like(
        {
            "id": 77,
            "customer_id": 9,
            "friend_id": 12,
            "kind": "purchased",
            "occurred_at": "2026-11-22T01:00:00Z",
            "recorded_at": "2026-11-22T01:00:03Z",
            "data": {"total": 3200},
            "source": "api:till-2:receipt-80211",
        }
    )

    id: int
    customer_id: int
    friend_id: int | None
    kind: str
    occurred_at: datetime
    recorded_at: datetime
    data: dict[str, Any]
    source: str | None = Field(description="Its natural key, under which it is recorded once")


class ActivityCreate(Given):
    """A fact from outside; say the customer by `customer_id` or by `member_number`."""

    model_config = like(_EXAMPLE)

    kind: Kind = Field(
        description=f"One of {', '.join(sorted(KINDS_FROM_OUTSIDE))}; the others are ours to record"
    )
    customer_id: RowId | None = None
    member_number: str | None = Field(None, min_length=1, max_length=60)
    occurred_at: Moment = Field(description="At most 5 minutes ahead of the shop's time")
    data: dict[str, Any] = Field(default_factory=dict, description="Up to 16 KB of JSON")
    idempotency_key: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="The sender's own id: recorded once under it",
    )


class ActivityBatch(Given):
    """Up to 500 facts, recorded all or none."""

    model_config = like({"activities": [_EXAMPLE]})

    activities: list[ActivityCreate] = Field(min_length=1, max_length=MAX_BATCH)


class ActivitiesRecorded(Told):
    """What became of a batch."""

    model_config = like({"recorded": 1, "known": 0, "ids": [77]})

    recorded: int = Field(description="How many were new")
    known: int = Field(description="How many had been recorded before")
    ids: list[int] = Field(description="Their ids, in the order given")


class ActivityFilter(PageQuery):
    """Which activities."""

    customer_id: int | None = Field(None, ge=1, le=MAX_ID)
    kind: Kind | None = None
    since: Moment | None = Field(None, description="Occurred at or after")
    until: Moment | None = Field(None, description="Occurred before")


@routes.get(
    "/activities", summary="List activities", openapi_extra=least("viewer", "行動履歴の一覧")
)
async def list_activities(
    asked: Annotated[ActivityFilter, Query()], session: Reading, api: Shared
) -> Page[ActivityRead]:
    """What customers did and what happened to them, last recorded first."""
    return await page(
        session, api.cursors, asked, _narrowed(asked), name="activities",
        keys=[table(Activity).c.id], read=ActivityRead.model_validate,
    )  # fmt: skip


@routes.post(
    "/activities", summary="Record an activity", status_code=201,
    responses={200: {"model": ActivityRead, "description": "It was recorded before"}},
    openapi_extra=least("clerk", "行動履歴の記録"),
)  # fmt: skip
async def record_activity(
    wanted: ActivityCreate, change: Creating, response: Response
) -> ActivityRead:
    """Record a fact from a till, a cart or another system; flows may start from it.

    It goes to the customer's most recently followed friend who still follows. A repeat of
    `idempotency_key` answers 200 with what was recorded first; for another fact the same key is
    422.
    """
    facts = [_fact(wanted)]
    outside_facts.check(facts, now=change.now, paths=[""])
    session = await change.begin()
    kept = await outside_facts.record(session, facts, now=change.now, paths=[""])
    if kept.new:
        change.note("activity.record", f"customer:{kept.rows[0].customer_id}", kind=wanted.kind)
        change.wake("reactions")
    else:
        response.status_code = 200
    return ActivityRead.model_validate(kept.rows[0])


@routes.post(
    "/activities/batch", summary="Record many activities",
    openapi_extra=least("clerk", "行動履歴の一括記録"),
)  # fmt: skip
async def record_activities(wanted: ActivityBatch, change: Creating) -> ActivitiesRecorded:
    """Record up to 500 facts at once: all, or none with each fault by its place in the list."""
    facts = [_fact(each) for each in wanted.activities]
    paths = [f"activities[{index}]." for index in range(len(facts))]
    outside_facts.check(facts, now=change.now, paths=paths)
    session = await change.begin()
    kept = await outside_facts.record(session, facts, now=change.now, paths=paths)
    if kept.new:
        change.note("activity.record", "activities", count=kept.new)
        change.wake("reactions")
    ids = [row.id for row in kept.rows]
    return ActivitiesRecorded(recorded=kept.new, known=len(facts) - kept.new, ids=ids)


def _fact(wanted: ActivityCreate) -> OutsideFact:
    return OutsideFact(**{name: getattr(wanted, name) for name in ActivityCreate.model_fields})


def _narrowed(asked: ActivityFilter) -> Select[Any]:
    activity = table(Activity)
    query = select(*(activity.c[name] for name in ActivityRead.model_fields))
    if asked.customer_id is not None:
        query = query.where(activity.c.customer_id == asked.customer_id)
    if asked.kind is not None:
        query = query.where(activity.c.kind == asked.kind)
    if asked.since is not None:
        query = query.where(activity.c.occurred_at >= asked.since)
    if asked.until is not None:
        query = query.where(activity.c.occurred_at < asked.until)
    return query
