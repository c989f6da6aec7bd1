"""Many at once, on one customer and on several: exactly as much happens as should."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from datetime import datetime
from typing import Any

import pytest

from core.runtime import Runtime
from crm.points import jobs, ledger
from crm.points.ledger import OverDailyLimit, Overdrawn
from tests.crm.points.conftest import Books, add_customers

AT_ONCE = 20


@pytest.fixture
async def now(runtime: Runtime) -> datetime:
    return await runtime.clock.now()


@pytest.fixture
async def books(runtime: Runtime) -> AsyncIterator[Books]:
    hana, ken = await add_customers(runtime.db, 2)
    made = Books(runtime.db, hana, ken)
    yield made
    await made.prove()


async def passed(*works: Coroutine[Any, Any, Any]) -> int:
    """How many succeed; the others are refused for what they may be refused for."""
    done = await asyncio.gather(*works, return_exceptions=True)
    assert all(not isinstance(d, BaseException) or isinstance(d, Overdrawn | OverDailyLimit)
               for d in done), done  # fmt: skip
    return sum(not isinstance(d, BaseException) for d in done)


async def test_twenty_spends_at_once_pass_as_often_as_there_are_points(
    books: Books, now: datetime
) -> None:
    await books.grant(450, "a", now=now)
    await books.grant(299, "b", now=now)

    spends = [books.spend(100, f"order:{n}", now=now) for n in range(AT_ONCE)]

    assert await passed(*spends) == 7  # 749 points
    assert await books.points() == (49, 0)


async def test_the_same_spend_twenty_times_at_once_is_one(books: Books, now: datetime) -> None:
    await books.grant(500, "a", now=now)
    spends = [books.spend(100, "order:1", now=now) for _ in range(AT_ONCE)]
    assert await passed(*spends) == AT_ONCE
    assert await books.points() == (400, 0)


async def test_the_same_grant_ten_times_at_once_counts_once(books: Books, now: datetime) -> None:
    new = await asyncio.gather(*(books.grant(100, "welcome", now=now) for _ in range(10)))
    assert sum(new) == 1
    assert await books.points() == (100, 0)


async def test_the_same_refund_ten_times_at_once_takes_back_once(
    books: Books, now: datetime
) -> None:
    await books.policy(base_rate=10)
    id_ = await books.buy("1", 1000, now=now)
    await asyncio.gather(*(books.alter(id_, now=now, refunded=600) for _ in range(10)))
    assert await books.points() == (40, 0)


async def test_the_daily_limit_holds_for_corrections_of_several_customers_at_once(
    books: Books, runtime: Runtime, now: datetime
) -> None:
    await books.policy(staff_daily_limit=1000)
    people = await add_customers(runtime.db, AT_ONCE)

    async def correct(customer_id: int) -> None:
        async with runtime.db.transaction() as session:
            await ledger.correct(
                session, customer_id, 300, reason="お詫び", actor="token:till", now=now,
                source=f"correct:{customer_id}",
            )  # fmt: skip

    assert await passed(*(correct(one) for one in people)) == 3


async def test_jobs_that_run_at_once_expire_and_confirm_each_lot_once(
    books: Books, runtime: Runtime, now: datetime
) -> None:
    for n in range(5):
        await books.grant(10, f"a{n}", now=now, expires_at=now)  # over already: never granted
        await books.grant(10, f"b{n}", now=now, expires_at=now.replace(year=now.year + 1))
        await books.grant(10, f"c{n}", now=now, available_at=now.replace(year=now.year + 1))
    await runtime.clock.move_to(now.replace(year=now.year + 1))  # type: ignore[attr-defined]

    work = [job(runtime) for _ in range(4) for job in (jobs.expire_due, jobs.confirm_due)]
    await asyncio.gather(*work)

    assert sorted(await books.entries()) == [("expire", -10)] * 5 + [("grant", 10)] * 10
    assert await books.points() == (50, 0)
