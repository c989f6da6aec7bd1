"""Points by the calendar: confirmed, told of before they expire, expired, added up."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from core.clock import SimulatedClock
from core.db import table
from core.models import SimulatedTime
from core.runtime import Runtime
from crm.models import Customer
from crm.points import jobs, ledger, liability, proof
from crm.points.jobs import BATCH
from tests.crm.points.conftest import NOW, Books, add_customers

TOKYO = ZoneInfo("Asia/Tokyo")
DAY = timedelta(days=1)


@pytest.fixture
async def books(runtime: Runtime) -> AsyncIterator[Books]:
    await runtime.clock.now()
    async with runtime.db.transaction() as session:
        await session.execute(update(table(SimulatedTime)).values(now_at=NOW))
    hana, ken = await add_customers(runtime.db, 2)
    made = Books(runtime.db, hana, ken)
    yield made
    await made.prove()


async def until(runtime: Runtime, moment: datetime) -> None:
    assert isinstance(runtime.clock, SimulatedClock)
    await runtime.clock.move_to(moment)


async def test_pending_points_are_confirmed_when_the_window_is_over(
    books: Books, runtime: Runtime
) -> None:
    await books.policy(base_rate=10, return_window_days=7)
    await books.buy("1", 1000)
    opens = datetime(2027, 1, 18, tzinfo=TOKYO).astimezone(UTC)

    await until(runtime, opens - timedelta(seconds=1))
    early = await jobs.confirm_due(runtime)
    await until(runtime, opens)
    due = await jobs.confirm_due(runtime)

    assert (early, due, await jobs.confirm_due(runtime)) == (0, 1, 0)
    assert await books.points() == (100, 0)
    assert len(await books.told("points_granted")) == 1


async def test_confirmed_points_settle_what_is_owed(books: Books, runtime: Runtime) -> None:
    await books.policy(base_rate=10)
    id_ = await books.buy("1", 1000)
    await books.spend(100, "order")
    await books.alter(id_, refunded=1000)
    await books.grant(130, "later", available_at=NOW + DAY)

    await until(runtime, NOW + DAY)
    await jobs.confirm_due(runtime)

    assert await books.points() == (30, 0)


async def test_points_expire_when_their_last_day_is_over(books: Books, runtime: Runtime) -> None:
    await books.policy(expiry={"months": 1})
    await books.grant(100, "a")
    await books.spend(30, "order")
    over = datetime(2027, 2, 11, tzinfo=TOKYO).astimezone(UTC)

    await until(runtime, over - timedelta(seconds=1))
    early = await jobs.expire_due(runtime)
    await until(runtime, over)
    due = await jobs.expire_due(runtime)

    assert (early, due, await jobs.expire_due(runtime)) == (0, 1, 0)
    assert await books.points() == (0, 0)
    (told,) = await books.told("points_expired")
    assert told["points"] == 70


async def test_more_lots_than_a_batch_holds_all_expire(books: Books, runtime: Runtime) -> None:
    many = BATCH + 3
    lots = [
        ledger.Grant(books.hana if n % 2 else books.ken, 1, f"g:{n}", "x", expires_at=NOW + DAY)
        for n in range(many)
    ]
    async with runtime.db.transaction() as session:
        assert await ledger.grant(session, lots, now=NOW) == many
    await until(runtime, NOW + DAY)

    assert await jobs.expire_due(runtime) == many
    assert (await books.points(), await books.points(books.ken)) == ((0, 0), (0, 0))


async def test_who_loses_points_soon_is_told_once_for_each_notice_day(
    books: Books, runtime: Runtime
) -> None:
    await books.policy(expiry_notice_days=[7, 30, 7])
    last_day = datetime(2027, 3, 2, tzinfo=TOKYO)  # the points are good until it begins
    await books.grant(100, "a", expires_at=last_day)
    await books.grant(20, "b", expires_at=last_day)
    await books.grant(500, "never", expires_at=None)
    told = []
    for day in range(60):
        await until(runtime, NOW + day * DAY)
        told.append(await jobs.notify_expiring(runtime) + await jobs.notify_expiring(runtime))
        if day == 30:
            await books.spend(90, "order", now=NOW + day * DAY)
        await jobs.expire_due(runtime)

    # good until the end of 1 March: 30 days before is 30 January (day 20), 7 is 22 February (43)
    assert [day for day, number in enumerate(told) if number] == [20, 43]
    first, second = await books.told("points_expiring")
    assert (first["points"], first["days"], first["expires_on"]) == (120, 30, "2027-03-01")
    assert (second["points"], second["days"]) == (30, 7)


async def test_a_notice_that_was_missed_for_a_day_is_made_up_for(
    books: Books, runtime: Runtime
) -> None:
    await books.grant(100, "a", expires_at=NOW + 8 * DAY)
    await until(runtime, NOW + 3 * DAY)
    assert await jobs.notify_expiring(runtime) == 1


async def test_liability_is_told_by_the_month_of_the_last_good_day(
    books: Books, runtime: Runtime
) -> None:
    await books.policy(yen_per_point=2)
    new_year = datetime(2028, 1, 1, tzinfo=TOKYO)
    await books.grant(100, "a", expires_at=new_year)  # good until the end of December
    await books.grant(10, "b", expires_at=new_year + DAY)
    await books.grant(7, "never", expires_at=None)
    await books.grant(1000, "pending", available_at=NOW + DAY)
    await books.grant(40, "who", who=books.ken, expires_at=new_year - DAY)

    async with runtime.db.reading() as session:
        told = await liability.report(session, now=NOW, zone=TOKYO)

    assert [(m.month, m.points, m.yen) for m in told.months] == [
        ("2027-12", 140, 280), ("2028-01", 10, 20), (None, 7, 14)
    ]  # fmt: skip
    assert (told.points, told.yen, told.pending_points, told.owed_points) == (157, 314, 1000, 0)


async def test_a_difference_is_found(books: Books, runtime: Runtime) -> None:
    await books.grant(100, "a")
    assert await proof.prove(runtime) == 0
    customer = table(Customer)
    for points, found in ((99, 1), (100, 0)):
        async with runtime.db.transaction() as session:
            here = update(customer).where(customer.c.id == books.hana)
            await session.execute(here.values(points=points))
        assert await proof.prove(runtime) == found
