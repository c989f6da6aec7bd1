"""Small checks that are put together to descriptions of LINE's JSON objects.

A check looks at a value under a path and notes what is wrong in `Findings`; it never raises.
Lengths follow https://developers.line.biz/en/docs/messaging-api/text-character-count/: UTF-16 code
units, or grapheme clusters where LINE says so.
"""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import regex

from simulator.errors import Detail

Check = Callable[[object, str, "Findings"], None]
Rule = Callable[[dict[str, object], str, "Findings"], None]
Count = Callable[[str], int]

MAX_URL = 2_000
_LOCAL_HOSTS = ("localhost", "127.0.0.1")
_GRAPHEME = regex.compile(r"\X")
_NOT_IN_URL = regex.compile(r"[^\x21-\x7e]")


class Findings:
    """What is wrong with an object, and which properties LINE does not know."""

    __slots__ = ("allow_http", "animated", "details", "unknown")

    def __init__(self, *, allow_http: bool = False) -> None:
        self.allow_http = allow_http
        self.details: list[Detail] = []
        self.unknown: list[str] = []
        self.animated = 0  # Images that move, counted on the way: a message may have ten.

    def add(self, path: str, message: str) -> None:
        """Note a mistake."""
        self.details.append(Detail(message, path))


def utf16_units(text: str) -> int:
    """Length as LINE counts most texts: an emoji outside the first plane is 2."""
    return len(text) + sum(character > "\uffff" for character in text)


def graphemes(text: str) -> int:
    """Length as people see it: a family emoji is 1."""
    return len(_GRAPHEME.findall(text))


def text(most: int, *, least: int = 1, count: Count = utf16_units) -> Check:
    """A string of `least` to `most` characters by the given count."""

    def check(value: object, path: str, found: Findings) -> None:
        if not isinstance(value, str):
            found.add(path, "Must be a string")
        elif len(value) < least:
            found.add(path, "May not be empty")
        elif len(value) * 2 > most and count(value) > most:
            found.add(path, f"Length must be between {least} and {most}")

    return check


def whole(least: int, most: int) -> Check:
    """A whole number in a range."""

    def check(value: object, path: str, found: Findings) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            found.add(path, "Must be an integer")
        elif not least <= value <= most:
            found.add(path, f"Must be between {least} and {most}")

    return check


def number(least: float, most: float) -> Check:
    """A number in a range."""

    def check(value: object, path: str, found: Findings) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            found.add(path, "Must be a number")
        elif not least <= value <= most:
            found.add(path, f"Must be between {least} and {most}")

    return check


def boolean(value: object, path: str, found: Findings) -> None:
    """True or false."""
    if not isinstance(value, bool):
        found.add(path, "Must be a boolean")


def anything(value: object, path: str, found: Findings) -> None:
    """No rule."""


def one_of(*values: str) -> Check:
    """One of a few strings."""
    allowed = frozenset(values)
    sentence = f"Must be one of the following values: [{', '.join(values)}]"

    def check(value: object, path: str, found: Findings) -> None:
        if not isinstance(value, str) or value not in allowed:
            found.add(path, sentence)

    return check


def matching(pattern: str, sentence: str = "Invalid format") -> Check:
    """A string that matches the pattern from start to end."""
    compiled = regex.compile(pattern)

    def check(value: object, path: str, found: Findings) -> None:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            found.add(path, sentence)

    return check


def either(*values: str, pattern: str) -> Check:
    """A keyword, or a string that matches the pattern (`"md"` or `"12px"`)."""
    allowed = frozenset(values)
    compiled = regex.compile(pattern)

    def check(value: object, path: str, found: Findings) -> None:
        if isinstance(value, str) and (value in allowed or compiled.fullmatch(value)):
            return
        found.add(path, "Invalid value")

    return check


def url(value: object, path: str, found: Findings) -> None:
    """An https URL of at most 2,000 characters, percent-encoded."""
    if not isinstance(value, str) or not value or len(value) > MAX_URL:
        found.add(path, f"Must be a URL of 1 to {MAX_URL} characters")
    elif not _is_secure(value, allow_http=found.allow_http):
        found.add(path, "Invalid URI: an absolute https URL, percent-encoded, is required")


def _is_secure(value: str, *, allow_http: bool) -> bool:
    if _NOT_IN_URL.search(value):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    if parts.scheme == "http":
        return allow_http and parts.hostname in _LOCAL_HOSTS
    return parts.scheme == "https" and bool(parts.hostname)


def listing(each: Check, least: int, most: int) -> Check:
    """An array of `least` to `most` items."""

    def check(value: object, path: str, found: Findings) -> None:
        if not isinstance(value, list):
            found.add(path, "Must be an array")
        elif not least <= len(value) <= most:
            found.add(path, f"Size must be between {least} and {most}")
        else:
            for index, item in enumerate(value):
                each(item, f"{path}[{index}]", found)

    return check


def shape(
    required: Mapping[str, Check], optional: Mapping[str, Check] | None = None, *rules: Rule
) -> Check:
    """An object with these properties; `rules` look at it as a whole. Null counts as absent."""
    properties = {**required, **(optional or {})}
    needed = tuple(required)

    def check(value: object, path: str, found: Findings) -> None:
        if not isinstance(value, dict):
            found.add(path, "Must be an object")
            return
        prefix = f"{path}." if path else ""
        for name in needed:
            if value.get(name) is None:
                found.add(prefix + name, "May not be null")
        for name, part in value.items():
            rule = properties.get(name)
            if rule is None:
                found.unknown.append(prefix + name)
            elif part is not None:
                rule(part, prefix + name, found)
        for whole_rule in rules:
            whole_rule(value, path, found)

    return check


def by_type(kinds: Mapping[str, Check], *, key: str = "type") -> Check:
    """An object whose `type` decides what it must look like."""
    sentence = f"Must be one of the following values: [{', '.join(kinds)}]"

    def check(value: object, path: str, found: Findings) -> None:
        kind = value.get(key) if isinstance(value, dict) else None
        rule = kinds.get(kind) if isinstance(kind, str) else None
        if rule is None:
            found.add(join(path, key), sentence)
        else:
            rule(value, path, found)

    return check


def join(path: str, name: str) -> str:
    """`messages[0]` and `text` make `messages[0].text`."""
    return f"{path}.{name}" if path else name
