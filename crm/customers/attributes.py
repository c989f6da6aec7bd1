"""Attributes that the shop defines, and each customer's values, checked against their type."""

import math
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from core.errors import Conflict, Fault, Invalid, NotFound, StaleVersion
from crm.customers import contact
from crm.customers.models import ATTRIBUTE_TYPES, AttributeDefinition, AttributeValue
from crm.customers.news import News, tell

MAX_TEXT = 1_000
MAX_DEFINITIONS = 100
MAX_CHOICES = 100
MAX_CHOICE = 100
MAX_NUMBER = 1e15  # a double counts whole numbers up to here, with room for cents
_YES = {"yes", "y", "true", "1", "はい", "有", "あり", "○"}
_NO = {"no", "n", "false", "0", "いいえ", "無", "なし", "×"}

Value = str | int | float | bool
Values = Mapping[int, Mapping[str, Value | None]]  # by customer, then by key; None clears


@dataclass(frozen=True, slots=True)
class DefinitionDraft:
    """An attribute as staff define it; `choices` are for the type `choice` alone."""

    name: str
    type: str
    choices: Sequence[str] = ()
    position: int = 0


async def definitions(session: AsyncSession) -> dict[str, AttributeDefinition]:
    """All attributes of the shop, by key, in order."""
    definition = table(AttributeDefinition)
    query = select(AttributeDefinition).order_by(definition.c.position, definition.c.key)
    return {found.key: found for found in await session.scalars(query)}


async def save(
    session: AsyncSession, key: str, draft: DefinitionDraft, *, expected: int | None, now: datetime
) -> tuple[AttributeDefinition, bool]:
    """Define an attribute, and say whether it is new.

    Raises `StaleVersion` where it is not at the `expected` version, and `Conflict` where customers
    hold values that would not fit any more.
    """
    choices = _checked(draft)
    found = await session.get(AttributeDefinition, key, with_for_update=True)
    if found is None:
        if expected is not None:
            raise NotFound("attribute", key)
        return await _define(session, key, draft, choices, now), True
    if expected is not None and found.version != expected:
        raise StaleVersion(current=found.version)
    await _refuse_misfits(session, found, draft.type, choices)
    found.name, found.type, found.choices = draft.name, draft.type, choices
    found.position, found.updated_at = draft.position, now
    found.version += 1
    await session.flush()
    return found, False


async def remove(session: AsyncSession, key: str, *, with_values: bool) -> int:
    """Remove an attribute; returns how many values went with it.

    Raises `Conflict` where customers hold values and those are not to go.
    """
    found = await session.get(AttributeDefinition, key, with_for_update=True)
    if found is None:
        raise NotFound("attribute", key)
    value = table(AttributeValue)
    held = await _held(session, key)
    if held and not with_values:
        raise Conflict(
            f"{held}人の顧客に値があります。値ごと消すには with_values=true を指定してください。 "
            f"{held} customers hold a value; say with_values=true to delete those too."
        )
    await session.execute(delete(value).where(value.c.key == key))
    await session.delete(found)
    await session.flush()
    return held


def check(definition: AttributeDefinition, value: object) -> Value:
    """A value as its type keeps it; raises `ValueError` with a sentence in both languages."""
    return _CHECKS[definition.type](definition, value)


def faults(
    known: Mapping[str, AttributeDefinition], given: Mapping[str, object], *, path: str
) -> tuple[dict[str, Value | None], list[Fault]]:
    """The given values as they are kept, and what is wrong with them; None clears a value."""
    fine: dict[str, Value | None] = {}
    wrong: list[Fault] = []
    for key, value in given.items():
        where = f"{path}attributes.{key[:60]}"
        if key not in known:
            wrong.append(Fault(where, "there is no attribute with this key",
                               "この属性は定義されていません"))  # fmt: skip
            continue
        try:
            fine[key] = None if value is None else check(known[key], value)
        except ValueError as error:
            english, _, japanese = str(error).partition("／")
            wrong.append(Fault(where, english, japanese))
    return fine, wrong


async def set_values(
    session: AsyncSession, values: Values, *, source: str, now: datetime
) -> set[int]:
    """Set checked values of customers locked by the caller; returns whose changed.

    The statements are as many as there are attributes, however many customers there are. Each
    change is an activity that names the attribute, not what it says.
    """
    keys = {key for mine in values.values() for key in mine}
    if not keys:
        return set()
    before = await of(session, list(values))
    changed = [
        (id_, key, value)
        for id_, mine in values.items()
        for key, value in mine.items()
        if before.get(id_, {}).get(key) != value
    ]
    await _replace(session, changed, source, now)
    news = [
        News(id_, "attribute_changed", {"key": key, "set": value is not None, "source": source})
        for id_, key, value in changed
    ]
    await tell(session, news, now=now)
    return {id_ for id_, _key, _value in changed}


async def of(session: AsyncSession, customer_ids: Collection[int]) -> dict[int, dict[str, Value]]:
    """The values of each customer; who has none has no key."""
    if not customer_ids:
        return {}
    value, definition = table(AttributeValue), table(AttributeDefinition)
    query = (
        select(value.c.customer_id, value.c.key, value.c.text, value.c.number, definition.c.type)
        .join(definition, definition.c.key == value.c.key)
        .where(bulk.is_one_of(session, value.c.customer_id, sorted(set(customer_ids))))
        .order_by(definition.c.position, value.c.key)
    )
    found: dict[int, dict[str, Value]] = {}
    for row in await session.execute(query):
        found.setdefault(row.customer_id, {})[row.key] = _told(row)
    return found


def _told(row: Any) -> Value:  # noqa: ANN401
    if row.type == "yes_no":
        return bool(row.number)
    if row.type == "number":
        return int(row.number) if float(row.number).is_integer() else float(row.number)
    return str(row.text)


