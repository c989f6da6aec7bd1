"""Rows of one order brought together: as they come where they stand together, else by way of disk.

Exports have a row for each line of an order, as a rule one after the other. Where they are not, or
there are too many orders to be sure, rows are sorted in a temporary file: memory stays bounded.
"""

import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby, islice
from pathlib import Path

from crm.imports.rows import Row

SURE = 200_000  # orders whose keys are remembered, some 15 MiB
CHUNK = 1_000


class Together:
    """Looks at keys as they pass: do all rows of each order stand together, for sure?"""

    def __init__(self) -> None:
        self.sure = True
        self._seen: set[int] = set()
        self._last: int | None = None

    def see(self, key: str) -> None:
        """The next row's key."""
        mark = hash(key)
        if not self.sure or mark == self._last:
            return
        self._last = mark
        self.sure = mark not in self._seen and len(self._seen) < SURE
        self._seen.add(mark)
        if not self.sure:
            self._seen.clear()


def in_turn(rows: Iterable[Row], key: Callable[[Row], str]) -> Iterator[list[Row]]:
    """Orders whose rows stand together."""
    for _, same in groupby(rows, key):
        yield list(same)


def sorted_out(rows: Iterable[Row], key: Callable[[Row], str]) -> Iterator[list[Row]]:
    """Orders by their first rows, wherever the others stand."""
    with (
        tempfile.TemporaryDirectory(prefix="okaeri-import-") as folder,
        closing(
            sqlite3.connect(Path(folder) / "rows.db", isolation_level=None, check_same_thread=False)
        ) as spool,
    ):
        spool.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE first_row (key TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID;"
            "CREATE TABLE row (first INTEGER, line INTEGER, cells TEXT, PRIMARY KEY (first, line))"
            " WITHOUT ROWID;"
        )
        _fill(spool, iter(rows), key)
        found = spool.execute("SELECT first, line, cells FROM row ORDER BY first, line")
        for _, same in groupby(found, lambda each: each[0]):
            yield [Row(line, json.loads(cells)) for _first, line, cells in same]


def _fill(spool: sqlite3.Connection, rows: Iterator[Row], key: Callable[[Row], str]) -> None:
    while some := list(islice(rows, CHUNK)):
        keyed: Sequence[tuple[str, Row]] = [(key(row), row) for row in some]
        spool.execute("BEGIN")
        spool.executemany(
            "INSERT OR IGNORE INTO first_row VALUES (?, ?)", [(k, row.line) for k, row in keyed]
        )
        spool.executemany(
            "INSERT INTO row SELECT line, ?, ? FROM first_row WHERE key = ?",
            [(row.line, json.dumps(row.cells), k) for k, row in keyed],
        )
        spool.execute("COMMIT")
