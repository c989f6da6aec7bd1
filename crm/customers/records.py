"""Customers' records: made, changed, and taken over from other systems as sets.

A member number belongs to one record. When two members are merged, the number of the record that
ended stays with it, so that an old card still leads to the person: `by_member_number` follows.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any, Final, TypeAlias

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import insert_new, table
from core.errors import Fault, Invalid
from crm.customers import attributes, contact, doubles, locking, tags
from crm.customers.models import AttributeDefinition
from crm.models import Customer

MAX_TAGS = 100
# A birthday may be today where the day begins first; which zone the shop is in matters little here.
FIRST_ZONE = timedelta(hours=14)


class Unset(Enum):
    """A field that is not spoken of."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
Text: TypeAlias = str | Unset | None


@dataclass(frozen=True, slots=True)
class CustomerDraft:
    """What is told of a customer: `UNSET` leaves a field as it is, None clears it.

    `attributes` likewise by key. `tags`: None leaves them; a list is all that the customer is to
    have, but `upsert` only adds to what the shop has noted itself.
    """

    member_number: Text = UNSET
    name: Text = UNSET
    kana: Text = UNSET
    birthday: Text = UNSET
    phone: Text = UNSET
    email: Text = UNSET
    gender: Text = UNSET
    postal_code: Text = UNSET
    attributes: Mapping[str, Any] = field(default_factory=dict)
    tags: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class _Checked:
    """A draft in the form that is kept: columns, attributes, tags."""

    values: dict[str, Any]
    attributes: dict[str, attributes.Value | None]
    tags: list[str] | None


FIELDS = tuple(f.name for f in fields(CustomerDraft) if f.name not in {"attributes", "tags"})
_COLUMNS = (*FIELDS, "birth_md")


async def check(
    session: AsyncSession, drafts: Sequence[CustomerDraft], *, now: datetime
) -> list[list[Fault]]:
    """What is wrong with each draft in itself, for who tells it line by line; no value is told."""
    known = await attributes.definitions(session)
    return [_check(draft, known, now, path="")[1] for draft in drafts]


async def create(
    session: AsyncSession, draft: CustomerDraft, *, now: datetime, source: str
) -> Customer:
    """A new customer. Raises `Invalid`, also where the member number is taken."""
    told = await _one(session, draft, now)
    customer = table(Customer)
    row = {"created_at": now, "updated_at": now, **told.values}
    new = insert_new(session, customer).values(row)
    new = new.on_conflict_do_nothing(index_elements=["member_number"])
    id_ = await session.scalar(new.returning(customer.c.id))
    if id_ is None:
        raise _taken()
    await _note(session, {id_: told}, source=source, now=now)
    await doubles.suspect(session, [id_], now=now)
    return await session.get_one(Customer, id_, populate_existing=True)


async def create_all(
    session: AsyncSession, drafts: Sequence[CustomerDraft], *, now: datetime, source: str
) -> list[int]:
    """New customers as one set; their ids in the drafts' order.

    For those without a membership. Raises `Invalid` with all faults (`[3].phone`).
    """
    known = await _definitions(session, drafts)
    checked = [_check(draft, known, now, path=f"[{n}].") for n, draft in enumerate(drafts)]
    if wrong := [fault for _told, faults in checked for fault in faults]:
        raise Invalid(f"Nothing was saved: there are {len(wrong)} fault(s).", wrong)
    empty = dict.fromkeys(_COLUMNS) | {"created_at": now, "updated_at": now}
    customer = table(Customer)
    made = insert(customer).returning(customer.c.id, sort_by_parameter_order=True)
    ids = list(await session.scalars(made, [empty | told.values for told, _none in checked]))
    noted = {id_: told for id_, (told, _none) in zip(ids, checked, strict=True)}
    await _note(session, noted, source=source, now=now)
    await doubles.suspect(session, ids, now=now)
    return ids


async def change(
    session: AsyncSession, customer: Customer, draft: CustomerDraft, *, now: datetime, source: str
) -> bool:
    """Change a customer that the caller has locked (`locking.locked`); returns whether it did.

    Raises `Invalid`, also where the member number is another's. Each change is a new version.
    """
    told = await _one(session, draft, now)
    assert customer.id is not None
    number = told.values.get("member_number")
    if number and number != customer.member_number and await _holder(session, number):
        raise _taken()
    changed = {k: v for k, v in told.values.items() if getattr(customer, k) != v}
    for name, value in changed.items():
        setattr(customer, name, value)
    noted = await _note(session, {customer.id: told}, source=source, now=now, exactly=True)
    if not changed and not noted:
        return False
    customer.version += 1
    customer.updated_at = now
    await session.flush()
    if changed.keys() & set(doubles.SHARED):
        await doubles.suspect(session, [customer.id], now=now)
    return True


