"""Many rows in one statement: arrays on PostgreSQL, one prepared statement on SQLite."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Table, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.selectable import TableValuedAlias

from core.db import dialect_of, insert_new

Row = Mapping[str, Any]


async def insert_rows(session: AsyncSession, target: Table, rows: Sequence[Row]) -> None:
    """Insert rows that all have the same keys; one that is there already is left as it is."""
    if not rows:
        return
    query = insert_new(session, target).on_conflict_do_nothing()
    if dialect_of(session) == "sqlite":
        await (await session.connection()).execute(query, list(rows))
        return
    names = list(rows[0])
    source = _unnest(target, names)
    query = query.from_select(names, select(*(source.c[name] for name in names)))
    await session.execute(query, _arrays(names, rows))


async def update_rows(
    session: AsyncSession, target: Table, rows: Sequence[Row], *, key: str = "id"
) -> None:
    """Set the given columns of each row that has the given key; all rows have the same keys."""
    if not rows:
        return
    names = list(rows[0])
    changed = [name for name in names if name != key]
    if dialect_of(session) == "sqlite":
        query = update(target).where(target.c[key] == bindparam(f"b_{key}"))
        query = query.values({name: bindparam(f"b_{name}") for name in changed})
        values = [{f"b_{name}": row[name] for name in names} for row in rows]
        await (await session.connection()).execute(query, values)
        return
    source = _unnest(target, names)
    query = update(target).where(target.c[key] == source.c[key])
    query = query.values({name: source.c[name] for name in changed})
    await session.execute(
        query, _arrays(names, rows), execution_options={"synchronize_session": False}
    )


def _unnest(target: Table, names: Sequence[str]) -> TableValuedAlias:
    arrays = [bindparam(f"a_{name}", type_=ARRAY(target.c[name].type)) for name in names]
    columns: list[Column[Any]] = [Column(name, target.c[name].type) for name in names]
    return func.unnest(*arrays).table_valued(*columns, name="given").render_derived()


def _arrays(names: Sequence[str], rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {f"a_{name}": [row[name] for row in rows] for name in names}
