"""Tags on customers, added and taken off as sets."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import insert_new, table
from crm.customers.models import CustomerTag
from crm.customers.news import News, tell

MAX_TAG = 60
AT_A_TIME = 2_000  # rows of one statement

Pair = tuple[int, str]  # customer, tag


def clean(tag: str) -> str:
    """A tag as it is kept; raises `ValueError` with a sentence in both languages."""
    plain = " ".join(tag.split())
    if not 0 < len(plain) <= MAX_TAG or not plain.isprintable():
        msg = (
            f"a tag has 1 to {MAX_TAG} printable characters"
            f"／タグは表示できる1〜{MAX_TAG}文字にしてください"
        )
        raise ValueError(msg)
    return plain


async def add(
    session: AsyncSession, customer_ids: Collection[int], tag: str, *, source: str, now: datetime
) -> set[int]:
    """Tag customers; returns those who did not have the tag yet, each told as an activity."""
    pairs = [(id_, clean(tag)) for id_ in sorted(set(customer_ids))]
    return {id_ for id_, _tag in await add_pairs(session, pairs, source=source, now=now)}


async def remove(
    session: AsyncSession, customer_ids: Collection[int], tag: str, *, source: str, now: datetime
) -> set[int]:
    """Take a tag off customers; returns those who had it, each told as an activity."""
    pairs = [(id_, clean(tag)) for id_ in sorted(set(customer_ids))]
    return {id_ for id_, _tag in await remove_pairs(session, pairs, source=source, now=now)}


async def add_pairs(
    session: AsyncSession, pairs: Iterable[Pair], *, source: str, now: datetime
) -> list[Pair]:
    """Tag each customer with each tag given for them; returns what is new."""
    wanted, made = sorted(set(pairs)), list[Pair]()
    tag = table(CustomerTag)
    for start in range(0, len(wanted), AT_A_TIME):
        rows = [
            {"customer_id": id_, "tag": name, "source": source[:60], "added_at": now}
            for id_, name in wanted[start : start + AT_A_TIME]
        ]
        query = insert_new(session, tag).values(rows).on_conflict_do_nothing()
        new = await session.execute(query.returning(tag.c.customer_id, tag.c.tag))
        made += [(row.customer_id, row.tag) for row in new]
    await _tell(session, "tag_added", made, source, now)
    return made


async def remove_pairs(
    session: AsyncSession, pairs: Iterable[Pair], *, source: str, now: datetime
) -> list[Pair]:
    """Take each of these tags off its customer; returns what was there."""
    by_tag: dict[str, list[int]] = {}
    for id_, name in sorted(set(pairs)):
        by_tag.setdefault(name, []).append(id_)
    tag, gone = table(CustomerTag), list[Pair]()
    for name, ids in by_tag.items():
        query = delete(tag).where(
            tag.c.tag == name, bulk.is_one_of(session, tag.c.customer_id, ids)
        )
        taken = await session.scalars(query.returning(tag.c.customer_id))
        gone += [(id_, name) for id_ in taken]
    await _tell(session, "tag_removed", gone, source, now)
    return gone


async def of(session: AsyncSession, customer_ids: Collection[int]) -> dict[int, list[str]]:
    """The tags of each customer, in order; who has none has no key."""
    tag = table(CustomerTag)
    mine = bulk.is_one_of(session, tag.c.customer_id, sorted(set(customer_ids)))
    query = select(tag.c.customer_id, tag.c.tag).where(mine).order_by(tag.c.tag)
    rows: list[Any] = list(await session.execute(query)) if customer_ids else []
    found: dict[int, list[str]] = {}
    for row in rows:
        found.setdefault(row.customer_id, []).append(row.tag)
    return found


async def _tell(
    session: AsyncSession, kind: str, pairs: list[Pair], source: str, now: datetime
) -> None:
    news = [News(id_, kind, {"tag": name, "source": source}) for id_, name in pairs]
    await tell(session, news, now=now)