async def by_member_number(session: AsyncSession, numbers: Collection[str]) -> dict[str, int]:
    """Each known member number, as it was given → the record that it stands for today."""
    plain = {number: _plain_number(number) for number in numbers}
    wanted = sorted({number for number in plain.values() if number is not None})
    if not wanted:
        return {}
    customer = table(Customer)
    mine = bulk.is_one_of(session, customer.c.member_number, wanted)
    query = select(customer.c.member_number, customer.c.id, customer.c.merged_into_id).where(mine)
    rows: list[Any] = list(await session.execute(query))
    today = await locking.resolve(session, {row.id for row in rows if row.merged_into_id})
    found = {row.member_number: today.get(row.id, row.id) for row in rows}
    return {number: found[own] for number, own in plain.items() if own in found}


async def upsert(
    session: AsyncSession, drafts: Sequence[CustomerDraft], *, now: datetime, source: str
) -> list[int]:
    """Make or change members by their number, as one set; returns their ids in the drafts' order.

    For up to some 500 drafts at once; of two with one number the later has the last word. Tags are
    added to those there are. Locks the customers; objects of the session are to be read anew
    (`locking.locked`). Raises `Invalid` with all faults (`[3].phone`), and nothing is changed.
    """
    told = await _all(session, drafts, now)
    merged: dict[str, _Checked] = {}
    for each in told:
        number = each.values["member_number"]
        merged[number] = _later(merged[number], each) if number in merged else each
    ids = await _recorded(session, sorted(merged), now)
    await locking.lock(session, set(ids.values()))
    ids = await by_member_number(session, ids)  # one may have been merged while we waited
    by_id: dict[int, _Checked] = {}
    for number, each in merged.items():
        by_id[ids[number]] = _later(by_id[ids[number]], each) if ids[number] in by_id else each
    noted = await _note(session, by_id, source=source, now=now)
    await _update(session, by_id, noted, now)
    await doubles.suspect(session, by_id, now=now)
    return [ids[each.values["member_number"]] for each in told]


def _later(first: _Checked, then: _Checked) -> _Checked:
    return _Checked(
        first.values | then.values,
        first.attributes | then.attributes,
        sorted({*(first.tags or ()), *(then.tags or ())}),
    )


async def _one(session: AsyncSession, draft: CustomerDraft, now: datetime) -> _Checked:
    told, wrong = _check(draft, await _definitions(session, [draft]), now, path="")
    if wrong:
        raise Invalid("The customer cannot be saved like this.", wrong)
    return told


async def _all(
    session: AsyncSession, drafts: Sequence[CustomerDraft], now: datetime
) -> list[_Checked]:
    known = await _definitions(session, drafts)
    told, wrong = [], list[Fault]()
    for index, draft in enumerate(drafts):
        fine, faults = _check(draft, known, now, path=f"[{index}].")
        if not faults and not fine.values.get("member_number"):
            faults = [Fault(f"[{index}].member_number", "is needed", "会員番号が必要です")]
        told.append(fine)
        wrong += faults
    if wrong:
        raise Invalid(f"Nothing was saved: there are {len(wrong)} fault(s).", wrong)
    return told


async def _definitions(
    session: AsyncSession, drafts: Sequence[CustomerDraft]
) -> dict[str, AttributeDefinition]:
    asked = any(draft.attributes for draft in drafts)
    return await attributes.definitions(session) if asked else {}


def _check(
    draft: CustomerDraft, known: Mapping[str, AttributeDefinition], now: datetime, *, path: str
) -> tuple[_Checked, list[Fault]]:
    values: dict[str, Any] = {}
    today = (now + FIRST_ZONE).date()
    fine, wrong = attributes.faults(known, draft.attributes, path=path)
    for name in FIELDS:
        given = getattr(draft, name)
        if given is UNSET:
            continue
        try:
            values[name] = _NORMAL[name](given, today) if given else None
        except ValueError as error:
            english, _, japanese = str(error).partition("／")
            wrong.append(Fault(f"{path}{name}", english, japanese))
    if "birthday" in values:
        born = values["birthday"]
        values["birth_md"] = contact.birth_md(born) if born else None
    mine, bad = _check_tags(draft, path)
    return _Checked(values, fine, mine), [*wrong, *bad]


