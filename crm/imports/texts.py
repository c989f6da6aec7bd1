"""The text of a CSV file: its encoding is told, or told by its first bytes, and never guessed.

Whatever cannot be read with certainty stops before anything is changed, and says what to do.
"""

import codecs
from collections.abc import Iterator
from contextlib import suppress
from io import TextIOWrapper
from typing import BinaryIO, NoReturn

from charset_normalizer import from_bytes

from core.errors import Fault, Invalid

CP932 = "cp932"  # what Windows and the shop systems of Japan mean when they say Shift_JIS
UTF_8 = "utf-8"
UTF_16 = "utf-16"
ENCODINGS = {
    "utf-8": UTF_8, "utf8": UTF_8, "utf-8-sig": UTF_8,
    "utf-16": UTF_16, "utf16": UTF_16,
    "cp932": CP932, "shift_jis": CP932, "shift-jis": CP932, "sjis": CP932, "ms932": CP932,
    "windows-31j": CP932,
}  # fmt: skip
HEAD = 65_536
MAX_LINE = 1_000_000


def encoding_of(name: str) -> str:
    """Python's name of an encoding that we read. Raises `Invalid` for others."""
    found = ENCODINGS.get(name.strip().lower())
    if found is None:
        raise Invalid("The encoding is not one that can be read.", [
            Fault("encoding", "must be utf-8, cp932 (Shift_JIS) or utf-16",
                  "utf-8、cp932（Shift_JIS）、utf-16 のどれかにしてください")])  # fmt: skip
    return found


def lines_of(file: BinaryIO, encoding: str = "") -> Iterator[str]:
    """A file's lines with their ends; UTF-8 unless told, or a byte order mark says otherwise.

    Raises `Invalid` where bytes are no text, for NUL and for endless lines. Text that is not in the
    file's encoding is named with the encoding that it may be.
    """
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    chosen = encoding_of(encoding) if encoding else UTF_8
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        chosen = UTF_16
    elif head.startswith(codecs.BOM_UTF8):
        chosen = UTF_8
        file.seek(len(codecs.BOM_UTF8))
    lines = _wide(file) if chosen == UTF_16 else _narrow(file, chosen)
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            _stop(number, f"is longer than {MAX_LINE:,} characters",
                  f"1行が長すぎます（{MAX_LINE:,}文字まで）")  # fmt: skip
        if "\x00" in line:
            _stop(number, "holds a NUL character; save the file again as CSV (UTF-8)",
                  "使えない文字（NUL）があります。CSV（UTF-8）で保存し直してください")  # fmt: skip
        yield line


def _narrow(file: BinaryIO, encoding: str) -> Iterator[str]:
    """Lines of an encoding in which no part of a character looks like the end of a line."""
    number = 0
    while raw := file.readline(MAX_LINE * 4):
        number += 1
        if encoding == CP932 and not raw.isascii() and _fits(raw, UTF_8):
            _unreadable(UTF_8, number, CP932)  # Japanese in UTF-8, which cp932 takes for rubbish
        try:
            yield raw.decode(encoding)
        except UnicodeError:
            _unreadable(_likely(raw, encoding), number, encoding)


def _wide(file: BinaryIO) -> Iterator[str]:
    text, number = TextIOWrapper(file, encoding=UTF_16, newline=""), 0
    try:
        while line := text.readline(MAX_LINE + 1):
            number += 1
            yield line
    except UnicodeError:
        _unreadable(UTF_8, number + 1, UTF_16)
    finally:
        with suppress(ValueError):  # the file itself stays open for whoever opened it
            text.detach()


def _likely(raw: bytes, tried: str) -> str:
    """The encoding that a line seems to have; good enough for advice only."""
    if tried == UTF_8 and _fits(raw, CP932):
        return CP932
    found = from_bytes(raw, cp_isolation=[CP932, "utf_8", "utf_16"]).best()
    return ENCODINGS.get((found.encoding if found else "").replace("_", "-"), CP932)


def _fits(raw: bytes, encoding: str) -> bool:
    with suppress(UnicodeError):
        return bool(raw.decode(encoding))
    return False


def _unreadable(likely: str, line: int, tried: str) -> NoReturn:
    cure = f"--encoding {likely}" if likely != tried else "--encoding utf-8 / cp932 / utf-16"
    raise Invalid("The file is in another encoding; nothing was changed.", [
        Fault("", f"cannot be read as {tried}; try {cure}",
              f"{tried} として読めません。{cure} を指定してください", line)]) from None  # fmt: skip


def _stop(line: int, message: str, message_ja: str) -> NoReturn:
    raise Invalid("The file cannot be read; nothing was changed.", [
        Fault("", message, message_ja, line)])  # fmt: skip
