"""The one lock for a person, and the record that an id stands for today."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from core.errors import NotFound
from crm.models import Customer

MAX_HOPS = 20


async def lock(session: AsyncSession, ids: Collection[int]) -> None:
    """Lock customers before what counts for them is changed, in the one order that all keep.

    On SQLite the transaction itself is the lock.
    """
    customer = table(Customer)
    query = select(customer.c.id).where(bulk.is_one_of(session, customer.c.id, sorted(set(ids))))
    await session.execute(query.order_by(customer.c.id).with_for_update(key_share=True))


async def resolve(session: AsyncSession, ids: Collection[int]) -> dict[int, int]:
    """Each given id → the id of the record that it stands for today, merges followed.

    Unknown ids are left out.
    """
    customer = table(Customer)
    found: dict[int, int] = {}
    asked = {id_: id_ for id_ in ids}
    for _ in range(MAX_HOPS):
        if not asked:
            break
        here = bulk.is_one_of(session, customer.c.id, sorted(set(asked.values())))
        query = select(customer.c.id, customer.c.merged_into_id).where(here)
        rows: list[Any] = list(await session.execute(query))
        next_of = {row.id: row.merged_into_id for row in rows}
        found |= {given: at for given, at in asked.items() if at in next_of and next_of[at] is None}
        asked = {given: next_of[at] for given, at in asked.items() if next_of.get(at) is not None}
    return found


async def locked(session: AsyncSession, customer_id: int) -> Customer:
    """The record that an id stands for today, locked and fresh. Raises `NotFound`."""
    for _ in range(MAX_HOPS):
        today = (await resolve(session, [customer_id])).get(customer_id)
        if today is None:
            raise NotFound("customer", customer_id)
        query = select(Customer).where(table(Customer).c.id == today)
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
        found = await session.scalar(query)
        if found is not None and found.merged_into_id is None:  # merged while we waited, else
            return found
    raise NotFound("customer", customer_id)
