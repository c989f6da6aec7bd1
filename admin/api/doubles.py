"""Suspected doubles: records that may be one person wait here for staff to look."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.customer_bodies import MergeRead
from admin.api.fields import Given, PathId, RowId, Told, like
from admin.api.merges import merge_told
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Creating, Reading, Shared, least, router
from core.db import table
from core.errors import Fault, Invalid
from crm.customers import doubles
from crm.customers.models import SuspectedDouble
from crm.models import Customer

routes = router("doubles")

_ONE = {
    "id": 4, "member_number": "KAI-00042", "name": "港 花", "phone": "+819012345678",
    "email": "hana@example.jp", "birthday": "1990-04-01", "purchase_count": 3,
    "created_at": "2026-04-01T02:00:00Z",
}  # fmt: skip
_EXAMPLE = {
    "id": 7, "state": "open", "evidence": ["phone"], "first": _ONE,
    "second": _ONE | {"id": 9, "member_number": "KAI-00077", "email": "h@example.jp"},
    "found_at": "2026-11-22T01:00:00Z", "decided_at": None, "decided_by": None,
}  # fmt: skip


class DoubleSide(Told):
    """What there is to compare of one of the two."""

    id: int
    member_number: str | None
    name: str | None
    phone: str | None
    email: str | None
    birthday: str | None
    purchase_count: int
    created_at: datetime


class DoubleRead(Told):
    """Two records that may be one person, and what they share."""

    model_config = like(_EXAMPLE)

    id: int
    state: Literal["open", "dismissed", "merged"]
    evidence: list[str] = Field(description="What both have: phone, email")
    first: DoubleSide
    second: DoubleSide
    found_at: datetime
    decided_at: datetime | None
    decided_by: str | None


class DoubleFilter(PageQuery):
    """Which pairs."""

    state: Literal["open", "dismissed", "merged"] = "open"


class DoubleMerge(Given):
    """Which of the two records stays."""

    model_config = like({"into_customer_id": 4, "reason": "電話で本人に確認"})

    into_customer_id: RowId
    reason: str = Field("重複候補から統合 / suspected double", min_length=1, max_length=200)


@routes.get(
    "/doubles", summary="List suspected doubles", openapi_extra=least("viewer", "重複候補の一覧")
)
async def list_doubles(
    asked: Annotated[DoubleFilter, Query()], session: Reading, api: Shared
) -> Page[DoubleRead]:
    """Pairs that share a phone number or address, the newest first; nothing merges by itself."""
    double = table(SuspectedDouble)
    query = doubles.query_open() if asked.state == "open" else select(double)
    found = await page(
        session, api.cursors, asked, query.where(double.c.state == asked.state), name="doubles",
        keys=[double.c.id], read=lambda row: row,
    )  # fmt: skip
    return Page(items=await _told(session, found.items), next_cursor=found.next_cursor)


@routes.post(
    "/doubles/{id}/merge", summary="Merge a suspected double",
    openapi_extra=least("clerk", "重複候補の統合"),
)  # fmt: skip
async def merge_double(id_: PathId, wanted: DoubleMerge, change: Creating) -> MergeRead:
    """Make the two one; `into_customer_id` says which of them stays."""
    session = await change.begin()
    found = await doubles.find(session, id_)
    pair = {found.first_id, found.second_id}
    if wanted.into_customer_id not in pair:
        raise Invalid("The record that stays must be one of the two.", [
            Fault("into_customer_id", f"must be {found.first_id} or {found.second_id}",
                  f"{found.first_id} か {found.second_id} を指定してください")])  # fmt: skip
    (from_id,) = pair - {wanted.into_customer_id}
    return await merge_told(
        change, session, from_id, wanted.into_customer_id, reason=wanted.reason,
        evidence={"shared": found.evidence},
    )  # fmt: skip


@routes.post(
    "/doubles/{id}/dismiss", summary="Dismiss a suspected double",
    openapi_extra=least("clerk", "重複候補の却下"),
)  # fmt: skip
async def dismiss_double(id_: PathId, change: Creating) -> DoubleRead:
    """They are two people: the pair is not suggested again."""
    session = await change.begin()
    await doubles.dismiss(session, id_, actor=change.caller.actor, now=change.now)
    change.note("double.dismiss", f"double:{id_}")
    double = table(SuspectedDouble)
    rows = list(await session.execute(select(double).where(double.c.id == id_)))
    (told,) = await _told(session, rows)
    return told


async def _told(session: AsyncSession, rows: Sequence[Any]) -> list[DoubleRead]:
    """Pairs with both records, in one statement for all of them."""
    customer = table(Customer)
    ids = {id_ for row in rows for id_ in (row.first_id, row.second_id)}
    query = select(*(customer.c[name] for name in DoubleSide.model_fields))
    found = await session.execute(query.where(customer.c.id.in_(ids)))
    sides = {row.id: DoubleSide.model_validate(row) for row in found}
    own = [name for name in DoubleRead.model_fields if name not in {"first", "second"}]
    return [
        DoubleRead(
            **{name: getattr(row, name) for name in own}, first=sides[row.first_id],
            second=sides[row.second_id],
        )
        for row in rows
    ]  # fmt: skip
