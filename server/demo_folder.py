"""The demo's folder: its secrets, who works in it, and beginning anew in it."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import StartError

LOCK = "demo.lock"
# What `--fresh` removes; whatever else somebody keeps in the folder stays.
OWN_FILES = ("okaeri.db*", "simulator.db*", "secrets.*", "owner-token.*")


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made at the first start and kept in the demo's folder, readable by its owner only."""

    secret_key: str
    channel_id: str
    channel_secret: str
    access_token: str
    admin_token: str = ""


@contextmanager
def held(folder: Path, *, fresh: bool) -> Iterator[Path]:
    """Make the folder if need be, and hold it for this demo alone; gives its absolute path.

    Raises `StartError` when it cannot be written or another demo works in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(
            f"The demo cannot write to {folder.absolute()} ({error.strerror}). "
            "Choose another folder with --data."
        ) from None
    try:
        _lock(lock, folder)
        if fresh:
            _clear(folder)
        yield folder.absolute()
    finally:
        os.close(lock)


def read_secrets(folder: Path) -> Secrets:
    """The secrets of this folder, made when there are none. Raises `StartError` when damaged."""
    path = folder / "secrets.json"
    try:
        return Secrets(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass
    except (ValueError, TypeError, OSError):
        raise StartError(f"{path} cannot be read. Begin anew with: okaeri demo --fresh") from None
    made = Secrets(
        secret_key=secrets.token_hex(32),
        channel_id=str(2_000_000_000 + secrets.randbelow(9_999_999)),
        channel_secret=secrets.token_hex(16),
        access_token=secrets.token_urlsafe(64),
    )
    keep_secrets(folder, made)
    return made


def keep_secrets(folder: Path, kept: Secrets) -> None:
    """Write them, and the owner's token once more alone, for people to copy."""
    if kept.admin_token:
        _write_private(folder / "owner-token.txt", kept.admin_token + "\n")
    _write_private(folder / "secrets.json", json.dumps(asdict(kept)))


def _lock(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StartError(
            f"Another demo already works in {folder.absolute()}. Stop that one first, or choose "
            "another folder with --data."
        ) from None


def _clear(folder: Path) -> None:
    for pattern in OWN_FILES:
        for path in folder.glob(pattern):
            path.unlink()


def _write_private(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(text)
    new.replace(path)
