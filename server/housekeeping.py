"""Nightly tidying: rows that can serve nobody any more."""

from datetime import timedelta

from sqlalchemy import delete

from admin.models import IdempotentAnswer
from core.db import table
from core.models import JobRun
from core.runtime import Runtime

KEEP_ANSWERS = timedelta(days=7)
KEEP_RUNS = timedelta(days=30)


async def forget_old_rows(runtime: Runtime) -> int:
    """Delete old stored answers and job runs; returns how many rows went."""
    now = await runtime.clock.now()
    answer, run = table(IdempotentAnswer), table(JobRun)
    async with runtime.db.transaction() as session:
        old = delete(answer).where(answer.c.created_at < now - KEEP_ANSWERS)
        answers = await session.execute(old.returning(answer.c.key))
        done = delete(run).where(run.c.done_at < now - KEEP_RUNS)
        runs = await session.execute(done.returning(run.c.job))
        return len(answers.all()) + len(runs.all())
