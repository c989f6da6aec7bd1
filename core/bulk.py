"""Many rows in one statement: arrays on PostgreSQL, one prepared statement on SQLite.

The statement of a table and its columns is built once and then run as it is: for SQLAlchemy to put
it together anew, and each value into its place, costs more than to run it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Dialect,
    Insert,
    Table,
    Update,
    any_,
    bindparam,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.selectable import TableValuedAlias

from core.db import dialect_of

Row = Mapping[str, Any]
Where = AsyncSession | AsyncConnection

BIND = "b_"
WORTH_SHARING = 8  # rows; the few have one statement, whatever their values


async def insert_rows(where: Where, target: Table, rows: Sequence[Row]) -> int:
    """Insert rows that all have the same keys; one that is there already is left as it is.

    Returns how many were new.
    """
    if not rows:
        return 0
    connection = await _connection(where)
    statement = _insert(connection.dialect, target, tuple(rows[0]), _shared(rows))
    return await statement.run(connection, rows)


async def update_rows(where: Where, target: Table, rows: Sequence[Row], *, key: str = "id") -> None:
    """Set the given columns of each row that has the given key; all rows have the same keys."""
    if rows:
        connection = await _connection(where)
        shared = _shared(rows) - {key}
        statement = _update(connection.dialect, target, tuple(rows[0]), key, shared)
        await statement.run(connection, rows)


def is_one_of(
    session: AsyncSession, column: Column[Any], values: Collection[Any]
) -> ColumnElement[bool]:
    """`column IN values`; on PostgreSQL one array, however many they are."""
    if dialect_of(session) == "sqlite":
        return column.in_(values)
    return column == any_(literal(list(values), ARRAY(column.type, dimensions=1)))


@dataclass(frozen=True, slots=True)
class _Statement:
    """SQL text, the columns of its parameters in order, and how the database wants their values.

    The value of a `shared` column is given once, all others as a list.
    """

    sql: str
    names: Sequence[str]
    converters: Sequence[Callable[[Any], Any] | None]
    shared: frozenset[str]

    async def run(self, connection: AsyncConnection, rows: Sequence[Row]) -> int:
        """Returns how many rows were written."""
        columns = self._parameters(rows)
        if connection.dialect.name == "sqlite":
            values = self._as_rows(columns, len(rows))
            return (await connection.exec_driver_sql(self.sql, values)).rowcount
        return (await connection.exec_driver_sql(self.sql, tuple(columns))).rowcount

    def _as_rows(self, columns: Sequence[Any], count: int) -> list[tuple[Any, ...]]:
        named = zip(self.names, columns, strict=True)
        lists = [[values] * count if name in self.shared else values for name, values in named]
        return list(zip(*lists, strict=True))

    def _parameters(self, rows: Sequence[Row]) -> list[Any]:
        try:
            return [
                _values(rows[:1], name, convert)[0]
                if name in self.shared
                else _values(rows, name, convert)
                for name, convert in zip(self.names, self.converters, strict=True)
            ]
        except (TypeError, ValueError, RecursionError) as error:
            said = "a value does not fit its column"
            raise StatementError(said, self.sql, None, error, hide_parameters=True) from error


def _values(rows: Sequence[Row], name: str, convert: Callable[[Any], Any] | None) -> list[Any]:
    return [convert(row[name]) for row in rows] if convert else [row[name] for row in rows]


def _shared(rows: Sequence[Row]) -> frozenset[str]:
    """Columns with one value for all rows, which is converted once and sent once."""
    if len(rows) < WORTH_SHARING:
        return frozenset()
    first, last = rows[0], rows[-1]
    alike = [name for name in first if first[name] == last[name]]
    return frozenset(n for n in alike if all(row[n] == first[n] for row in rows))


async def _connection(where: Where) -> AsyncConnection:
    return where if isinstance(where, AsyncConnection) else await where.connection()


@lru_cache(maxsize=256)
def _insert(
    dialect: Dialect, target: Table, names: tuple[str, ...], shared: frozenset[str]
) -> _Statement:
    if dialect.name == "sqlite":
        one = sqlite.insert(target).inline().values({name: _bind(target, name) for name in names})
        return _compiled(dialect, target, one.on_conflict_do_nothing(), shared)
    source = _unnest(target, [name for name in names if name not in shared])
    given = [_bind(target, n) if n in shared else source.c[n] for n in names]
    all_ = postgresql.insert(target).from_select(names, select(*given).select_from(source))
    return _compiled(dialect, target, all_.on_conflict_do_nothing(), shared)


@lru_cache(maxsize=256)
def _update(
    dialect: Dialect, target: Table, names: tuple[str, ...], key: str, shared: frozenset[str]
) -> _Statement:
    changed = [name for name in names if name != key]
    if dialect.name == "sqlite":
        one = update(target).where(target.c[key] == _bind(target, key))
        one = one.values({name: _bind(target, name) for name in changed})
        return _compiled(dialect, target, one, shared)
    source = _unnest(target, [name for name in names if name not in shared])
    given = {n: _bind(target, n) if n in shared else source.c[n] for n in changed}
    all_ = update(target).where(target.c[key] == source.c[key]).values(given)
    return _compiled(dialect, target, all_, shared)


def _compiled(
    dialect: Dialect, target: Table, query: Insert | Update, shared: frozenset[str]
) -> _Statement:
    compiled = query.compile(dialect=dialect)
    names = [name.removeprefix(BIND) for name in compiled.positiontup or ()]
    kinds = [target.c[name].type.dialect_impl(dialect) for name in names]
    converters = [kind.bind_processor(dialect) for kind in kinds]
    return _Statement(str(compiled), names, converters, shared)


def _bind(target: Table, name: str) -> Any:  # noqa: ANN401
    return bindparam(f"{BIND}{name}", type_=target.c[name].type)


def _unnest(target: Table, names: Sequence[str]) -> TableValuedAlias:
    # One dimension, said aloud: else a JSON list would be taken for an array inside the array.
    kinds = {name: ARRAY(target.c[name].type, dimensions=1) for name in names}
    arrays = [bindparam(f"{BIND}{name}", type_=kinds[name]) for name in names]
    columns: list[Column[Any]] = [Column(name, target.c[name].type) for name in names]
    return func.unnest(*arrays).table_valued(*columns, name="given").render_derived()
