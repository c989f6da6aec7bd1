"""News of one order in every order of arrival, once and again: the same end."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import delete, update

from core.db import table
from crm.models import Activity, Customer
from crm.points.models import PointDraw, PointEntry, PointLot
from crm.purchases.draft import LineDraft, PurchaseDraft
from crm.purchases.models import Purchase, PurchaseLine, PurchaseRefund
from tests.crm.purchases.conftest import DAY, NOW, Books, back, order

HOUR = timedelta(hours=1)
TEA = LineDraft(sku="tea", category="tea", quantity=1, unit_price=2_000)


def bare(**values: Any) -> PurchaseDraft:
    """News without the order's content."""
    return order(total=None, member_number=None, lines=(), **values)


# What an online shop tells of one order over some days, each with the moment at which it was so.
NEWS: list[PurchaseDraft] = [
    order(as_of=NOW - 9 * HOUR, paid=False),
    order(as_of=NOW - 8 * HOUR, paid_at=NOW - 8 * HOUR),
    order(as_of=NOW - 7 * HOUR, paid_at=NOW - 8 * HOUR, shipped_at=NOW - 7 * HOUR),
    order(as_of=NOW - 6 * HOUR, paid=False, total=2_000, lines=[TEA], store="本店"),
    order(as_of=NOW - 5 * HOUR, paid=False, total=2_000, lines=[TEA], member_number="M-2"),
    order(
        as_of=NOW - 4 * HOUR, total=2_000, lines=[TEA], member_number="M-2", paid_at=NOW - 4 * HOUR,
        refunds=[back("a", 500, NOW - 4 * HOUR)],
    ),
    bare(refunds=[back("a", 500, NOW - 4 * HOUR)]),
    bare(refunds=[back("b", 300, NOW - 2 * HOUR)]),
    bare(delivered_at=NOW - HOUR),
]  # fmt: skip
CANCELLED = order(
    as_of=NOW - HOUR, total=2_000, lines=[TEA], member_number="M-2", paid=False,
    cancelled_at=NOW - HOUR,
)  # fmt: skip


async def empty(books: Books) -> None:
    """As if nothing had been bought."""
    async with books.db.transaction() as session:
        for model in (
            PointDraw, PointEntry, PointLot, Activity, PurchaseRefund, PurchaseLine, Purchase,
        ):  # fmt: skip
            await session.execute(delete(table(model)))
        customer = table(Customer)
        await session.execute(delete(customer).where(customer.c.member_number.is_(None)))
        await session.execute(
            update(customer).values(
                points=0, points_owed=0, purchase_count=0, purchase_total=0, rank=None,
                rank_since=None, rank_until=None,
            )
        )  # fmt: skip


async def standing(books: Books) -> Any:
    """What the shop knows in the end."""
    row = await books.purchase()
    fields = (
        "customer_id", "purchased_at", "total", "refunded", "store", "paid_at", "shipped_at",
        "delivered_at", "cancelled_at", "warnings",
    )  # fmt: skip
    lines = [(line.sku, line.unit_price) for line in await books.rows(PurchaseLine)]
    refunds = sorted((r.key, r.amount) for r in await books.rows(PurchaseRefund))
    people = []
    for id_ in (books.hana, books.ken):
        figures = await books.figures(id_)
        people.append((figures, await books.points(id_), await books.kinds(id_)))
    return [getattr(row, name) for name in fields], lines, refunds, people


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    arrival=st.permutations(range(len(NEWS))),
    again=st.lists(st.integers(0, len(NEWS) - 1), max_size=4),
    together=st.integers(1, 4),
)
async def test_news_in_any_order_of_arrival_comes_to_the_same_end(
    books: Books, arrival: Sequence[int], again: Sequence[int], together: int
) -> None:
    await empty(books)
    arriving = [NEWS[n] for n in (*arrival, *again)]

    for start in range(0, len(arriving), together):
        await books.tell(*arriving[start : start + together], create_missing=True)

    end, lines, refunds, people = await standing(books)
    assert end == [
        books.ken, NOW - DAY, 2_000, 800, None, NOW - 8 * HOUR, NOW - 7 * HOUR, NOW - HOUR, None, []
    ]  # fmt: skip
    assert lines == [("tea", 2_000)]
    assert refunds == [("a", 500), ("b", 300)]
    told = ["delivered", "order_placed", "purchased", "refunded", "refunded", "shipped"]
    assert people == [((0, 0), 0, []), ((1, 1_200), 12, told)]


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(arrival=st.permutations(range(len(NEWS) + 1)))
async def test_a_cancelled_order_counts_for_nothing_whenever_the_news_of_it_comes(
    books: Books, arrival: Sequence[int]
) -> None:
    await empty(books)
    news = [*NEWS, CANCELLED]

    for n in arrival:
        await books.tell(news[n], create_missing=True)

    _end, _lines, _refunds, people = await standing(books)
    assert [(figures, points) for figures, points, _kinds in people] == [((0, 0), 0)] * 2
    assert "order_cancelled" in people[1][2]
