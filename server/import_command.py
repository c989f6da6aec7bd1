"""`okaeri import` and `okaeri export`: CSV files in and out, with a progress bar for people."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from core.clock import RealClock, SimulatedClock
from core.db import Database
from core.errors import Fault, StartError
from core.settings import Settings
from crm.imports import saved
from crm.imports.export import export
from crm.imports.mapping import Kind
from crm.imports.run import Import, Report
from crm.imports.texts import encoding_of
from server.process import check_migrated


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    kind: Kind
    path: Path
    mapping: str = "plain"
    encoding: str = ""
    source: str = ""
    dry_run: bool = False


async def import_file(settings: Settings, wish: Wish, console: Console) -> Report:
    """Take a file in; the bar is shown on `console` when that is a terminal."""
    await check_migrated(settings)
    db = Database(settings)
    try:
        clock = SimulatedClock(db) if settings.clock == "simulated" else RealClock()
        now = await clock.now()
        async with db.reading() as session:
            found = await saved.find(session, wish.kind, wish.mapping)
        with _opened(wish.path) as file, _bar(console, "取り込み中 / importing") as progress:
            return await Import(
                db, file, found, settings.zone, now, wish.source, wish.encoding, wish.dry_run,
                progress,
            ).run()  # fmt: skip
    finally:
        await db.close()


async def export_file(settings: Settings, wish: Wish) -> int:
    """Write a file; returns how many records it holds. It appears under its name when whole."""
    encoding = encoding_of(wish.encoding) if wish.encoding else "utf-8-sig"
    await check_migrated(settings)
    part = wish.path.with_name(f".{wish.path.name}.part")
    db, count = Database(settings), 0
    try:
        with _written(part, encoding) as write:
            async for some in export(db, wish.kind, zone=settings.zone):
                write(some.text)
                count += some.records
        part.replace(wish.path)
    except UnicodeEncodeError as error:
        msg = f"A name cannot be written as {error.encoding}; use --encoding utf-8."
        raise StartError(msg) from None
    finally:
        part.unlink(missing_ok=True)
        await db.close()
    return count


def say(report: Report, wish: Wish, out: Console, err: Console) -> None:
    """Tell what became of the file: the sums on standard output, faults by line on the other."""
    for heading, faults in (("", report.faults), ("確認 / check: ", report.warnings)):
        for fault in faults:
            err.print(f"{heading}{_where(fault)}", highlight=False, soft_wrap=True, markup=False)
            for said in filter(None, (fault.message_ja, fault.message)):
                err.print(f"    {said}", highlight=False, soft_wrap=True, markup=False)
    if report.more_faults:
        err.print(f"… +{report.more_faults:,}", highlight=False)
    if report.ignored:
        names = ", ".join(report.ignored)
        err.print(f"使わない列 / columns not used: {names}", highlight=False, soft_wrap=True,
                  markup=False)  # fmt: skip
    word = "試行（変更なし）/ dry run, nothing was changed" if wish.dry_run else "完了 / done"
    counts = (
        f"{report.rows:,} 行 rows, {report.records:,} 件 records: 新規 new {report.new:,}, "
        f"更新 changed {report.changed:,}, 変更なし unchanged {report.unchanged:,}, "
        f"除外 left out {report.left_out:,}"
    )
    out.print(f"{word}: {counts}", highlight=False, soft_wrap=True, markup=False)


def _where(fault: Fault) -> str:
    column = f" {fault.column}列目 column {fault.column}" if fault.column else ""
    heading = f"（{fault.path}）" if fault.path else ""
    return f"{fault.line}行目 line {fault.line}{column}{heading}"


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}") from None
    with file:
        yield file


@contextmanager
def _written(path: Path, encoding: str) -> Iterator[Callable[[str], object]]:
    try:
        file = path.open("w", encoding=encoding, newline="")
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}") from None
    with file:
        path.chmod(0o600)  # it holds personal data
        yield file.write


@contextmanager
def _bar(console: Console, word: str) -> Iterator[Callable[[int, int], None] | None]:
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn(word), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(word, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