def _check_tags(draft: CustomerDraft, path: str) -> tuple[list[str] | None, list[Fault]]:
    if draft.tags is None:
        return None, []
    if len(draft.tags) > MAX_TAGS:
        return None, [Fault(f"{path}tags", f"at most {MAX_TAGS} tags",
                            f"タグは{MAX_TAGS}個までです")]  # fmt: skip
    fine, wrong = set(), []
    for index, tag in enumerate(draft.tags):
        try:
            fine.add(tags.clean(tag))
        except ValueError as error:
            english, _, japanese = str(error).partition("／")
            wrong.append(Fault(f"{path}tags[{index}]", english, japanese))
    return sorted(fine), wrong


def _taken() -> Invalid:
    what = Fault(
        "member_number",
        "another customer has this member number",
        "この会員番号は別の顧客に使われています",
    )
    return Invalid("The member number is taken.", [what])


def _plain_number(number: str) -> str | None:
    try:
        return contact.member_number(number)
    except ValueError:
        return None


async def _holder(session: AsyncSession, number: str) -> int | None:
    customer = table(Customer)
    held = select(customer.c.id).where(customer.c.member_number == number)
    found: int | None = await session.scalar(held)
    return found


async def _recorded(session: AsyncSession, numbers: list[str], now: datetime) -> dict[str, int]:
    """The records of these members, made where there are none."""
    found = await by_member_number(session, numbers)
    new = [
        {"member_number": number, "created_at": now, "updated_at": now}
        for number in numbers
        if number not in found
    ]
    if not new:
        return found
    await bulk.insert_rows(session, table(Customer), new)
    return await by_member_number(session, numbers)


async def _note(
    session: AsyncSession,
    told: Mapping[int, _Checked],
    *,
    source: str,
    now: datetime,
    exactly: bool = False,
) -> set[int]:
    """Set attributes and tags of customers; returns whose changed."""
    values = {id_: each.attributes for id_, each in told.items()}
    changed = await attributes.set_values(session, values, source=source, now=now)
    wanted = {id_: set(each.tags) for id_, each in told.items() if each.tags is not None}
    if not wanted:
        return changed
    pairs = [(id_, tag) for id_, mine in wanted.items() for tag in mine]
    moved = await tags.add_pairs(session, pairs, source=source, now=now)
    if exactly:
        held = await tags.of(session, wanted)
        spare = [(id_, t) for id_, mine in held.items() for t in mine if t not in wanted[id_]]
        moved += await tags.remove_pairs(session, spare, source=source, now=now)
    return changed | {id_ for id_, _tag in moved}


async def _update(
    session: AsyncSession, told: Mapping[int, _Checked], noted: set[int], now: datetime
) -> None:
    """Write the columns of locked customers, in one statement; who is as told stays as they are."""
    customer = table(Customer)
    query = select(customer.c.id, customer.c.version, *(customer.c[name] for name in _COLUMNS))
    mine = bulk.is_one_of(session, customer.c.id, sorted(told))
    rows = []
    for row in (await session.execute(query.where(mine))).mappings():
        own = told[row["id"]].values | {"member_number": row["member_number"]}
        if row["id"] in noted or any(row[name] != value for name, value in own.items()):
            rows.append({**row, **own, "version": row["version"] + 1, "updated_at": now})
    await bulk.update_rows(session, customer, rows)


def _birthday(text: str, today: date) -> str:
    return contact.birthday(text, today=today)


def _without_day(normal: Callable[[str], str]) -> Callable[[str, date], str]:
    return lambda text, _today: normal(text)


_NORMAL: dict[str, Callable[[str, date], str]] = {
    "member_number": _without_day(contact.member_number),
    "name": _without_day(contact.name),
    "kana": _without_day(contact.kana),
    "birthday": _birthday,
    "phone": _without_day(contact.phone),
    "email": _without_day(contact.email),
    "gender": _without_day(contact.gender),
    "postal_code": _without_day(contact.postal_code),
}
