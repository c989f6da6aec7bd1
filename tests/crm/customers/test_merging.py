"""Merging: two records become one person's, nothing is counted twice, and it can be undone."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

import server.migrations  # noqa: F401 - all tables, as every process of ours knows them
from core.db import Model, table
from core.errors import Conflict, NotFound
from crm.customers import attributes, doubles, locking, merging, records, tags, topics
from crm.customers.attributes import DefinitionDraft
from crm.customers.models import (
    DISMISSED,
    MERGED,
    AttributeValue,
    Consent,
    CustomerMerge,
    CustomerTag,
    SuspectedDouble,
)
from crm.customers.records import CustomerDraft
from crm.linking.models import MemberLink
from crm.models import Activity, Customer, Friend
from crm.points import ledger
from crm.points.ledger import Grant
from crm.purchases import records as purchases
from crm.purchases.draft import PurchaseDraft
from crm.purchases.models import Purchase
from flows.models import ACTIVE, Enrolment, Flow, FlowVersion
from tests.crm.customers.conftest import NOW, TOKYO, People

LATER = NOW + timedelta(hours=1)


async def merge(people: People, from_id: int, into_id: int, now: Any = NOW) -> int:
    async with people.change() as session:
        return await merging.merge(
            session, from_id, into_id, reason="同じ人", evidence={}, actor="token:店長", now=now
        )


async def undo(people: People, merge_id: int, now: Any = LATER) -> None:
    async with people.change() as session:
        await merging.undo(session, merge_id, actor="token:店長", now=now, zone=TOKYO)


async def grant(people: People, customer_id: int, points: int, source: str) -> None:
    async with people.change() as session:
        await locking.lock(session, [customer_id])
        given = Grant(customer_id=customer_id, points=points, source=source, reason="test")
        await ledger.grant(session, [given], now=NOW)


async def buy(people: People, customer_id: int, order_id: str, total: int) -> int:
    draft = PurchaseDraft(
        source="till", order_id=order_id, purchased_at=NOW, total=total, customer_id=customer_id
    )
    async with people.change() as session:
        return (await purchases.record(session, [draft], now=NOW, zone=TOKYO)).ids[0]


async def tag(people: People, customer_id: int, *names: str) -> None:
    async with people.change() as session:
        for name in names:
            await tags.add(session, [customer_id], name, source="test", now=NOW)


async def tags_of(people: People, customer_id: int) -> set[str]:
    return {row.tag for row in await people.rows(CustomerTag, customer_id=customer_id)}


async def owners(people: People, model: Any) -> list[int]:
    return [row.customer_id for row in await people.rows(model)]


async def enrol(people: People, customer_id: int, friend_id: int) -> None:
    async with people.change() as session:
        flow = Flow(id=1, key="f", name="f", definition={}, created_at=NOW, updated_at=NOW)
        session.add(flow)
        await session.flush()
        session.add(FlowVersion(id=1, flow_id=1, number=1, definition={}, published_at=NOW))
        await session.flush()
        session.add(
            Enrolment(
                flow_id=1, flow_version_id=1, customer_id=customer_id, friend_id=friend_id,
                state=ACTIVE, due_at=NOW, entered_at=NOW,
            )
        )  # fmt: skip


async def test_everything_of_the_one_becomes_the_others(people: People) -> None:
    hana = await people.add(name="花", phone="090-1234-5678")
    member = await people.add(member_number="KAI-1", email="hana@example.jp")
    friend = await people.befriend(hana)
    await enrol(people, hana, friend)
    await buy(people, hana, "1", 3_000)
    await buy(people, member, "2", 2_000)
    await grant(people, hana, 100, "a")
    await grant(people, member, 50, "b")
    points = [(await people.get(id_)).points for id_ in (hana, member)]

    await merge(people, hana, member)

    one = await people.get(member)
    assert (one.name, one.phone, one.email) == ("花", "+819012345678", "hana@example.jp")
    assert (one.purchase_count, one.purchase_total) == (2, 5_000)
    assert one.points == sum(points)
    for model in (Friend, Purchase, Enrolment):
        assert set(await owners(people, model)) == {member}
    assert set(await owners(people, Activity)) == {member}
    gone = await people.get(hana)
    assert (gone.merged_into_id, gone.points, gone.purchase_count) == (member, 0, 0)
    assert (await people.told("customers_merged"))[0][0] == member
    async with people.db.reading() as session:
        assert await locking.resolve(session, [hana]) == {hana: member}


async def test_undoing_gives_each_what_they_had_and_what_came_to_them(people: People) -> None:
    hana = await people.add(name="花", phone="090-1234-5678")
    ken = await people.add(member_number="KAI-1", name="健")
    friend = await people.befriend(hana)
    await enrol(people, hana, friend)
    mine = await buy(people, hana, "1", 3_000)
    await grant(people, hana, 100, "a")
    before = {id_: (await people.get(id_)).model_dump() for id_ in (hana, ken)}

    merged = await merge(people, hana, ken)
    theirs = await buy(people, hana, "2", 1_000)  # an old id leads to the one record
    await undo(people, merged)

    back, other = await people.get(hana), await people.get(ken)
    same = {"points", "points_owed", "purchase_count", "purchase_total", "name", "merged_into_id"}
    assert {n: getattr(back, n) for n in same} == {n: before[hana][n] for n in same}
    assert (other.purchase_count, other.purchase_total, other.phone) == (1, 1_000, None)
    bought = {row.id: row.customer_id for row in await people.rows(Purchase)}
    assert bought == {mine: hana, theirs: ken}
    assert await owners(people, Friend) == [hana]
    assert await owners(people, Enrolment) == [hana]
    assert {id_ for id_, _, _ in await people.told("merge_undone")} == {hana, ken}


async def test_the_number_of_an_old_card_still_leads_to_the_person(people: People) -> None:
    old, new = await people.add(member_number="OLD-1"), await people.add(member_number="NEW-1")
    merged = await merge(people, old, new)
    async with people.db.reading() as session:
        found = await records.by_member_number(session, ["OLD-1", "NEW-1"])
    assert found == {"OLD-1": new, "NEW-1": new}

    async with people.change() as session:  # and an import of the old number changes that person
        drafts = [CustomerDraft(member_number=n, name=n) for n in ("NEW-1", "OLD-1")]
        assert await records.upsert(session, drafts, now=NOW, source="csv") == [new, new]
    assert (await people.get(new)).member_number == "NEW-1"

    await undo(people, merged)
    async with people.db.reading() as session:
        found = await records.by_member_number(session, ["OLD-1", "NEW-1"])
    assert found == {"OLD-1": old, "NEW-1": new}


async def test_a_record_without_a_number_gets_the_others_and_gives_it_back(people: People) -> None:
    member, anonymous = await people.add(member_number="KAI-1"), await people.add()
    merged = await merge(people, member, anonymous)
    assert (await people.get(anonymous)).member_number == "KAI-1"
    await undo(people, merged)
    numbers = [(await people.get(id_)).member_number for id_ in (member, anonymous)]
    assert numbers == ["KAI-1", None]


async def test_what_somebody_changed_since_stays_when_the_merge_is_undone(people: People) -> None:
    hana = await people.add(name="花", phone="090-1111-1111", birthday="1990-04-01")
    ken = await people.add()
    await tag(people, hana, "a", "b")
    merged = await merge(people, hana, ken)
    async with people.change() as session:
        one = await locking.locked(session, ken)
        draft = CustomerDraft(phone="090-2222-2222", tags=["a", "b", "c"])
        await records.change(session, one, draft, now=NOW, source="test")

    await undo(people, merged)

    other = await people.get(ken)
    assert (other.name, other.birthday, other.birth_md) == (None, None, None)
    assert other.phone == "+819022222222"
    assert await tags_of(people, ken) == {"c"}
    assert await tags_of(people, hana) == {"a", "b"}


async def test_attributes_fill_gaps_and_the_later_word_on_a_topic_counts(people: People) -> None:
    async with people.change() as session:
        for key in ("skin", "size"):
            draft = DefinitionDraft(key, "text")
            await attributes.save(session, key, draft, expected=None, now=NOW)
    hana = await people.add(attributes={"skin": "dry", "size": "M"})
    ken = await people.add(attributes={"skin": "oily"})
    async with people.change() as session:
        for who, topic, granted, at in [
            (ken, "news", True, NOW),
            (hana, "news", False, LATER),  # said later: counts
            (hana, "sales", True, NOW),
            (ken, "sales", False, LATER),
            (hana, "points", False, NOW),
        ]:
            await topics.decide(session, who, topic, granted, source="test", now=at)

    merged = await merge(people, hana, ken, LATER)
    async with people.db.reading() as session:
        assert (await attributes.of(session, [ken]))[ken] == {"skin": "oily", "size": "M"}
        said = await topics.decisions(session, ken)
    assert said == {"news": False, "sales": False, "coupons": True, "points": False}

    await undo(people, merged)
    async with people.db.reading() as session:
        assert (await attributes.of(session, [hana, ken])) == {
            hana: {"skin": "dry", "size": "M"}, ken: {"skin": "oily"},
        }  # fmt: skip
        said = await topics.decisions(session, ken)
    assert said == {"news": True, "sales": False, "coupons": True, "points": True}


async def test_a_merge_can_be_undone_for_thirty_days(people: People) -> None:
    for days, fine in ((30, True), (31, False)):
        merged = await merge(people, await people.add(), await people.add())
        if fine:
            await undo(people, merged, NOW + timedelta(days=days))
            with pytest.raises(Conflict):  # once
                await undo(people, merged)
        else:
            with pytest.raises(Conflict, match="30"):
                await undo(people, merged, NOW + timedelta(days=days))
    with pytest.raises(NotFound):
        await undo(people, 4711)


async def test_of_two_merges_the_last_is_undone_first(people: People) -> None:
    a, b, c = [await people.add(tags=[name]) for name in "abc"]
    first = await merge(people, a, b)
    second = await merge(people, b, c)
    assert await tags_of(people, c) == {"a", "b", "c"}
    with pytest.raises(Conflict, match=str(c)):
        await undo(people, first)
    await undo(people, second)
    await undo(people, first)
    assert [await tags_of(people, id_) for id_ in (a, b, c)] == [{"a"}, {"b"}, {"c"}]


async def test_what_cannot_be_merged_is_left_alone(people: People) -> None:
    a, b = await people.add(), await people.add()
    with pytest.raises(Conflict):
        await merge(people, a, a)
    with pytest.raises(NotFound):
        await merge(people, a, 4711)
    await merge(people, a, b)
    for pair in ((a, b), (b, a)):
        with pytest.raises(Conflict):
            await merge(people, *pair)
    gone, c = await people.add(), await people.add()
    async with people.change() as session:
        erased = update(table(Customer)).where(table(Customer).c.id == gone)
        await session.execute(erased.values(erased_at=NOW))
    for pair in ((gone, c), (c, gone)):
        with pytest.raises(Conflict):
            await merge(people, *pair)


async def test_merges_at_once_make_one_record_of_all(people: People) -> None:
    ids = [await people.add() for _ in range(4)]
    for id_ in ids:
        await grant(people, id_, 10, f"g{id_}")
    a, b, c, d = ids
    pairs = [(a, b), (b, a), (b, c), (c, b), (c, d), (d, c), (d, a), (a, d)]

    done = await asyncio.gather(*(merge(people, *p) for p in pairs), return_exceptions=True)

    assert len([m for m in done if isinstance(m, int)]) == 3
    assert all(isinstance(m, int | Conflict) for m in done), done
    rows = await people.rows(Customer)
    (one,) = [row for row in rows if row.merged_into_id is None]
    assert one.points == 40
    assert sum(row.points for row in rows) == 40


async def test_a_merge_undone_twice_at_once_is_undone_once(people: People) -> None:
    merged = await merge(people, await people.add(), await people.add())
    done = await asyncio.gather(*(undo(people, merged) for _ in range(5)), return_exceptions=True)
    assert sorted(type(d).__name__ for d in done) == ["Conflict"] * 4 + ["NoneType"]


async def test_what_began_with_a_friend_goes_back_with_the_friend(people: People) -> None:
    hana, ken = await people.add(), await people.add(member_number="KAI-1")
    friend = await people.befriend(hana)
    merged = await merge(people, hana, ken)
    await enrol(people, ken, friend)
    async with people.change() as session:
        session.add(MemberLink(friend_id=friend, customer_id=ken, method="page", linked_at=NOW))
    await undo(people, merged)
    assert await owners(people, Enrolment) == [hana]
    assert await owners(people, MemberLink) == [hana]


def test_every_table_that_points_at_a_customer_has_its_way() -> None:
    followed = {f"{c.table.name}.{c.name}" for c in merging.pointers()}
    assert followed >= {
        "activity.customer_id", "enrolment.customer_id", "friend.customer_id",
        "link_nonce.customer_id", "member_link.customer_id", "purchase.customer_id",
    }  # fmt: skip
    for column in merging.pointers():
        assert len(column.table.primary_key.columns) == 1, f"{column} needs a way of its own"
        unique = [c for c in column.table.constraints if column.name in getattr(c, "columns", [])]
        kinds = {type(c).__name__ for c in unique}
        assert "UniqueConstraint" not in kinds, f"{column} needs a way of its own"
    for name in merging.WITH_FRIENDS:
        assert "friend_id" in Model.metadata.tables[name].columns


async def open_pairs(people: People) -> dict[tuple[int, int], list[str]]:
    async with people.db.reading() as session:
        rows = await session.execute(doubles.query_open())
        return {(r.first_id, r.second_id): r.evidence for r in rows if r.state == "open"}


async def test_who_shares_a_number_or_an_address_is_suspected_and_not_merged(
    people: People,
) -> None:
    hana = await people.add(phone="090-1234-5678", email="hana@example.jp")
    await people.add(phone="090-9999-9999")
    twin = await people.add(phone="+81 90 1234 5678", email="HANA@example.jp")
    async with people.change() as session:
        draft = CustomerDraft(member_number="KAI-3", email="hana@example.jp")
        (third,) = await records.upsert(session, [draft], now=NOW, source="csv")

    assert await open_pairs(people) == {
        (hana, twin): ["phone", "email"], (hana, third): ["email"], (twin, third): ["email"],
    }  # fmt: skip
    assert all(row.merged_into_id is None for row in await people.rows(Customer))


async def test_a_dismissed_pair_is_not_suggested_again(people: People) -> None:
    hana, mother = [await people.add(phone="045-123-4567") for _ in range(2)]
    (double,) = await people.rows(SuspectedDouble)
    async with people.change() as session:
        await doubles.dismiss(session, double.id, actor="token:店長", now=NOW)
        with pytest.raises(Conflict):
            await doubles.find(session, double.id)
    async with people.change() as session:
        await doubles.suspect(session, [hana, mother], now=LATER)
    assert await open_pairs(people) == {}
    (double,) = await people.rows(SuspectedDouble)
    assert (double.state, double.decided_by) == (DISMISSED, "token:店長")


async def test_a_pair_is_done_when_merged_and_two_people_when_parted(people: People) -> None:
    hana, twin = [await people.add(phone="090-1234-5678") for _ in range(2)]
    merged = await merge(people, twin, hana)
    assert [row.state for row in await people.rows(SuspectedDouble)] == [MERGED]
    await undo(people, merged)
    assert [row.state for row in await people.rows(SuspectedDouble)] == [DISMISSED]
    assert await open_pairs(people) == {}


async def test_what_is_kept_of_a_merge_holds_nothing_personal(people: People) -> None:
    hana = await people.add(name="花", phone="090-1234-5678", email="hana@example.jp")
    await merge(people, hana, await people.add())
    (kept,) = await people.rows(CustomerMerge)
    assert not any(text in str(kept) for text in ("花", "+8190", "hana@"))
    assert [len(await people.rows(model)) for model in (AttributeValue, Consent)] == [0, 0]
