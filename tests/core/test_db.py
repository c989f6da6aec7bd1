"""The database: no update is lost, moments keep their zone, what raises leaves no trace."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession

from core.clock import AT_ONCE
from core.db import Database, table
from core.models import JobRun
from core.settings import load

ROOT = Path(__file__).resolve().parent.parent.parent
NOON = datetime(2027, 1, 10, 3, tzinfo=UTC)
TIMES = 200
COUNT_UP = """
import asyncio, sys
from sqlalchemy import select, update
from core.db import Database, table
from core.models import JobRun
from core.settings import load

async def main(url, times):
    db = Database(load(_env_file=None, database_url=url, clock="simulated"))
    run = table(JobRun)
    for _ in range(times):
        async with db.transaction() as session:
            held = await session.scalar(select(run.c.attempts).with_for_update())
            await session.execute(update(run).values(attempts=held + 1))
    await db.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def add_run(session: AsyncSession, **values: Any) -> None:
    row = {"job": "ask_line", "slot_at": NOON, "retry_at": AT_ONCE, "attempts": 0}
    await session.execute(insert(table(JobRun)).values(row | values))


async def test_two_processes_that_count_at_once_lose_no_count(
    db: Database, database_url: str
) -> None:
    async with db.transaction() as session:
        await add_run(session)

    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", COUNT_UP, database_url, str(TIMES), cwd=ROOT
        )
        for _ in range(2)
    ]
    codes = [await process.wait() for process in started]

    async with db.reading() as session:
        counted = await session.scalar(select(table(JobRun).c.attempts))
    assert codes == [0, 0]
    assert counted == 2 * TIMES


async def test_a_writer_and_readers_do_not_wait_for_each_other(db: Database) -> None:
    async with db.transaction() as writing:
        await add_run(writing)
        async with db.reading() as one, db.reading() as two:
            seen = [await session.scalar(count_runs()) for session in (one, two)]

    assert seen == [0, 0]


def count_runs() -> Any:
    return select(func.count()).select_from(table(JobRun))


async def test_what_raises_leaves_no_trace(db: Database) -> None:
    async def half() -> None:
        async with db.transaction() as session:
            await add_run(session)
            raise LookupError

    with pytest.raises(LookupError):
        await half()

    async with db.reading() as session:
        assert await session.scalar(count_runs()) == 0


async def test_a_reader_cannot_write_to_a_file(db: Database) -> None:
    if not db.is_sqlite:
        return

    async with db.reading() as session:
        with pytest.raises(DBAPIError, match="readonly"):
            await session.execute(text("DELETE FROM job_run"))


@pytest.mark.parametrize(
    "moment",
    [
        NOON,
        NOON + timedelta(microseconds=1),
        datetime(2027, 1, 10, 12, tzinfo=timezone(timedelta(hours=9))),
        datetime(2027, 1, 9, 17, 30, tzinfo=timezone(timedelta(hours=-9, minutes=-30))),
    ],
)
async def test_a_moment_comes_back_as_the_same_moment_in_utc(
    db: Database, moment: datetime
) -> None:
    async with db.transaction() as session:
        await add_run(session, slot_at=moment)

    async with db.reading() as session:
        found = await session.scalar(select(table(JobRun).c.slot_at))
        same = await session.scalar(count_runs().where(table(JobRun).c.slot_at == moment))
    assert found == moment
    assert found is not None
    assert found.tzinfo is UTC
    assert same == 1


async def test_moments_are_compared_as_moments_whatever_zone_they_are_given_in(
    db: Database,
) -> None:
    tokyo = timezone(timedelta(hours=9))
    async with db.transaction() as session:
        await add_run(session, slot_at=datetime(2027, 1, 10, 8, tzinfo=tokyo))  # 23:00 UTC the 9th

    async with db.reading() as session:
        run = table(JobRun)
        before = count_runs().where(run.c.slot_at < datetime(2027, 1, 10, tzinfo=UTC))
        assert await session.scalar(before) == 1


async def test_a_moment_without_a_zone_is_refused(db: Database) -> None:
    async with db.transaction() as session:
        with pytest.raises(StatementError, match="a moment needs a time zone"):
            await add_run(session, slot_at=NOON.replace(tzinfo=None))


async def test_a_nothing_stays_nothing(db: Database) -> None:
    async with db.transaction() as session:
        await add_run(session, done_at=None)
        await session.execute(update(table(JobRun)).values(done_at=None))

    async with db.reading() as session:
        assert await session.scalar(select(table(JobRun).c.done_at)) is None


async def test_an_error_of_the_database_does_not_repeat_the_values(db: Database) -> None:
    async with db.transaction() as session:
        await add_run(session, error="花子の電話は090")

    with pytest.raises(DBAPIError) as caught:
        async with db.transaction() as session:
            await add_run(session, error="花子の電話は090")

    assert "花子" not in str(caught.value)


async def test_a_pool_that_is_used_up_waits_instead_of_failing(database_url: str) -> None:
    db = Database(load(_env_file=None, database_url=database_url, clock="simulated"), pool_size=1)

    async def count() -> int:
        async with db.transaction() as session:
            await session.execute(count_runs())
            await asyncio.sleep(0.001)
        return 1

    assert sum(await asyncio.gather(*(count() for _ in range(40)))) == 40
    await db.close()
