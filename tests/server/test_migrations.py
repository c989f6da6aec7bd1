"""Migrations go up, down and up again on both databases, and leave no drift from the models."""

from pathlib import Path

import pytest

from core.db import Database
from core.settings import load
from server import migrations
from tests import realservers


@pytest.fixture
def empty_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A database without any table."""
    if backend == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
    server: realservers.PostgresServer = request.getfixturevalue("postgres")
    return server.create_database()


async def test_up_down_and_up_again_leaves_no_drift(empty_url: str) -> None:
    db = Database(load(_env_file=None, database_url=empty_url, clock="simulated"))

    up = await migrations.upgrade(db)
    drift_up = await migrations.drift(db)
    down = await migrations.downgrade(db, "base")
    again = await migrations.upgrade(db)
    drift_again = await migrations.drift(db)
    await db.close()

    assert up == (None, migrations.head())
    assert drift_up == []
    assert down == (migrations.head(), None)
    assert again == (None, migrations.head())
    assert drift_again == []


async def test_a_second_upgrade_changes_nothing(empty_url: str) -> None:
    db = Database(load(_env_file=None, database_url=empty_url, clock="simulated"))
    await migrations.upgrade(db)

    second = await migrations.upgrade(db)
    await db.close()

    assert second == (migrations.head(), migrations.head())
