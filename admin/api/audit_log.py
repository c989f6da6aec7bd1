"""The audit log: who changed what."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from sqlalchemy import select

from admin.api.fields import Told, like
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Reading, Shared, least, router
from admin.models import AuditEntry
from core.db import table

routes = router("audit-log")


class AuditRead(Told):
    """One change."""

    model_config = like(
        {
            "id": 41,
            "at": "2026-11-22T01:00:00Z",
            "actor": "token:販促",
            "action": "flow.publish",
            "subject": "flow:welcome",
            "data": {"number": 2},
        }
    )

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    data: dict[str, Any]


class AuditFilter(PageQuery):
    """Which entries."""

    actor: str | None = Field(None, max_length=120, examples=["token:販促"])
    action: str | None = Field(None, max_length=60, examples=["flow.publish"])
    subject: str | None = Field(None, max_length=120, examples=["flow:welcome"])


@routes.get("/audit-log", summary="Read the audit log", openapi_extra=least("owner", "操作の記録"))
async def list_entries(
    asked: Annotated[AuditFilter, Query()], session: Reading, api: Shared
) -> Page[AuditRead]:
    """Every change that was made through this API or the command line, newest first."""
    entry = table(AuditEntry)
    query = select(entry)
    for name in ("actor", "action", "subject"):
        wanted = getattr(asked, name)
        if wanted is not None:
            query = query.where(entry.c[name] == wanted)
    return await page(
        session, api.cursors, asked, query, name="audit-log", keys=[entry.c.id],
        read=AuditRead.model_validate,
    )  # fmt: skip
