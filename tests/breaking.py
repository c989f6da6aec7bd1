"""Ways to break our own process in the middle of its work, and to count what it asks for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from core.runtime import Runtime

WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")


class Stopped(Exception):
    """Our process, struck down in mid-air."""


@contextmanager
def dying_at_commit(runtime: Runtime, number: int = 1) -> Iterator[None]:
    """Raise `Stopped` instead of the commit of this number, of those that have written anything."""
    engine = runtime.db.engine.sync_engine
    seen = 0

    def note(connection: Any, _cursor: object, statement: str, *_: object) -> None:
        connection.info["wrote"] = connection.info.get("wrote") or statement.startswith(WRITES)

    def die(connection: Any) -> None:
        nonlocal seen
        seen += bool(connection.info.pop("wrote", False))
        if seen == number:
            raise Stopped

    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "commit", die)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", note)
        event.remove(engine, "commit", die)


class Statements:
    """Counts the statements that the database is given while the block lasts."""

    def __init__(self, runtime: Runtime) -> None:
        self._engine = runtime.db.engine.sync_engine
        self.number = 0

    def __enter__(self) -> "Statements":
        event.listen(self._engine, "before_cursor_execute", self._count)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        self.number += 1
