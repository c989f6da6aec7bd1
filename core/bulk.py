"""Many rows in one statement: arrays on PostgreSQL, one prepared statement on SQLite.

The statement of a table and its columns is built once and then run as it is: for SQLAlchemy to put
it together anew, and each value into its place, costs more than to run it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, Dialect, Insert, Table, Update, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.selectable import TableValuedAlias

Row = Mapping[str, Any]
Where = AsyncSession | AsyncConnection

BIND = "b_"


async def insert_rows(where: Where, target: Table, rows: Sequence[Row]) -> None:
    """Insert rows that all have the same keys; one that is there already is left as it is."""
    if rows:
        connection = await _connection(where)
        statement = _insert(connection.dialect, target, tuple(rows[0]))
        await statement.run(connection, rows)


async def update_rows(where: Where, target: Table, rows: Sequence[Row], *, key: str = "id") -> None:
    """Set the given columns of each row that has the given key; all rows have the same keys."""
    if rows:
        connection = await _connection(where)
        statement = _update(connection.dialect, target, tuple(rows[0]), key)
        await statement.run(connection, rows)


@dataclass(frozen=True, slots=True)
class _Statement:
    """SQL text, the columns of its parameters in order, and how the database wants their values."""

    sql: str
    names: Sequence[str]
    converters: Sequence[Callable[[Any], Any] | None]

    async def run(self, connection: AsyncConnection, rows: Sequence[Row]) -> None:
        columns = self._columns(rows)
        as_rows = connection.dialect.name == "sqlite"
        values = list(zip(*columns, strict=True)) if as_rows else tuple(columns)
        await connection.exec_driver_sql(self.sql, values)

    def _columns(self, rows: Sequence[Row]) -> list[list[Any]]:
        try:
            return [
                [convert(row[name]) for row in rows] if convert else [row[name] for row in rows]
                for name, convert in zip(self.names, self.converters, strict=True)
            ]
        except (TypeError, ValueError, RecursionError) as error:
            said = "a value does not fit its column"
            raise StatementError(said, self.sql, None, error, hide_parameters=True) from error


async def _connection(where: Where) -> AsyncConnection:
    return where if isinstance(where, AsyncConnection) else await where.connection()


@lru_cache(maxsize=256)
def _insert(dialect: Dialect, target: Table, names: tuple[str, ...]) -> _Statement:
    if dialect.name == "sqlite":
        one = sqlite.insert(target).inline().values({name: _bind(name) for name in names})
        return _compiled(dialect, target, one.on_conflict_do_nothing())
    source = _unnest(target, names)
    all_ = postgresql.insert(target).from_select(names, select(*(source.c[n] for n in names)))
    return _compiled(dialect, target, all_.on_conflict_do_nothing())


@lru_cache(maxsize=256)
def _update(dialect: Dialect, target: Table, names: tuple[str, ...], key: str) -> _Statement:
    changed = [name for name in names if name != key]
    if dialect.name == "sqlite":
        one = update(target).where(target.c[key] == _bind(key))
        return _compiled(dialect, target, one.values({name: _bind(name) for name in changed}))
    source = _unnest(target, names)
    all_ = update(target).where(target.c[key] == source.c[key])
    return _compiled(dialect, target, all_.values({name: source.c[name] for name in changed}))


def _compiled(dialect: Dialect, target: Table, query: Insert | Update) -> _Statement:
    compiled = query.compile(dialect=dialect)
    names = [name.removeprefix(BIND) for name in compiled.positiontup or ()]
    kinds = [target.c[name].type.dialect_impl(dialect) for name in names]
    return _Statement(str(compiled), names, [kind.bind_processor(dialect) for kind in kinds])


def _bind(name: str) -> Any:  # noqa: ANN401
    return bindparam(f"{BIND}{name}")


def _unnest(target: Table, names: Sequence[str]) -> TableValuedAlias:
    # One dimension, said aloud: else a JSON list would be taken for an array inside the array.
    kinds = {name: ARRAY(target.c[name].type, dimensions=1) for name in names}
    arrays = [bindparam(f"{BIND}{name}", type_=kinds[name]) for name in names]
    columns: list[Column[Any]] = [Column(name, target.c[name].type) for name in names]
    return func.unnest(*arrays).table_valued(*columns, name="given").render_derived()
