"""Records: made, changed and taken over as sets; attributes typed, tags told, nothing lost."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import event

from core.errors import Conflict, Invalid, NotFound, StaleVersion
from crm.customers import attributes, locking, records, tags, topics
from crm.customers.attributes import DefinitionDraft
from crm.customers.models import AttributeValue, CustomerTag
from crm.customers.records import UNSET, CustomerDraft
from crm.customers.topics import TopicDraft
from crm.models import Customer
from tests.crm.customers.conftest import NOW, People

HANA = {
    "member_number": "ＫＡＩ－１", "name": "港　花", "kana": "みなと はな", "birthday": "1990/4/1",
    "phone": "０９０－１２３４－５６７８", "email": "HANA@example.jp", "gender": "女性",
    "postal_code": "２３１００２３",
}  # fmt: skip


async def define(people: People) -> None:
    drafts = {
        "skin_type": DefinitionDraft("肌質", "choice", ["dry", "oily"]),
        "height": DefinitionDraft("身長", "number"),
        "wedding": DefinitionDraft("記念日", "date"),
        "dm": DefinitionDraft("DM", "yes_no"),
        "memo": DefinitionDraft("メモ", "text"),
    }
    async with people.change() as session:
        for key, draft in drafts.items():
            await attributes.save(session, key, draft, expected=None, now=NOW)


async def change(people: People, customer_id: int, **draft: Any) -> bool:
    async with people.change() as session:
        found = await locking.locked(session, customer_id)
        return await records.change(session, found, CustomerDraft(**draft), now=NOW, source="test")


async def values(people: People, customer_id: int) -> dict[str, attributes.Value]:
    async with people.db.reading() as session:
        return (await attributes.of(session, [customer_id])).get(customer_id, {})


async def held(people: People, customer_id: int) -> list[str]:
    async with people.db.reading() as session:
        return (await tags.of(session, [customer_id])).get(customer_id, [])


async def upsert(people: People, *drafts: CustomerDraft) -> list[int]:
    async with people.change() as session:
        return await records.upsert(session, drafts, now=NOW, source="import")


def where(error: pytest.ExceptionInfo[Invalid]) -> list[str]:
    assert all(f.message and f.message_ja for f in error.value.faults)
    return [f.path for f in error.value.faults]


async def test_a_new_customer_is_kept_in_one_form(people: People) -> None:
    hana = await people.get(await people.add(**HANA, tags=["vip"]))

    kept = {name: getattr(hana, name) for name in HANA}
    assert kept == {
        "member_number": "KAI-1", "name": "港 花", "kana": "ミナト ハナ", "birthday": "1990-04-01",
        "phone": "+819012345678", "email": "hana@example.jp", "gender": "female",
        "postal_code": "231-0023",
    }  # fmt: skip
    assert (hana.birth_md, hana.version) == (401, 1)
    assert await people.told() == [(hana.id, "tag_added", {"tag": "vip", "source": "test"})]


async def test_all_that_is_wrong_is_told_at_once_and_nothing_is_kept(people: People) -> None:
    with pytest.raises(Invalid) as refused:
        await people.add(
            birthday="2090-01-01", phone="12", email="x", tags=["", "fine"], attributes={"no": 1}
        )
    assert sorted(where(refused)) == [
        "attributes.no", "birthday", "email", "phone", "tags[0]",
    ]  # fmt: skip
    assert await people.rows(Customer) == []


async def test_a_member_number_is_one_customers(people: People) -> None:
    hana = await people.add(member_number="KAI-1")
    ken = await people.add(member_number="KAI-2")
    for attempt in (
        people.add(member_number="ＫＡＩ－１"),
        change(people, ken, member_number="KAI-1"),
    ):
        with pytest.raises(Invalid) as refused:
            await attempt
        assert where(refused) == ["member_number"]
    async with people.db.reading() as session:
        found = await records.by_member_number(session, ["ＫＡＩ－１", "KAI-9", "no number"])
    assert found == {"ＫＡＩ－１": hana}


async def test_ten_at_once_with_one_number_are_one_customer(people: People) -> None:
    made = await asyncio.gather(
        *(people.add(member_number="KAI-1") for _ in range(10)), return_exceptions=True
    )
    assert len([id_ for id_ in made if isinstance(id_, int)]) == 1
    assert all(isinstance(e, int | Invalid) for e in made)


async def test_a_change_changes_what_is_told_and_nothing_else(people: People) -> None:
    id_ = await people.add(**HANA)

    assert await change(people, id_, name="港 花子", phone=None)
    assert not await change(people, id_, name="港 花子", phone=None, email=UNSET)

    hana = await people.get(id_)
    assert (hana.name, hana.phone, hana.email) == ("港 花子", None, "hana@example.jp")
    assert hana.version == 2
    await change(people, id_, birthday=None)
    assert (await people.get(id_)).birth_md is None


TYPED: list[tuple[str, Any, Any]] = [
    ("skin_type", "dry", "dry"),
    ("skin_type", " oily ", "oily"),
    ("height", 162, 162),
    ("height", "１，６２０．５", 1620.5),
    ("height", -0.5, -0.5),
    ("wedding", "２０２０年２月２９日", "2020-02-29"),
    ("dm", False, False),
    ("dm", "はい", True),
    ("memo", " 珈琲 ", "珈琲"),
]
MISTYPED: list[tuple[str, Any]] = [
    ("skin_type", "wet"),
    ("skin_type", 3),
    ("height", "tall"),
    ("height", True),
    ("height", "nan"),
    ("height", 10**400),
    ("wedding", "2021-02-29"),
    ("wedding", 20200229),
    ("dm", "maybe"),
    ("dm", 1.5),
    ("memo", ""),
    ("memo", "あ" * 1001),
    ("memo", {}),
]


async def test_attributes_are_of_the_type_that_the_shop_defined(people: People) -> None:
    await define(people)
    id_ = await people.add()
    for key, given, kept in TYPED:
        await change(people, id_, attributes={key: given})
        assert (await values(people, id_))[key] == kept
    before = await values(people, id_)
    for key, given in MISTYPED:
        with pytest.raises(Invalid) as refused:
            await change(people, id_, attributes={key: given})
        assert where(refused) == [f"attributes.{key}"]
    assert await values(people, id_) == before


async def test_a_changed_attribute_is_told_without_what_it_says(people: People) -> None:
    await define(people)
    id_ = await people.add(attributes={"memo": "ひみつ"})
    await change(people, id_, attributes={"memo": "ひみつ"})
    await change(people, id_, attributes={"memo": None})

    told = await people.told("attribute_changed")
    assert [data["set"] for _, _, data in told] == [True, False]
    assert "ひみつ" not in str(told)
    assert await people.rows(AttributeValue) == []


async def test_a_definition_cannot_leave_values_behind_that_do_not_fit(people: People) -> None:
    await define(people)
    await people.add(attributes={"skin_type": "dry"})
    tighter = DefinitionDraft("肌質", "choice", ["oily"])
    for draft in (tighter, DefinitionDraft("肌質", "text")):
        with pytest.raises(Conflict):
            async with people.change() as session:
                await attributes.save(session, "skin_type", draft, expected=1, now=NOW)
    with pytest.raises(Conflict):
        async with people.change() as session:
            await attributes.remove(session, "skin_type", with_values=False)
    with pytest.raises(StaleVersion):
        async with people.change() as session:
            await attributes.save(session, "skin_type", tighter, expected=7, now=NOW)
    async with people.change() as session:
        assert await attributes.remove(session, "skin_type", with_values=True) == 1


BAD_DEFINITIONS = [
    (DefinitionDraft("x", "colour"), "type"),
    (DefinitionDraft("x", "choice"), "choices"),
    (DefinitionDraft("x", "text", ["a"]), "choices"),
    (DefinitionDraft("x", "choice", ["a", " a"]), "choices"),
    (DefinitionDraft("x", "choice", ["a", ""]), "choices"),
]


async def test_a_definition_that_makes_no_sense_is_refused(people: People) -> None:
    for draft, path in BAD_DEFINITIONS:
        with pytest.raises(Invalid) as refused:
            async with people.change() as session:
                await attributes.save(session, "x", draft, expected=None, now=NOW)
        assert where(refused) == [path]


async def test_tags_are_added_and_taken_off_as_sets_and_told_once(people: People) -> None:
    ids = [await people.add() for _ in range(3)]
    friend = await people.befriend(ids[0])
    async with people.change() as session:
        assert await tags.add(session, ids[:2], " vip ", source="flow", now=NOW) == set(ids[:2])
        assert await tags.add(session, ids, "vip", source="flow", now=NOW) == {ids[2]}
        assert await tags.remove(session, ids[1:], "vip", source="flow", now=NOW) == set(ids[1:])
        assert await tags.remove(session, ids[1:], "vip", source="flow", now=NOW) == set()
    assert [len(await held(people, id_)) for id_ in ids] == [1, 0, 0]
    assert [(id_, kind) for id_, kind, _ in await people.told()] == [
        *((id_, "tag_added") for id_ in ids), *((id_, "tag_removed") for id_ in ids[1:]),
    ]  # fmt: skip
    assert (await people.rows(CustomerTag))[0].source == "flow"
    assert friend


async def test_a_draft_with_tags_names_all_of_them(people: People) -> None:
    id_ = await people.add(tags=["a", "b"])
    await change(people, id_, tags=["b", "c"])
    assert await held(people, id_) == ["b", "c"]
    await change(people, id_, tags=[])
    assert await held(people, id_) == []


async def test_members_are_made_and_changed_as_one_set(people: People) -> None:
    await define(people)
    hana = await people.add(member_number="KAI-1", name="花", phone="090-1111-1111", tags=["shop"])
    drafts = [
        CustomerDraft(member_number="KAI-2", name="健", attributes={"height": "170"}),
        CustomerDraft(member_number="ＫＡＩ－１", email="hana@example.jp", tags=["import"]),
        CustomerDraft(member_number="KAI-2", name="健太"),  # the later line has the last word
    ]

    ken, again, ken_again = await upsert(people, *drafts)

    assert (again, ken_again) == (hana, ken)
    kept = await people.get(hana)
    assert (kept.name, kept.email, kept.version) == ("花", "hana@example.jp", 2)
    assert await held(people, hana) == ["import", "shop"]
    assert (await people.get(ken)).name == "健太"
    assert await values(people, ken) == {"height": 170}
    assert await upsert(people, *drafts) == [ken, hana, ken]
    assert (await people.get(hana)).version == 2


async def test_a_fault_in_one_line_keeps_all_from_being_saved(people: People) -> None:
    with pytest.raises(Invalid) as refused:
        await upsert(
            people,
            CustomerDraft(member_number="KAI-1"),
            CustomerDraft(member_number="KAI-2", phone="1"),
            CustomerDraft(name="だれ"),
        )
    assert where(refused) == ["[1].phone", "[2].member_number"]
    assert await people.rows(Customer) == []


async def test_five_hundred_members_cost_no_more_statements_than_five(people: People) -> None:
    await define(people)
    counts = []
    for start, size in ((0, 5), (1000, 500)):
        statements: list[str] = []
        engine = people.db.engine.sync_engine

        @event.listens_for(engine, "before_cursor_execute")
        def note(*arguments: Any, into: list[str] = statements) -> None:
            into.append(arguments[2])

        drafts = [
            CustomerDraft(
                member_number=f"KAI-{start + n}", phone=f"090-{start + n:08d}",
                attributes={"height": n, "dm": True}, tags=["a", "b"],
            )
            for n in range(size)
        ]  # fmt: skip
        await upsert(people, *drafts)
        event.remove(engine, "before_cursor_execute", note)
        counts.append(len(statements))
    assert counts[1] <= counts[0] + 2, counts


async def test_the_same_file_twice_at_once_is_one_set_of_members(people: People) -> None:
    drafts = [CustomerDraft(member_number=f"KAI-{n}", name="花") for n in range(20)]
    made = await asyncio.gather(*(upsert(people, *drafts) for _ in range(5)))
    assert len({tuple(ids) for ids in made}) == 1
    assert len(await people.rows(Customer)) == 20


async def test_topics_are_the_defaults_until_the_shop_saves_its_own(people: People) -> None:
    async with people.change() as session:
        defaults = [t.key for t in await topics.all_topics(session)]
        assert defaults == ["news", "sales", "coupons", "points"]
        draft = TopicDraft("催し", position=9)
        _, new = await topics.save(session, "events", draft, expected=None, now=NOW)
        assert new
    async with people.change() as session:
        assert [t.key for t in await topics.all_topics(session)] == [*defaults, "events"]
        for key in (*defaults, "no"):
            if key == "no":
                with pytest.raises(NotFound):
                    await topics.remove(session, key, now=NOW)
            else:
                await topics.remove(session, key, now=NOW)
        with pytest.raises(Conflict):
            await topics.remove(session, "events", now=NOW)


async def test_a_customers_word_on_a_topic_counts_and_is_told_once(people: People) -> None:
    hana, ken = await people.add(), await people.add()
    async with people.change() as session:
        assert await topics.decide(session, hana, "sales", False, source="chat", now=NOW)
        assert not await topics.decide(session, hana, "sales", False, source="chat", now=NOW)
        assert not await topics.decide(session, ken, "sales", True, source="chat", now=NOW)
        assert await topics.refused(session, [hana, ken], "sales") == {hana}
        assert (await topics.decisions(session, hana))["sales"] is False
        with pytest.raises(Invalid) as refused:
            await topics.decide(session, hana, "no", False, source="chat", now=NOW)
    assert where(refused) == ["topic"]
    assert [(id_, kind) for id_, kind, _ in await people.told()] == [(hana, "consent_changed")]
