"""Whose a purchase is: found by id or member number, or made where the sender may bring people."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from core.errors import Fault
from crm.customers import locking, records
from crm.customers.records import UNSET, CustomerDraft
from crm.models import Customer, Friend
from crm.purchases.draft import PurchaseDraft, refuse
from crm.purchases.models import Purchase
from crm.purchases.stubs import is_stub

Key = tuple[str, str]


async def find(
    session: AsyncSession,
    drafts: Sequence[PurchaseDraft],
    paths: Sequence[str],
    *,
    known: Mapping[Key, Any],
    create_missing: bool,
    now: datetime,
) -> list[int | None]:
    """The live customer of each draft; None for a known order whose draft names nobody.

    What comes before its order is nobody's yet, whomever it names.

    With `create_missing` an unknown member number becomes a new member, and who buys without one a
    new anonymous customer. Raises `Invalid` for whoever cannot be found.
    """
    ids = {draft.customer_id for draft in drafts if draft.customer_id is not None}
    numbers = {draft.member_number for draft in drafts if draft.member_number is not None}
    live = await locking.resolve(session, ids)
    members = await records.by_member_number(session, numbers) if numbers else {}
    here = {draft.key for draft in drafts if _is_here(draft, known.get(draft.key))}
    if create_missing:
        new = [_is_new(draft, members, here) for draft in drafts]
        await _check_contacts(session, drafts, paths, new, now)
        members |= await _new_members(session, drafts, numbers - members.keys(), now)
    found = [_buyer(draft, live, members) for draft in drafts]
    refuse(
        fault
        for draft, path, buyer in zip(drafts, paths, found, strict=True)
        if buyer is None
        for fault in _faults(draft, path, here, create_missing=create_missing)
    )
    guests = [
        place
        for place, draft in enumerate(drafts)
        if (found[place] is None or draft.total is None) and draft.key not in here
    ]
    made = await _guests(session, [drafts[place] for place in guests], now)
    for place, id_ in zip(guests, made, strict=True):
        found[place] = id_
    return found


def made_up(session: AsyncSession, ids: Collection[int]) -> Select[Any]:
    """Of these customers, those of whom nothing is known: no membership, contact, friend, order."""
    customer, friend, purchase = table(Customer), table(Friend), table(Purchase)
    return select(customer.c.id).where(
        bulk.is_one_of(session, customer.c.id, ids),
        customer.c.member_number.is_(None),
        customer.c.name.is_(None),
        customer.c.phone.is_(None),
        customer.c.email.is_(None),
        customer.c.merged_into_id.is_(None),
        ~exists().where(friend.c.customer_id == customer.c.id),
        ~exists().where(purchase.c.customer_id == customer.c.id),
    )


def _buyer(draft: PurchaseDraft, live: Mapping[int, int], members: Mapping[str, int]) -> int | None:
    if draft.customer_id is not None:
        return live.get(draft.customer_id)
    return members.get(draft.member_number) if draft.member_number is not None else None


def _is_here(draft: PurchaseDraft, before: Any) -> bool:  # noqa: ANN401
    """Whether the order has its customer; one made up to wait for it gives way to a guest."""
    return before is not None and (draft.total is None or not is_stub(before))


def _faults(
    draft: PurchaseDraft, path: str, here: Collection[Key], *, create_missing: bool
) -> Iterator[Fault]:
    if draft.customer_id is not None:
        yield Fault(f"{path}customer_id", f"there is no customer {draft.customer_id}",
                    f"顧客 {draft.customer_id} は登録されていません")  # fmt: skip
    elif draft.member_number is not None:
        yield Fault(f"{path}member_number", "there is no member with this number",
                    "この会員番号の会員はいません")  # fmt: skip
    elif draft.key not in here and not create_missing:
        if draft.total is None:
            yield Fault(f"{path}order_id", "there is no such order",
                        "この注文番号の購入は登録されていません")  # fmt: skip
        else:
            yield Fault(f"{path}member_number", "give member_number or customer_id",
                        "member_number か customer_id を指定してください")  # fmt: skip


def _is_new(draft: PurchaseDraft, members: Mapping[str, int], here: Collection[Key]) -> bool:
    if draft.member_number is not None:
        return draft.member_number not in members
    return draft.customer_id is None and draft.key not in here


async def _check_contacts(
    session: AsyncSession,
    drafts: Sequence[PurchaseDraft],
    paths: Sequence[str],
    new: Sequence[bool],
    now: datetime,
) -> None:
    contacts = [_contact(draft) for draft in drafts]
    wrong = await records.check(session, contacts, now=now)
    refuse(
        Fault(f"{path}customer.{fault.path}", fault.message, fault.message_ja)
        for path, is_new, faults in zip(paths, new, wrong, strict=True)
        if is_new
        for fault in faults
    )


def _contact(draft: PurchaseDraft) -> CustomerDraft:
    """Who it is, as a customer's record is made; a guest brings no number."""
    contact = draft.contact or CustomerDraft()
    return replace(contact, member_number=draft.member_number or UNSET)


async def _new_members(
    session: AsyncSession, drafts: Sequence[PurchaseDraft], numbers: set[str], now: datetime
) -> dict[str, int]:
    named = {d.member_number: _contact(d) for d in drafts if d.member_number in numbers}
    if not named:
        return {}
    await records.upsert(session, list(named.values()), now=now, source=drafts[0].source)
    return await records.by_member_number(session, numbers)


async def _guests(
    session: AsyncSession, drafts: Sequence[PurchaseDraft], now: datetime
) -> list[int]:
    """A new anonymous customer for each order."""
    if not drafts:
        return []
    people = [replace(draft.contact or CustomerDraft(), member_number=UNSET) for draft in drafts]
    return await records.create_all(session, people, now=now, source=drafts[0].source)