async def _replace(
    session: AsyncSession,
    changed: Sequence[tuple[int, str, Value | None]],
    source: str,
    now: datetime,
) -> None:
    value = table(AttributeValue)
    by_key: dict[str, list[int]] = {}
    for id_, key, _value in changed:
        by_key.setdefault(key, []).append(id_)
    for key, ids in by_key.items():
        theirs = bulk.is_one_of(session, value.c.customer_id, sorted(ids))
        await session.execute(delete(value).where(value.c.key == key, theirs))
    rows = [
        {"customer_id": id_, "key": key, **_columns(new), "source": source[:60], "set_at": now}
        for id_, key, new in changed
        if new is not None
    ]
    await bulk.insert_rows(session, value, rows)


def _columns(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"text": value, "number": None}
    return {"text": None, "number": float(value)}


def _checked(draft: DefinitionDraft) -> list[str]:
    choices = [" ".join(choice.split()) for choice in draft.choices]
    wrong: list[Fault] = []
    if draft.type not in ATTRIBUTE_TYPES:
        wrong.append(Fault("type", f"must be one of {', '.join(ATTRIBUTE_TYPES)}",
                           f"次のどれかにしてください: {'、'.join(ATTRIBUTE_TYPES)}"))  # fmt: skip
    elif draft.type != "choice" and choices:
        wrong.append(Fault("choices", "only the type choice has choices",
                           "選択肢は choice 型だけで使えます"))  # fmt: skip
    elif draft.type == "choice" and not 1 <= len(choices) <= MAX_CHOICES:
        wrong.append(Fault("choices", f"give 1 to {MAX_CHOICES} choices",
                           f"選択肢を1〜{MAX_CHOICES}個指定してください"))  # fmt: skip
    if len(set(choices)) < len(choices):
        wrong.append(Fault("choices", "a choice is there twice", "同じ選択肢が2つあります"))
    if any(not 0 < len(choice) <= MAX_CHOICE for choice in choices):
        wrong.append(Fault("choices", f"a choice has 1 to {MAX_CHOICE} characters",
                           f"選択肢は1〜{MAX_CHOICE}文字にしてください"))  # fmt: skip
    if wrong:
        raise Invalid("The attribute cannot be defined like this.", wrong)
    return choices


async def _define(
    session: AsyncSession, key: str, draft: DefinitionDraft, choices: list[str], now: datetime
) -> AttributeDefinition:
    count = await session.scalar(select(func.count()).select_from(table(AttributeDefinition)))
    if int(count or 0) >= MAX_DEFINITIONS:
        raise Conflict(
            f"属性は{MAX_DEFINITIONS}個までです。 "
            f"There may be {MAX_DEFINITIONS} attributes at most."
        )
    made = AttributeDefinition(
        key=key, name=draft.name, type=draft.type, choices=choices, position=draft.position,
        created_at=now, updated_at=now,
    )  # fmt: skip
    session.add(made)
    await session.flush()
    return made


async def _refuse_misfits(
    session: AsyncSession, found: AttributeDefinition, kind: str, choices: list[str]
) -> None:
    value = table(AttributeValue)
    if kind != found.type and (held := await _held(session, found.key)):
        raise Conflict(
            f"{held}人の顧客に値があるため、型は変えられません。 "
            f"{held} customers hold a value, so the type cannot change."
        )
    gone = set(found.choices) - set(choices)
    if not gone or kind != "choice":
        return
    theirs = (value.c.key == found.key) & value.c.text.in_(gone)
    if used := await session.scalar(select(func.count()).select_from(value).where(theirs)):
        raise Conflict(
            f"削除する選択肢が{used}人の顧客に使われています。 "
            f"{used} customers hold a choice that would go."
        )


async def _held(session: AsyncSession, key: str) -> int:
    value = table(AttributeValue)
    query = select(func.count()).select_from(value).where(value.c.key == key)
    return int(await session.scalar(query) or 0)


def _text(definition: AttributeDefinition, value: object) -> str:
    plain = value.strip() if isinstance(value, str) else ""
    if not 0 < len(plain) <= MAX_TEXT:
        msg = f"must be a text of 1 to {MAX_TEXT} characters／1〜{MAX_TEXT}文字で入力してください"
        raise ValueError(msg)
    return plain


def _number(definition: AttributeDefinition, value: object) -> float | int:
    number = _read_number(value)
    if number is None or not math.isfinite(number) or abs(number) > MAX_NUMBER:
        msg = "must be a number／数値で入力してください"
        raise ValueError(msg)
    return int(number) if number.is_integer() else number


def _read_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if not isinstance(value, str):
        return float(value) if abs(value) <= MAX_NUMBER else None
    try:
        return float(unicodedata.normalize("NFKC", value[:60]).replace(",", ""))
    except ValueError:
        return None


def _date(definition: AttributeDefinition, value: object) -> str:
    return contact.day(value if isinstance(value, str) else "")


def _choice(definition: AttributeDefinition, value: object) -> str:
    plain = " ".join(value.split()) if isinstance(value, str) else ""
    if plain not in definition.choices:
        listed = ", ".join(definition.choices)[:300]
        msg = f"must be one of {listed}／次のどれかにしてください: {listed}"
        raise ValueError(msg)
    return plain


def _yes_no(definition: AttributeDefinition, value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = unicodedata.normalize("NFKC", value).strip().lower() if isinstance(value, str) else ""
    if word not in _YES | _NO:
        msg = "must be true or false／はい か いいえ で入力してください"
        raise ValueError(msg)
    return word in _YES


_CHECKS = {"text": _text, "number": _number, "date": _date, "choice": _choice, "yes_no": _yes_no}
