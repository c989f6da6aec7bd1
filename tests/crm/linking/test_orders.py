"""Linking by an order: whose it must be, what it must be proved with, how long it is waited for."""

from datetime import timedelta

import pytest

from crm.linking import orders
from crm.linking.models import PendingLink
from crm.linking.orders import Named
from tests.crm.linking.conftest import KEN_PHONE, NOW, TOKYO, Town


async def name(town: Town, order: str, proof: str = "", friend_id: int | None = None) -> Named:
    async with town.open() as session:
        return await orders.name(session, friend_id or town.hana, order, proof, now=NOW, zone=TOKYO)


@pytest.mark.parametrize(
    ("order", "proof", "outcome"),
    [
        ("ABC-123", KEN_PHONE, "linked"),
        ("＃ａｂｃ-123", "ken@EXAMPLE.jp", "linked"),
        (" abc-123 ", "〒231-0023", "linked"),
        ("ABC-123", "", "incomplete"),
        ("ABC-123", "hello", "incomplete"),
        ("AB", KEN_PHONE, "incomplete"),
        ("ABC-123", "090-9999-9999", "waiting"),
        ("ABC-124", KEN_PHONE, "waiting"),
        ("OLD-1", KEN_PHONE, "waiting"),
    ],
)
async def test_an_order_and_what_is_known_of_its_buyer(
    town: Town, order: str, proof: str, outcome: str
) -> None:
    await town.buy("ABC-123", town.ken)
    await town.buy("OLD-1", town.ken, at=NOW - timedelta(days=91))

    assert (await name(town, order, proof)).outcome == outcome


async def test_an_order_number_that_two_members_have_links_neither(town: Town) -> None:
    await town.allow(order_link="order_only")
    await town.buy("1001", town.ken)
    await town.buy("1001", town.mio, source="mall")

    assert (await name(town, "1001")).outcome == "waiting"


async def test_who_has_a_line_account_is_not_linked_by_an_order(town: Town) -> None:
    await town.buy("ABC-123", town.ken)
    await town.link(town.jun, town.ken)

    assert (await name(town, "ABC-123", KEN_PHONE)).outcome == "waiting"
    assert (await name(town, "ABC-123", KEN_PHONE, friend_id=town.jun)).outcome == "already"


async def test_a_friend_waits_for_three_orders_at_most_and_once_for_each(town: Town) -> None:
    for order in ("A-1", "a-1", "A-2", "A-3", "A-4"):
        await name(town, order, KEN_PHONE)

    waits = [row.order_id for row in await town.rows(PendingLink) if row.state == "waiting"]
    assert waits == ["A-1", "A-2", "A-3"]
    assert (await name(town, "A-5", KEN_PHONE)).outcome == "too_many"


async def test_a_link_completes_when_its_order_is_here(town: Town) -> None:
    await name(town, "ABC-123", KEN_PHONE)
    await name(town, "ABC-123", "090-9999-9999", friend_id=town.jun)
    await town.buy("#ABC-123", town.ken)

    async with town.open() as session:
        done = await orders.complete(session, ["#ABC-123"], now=NOW, zone=TOKYO)
        again = await orders.complete(session, ["#ABC-123"], now=NOW, zone=TOKYO)

    assert [one.friend_id for one in done] == [town.hana]
    assert again == []
    assert (await town.customer_of(town.hana)).id == town.ken
    assert (await town.customer_of(town.jun)).member_number is None
    states = {row.friend_id: row.state for row in await town.rows(PendingLink)}
    assert states == {town.hana: "done", town.jun: "waiting"}


async def test_waiting_ends_after_two_weeks(town: Town) -> None:
    await name(town, "ABC-123", KEN_PHONE)
    late = NOW + timedelta(days=14)
    await town.buy("ABC-123", town.ken)

    async with town.open() as session:
        assert await orders.complete(session, ["ABC-123"], now=late, zone=TOKYO) == []
        assert await orders.expire(session, now=late, limit=100) == 1

    [row] = await town.rows(PendingLink)
    assert row.state == "expired"


async def test_any_other_link_settles_what_waits(town: Town) -> None:
    await name(town, "ABC-123", KEN_PHONE)

    await town.link(town.hana, town.mio)

    [row] = await town.rows(PendingLink)
    assert row.state == "expired"
    await town.buy("ABC-123", town.ken)
    async with town.open() as session:
        assert await orders.complete(session, ["ABC-123"], now=NOW, zone=TOKYO) == []


async def test_the_way_can_be_closed(town: Town) -> None:
    await town.allow(order=False)
    await town.buy("ABC-123", town.ken)

    assert (await name(town, "ABC-123", KEN_PHONE)).outcome == "off"
