"""Who is which member: linking, linking again, another member, unlinking."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from core.db import table
from core.errors import NotFound
from crm.activities import Fact, record
from crm.customers import merging
from crm.customers.models import CustomerMerge
from crm.linking import links
from crm.linking.links import TooManyFriends
from crm.linking.models import MemberLink
from crm.models import Activity, Customer, Friend
from tests.crm.linking.conftest import KEN_NUMBER, NOW, Town


async def kinds(town: Town, customer_id: int) -> list[str]:
    rows = [row for row in await town.rows(Activity) if row.customer_id == customer_id]
    return [row.kind for row in sorted(rows, key=lambda row: row.id)]


async def test_linking_makes_the_anonymous_friend_the_member(town: Town) -> None:
    anonymous = await town.customer_of(town.hana)
    async with town.open() as session:
        seen = Fact(anonymous.id or 0, "followed", NOW, friend_id=town.hana, source="f:1")
        await record(session, [seen], now=NOW)

    linked = await town.link(town.hana, town.ken)

    assert (linked.customer_id, linked.member_number, linked.new) == (town.ken, KEN_NUMBER, True)
    assert (await town.customer_of(town.hana)).id == town.ken
    assert (await town.customer(anonymous.id or 0)).merged_into_id == town.ken
    assert {"followed", "linked"} <= set(await kinds(town, town.ken))


async def test_linking_twice_changes_nothing(town: Town) -> None:
    first = await town.link(town.hana, town.ken)

    again = await town.link(town.hana, town.ken, method="account_link")

    assert (again.link_id, again.new) == (first.link_id, False)
    assert len(await town.rows(MemberLink)) == 1
    assert (await kinds(town, town.ken)).count("linked") == 1


async def test_another_member_takes_the_friend_and_leaves_everything_else(town: Town) -> None:
    await town.buy("A-1", town.ken, total=10_000)
    await town.link(town.hana, town.ken)
    points = (await town.customer(town.ken)).points

    linked = await town.link(town.hana, town.mio, now=NOW + timedelta(hours=1))

    assert (linked.left_id, linked.merge_id) == (town.ken, None)
    assert (await town.customer_of(town.hana)).id == town.mio
    assert (await town.customer(town.ken)).merged_into_id is None
    assert (await town.customer(town.ken)).points == points
    assert (await town.customer(town.mio)).points == 0
    assert (await kinds(town, town.ken))[-1] == "unlinked"
    open_ = [row for row in await town.rows(MemberLink) if row.unlinked_at is None]
    assert [(row.friend_id, row.customer_id) for row in open_] == [(town.hana, town.mio)]


async def test_unlinking_gives_the_friend_a_fresh_record(town: Town) -> None:
    await town.buy("A-1", town.ken, total=10_000)
    await town.link(town.hana, town.ken)

    left = await town.unlink(town.hana)

    fresh = await town.customer_of(town.hana)
    assert (left.left_id, left.customer_id) == (town.ken, fresh.id)
    assert (fresh.member_number, fresh.points, fresh.purchase_count) == (None, 0, 0)
    assert (await town.customer(town.ken)).purchase_count == 1
    [link] = await town.rows(MemberLink)
    assert (link.unlinked_at, link.unlinked_by) == (NOW, "customer")


async def test_unlinking_who_is_not_linked_does_nothing(town: Town) -> None:
    before = await town.customer_of(town.hana)

    assert await town.unlink(town.hana) is None
    assert (await town.customer_of(town.hana)).id == before.id


async def test_linking_after_unlinking_merges_the_fresh_record_in(town: Town) -> None:
    await town.link(town.hana, town.ken)
    await town.unlink(town.hana)

    linked = await town.link(town.hana, town.ken)

    assert linked.new
    assert linked.merge_id is not None
    assert (await town.customer_of(town.hana)).id == town.ken


async def test_a_member_links_as_many_line_accounts_as_the_policy_says(town: Town) -> None:
    await town.allow(max_friends=2)
    await town.link(town.hana, town.ken)
    await town.link(town.jun, town.ken)
    third = await town.new_friend("rin")

    with pytest.raises(TooManyFriends):
        await town.link(third, town.ken)

    assert (await town.customer_of(third)).member_number is None
    await town.unlink(town.hana)
    assert (await town.link(third, town.ken)).new


async def test_two_people_with_one_line_account_take_turns(town: Town) -> None:
    for member in (town.ken, town.mio, town.ken):
        await town.link(town.hana, member)

    assert (await town.customer_of(town.hana)).id == town.ken
    records = [row.id for row in await town.rows(Customer) if row.merged_into_id is None]
    assert {town.ken, town.mio} <= set(records)


async def test_the_merge_of_a_link_can_be_undone_by_staff(town: Town) -> None:
    anonymous = (await town.customer_of(town.hana)).id
    linked = await town.link(town.hana, town.ken)
    assert linked.merge_id is not None

    async with town.open() as session:
        await merging.undo(session, linked.merge_id, actor="staff", now=NOW)

    assert (await town.customer_of(town.hana)).id == anonymous
    [merge] = await town.rows(CustomerMerge)
    assert merge.undone_at == NOW


async def test_the_id_of_a_merged_record_links_to_what_it_became(town: Town) -> None:
    old = (await town.customer_of(town.jun)).id or 0
    await town.link(town.jun, town.ken)

    linked = await town.link(town.hana, old)

    assert linked.customer_id == town.ken


async def test_an_unknown_friend_or_member_is_an_error(town: Town) -> None:
    with pytest.raises(NotFound):
        await town.link(99, town.ken)
    with pytest.raises(NotFound):
        await town.link(town.hana, 999)


async def test_whom_staff_made_a_member_without_a_link_can_leave_too(town: Town) -> None:
    async with town.open() as session:
        friend = await session.get_one(Friend, town.hana)
        await merging.merge(
            session, friend.customer_id, town.ken, reason="at the till", evidence={}, actor="staff",
            now=NOW,
        )  # fmt: skip
        await session.refresh(friend)
        member = await links.membership(session, friend)
    assert member is not None
    assert member.member_number == KEN_NUMBER

    assert (await town.unlink(town.hana)).left_id == town.ken

    assert (await town.customer_of(town.hana)).member_number is None


async def test_undoing_the_merge_of_a_link_ends_the_link(town: Town) -> None:
    linked = await town.link(town.hana, town.ken)
    assert linked.merge_id is not None
    async with town.open() as session:
        await merging.undo(session, linked.merge_id, actor="staff", now=NOW)
        merges = list(await session.execute(select(table(CustomerMerge))))
        ended = await links.end_parted(session, [merges[0].from_id, town.ken], now=NOW)
        member = await links.membership(session, await session.get_one(Friend, town.hana))

    assert (ended, member) == (1, None)
    [link] = await town.rows(MemberLink)
    assert link.unlinked_by == "merge_undone"


async def test_twenty_links_at_once_are_one_link_and_one_merge(town: Town) -> None:
    results = await asyncio.gather(*(town.link(town.hana, town.ken) for _ in range(20)))

    assert [linked.new for linked in results].count(True) == 1
    assert len(await town.rows(MemberLink)) == len(await town.rows(CustomerMerge)) == 1


async def test_as_many_link_at_once_as_the_policy_allows(town: Town) -> None:
    await town.allow(max_friends=3, thanks_points=100)
    friends = [await town.new_friend(f"f{n}") for n in range(8)]

    results = await asyncio.gather(
        *(town.link(friend, town.ken) for friend in friends), return_exceptions=True
    )

    refused = [result for result in results if isinstance(result, TooManyFriends)]
    assert (len(results) - len(refused), len(refused)) == (3, 5)
    assert (await town.customer(town.ken)).points == 100


async def test_linking_to_two_members_at_once_ends_with_one(town: Town) -> None:
    members = [town.ken, town.mio] * 5

    await asyncio.gather(*(town.link(town.hana, member) for member in members))

    open_ = [row for row in await town.rows(MemberLink) if row.unlinked_at is None]
    assert [row.customer_id for row in open_] == [(await town.customer_of(town.hana)).id]
