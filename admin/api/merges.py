"""Merges: records that staff, or linking, have made one, and undoing that."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.changes import Change
from admin.api.customer_bodies import MergeFilter, MergeRead
from admin.api.fields import PathId
from admin.api.paging import Page, page
from admin.api.routing import Creating, Reading, Shared, least, router
from core.db import table
from crm.customers import locking, merging
from crm.customers.models import CustomerMerge
from crm.ranks import review

routes = router("merges")


@routes.get("/merges", summary="List merges", openapi_extra=least("viewer", "顧客統合の一覧"))
async def list_merges(
    asked: Annotated[MergeFilter, Query()], session: Reading, api: Shared
) -> Page[MergeRead]:
    """Records that became one, by staff or by linking in the chat; the newest first."""
    merge = table(CustomerMerge)
    query = select(*(merge.c[n] for n in MergeRead.model_fields if n != "undo_until"))
    if asked.customer_id is not None:
        either = or_(merge.c.from_id == asked.customer_id, merge.c.into_id == asked.customer_id)
        query = query.where(either)
    if asked.undone is not None:
        query = query.where(merge.c.undone_at.is_not(None) == asked.undone)
    return await page(
        session, api.cursors, asked, query, name="merges", keys=[merge.c.id], read=_read
    )


@routes.post(
    "/merges/{id}/undo", summary="Undo a merge", openapi_extra=least("owner", "顧客統合の取り消し")
)
async def undo_merge(id_: PathId, change: Creating) -> MergeRead:
    """Part two records again, each with what it had and what came since; for 30 days after."""
    session = await change.begin()
    actor, zone = change.caller.actor, change.runtime.settings.zone
    await merging.undo(session, id_, actor=actor, now=change.now, zone=zone)
    found = await session.get_one(CustomerMerge, id_)
    ids = [found.from_id, found.into_id]
    await review.promote(session, ids, now=change.now, zone=zone)
    change.note("merge.undo", f"merge:{id_}", from_id=found.from_id, into_id=found.into_id)
    change.wake("reactions", "steps")
    return _read(found)


async def merge_told(
    change: Change,
    session: AsyncSession,
    from_id: int,
    into_id: int,
    *,
    reason: str,
    evidence: Mapping[str, Any],
) -> MergeRead:
    """Merge for staff: with its entry in the audit log, and the rank that both together earn."""
    made = await merging.merge(
        session, from_id, into_id, reason=reason, evidence=evidence, actor=change.caller.actor,
        now=change.now,
    )  # fmt: skip
    found = await session.get_one(CustomerMerge, made)
    await locking.lock(session, [found.into_id])
    zone = change.runtime.settings.zone
    await review.promote(session, [found.into_id], now=change.now, zone=zone)
    change.note("customer.merge", f"customer:{found.from_id}", into_id=found.into_id, merge=made)
    change.wake("reactions", "steps")
    return _read(found)


def _read(row: Any) -> MergeRead:  # noqa: ANN401
    told = {name: getattr(row, name) for name in MergeRead.model_fields if name != "undo_until"}
    return MergeRead(**told, undo_until=row.merged_at + merging.UNDO_DAYS)
