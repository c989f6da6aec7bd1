"""The rules that descriptions of LINE's objects are built from.

A rule looks at one value and reports what is wrong with it. Descriptions are tables of rules made
once at import, so that checking a personalised message stays cheap.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time
from urllib.parse import urlsplit

import regex

from core.line.lengths import graphemes, utf16_units
from core.line.problems import Check

Rule = Callable[[Check, object, str], None]
Further = Callable[[Check, dict[str, object], str], None]

INT32_MOST = 2**31 - 1
URL_UNITS = 2000
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1"})

_URL_CHARACTERS = regex.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]*")


def anything(check: Check, value: object, path: str) -> None:
    """Accept every value: for properties another rule has looked at, such as `type`."""


def text(most: int, *, least: int = 1) -> Rule:
    """A string of `least` to `most` UTF-16 code units."""

    def rule(check: Check, value: object, path: str) -> None:
        if not isinstance(value, str):
            check.wrong_kind(path, "a string", "文字列", value)
            return
        # One code point is at most two units, so most texts need no counting.
        if len(value) * 2 > most and (units := utf16_units(value)) > most:
            check.report(
                path,
                f"This is {units} UTF-16 units long; at most {most} are allowed.",
                f"{units}文字あります。{most}文字までです（🍎のような絵文字は2文字と数えます）。",
            )
        _least(check, value, path, least)
        _sendable(check, value, path)

    return rule


def visible_text(most: int, *, least: int = 1) -> Rule:
    """A string of `least` to `most` grapheme clusters."""

    def rule(check: Check, value: object, path: str) -> None:
        if not isinstance(value, str):
            check.wrong_kind(path, "a string", "文字列", value)
            return
        visible_at_most(check, value, path, most)
        _least(check, value, path, least)
        _sendable(check, value, path)

    return rule


def visible_at_most(check: Check, value: str, path: str, most: int) -> None:
    """Report a text of more than `most` grapheme clusters."""
    if len(value) > most and (held := graphemes(value)) > most:
        check.report(
            path,
            f"This is {held} characters (grapheme clusters) long; at most {most} are allowed.",
            f"{held}文字あります。{most}文字までです。",
        )


def _least(check: Check, value: str, path: str, least: int) -> None:
    if len(value) < least:
        check.report(path, "This must not be empty.", "空にはできません。")


def _sendable(check: Check, value: str, path: str) -> None:
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError:
        check.report(
            path,
            "This holds half of a surrogate pair and cannot be sent as UTF-8.",
            "壊れた文字（サロゲートペアの片方）が含まれているため送信できません。",
        )


def matching(pattern: str, example: str, *, most: int | None = None) -> Rule:
    """A string that fits the whole of `pattern`; `example` tells people what that looks like."""
    wanted = regex.compile(pattern)

    def rule(check: Check, value: object, path: str) -> None:
        if not isinstance(value, str):
            check.wrong_kind(path, "a string", "文字列", value)
        elif most is not None and len(value) > most:
            check.report(
                path,
                f"This is {len(value)} characters long; at most {most} are allowed.",
                f"{len(value)}文字あります。{most}文字までです。",
            )
        elif not wanted.fullmatch(value):
            check.report(
                path,
                f"This has the wrong form; write it as {example}.",
                f"書き方が違います。例: {example}",
            )

    return rule


def choice(*values: str) -> Rule:
    """One of a few words."""
    known = frozenset(values)

    def rule(check: Check, value: object, path: str) -> None:
        if not isinstance(value, str):
            check.wrong_kind(path, "a string", "文字列", value)
        elif value not in known:
            check.not_among(path, value, values)

    return rule


def boolean(check: Check, value: object, path: str) -> None:
    """`true` or `false`."""
    if not isinstance(value, bool):
        check.wrong_kind(path, "true or false", "true か false", value)


def whole(least: int = 0, most: int = INT32_MOST) -> Rule:
    """A whole number in a range."""

    def rule(check: Check, value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            check.wrong_kind(path, "a whole number", "整数", value)
        else:
            _in_range(check, value, path, least, most)

    return rule


def number(least: float, most: float) -> Rule:
    """A finite number in a range."""

    def rule(check: Check, value: object, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            check.wrong_kind(path, "a number", "数値", value)
        elif isinstance(value, float) and not math.isfinite(value):
            check.report(path, "This must be a finite number.", "有限の数値にしてください。")
        else:
            _in_range(check, value, path, least, most)

    return rule


def _in_range(check: Check, value: float, path: str, least: float, most: float) -> None:
    if not least <= value <= most:
        check.report(
            path,
            f"This must be between {least} and {most}.",
            f"{least}から{most}までの値にしてください。",
        )


def items(rule: Rule, least: int, most: int | None = None) -> Rule:
    """A list of `least` to `most` values that each keep `rule`."""

    def check_items(check: Check, value: object, path: str) -> None:
        if not isinstance(value, list | tuple):
            check.wrong_kind(path, "a list", "リスト", value)
            return
        _count(check, value, path, least, most)
        # What is over the limit is named once; looking into it all could take very long.
        for index, item in enumerate(value[:most]):
            rule(check, item, f"{path}[{index}]")

    return check_items


def _count(check: Check, value: Sequence[object], path: str, least: int, most: int | None) -> None:
    held = len(value)
    if held < least:
        check.report(
            path,
            f"There are {held} items; at least {least} are needed.",
            f"{held}個あります。{least}個以上必要です。",
        )
    if most is not None and held > most:
        check.report(
            path,
            f"There are {held} items; at most {most} are allowed.",
            f"{held}個あります。{most}個までです。",
        )


class Shape:
    """An object with known properties; `further` looks at what several of them say together."""

    def __init__(
        self, fields: Mapping[str, Rule], *, required: str = "", further: Further | None = None
    ) -> None:
        self.fields = dict(fields)
        self._required = tuple(required.split())
        self._further = further

    def __call__(self, check: Check, value: object, path: str) -> None:
        if not isinstance(value, dict):
            check.wrong_kind(path, "an object", "オブジェクト", value)
            return
        for name, item in value.items():
            rule = self.fields.get(name)
            if rule is None:
                check.unknown_property(path, name, self.fields)
            else:
                rule(check, item, f"{path}.{name}")
        for name in self._required:
            if name not in value:
                check.missing(path, name)
        if self._further is not None:
            self._further(check, value, path)


class Kinds:
    """An object whose `type` says which rule it has to keep.

    `misplaced` names types that LINE knows, but not in this place, and says why in both languages.
    """

    def __init__(
        self, kinds: Mapping[str, Rule], misplaced: Mapping[str, tuple[str, str]] | None = None
    ) -> None:
        self._kinds = dict(kinds)
        self._misplaced = dict(misplaced or {})

    def __call__(self, check: Check, value: object, path: str) -> None:
        if not isinstance(value, dict):
            check.wrong_kind(path, "an object", "オブジェクト", value)
            return
        if "type" not in value:
            check.missing(path, "type")
            return
        kind = value["type"]
        if not isinstance(kind, str):
            check.wrong_kind(f"{path}.type", "a string", "文字列", kind)
        elif kind in self._kinds:
            self._kinds[kind](check, value, path)
        elif kind in self._misplaced:
            check.report(f"{path}.type", *self._misplaced[kind])
        else:
            check.not_among(f"{path}.type", kind, self._kinds)


def resource_url(check: Check, value: object, path: str) -> None:
    """An https URL that LINE's apps fetch: at most 2,000 characters, percent-encoded.

    Source: https://developers.line.biz/en/reference/messaging-api/#message-objects
    """
    if _url_text(check, value, path, URL_UNITS):
        _host_over_https(check, str(value), path)


def link_url(check: Check, value: object, path: str) -> None:
    """Where a tap leads: http, https, line or tel, at most 1,000 characters.

    Source: https://developers.line.biz/en/reference/messaging-api/#uri-action
    """
    if not _url_text(check, value, path, 1000):
        return
    scheme, _, rest = str(value).partition(":")
    scheme = scheme.lower()
    if scheme in {"http", "https"}:
        _host(check, str(value), path)
    elif scheme not in {"line", "tel"} or not rest:
        check.report(
            path,
            "This must begin with https:, http:, line: or tel: and lead somewhere.",
            "https:、http:、line:、tel: のどれかで始まるリンクにしてください。",
        )


def _url_text(check: Check, value: object, path: str, most: int) -> bool:
    if not isinstance(value, str):
        check.wrong_kind(path, "a URL", "URL（文字列）", value)
        return False
    if utf16_units(value) > most:
        check.report(
            path,
            f"The URL is {utf16_units(value)} characters long; at most {most} are allowed.",
            f"URLが{utf16_units(value)}文字あります。{most}文字までです。",
        )
        return False
    if not _URL_CHARACTERS.fullmatch(value):
        check.report(
            path,
            "Spaces, Japanese letters and quotes in a URL must be percent-encoded.",
            "URLの空白や日本語は％エンコードしてください。",
        )
        return False
    return True


def _host_over_https(check: Check, url: str, path: str) -> None:
    host = _host(check, url, path)
    if host is None or url[:6].lower() == "https:":
        return
    if check.allow_http and host in LOCAL_HOSTS and url[:5].lower() == "http:":
        return
    check.report(path, "The URL must begin with https://.", "https:// で始まるURLにしてください。")


def _host(check: Check, url: str, path: str) -> str | None:
    """The host of a URL, or None after reporting that it has none."""
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if not host:
        check.report(
            path, "This is not a full URL with a host.", "ホスト名のあるURLにしてください。"
        )
        return None
    return host


def date_text(value: str) -> bool:
    """Whether this is a day as LINE's date picker writes it: 1900-01-01 to 2100-12-31."""
    return bool(_DAY.fullmatch(value)) and _day_in_range(value)


def time_text(value: str) -> bool:
    """Whether this is a time of day, 00:00 to 23:59."""
    return bool(_TIME.fullmatch(value)) and _parses(time.fromisoformat, value)


def datetime_text(value: str) -> bool:
    """Whether this is a day and a time with a T (or t) between them."""
    day, middle, clock = value[:10], value[10:11], value[11:]
    return middle in {"T", "t"} and date_text(day) and time_text(clock)


_DAY = regex.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = regex.compile(r"[0-9]{2}:[0-9]{2}")


def _day_in_range(value: str) -> bool:
    return "1900-01-01" <= value <= "2100-12-31" and _parses(date.fromisoformat, value)


def _parses(parse: Callable[[str], object], value: str) -> bool:
    try:
        parse(value)
    except ValueError:
        return False
    return True
