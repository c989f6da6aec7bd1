"""Two records become one, and two again: nobody's points are lost or doubled."""

from datetime import timedelta
from typing import Any

from sqlalchemy import update

from core.db import table
from crm.customers import locking
from crm.points import move
from crm.purchases.models import Purchase
from tests.crm.points.conftest import NOW, Books

DAY = timedelta(days=1)


async def merge(books: Books) -> dict[str, Any]:
    """Ken's record becomes Hana's."""
    async with books.db.transaction() as session:
        await locking.lock(session, [books.ken, books.hana])
        purchase = table(Purchase)
        here = update(purchase).where(purchase.c.customer_id == books.ken)
        made = here.values(customer_id=books.hana).returning(purchase.c.id)
        bought = list(await session.scalars(made))
        moved = await move.move(session, books.ken, books.hana, now=NOW)
    return {"bought": bought, **moved}


async def part(books: Books, moved: dict[str, Any], *, days: int = 0) -> None:
    async with books.db.transaction() as session:
        await locking.lock(session, [books.ken, books.hana])
        purchase = table(Purchase)
        here = update(purchase).where(purchase.c.id.in_(moved["bought"]))
        await session.execute(here.values(customer_id=books.ken))
        await move.move_back(session, books.ken, books.hana, moved, now=NOW + days * DAY)


async def both(books: Books) -> tuple[tuple[int, int], tuple[int, int]]:
    """Balance and owed of Hana and of Ken."""
    return await books.points(), await books.points(books.ken)


async def test_a_merge_adds_up_and_its_undoing_restores_both(books: Books) -> None:
    await books.grant(50, "hana")
    await books.grant(100, "ken", who=books.ken)
    await books.spend(30, "order", who=books.ken)

    moved = await merge(books)
    assert await both(books) == ((120, 0), (0, 0))
    await books.prove()

    await part(books, moved)
    assert await both(books) == ((50, 0), (70, 0))


async def test_what_was_spent_since_is_borne_by_whom_it_came_to(books: Books) -> None:
    await books.grant(50, "hana", expires_at=NOW + 9 * DAY)
    await books.grant(100, "ken", who=books.ken, expires_at=NOW + 5 * DAY)
    moved = await merge(books)
    await books.spend(120, "order")  # 100 of Ken's lot, 20 of Hana's

    await part(books, moved)

    assert await both(books) == ((0, 70), (100, 0))
    assert [lot.remaining for lot in await books.lots()] == [0, 100]


async def test_what_was_granted_since_stays_where_it_came(books: Books) -> None:
    await books.grant(100, "ken", who=books.ken, expires_at=NOW + 5 * DAY)
    moved = await merge(books)
    await books.grant(40, "review", expires_at=NOW + 2 * DAY)
    await books.spend(60, "order")  # 40 of the review, 20 of Ken's lot

    await part(books, moved)

    assert await both(books) == ((0, 20), (100, 0))


async def test_purchases_take_their_later_points_along(books: Books) -> None:
    await books.policy(base_rate=10)
    id_ = await books.buy("1", 1000, customer_id=books.ken)
    moved = await merge(books)
    await books.alter(id_, refunded=500)
    assert await both(books) == ((50, 0), (0, 0))

    await part(books, moved)
    assert await both(books) == ((0, 0), (50, 0))
    await books.recount(id_)
    assert await both(books) == ((0, 0), (50, 0))


async def test_points_that_expired_meanwhile_come_back_for_thirty_days(books: Books) -> None:
    await books.grant(100, "ken", who=books.ken, expires_at=NOW + 5 * DAY)
    moved = await merge(books)
    await books.spend(60, "order")
    await part(books, moved, days=10)

    assert await both(books) == ((0, 60), (60, 0))  # 40 expired unused, as they would have


async def test_a_debt_that_the_other_has_paid_is_given_back(books: Books) -> None:
    await books.policy(base_rate=10)
    id_ = await books.buy("1", 1000, customer_id=books.ken)
    await books.spend(100, "order", who=books.ken)
    await books.alter(id_, refunded=1000)  # Ken owes 100
    moved = await merge(books)
    assert await both(books) == ((0, 100), (0, 0))
    await books.grant(130, "hana")
    assert await both(books) == ((30, 0), (0, 0))

    await part(books, moved)

    assert await both(books) == ((130, 0), (0, 100))


async def test_pending_points_move_and_open_on_either_side(books: Books) -> None:
    await books.grant(100, "ken", who=books.ken, available_at=NOW + DAY)
    moved = await merge(books)
    await books.grant(1, "hana", now=NOW + 2 * DAY)
    assert await both(books) == ((101, 0), (0, 0))

    await part(books, moved, days=3)
    assert await both(books) == ((1, 0), (100, 0))
