"""A database alone, of each kind, for what needs no LINE."""

from collections.abc import AsyncIterator

import pytest

from core.db import Database
from core.settings import load


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A fresh migrated database."""
    made = Database(load(_env_file=None, database_url=database_url, clock="simulated"))
    yield made
    await made.close()
