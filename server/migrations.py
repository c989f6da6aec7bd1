"""Bring the tables to the newest version, all in one transaction, or say what is wrong."""

from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, BigInteger, Connection, MetaData, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlmodel.sql.sqltypes import AutoString

import admin.models
import bot.models
import core.db
import core.models
import crm.coupons.models
import crm.customers.models
import crm.linking.models
import crm.models
import crm.points.models
import crm.purchases.models
import delivery.models
import flows.models
from core.db import Database, Model
from core.errors import StartError

SCRIPTS = Path(__file__).resolve().parent.parent / "alembic"
MODELS = (
    admin.models, bot.models, core.models, crm.models, crm.coupons.models, crm.customers.models,
    crm.linking.models, crm.points.models, crm.purchases.models, delivery.models, flows.models,
)  # fmt: skip
LOCK = 0x6F6B6165  # any number; two migrating processes must use the same


def target_metadata() -> MetaData:
    """The tables as the code has them."""
    return Model.metadata


def render_item(type_: str, obj: Any, _context: Any) -> str | Literal[False]:  # noqa: ANN401
    """Write our own column types into migrations by their names."""
    if type_ != "type":
        return False
    if isinstance(obj, core.db.UtcDateTime):
        return "core.db.UtcDateTime()"
    if isinstance(obj, JSON):
        return "core.db.Json"
    if isinstance(obj, AutoString):
        return f"sa.String(length={obj.length})" if obj.length else "sa.String()"
    return "core.db.BigId" if isinstance(obj, BigInteger) else False


async def upgrade(db: Database, revision: str = "head") -> tuple[str | None, str | None]:
    """Migrate up; returns the revisions before and after. Raises `StartError` with a sentence."""
    return await _run(db, lambda config: command.upgrade(config, revision))


async def downgrade(db: Database, revision: str) -> tuple[str | None, str | None]:
    """Migrate down; returns the revisions before and after."""
    return await _run(db, lambda config: command.downgrade(config, revision))


async def make(db: Database, message: str) -> None:
    """Write a new migration from the difference between code and database."""
    await _run(db, lambda config: command.revision(config, message, autogenerate=True))


async def current(db: Database) -> str | None:
    """The revision that the database is at; None when it is empty."""
    try:
        async with db.engine.connect() as connection:
            return await connection.run_sync(_revision)
    except (DatabaseError, OSError) as error:
        raise StartError(explain(db, error)) from error


async def drift(db: Database) -> list[Any]:
    """What differs between the migrated database and the code; empty when all is well."""
    async with db.engine.connect() as connection:
        return await connection.run_sync(
            lambda sync: compare_metadata(
                MigrationContext.configure(sync, opts={"compare_type": True}), target_metadata()
            )
        )


def head() -> str | None:
    """The newest revision that this version of Okaeri knows."""
    return ScriptDirectory(str(SCRIPTS)).get_current_head()


def explain(db: Database, error: Exception) -> str:
    """One sentence for what keeps the database from working, and what to do about it."""
    reason = str(getattr(error, "orig", None) or error)
    if not db.is_sqlite:
        return (
            f"PostgreSQL does not answer or refuses: {reason}. "
            "Check OKAERI_DATABASE_URL, and that the server runs and lets this user in."
        )
    path = db.url.partition(":///")[2]
    if "not a database" in reason or "malformed" in reason:
        return (
            f"The file {path} is damaged or not an SQLite database. Move it away (or restore a "
            "backup), then start again; nothing was changed in it."
        )
    if "readonly" in reason or "unable to open" in reason or "permission" in reason.lower():
        return (
            f"The database file {path} cannot be written. Check that its folder exists and that "
            "this user may write there, or set OKAERI_DATABASE_URL to another place."
        )
    if "locked" in reason:
        return f"The database file {path} is in use by another program; stop that one first."
    return f"The database {path} cannot be opened: {reason}"


async def _run(db: Database, action: Any) -> tuple[str | None, str | None]:  # noqa: ANN401
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["configure_logger"] = False

    def work(connection: Connection) -> tuple[str | None, str | None]:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        before = _revision(connection)
        config.attributes["connection"] = connection
        action(config)
        return before, _revision(connection)

    try:
        async with db.engine.begin() as connection:
            return await connection.run_sync(work)
    except (OperationalError, DatabaseError, OSError) as error:
        raise StartError(explain(db, error)) from error


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
