"""Runs of the timetable's jobs."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from sqlalchemy import select

from admin.api.fields import Told, like
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Reading, Shared, least, router
from core import logs
from core.db import table
from core.models import JobRun

routes = router("jobs")


class JobRead(Told):
    """One run."""

    model_config = like(
        {
            "job": "refresh_quota",
            "slot_at": "2026-11-22T01:00:00Z",
            "attempts": 1,
            "done_at": "2026-11-22T01:00:02Z",
            "result": 1,
            "error": None,
        }
    )

    job: str
    slot_at: datetime = Field(description="When it was due by the timetable")
    attempts: int
    done_at: datetime | None
    result: int | None = Field(description="What it did, as a number")
    error: str | None = Field(description="What went wrong last")


class JobFilter(PageQuery):
    """Which runs."""

    job: str | None = Field(None, max_length=60)


@routes.get("/jobs", summary="List job runs", openapi_extra=least("viewer", "定期処理の実行記録"))
async def list_jobs(
    asked: Annotated[JobFilter, Query()], session: Reading, api: Shared
) -> Page[JobRead]:
    """What the timetable has run, newest first: quota, profiles, tidying up."""
    run = table(JobRun)
    query = select(run) if asked.job is None else select(run).where(run.c.job == asked.job)
    keys = [run.c.slot_at, run.c.job]
    return await page(session, api.cursors, asked, query, name="jobs", keys=keys, read=_read)


def _read(row: Any) -> JobRead:  # noqa: ANN401
    return JobRead(
        job=row.job,
        slot_at=row.slot_at,
        attempts=row.attempts,
        done_at=row.done_at,
        result=row.result,
        error=logs.scrub(row.error) if row.error else None,
    )
