"""What stands in a cell, as a value: yen, counts, moments; of any width, with signs and units.

Each raises `ValueError` with a sentence in English and Japanese, parted by ／.
"""

import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from core.text import fold

# A spreadsheet runs what begins like this; the export puts an apostrophe before it, as before what
# has one already, and the import takes it off.
RUNS = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"(-?\d{1,15})(?:\.0+)?")
_AROUND = str.maketrans("", "", ",¥￥円 点個")
_MOMENT = re.compile(
    r"(?P<year>\d{4})[-/.年](?P<month>\d{1,2})[-/.月](?P<day>\d{1,2})日?"
    r"(?:[t ]*(?P<hour>\d{1,2})[:時](?P<minute>\d{1,2})"
    r"(?:[:分](?P<second>\d{1,2})(?:\.(?P<fraction>\d{1,6})\d*)?秒?|分)?)?"
    r" ?(?P<zone>z|utc|jst|[+-]\d{2}:?\d{2})?"
)
_COMPACT = re.compile(
    r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"
    r"(?: ?(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2}))?"
)
FIRST_YEAR = 1970


def text(cell: str) -> str:
    """A cell's text, trimmed."""
    plain = cell.strip()
    return plain[1:] if plain.startswith("'") and RUNS.match(plain) else plain


def number(cell: str) -> int:
    """A whole number: `¥1,200`, `１２００円`, `1200.00`."""
    found = _NUMBER.fullmatch(fold(cell).translate(_AROUND))
    if found is None:
        msg = "is not a whole number; write it like 1200／数値として読み取れません（例: 1200）"
        raise ValueError(msg)
    return int(found[1])


def moment(cell: str, zone: ZoneInfo) -> datetime:
    """A date with or without time, in the shop's zone unless it names one; midnight without."""
    plain = fold(cell)
    found = _MOMENT.fullmatch(plain) or _COMPACT.fullmatch(plain)
    try:
        local = _local(found.groupdict(), zone) if found else None
    except (ValueError, OverflowError):
        local = None
    if local is None or local.year < FIRST_YEAR:
        msg = (
            "is not a date and time; write it like 2026-11-22 10:00"
            "／日時として読み取れません（例: 2026-11-22 10:00）"
        )
        raise ValueError(msg)
    return local.astimezone(UTC)


def _local(parts: dict[str, str | None], zone: ZoneInfo) -> datetime:
    year, month, day, hour, minute, second = (
        int(parts[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")
    )
    micro = int((parts.get("fraction") or "0").ljust(6, "0"))
    where = _zone(parts.get("zone"), zone)
    return datetime(year, month, day, hour, minute, second, micro, where)


def _zone(name: str | None, zone: ZoneInfo) -> tzinfo:
    if name is None:
        return zone
    if name in {"z", "utc"}:
        return UTC
    if name == "jst":
        return ZoneInfo("Asia/Tokyo")
    return datetime.strptime(name.replace(":", ""), "%z").tzinfo or zone
