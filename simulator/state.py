"""What outlives the process: an append-only journal of JSON documents.

A line is `[kind, key, document]`; a later line replaces an earlier one, null deletes. Each change
is written with one system call before it is answered, so a `kill -9` loses at most what was under
way. At the start the journal is written anew without what has been replaced.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

import orjson

Documents = dict[str, dict[str, dict[str, object]]]
Change = tuple[str, str, object]


class StateInUse(Exception):
    """Another simulator holds the state file."""


class Store:
    """Keeps nothing; `Journal` keeps all."""

    def load(self) -> Documents:
        """All documents by kind and key, in the order of their first writing."""
        return {}

    def put(self, kind: str, key: str, document: object) -> None:
        """Keep a document (a dict or a dataclass)."""

    def put_all(self, changes: Iterable[Change]) -> None:
        """Keep several at once: after a crash all are there, or none."""

    def delete(self, kind: str, key: str) -> None:
        """Forget a document."""

    def clear(self) -> None:
        """Forget everything."""

    def close(self) -> None:
        """Let go of the file."""


class Journal(Store):
    """A `Store` in a file. Raises `StateInUse` when another process has it open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(path.with_suffix(path.suffix + ".lock"))
        self._file: int | None = None

    def load(self) -> Documents:
        """Read all, then write the journal anew without what is obsolete."""
        documents = _replay(self._path)
        fresh = self._path.with_suffix(self._path.suffix + ".new")
        with fresh.open("wb") as out:
            for kind, entries in documents.items():
                out.writelines(_line(kind, key, value) for key, value in entries.items())
        fresh.replace(self._path)
        self._open()
        return documents

    def put(self, kind: str, key: str, document: object) -> None:
        """Append one line."""
        self._append(_line(kind, key, document))

    def put_all(self, changes: Iterable[Change]) -> None:
        """Append several documents as one line, which is read whole or not at all."""
        self._append(orjson.dumps([[kind, key, doc] for kind, key, doc in changes]) + b"\n")

    def delete(self, kind: str, key: str) -> None:
        """Append a deletion."""
        self._append(_line(kind, key, None))

    def clear(self) -> None:
        """Empty the file."""
        os.ftruncate(self._descriptor(), 0)

    def close(self) -> None:
        """Close the file and release the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _append(self, line: bytes) -> None:
        descriptor = self._descriptor()
        while line:
            line = line[os.write(descriptor, line) :]

    def _descriptor(self) -> int:
        if self._file is None:
            self._file = self._open()
        return self._file

    def _open(self) -> int:
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return self._file


def _line(kind: str, key: str, document: object) -> bytes:
    return orjson.dumps([kind, key, document]) + b"\n"


def _lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StateInUse(path.with_suffix("")) from error
    return descriptor


def _replay(path: Path) -> Documents:
    documents: Documents = {}
    if not path.exists():
        return documents
    with path.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):  # The process died while it wrote this one.
                break
            entry = orjson.loads(line)
            for kind, key, value in entry if isinstance(entry[0], list) else [entry]:
                _apply(documents.setdefault(kind, {}), key, value)
    return documents


def _apply(
    entries: dict[str, dict[str, object]], key: str, value: dict[str, object] | None
) -> None:
    if value is None:
        entries.pop(key, None)
    else:
        entries[key] = value
