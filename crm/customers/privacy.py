"""What the shop holds of a person: given out whole, and taken away for good.

A copy is found by following foreign keys down from the person's records, on all floors, so that a
table that comes later is in it. Erasing keeps the ledgers: purchases, points and redemptions with
their amounts, of somebody whom nothing here names any more.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Column, Table, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import Model, table
from crm.customers.models import (
    AttributeValue,
    Consent,
    CustomerMerge,
    CustomerTag,
    SuspectedDouble,
)
from crm.linking.models import (
    EXPIRED,
    WAITING,
    LinkNonce,
    LinkThanks,
    MemberLink,
    PendingLink,
)
from crm.models import Activity, Customer, Friend
from crm.points.models import CORRECT, PointEntry

SECRET_TABLES = frozenset({"link_nonce", "reply_token"})  # keys to doors, not facts
OTHERS_TABLES = frozenset({"suspected_double"})  # would tell of somebody else
ERASED = "erased"
_IDENTITY: Mapping[str, Any] = dict.fromkeys(
    ("member_number", "name", "kana", "birthday", "birth_md", "phone", "email", "gender",
     "postal_code")
)  # fmt: skip
_PROFILE: Mapping[str, Any] = dict.fromkeys(
    ("display_name", "picture_url", "language", "profile_due_at")
)

Rows = dict[str, list[dict[str, Any]]]  # by table


async def records_of(session: AsyncSession, customer_id: int) -> list[int]:
    """The record and all that were merged into it, however often."""
    customer = table(Customer)
    found, news = {customer_id}, {customer_id}
    while news:
        merged = bulk.is_one_of(session, customer.c.merged_into_id, sorted(news))
        news = set(await session.scalars(select(customer.c.id).where(merged))) - found
        found |= news
    return sorted(found)


async def export(session: AsyncSession, customer_id: int) -> Rows:
    """All rows about a person, as JSON takes them; a row of several ways there is told once."""
    customer = table(Customer)
    ids = await records_of(session, customer_id)
    found: dict[str, dict[Any, dict[str, Any]]] = {}
    found[customer.name] = await _rows(session, customer, {customer.c.id: ids})
    for child in Model.metadata.sorted_tables:  # parents come before their children
        if child.name in SECRET_TABLES | OTHERS_TABLES | {customer.name}:
            continue
        ways = {
            c: [row[k.column.name] for row in found[k.column.table.name].values()]
            for c in child.columns
            for k in c.foreign_keys
            if k.column.table.name in found
        }
        rows = await _rows(session, child, ways)
        if rows:
            found[child.name] = rows
    return {name: [_json(row) for row in rows.values()] for name, rows in found.items()}


async def erase(session: AsyncSession, ids: Sequence[int], *, now: datetime) -> list[Any]:
    """Take away who these records are; the caller has locked them.

    Returns the friends as they were (id, channel_id, user_id), for what upper floors hold of them.
    They are nobody's LINE users afterwards: whoever writes again is met as a new friend.
    """
    customer, friend = table(Customer), table(Friend)
    theirs = bulk.is_one_of(session, customer.c.id, ids)
    gone = {**_IDENTITY, "erased_at": now, "updated_at": now, "version": customer.c.version + 1}
    await session.execute(update(customer).where(theirs).values(gone))
    for model in (CustomerTag, AttributeValue, Consent, LinkNonce):
        held = table(model)
        mine = bulk.is_one_of(session, held.c.customer_id, ids)
        await session.execute(delete(held).where(mine))
    await _forget_pairs(session, ids)
    await _blank_activities(session, ids)
    await _blank_reasons(session, ids)
    query = select(friend.c.id, friend.c.channel_id, friend.c.user_id)
    query = query.where(bulk.is_one_of(session, friend.c.customer_id, ids)).order_by(friend.c.id)
    friends: list[Any] = list(await session.execute(query.with_for_update(key_share=True)))
    await _forget_friends(session, friends, now)
    return friends


async def _rows(
    session: AsyncSession, source: Table, ways: Mapping[Column[Any], Collection[Any]]
) -> dict[Any, dict[str, Any]]:
    """Rows of a table that one of the ways leads to, by their key."""
    asked = [
        bulk.is_one_of(session, column, sorted(set(ids))) for column, ids in ways.items() if ids
    ]
    if not asked:
        return {}
    keys = list(source.primary_key.columns)
    query = select(*(c for c in source.columns if not c.name.startswith("sealed_")))
    query = query.where(or_(*asked)).order_by(*keys)
    found = (await session.execute(query)).mappings()
    return {tuple(row[k.name] for k in keys): dict(row) for row in found}


def _json(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):  # messages as they were sent
        return orjson.loads(value)
    return str(value) if isinstance(value, UUID) else value


async def _forget_pairs(session: AsyncSession, ids: Sequence[int]) -> None:
    double, merge = table(SuspectedDouble), table(CustomerMerge)
    either = [bulk.is_one_of(session, double.c[name], ids) for name in ("first_id", "second_id")]
    await session.execute(delete(double).where(or_(*either)))
    either = [bulk.is_one_of(session, merge.c[name], ids) for name in ("from_id", "into_id")]
    blank: Mapping[str, Any] = {"kept": {}, "moved": {}, "evidence": {}, "reason": ""}
    await session.execute(update(merge).where(or_(*either)).values(blank))


async def _blank_activities(session: AsyncSession, ids: Sequence[int]) -> None:
    """Of what happened the kind, the moment and the amounts stay."""
    activity = table(Activity)
    mine = bulk.is_one_of(session, activity.c.customer_id, ids)
    rows = await session.execute(select(activity.c.id, activity.c.data).where(mine))
    blank = [
        {"id": row.id, "data": {k: v for k, v in row.data.items() if isinstance(v, int | float)}}
        for row in rows
        if row.data
    ]
    await bulk.update_rows(session, activity, blank)


async def _blank_reasons(session: AsyncSession, ids: Sequence[int]) -> None:
    """What staff wrote in their own words may name the person."""
    entry = table(PointEntry)
    mine = bulk.is_one_of(session, entry.c.customer_id, ids)
    by_hand = update(entry).where(mine, entry.c.kind == CORRECT)
    await session.execute(by_hand.values(reason=""))


async def _forget_friends(session: AsyncSession, friends: Sequence[Any], now: datetime) -> None:
    friend, link, pending = table(Friend), table(MemberLink), table(PendingLink)
    ids = [row.id for row in friends]
    rows = [
        {
            "id": id_, **_PROFILE, "user_id": f"{ERASED}:{id_}", "status": "blocked",
            "status_at": now, "blocked_at": now,
        }
        for id_ in ids
    ]  # fmt: skip
    await bulk.update_rows(session, friend, rows)
    open_ = update(link).where(bulk.is_one_of(session, link.c.friend_id, ids))
    open_ = open_.where(link.c.unlinked_at.is_(None))
    await session.execute(open_.values(unlinked_at=now, unlinked_by=ERASED))
    waiting = update(pending).where(bulk.is_one_of(session, pending.c.friend_id, ids))
    waiting = waiting.where(pending.c.state == WAITING)
    await session.execute(waiting.values(state=EXPIRED, done_at=now))
    thanked = table(LinkThanks)
    subjects = [f"line:{row.user_id}" for row in friends]
    mine = bulk.is_one_of(session, thanked.c.subject, subjects)
    await session.execute(delete(thanked).where(mine))
