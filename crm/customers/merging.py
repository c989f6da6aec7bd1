"""Merging: two records become one person's, and can be parted again for 30 days.

- Everything of `from` goes to `into`: friends, activities, enrolments, purchases, points, coupons,
  links. Tags, attributes and consents are added where `into` has none of its own; of two words on
  one topic the later counts. Fields: `into` wins, what it lacks is filled in.
- `from` stays as a row that says what it became; its id and its member number still lead to the
  person (`locking.resolve`, `records.by_member_number`). Where `into` has no number it gets that of
  `from`. Two members are merged by staff only; linking merges anonymous records alone.
- Undoing gives `from` back what it brought, and what has come since about that (points of its
  purchases, uses of its coupons, what its friends began). All else that came since stays where it
  came. What was filled in goes, unless somebody has changed it. Rank: `into` gets back the one that
  it had; the caller lets `crm.ranks.review.promote` look at both.
- Of several merges the last is undone first: while `into` is itself merged, there is nothing to
  part from.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Column, Table, delete, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import BigId, Model, insert_new, table
from core.errors import Conflict, NotFound
from crm.coupons import move as coupons
from crm.coupons.models import IssuedCoupon, Redemption
from crm.customers import doubles, locking
from crm.customers.models import (
    AttributeValue,
    Consent,
    CustomerMerge,
    CustomerTag,
    SuspectedDouble,
)
from crm.customers.news import News, tell
from crm.customers.records import FIELDS
from crm.models import Customer, Friend
from crm.points import move as points
from crm.points.calendar import JAPAN
from crm.points.models import PointEntry, PointLot
from crm.purchases import move as purchases

# Merging stands above the other parts of crm, as it joins what all of them hold; none of them
# imports it. The ledgers know best how to join theirs. All else that points at a customer, on
# upper floors too, is found by its foreign key: a table that comes later cannot be forgotten.
# (Every process of ours knows all tables, as `server/migrations.py` imports them.)

UNDO_DAYS = timedelta(days=30)
RANK = ("rank", "rank_since", "rank_until")
WITH_FRIENDS = frozenset({"enrolment", "member_link"})  # go where the friend goes
_OWN_WAY = frozenset(
    table(model).name
    for model in (
        Customer, CustomerMerge, SuspectedDouble, CustomerTag, AttributeValue, Consent, PointLot,
        PointEntry, IssuedCoupon, Redemption,
    )
)  # fmt: skip

Json = dict[str, Any]


async def merge(
    session: AsyncSession,
    from_id: int,
    into_id: int,
    *,
    reason: str,
    evidence: Mapping[str, Any],
    actor: str,
    now: datetime,
) -> int:
    """Make two records one; returns the id of the merge, by which it can be undone.

    Ids of records that were merged before stand for what they became. Raises `NotFound`, and
    `Conflict` where both are one record already or one is erased. Locks both; objects of them that
    the session holds are fresh afterwards.
    """
    gone, kept = await _both(session, from_id, into_id)
    ids = _id(gone), _id(kept)
    moved = await _move(session, *ids, now=now)
    filled = await _fill(session, gone, kept)
    gone.merged_into_id, gone.updated_at, kept.updated_at = kept.id, now, now
    gone.version, kept.version = gone.version + 1, kept.version + 1
    made = CustomerMerge(
        from_id=ids[0], into_id=ids[1], reason=reason[:200], evidence=dict(evidence), moved=moved,
        kept=filled, actor=actor[:60], merged_at=now,
    )  # fmt: skip
    session.add(made)
    await session.flush()
    await purchases.recount_customers(session, ids)
    await doubles.merged(session, ids, actor=actor, now=now)
    await doubles.suspect(session, [ids[1]], now=now)
    await _tell(session, "customers_merged", made, [ids[1]], now)
    await _refresh(session, gone, kept)
    assert made.id is not None
    return made.id


async def undo(
    session: AsyncSession, merge_id: int, *, actor: str, now: datetime, zone: ZoneInfo = JAPAN
) -> None:
    """Part two records again. Raises `NotFound`, and `Conflict` where it is too late for that."""
    merge_ = await session.get(CustomerMerge, merge_id)
    if merge_ is None:
        raise NotFound("merge", merge_id)
    await locking.lock(session, [merge_.from_id, merge_.into_id])
    await session.refresh(merge_)
    gone, kept = await _rows(session, merge_.from_id, merge_.into_id)
    _refuse_undo(merge_, gone, kept, now)
    gone.merged_into_id, gone.updated_at, kept.updated_at = None, now, now
    gone.version, kept.version = gone.version + 1, kept.version + 1
    await _unfill(session, gone, kept, merge_.kept)
    await _move_back(session, merge_, now=now, zone=zone)
    merge_.undone_at, merge_.undone_by = now, actor[:60]
    await session.flush()
    ids = merge_.from_id, merge_.into_id
    await purchases.recount_customers(session, ids)
    await doubles.parted(session, ids, actor=actor, now=now)
    await doubles.suspect(session, ids, now=now)
    await _tell(session, "merge_undone", merge_, ids, now)
    await _refresh(session, gone, kept)


def pointers() -> Iterator[Column[Any]]:
    """The columns that point at a customer and simply follow a merge."""
    customer = table(Customer)
    for each in Model.metadata.sorted_tables:
        if each.name not in _OWN_WAY:
            yield from (c for c in each.columns if c.references(customer.c.id))


def _id(customer: Customer) -> int:
    assert customer.id is not None
    return customer.id


async def _both(session: AsyncSession, from_id: int, into_id: int) -> tuple[Customer, Customer]:
    """Both records, live and locked in one order."""
    for _ in range(locking.MAX_HOPS):
        today = await locking.resolve(session, [from_id, into_id])
        for id_ in (from_id, into_id):
            if id_ not in today:
                raise NotFound("customer", id_)
        one, other = today[from_id], today[into_id]
        if one == other:
            raise Conflict("すでに同じ顧客です。 These two are one record already.")
        # Rolled back when one was merged while we waited: locks kept from this try and more taken
        # by the next would not be in one order.
        attempt = await session.begin_nested()
        await locking.lock(session, [one, other])
        gone, kept = await _rows(session, one, other)
        if gone.merged_into_id is None and kept.merged_into_id is None:
            if gone.erased_at or kept.erased_at:
                raise Conflict(
                    "消去済みの顧客は統合できません。 An erased record cannot be merged."
                )
            await attempt.commit()
            return gone, kept
        await attempt.rollback()
    raise Conflict("These records are being merged elsewhere at this moment; try again.")


async def _rows(session: AsyncSession, one: int, other: int) -> tuple[Customer, Customer]:
    customer = table(Customer)
    query = select(Customer).where(customer.c.id.in_([one, other]))
    found = await session.scalars(query.execution_options(populate_existing=True))
    by_id = {_id(each): each for each in found}
    return by_id[one], by_id[other]


def _refuse_undo(merge_: CustomerMerge, gone: Customer, kept: Customer, now: datetime) -> None:
    if merge_.undone_at is not None:
        raise Conflict("この統合は取り消し済みです。 This merge has been undone already.")
    if now > merge_.merged_at + UNDO_DAYS:
        raise Conflict(
            f"統合の取り消しは{UNDO_DAYS.days}日以内です。 "
            f"A merge can be undone for {UNDO_DAYS.days} days only."
        )
    if kept.merged_into_id is not None:
        raise Conflict(
            f"統合先はその後、顧客{kept.merged_into_id}に統合されています。"
            "先にそちらを取り消してください。 The record was merged further since; "
            "undo that merge first."
        )
    if gone.erased_at or kept.erased_at or gone.merged_into_id != kept.id:
        raise Conflict("消去済みのため取り消せません。 It was erased and cannot be parted again.")


async def _move(session: AsyncSession, from_id: int, into_id: int, *, now: datetime) -> Json:
    rows: Json = {}
    for column in pointers():
        (key,) = column.table.primary_key.columns
        theirs = update(column.table).where(column == from_id).values({column: into_id})
        found = sorted(await session.scalars(theirs.returning(key)))
        if found:
            rows[f"{column.table.name}.{column.name}"] = found
    return {
        "rows": rows,
        "points": await points.move(session, from_id, into_id, now=now),
        "coupons": await coupons.move(session, from_id, into_id, now=now),
        "tags": await _copy(session, table(CustomerTag), "tag", from_id, into_id),
        "attributes": await _copy(session, table(AttributeValue), "key", from_id, into_id),
        "consents": await _copy_consents(session, from_id, into_id),
    }


async def _move_back(
    session: AsyncSession, merge_: CustomerMerge, *, now: datetime, zone: ZoneInfo
) -> None:
    from_id, into_id, moved = merge_.from_id, merge_.into_id, merge_.moved
    friends: Sequence[int] = moved["rows"].get("friend.customer_id", [])
    for column in pointers():
        ids = moved["rows"].get(f"{column.table.name}.{column.name}", [])
        (key,) = column.table.primary_key.columns
        mine = bulk.is_one_of(session, key, ids)
        if column.table.name in WITH_FRIENDS:
            mine = or_(mine, bulk.is_one_of(session, column.table.c.friend_id, friends))
        back = update(column.table).where(column == into_id, mine).values({column: from_id})
        await session.execute(back)
    await points.move_back(session, from_id, into_id, moved["points"], now=now, zone=zone)
    await coupons.move_back(session, from_id, into_id, moved["coupons"], now=now)
    await _uncopy(session, table(CustomerTag), "tag", from_id, into_id, moved["tags"])
    await _uncopy(session, table(AttributeValue), "key", from_id, into_id, moved["attributes"])
    await _uncopy_consents(session, from_id, into_id, moved["consents"])


async def _copy(
    session: AsyncSession, source: Table, key: str, from_id: int, into_id: int
) -> list[str]:
    """Give `into` the rows that it lacks; returns their keys. `from` keeps its own, unseen."""
    person = literal(into_id, BigId)
    given = [person if c.name == "customer_id" else c for c in source.columns]
    rows = select(*given).where(source.c.customer_id == from_id)
    new = insert_new(session, source).from_select([c.name for c in source.columns], rows)
    made = await session.scalars(new.on_conflict_do_nothing().returning(source.c[key]))
    return sorted(made)


async def _uncopy(
    session: AsyncSession, source: Table, key: str, from_id: int, into_id: int, keys: Sequence[str]
) -> None:
    """Take the copied rows off `into` again, but for those that somebody has changed since."""
    theirs = source.alias("theirs")
    same = [
        theirs.c[c.name].is_not_distinct_from(c) for c in source.columns if c.name != "customer_id"
    ]
    untouched = select(theirs.c[key]).where(theirs.c.customer_id == from_id, *same).exists()
    mine = (source.c.customer_id == into_id) & source.c[key].in_(keys)
    await session.execute(delete(source).where(mine, untouched))


async def _copy_consents(session: AsyncSession, from_id: int, into_id: int) -> Json:
    """Of two words on one topic the later counts; returns what `into` had said before."""
    consent = table(Consent)
    query = select(consent).where(consent.c.customer_id.in_([from_id, into_id]))
    said: dict[int, dict[str, Any]] = {from_id: {}, into_id: {}}
    for row in (await session.execute(query)).mappings():
        said[row["customer_id"]][row["topic"]] = row
    before: Json = {}
    for topic, row in said[from_id].items():
        own = said[into_id].get(topic)
        if own is None or own["decided_at"] < row["decided_at"]:
            before[topic] = own and {**own, "decided_at": own["decided_at"].isoformat()}
    await _forget_consents(session, into_id, list(before))
    rows = [{**said[from_id][topic], "customer_id": into_id} for topic in before]
    await bulk.insert_rows(session, consent, rows)
    return before


async def _uncopy_consents(session: AsyncSession, from_id: int, into_id: int, before: Json) -> None:
    consent = table(Consent)
    query = select(consent).where(consent.c.customer_id.in_([from_id, into_id]))
    said: dict[int, dict[str, Any]] = {from_id: {}, into_id: {}}
    for row in (await session.execute(query)).mappings():
        said[row["customer_id"]][row["topic"]] = row
    untouched = [
        topic
        for topic in before
        if topic in said[into_id]
        and topic in said[from_id]
        and said[into_id][topic]["decided_at"] == said[from_id][topic]["decided_at"]
    ]
    await _forget_consents(session, into_id, untouched)
    rows = [
        {**own, "decided_at": datetime.fromisoformat(own["decided_at"])}
        for own in (before[topic] for topic in untouched)
        if own is not None
    ]
    await bulk.insert_rows(session, consent, rows)


async def _forget_consents(session: AsyncSession, customer_id: int, topics: Sequence[str]) -> None:
    consent = table(Consent)
    mine = (consent.c.customer_id == customer_id) & consent.c.topic.in_(topics)
    await session.execute(delete(consent).where(mine))


async def _fill(session: AsyncSession, gone: Customer, kept: Customer) -> Json:
    """Fill in what `kept` lacks; returns which fields, and what undoing needs besides."""
    filled = [
        name
        for name in FIELDS
        if name != "member_number" and getattr(kept, name) is None and getattr(gone, name)
    ]
    before = {name: _text(getattr(kept, name)) for name in RANK}
    for name in filled:
        setattr(kept, name, getattr(gone, name))
    if "birthday" in filled:
        kept.birth_md = gone.birth_md
    if kept.rank is None and gone.rank is not None:
        kept.rank, kept.rank_since, kept.rank_until = gone.rank, gone.rank_since, gone.rank_until
    number = gone.member_number if kept.member_number is None else None
    if number is not None:
        gone.member_number = None
        await session.flush()  # the number is one record's at any time
        kept.member_number = number
    return {"filled": filled, "rank": before, "member_number": number}


async def _unfill(session: AsyncSession, gone: Customer, kept: Customer, was: Json) -> None:
    """Take out of `kept` what was filled in and nobody has changed since."""
    for name in was["filled"]:
        if getattr(kept, name) == getattr(gone, name):
            setattr(kept, name, None)
    if kept.birthday is None:
        kept.birth_md = None
    kept.rank = was["rank"]["rank"]
    kept.rank_since, kept.rank_until = (_moment(was["rank"][name]) for name in RANK[1:])
    number = was["member_number"]
    if number is None:
        return
    if kept.member_number == number:
        kept.member_number = None
    await session.flush()
    customer = table(Customer)
    holder = select(customer.c.id).where(customer.c.member_number == number)
    if await session.scalar(holder) is None:
        gone.member_number = number


async def _refresh(session: AsyncSession, *customers: Customer) -> None:
    await session.flush()
    for each in customers:
        await session.refresh(each)
    friend = table(Friend)
    ids = [each.id for each in customers]
    here = select(Friend).where(friend.c.customer_id.in_(ids), friend.c.id.in_(_held(session)))
    await session.scalars(here.execution_options(populate_existing=True))


def _held(session: AsyncSession) -> list[int]:
    """Friends that the session holds as objects."""
    return [each.id for each in session if isinstance(each, Friend) and each.id is not None]


async def _tell(
    session: AsyncSession, kind: str, merge_: CustomerMerge, ids: Sequence[int], now: datetime
) -> None:
    data = {"merge_id": merge_.id, "from_id": merge_.from_id, "into_id": merge_.into_id}
    news = [News(id_, kind, data, f"{kind}:{merge_.id}:{id_}") for id_ in ids]
    await tell(session, news, now=now)


def _text(value: str | datetime | None) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else value


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
