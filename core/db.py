"""The database: sessions, transactions and column types for SQLite (WAL) and PostgreSQL."""

import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    Table,
    TypeDecorator,
    event,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlmodel import SQLModel

from core.settings import Settings

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

BigId = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only plain INTEGER keys
Json = JSON().with_variant(JSONB, "postgresql")


class Model(SQLModel):
    """Base of all tables; gives constraints names that migrations can speak of."""

    metadata = MetaData(naming_convention=NAMING)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware on our side, UTC in the database (SQLite keeps no zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "a moment needs a time zone"
            raise ValueError(msg)
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def table(model: type[SQLModel]) -> Table:
    """The Core table of a model, for statements over sets."""
    return cast("Table", model.__table__)  # type: ignore[attr-defined]


def insert_new(session: AsyncSession, target: Table) -> postgresql.Insert | sqlite.Insert:
    """`INSERT … ON CONFLICT` of the session's database, where a row may be there already."""
    make = sqlite.insert if dialect_of(session) == "sqlite" else postgresql.insert
    return make(target)


def dialect_of(session: AsyncSession) -> str:
    """`sqlite` or `postgresql`."""
    return session.get_bind().dialect.name


class Database:
    """Engines and sessions. SQLite has one writing connection, so that writers queue up fairly."""

    def __init__(self, settings: Settings, *, pool_size: int = 10) -> None:
        self.url = settings.database_url
        self.is_sqlite = settings.is_sqlite
        if settings.sqlite_path is not None:
            _create_privately(settings.sqlite_path)
        if self.is_sqlite:
            self.engine = _sqlite_engine(self.url, read_only=False)
            self._read_engine = _sqlite_engine(self.url, read_only=True)
        else:
            self.engine = self._read_engine = _postgres_engine(self.url, pool_size)
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._kept: list[AsyncConnection] = []
        self._write = async_sessionmaker(self.engine, expire_on_commit=False)
        self._read = async_sessionmaker(self._read_engine, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session that commits at the end, or rolls back when anything is raised."""
        async with self._write() as session, session.begin():
            yield session

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        """A connection for one statement, which is a transaction of its own.

        On PostgreSQL it is kept for the next statement, which then costs one round trip instead of
        five; so it may have been cut meanwhile (`DBAPIError.connection_invalidated`).
        """
        if self.is_sqlite:
            async with self.engine.begin() as connection:
                yield connection
            return
        connection = self._kept.pop() if self._kept else await self._autocommit.connect()
        try:
            yield connection
        except BaseException:
            await connection.close()
            raise
        self._kept.append(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that only reads, and never waits for a writer."""
        async with self._read() as session, session.begin():
            yield session

    async def close(self) -> None:
        """Close all connections."""
        while self._kept:
            await self._kept.pop().close()
        await self.engine.dispose()
        if self._read_engine is not self.engine:
            await self._read_engine.dispose()


def _create_privately(path: Path) -> None:
    """Make the file for its owner alone, as it will hold personal data; SQLite goes by umask."""
    with suppress(OSError):  # what stands in the way is said when the file is opened
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def _dumps(value: Any) -> str:  # noqa: ANN401
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # nested deeper than orjson goes
        return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _postgres_engine(url: str, pool_size: int) -> AsyncEngine:
    return create_async_engine(
        url,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        hide_parameters=True,  # errors are logged, and parameters are personal
        pool_size=pool_size,
        max_overflow=10,
        pool_pre_ping=True,
        connect_args={"timeout": 10, "server_settings": {"application_name": "okaeri"}},
    )


def _sqlite_engine(url: str, *, read_only: bool) -> AsyncEngine:
    engine = create_async_engine(
        url,
        json_serializer=_dumps,
        json_deserializer=orjson.loads,
        hide_parameters=True,  # errors are logged, and parameters are personal
        pool_size=4 if read_only else 1,
        max_overflow=0,
        pool_timeout=60,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, _record: object) -> None:  # noqa: ANN401
        connection.isolation_level = None  # we say BEGIN ourselves, see below
        cursor = connection.cursor()
        for pragma in _pragmas(read_only=read_only):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:  # noqa: ANN401
        # A deferred BEGIN that later writes loses updates between two writers (SQLITE_BUSY_SNAPSHOT
        # at best), so whoever may write takes the lock at once.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _pragmas(*, read_only: bool) -> Sequence[str]:
    common = ("busy_timeout = 30000", "foreign_keys = ON")
    if read_only:
        return (*common, "query_only = ON")
    return ("journal_mode = WAL", "synchronous = FULL", *common)
