"""Lists: newest first, a page at a time, by a cursor that survives whatever is added meanwhile."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import UtcDateTime
from core.errors import Fault, Invalid
from core.sealing import Signer

Item = TypeVar("Item")
Place = list[str | int]


class PageQuery(BaseModel):
    """What every list takes."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200, description="How many items at most")
    cursor: str | None = Field(
        None,
        max_length=400,
        description="`next_cursor` of the page before; none for the first page",
    )


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = Field(description="For the next page; null on the last one")


class Cursors:
    """Makes cursors and reads them back; a cursor serves only the list that gave it."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def make(self, name: str, place: Place) -> str:
        """The cursor that goes on after this place of the list."""
        text = urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")
        return f"{text}.{self._signer.sign(f'{name}:{text}')}"

    def read(self, name: str, cursor: str) -> Place:
        """The place; raises `Invalid` for anything that this list has not given."""
        text, _, signature = cursor.partition(".")
        if not self._signer.verify(f"{name}:{text}", signature):
            raise Invalid("The cursor cannot be used.", [
                Fault("cursor", "was not given by this list; begin again without a cursor",
                      "この一覧のカーソルではありません。最初から取得してください")])  # fmt: skip
        place: Place = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return place


async def page(
    session: AsyncSession,
    cursors: Cursors,
    asked: PageQuery,
    query: Select[Any],
    *,
    name: str,
    keys: Sequence[ColumnElement[Any]],
    read: Callable[[Any], Item],
) -> Page[Item]:
    """One page of a query, in one statement, by descending `keys`, which the query selects too."""
    if asked.cursor is not None:
        query = query.where(_after(keys, cursors.read(name, asked.cursor)))
    query = query.order_by(*(key.desc() for key in keys)).limit(asked.limit + 1)
    rows = list(await session.execute(query))
    more = len(rows) > asked.limit
    rows = rows[: asked.limit]
    cursor = cursors.make(name, _place(rows[-1], keys)) if more else None
    return Page(items=[read(row) for row in rows], next_cursor=cursor)


def _after(keys: Sequence[ColumnElement[Any]], place: Place) -> ColumnElement[bool]:
    values = [
        literal(datetime.fromisoformat(str(value)) if _is_moment(key) else value, key.type)
        for key, value in zip(keys, place, strict=True)
    ]
    return tuple_(*keys) < tuple_(*values) if len(keys) > 1 else keys[0] < values[0]


def _place(row: Any, keys: Sequence[ColumnElement[Any]]) -> Place:  # noqa: ANN401
    values = [getattr(row, str(key.key)) for key in keys]
    return [value.isoformat() if isinstance(value, datetime) else value for value in values]


def _is_moment(key: ColumnElement[Any]) -> bool:
    return isinstance(key.type, UtcDateTime)
