"""Rows of a CSV file, one at a time, whatever the file's size."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from core.errors import Fault, Invalid
from core.text import fold
from crm.imports.texts import lines_of

MAX_CELL = 131_072  # characters; the csv module's own bound
MAX_COLUMNS = 500
DELIMITERS = ",\t;"


@dataclass(frozen=True, slots=True)
class Row:
    """Cells, and the line of the file on which they begin."""

    line: int
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """A file's headings and its rows; the latter can be gone through once."""

    headings: Sequence[str]
    rows: Iterator[Row]


def open_table(file: BinaryIO, encoding: str = "") -> Table:
    """The file's table. Raises `Invalid` for what is no CSV; its rows raise it as they are read."""
    lines = lines_of(file, encoding)
    first = next(lines, "")
    reader = csv.reader(_chain(first, lines), delimiter=_delimiter(first), strict=True)
    rows = _rows(reader)
    head = next(rows, None)
    if head is None:
        raise Invalid("The file is empty; nothing was changed.", [
            Fault("", "holds no heading", "見出しの行がありません", 1)])  # fmt: skip
    if len(head.cells) > MAX_COLUMNS:
        raise Invalid("The file has too many columns; nothing was changed.", [
            Fault("", f"has more than {MAX_COLUMNS} columns", f"列は{MAX_COLUMNS}までです",
                  1)])  # fmt: skip
    return Table([cell.strip() for cell in head.cells], rows)


def plain(heading: str) -> str:
    """A heading as it is compared: width, case and blanks do not matter."""
    return "".join(fold(heading).split())


def _rows(reader: Iterator[list[str]]) -> Iterator[Row]:
    line = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _broken(str(error), line) from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield Row(line, cells)
        line = reader.line_num + 1  # type: ignore[attr-defined]


def _broken(reason: str, line: int) -> Invalid:
    if "field larger" in reason:
        fault = Fault("", f"has a cell of more than {MAX_CELL:,} characters",
                      f"1つのセルが長すぎます（{MAX_CELL:,}文字まで）", line)  # fmt: skip
    else:
        fault = Fault("", "has a quote that is not closed, or text after a closing one",
                      "引用符（\"）が閉じられていないか、余分な文字があります", line)  # fmt: skip
    return Invalid("The file cannot be read; nothing was changed.", [fault])


def _delimiter(first: str) -> str:
    return max(DELIMITERS, key=first.count)


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest
