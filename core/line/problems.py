"""What is wrong with a message, where, and in words a shop can act on."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

import regex

_COMPARED_CHARACTERS = 60
_NAME = regex.compile(r"[A-Za-z0-9_]{1,40}")

_KINDS = (
    (type(None), "null", "null"),
    (bool, "true or false", "真偽値"),
    ((int, float), "a number", "数値"),
    (str, "a string", "文字列"),
    ((list, tuple), "a list", "リスト"),
    (dict, "an object", "オブジェクト"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule. Holds lengths and property names, never what a message says to a customer.

    `path` is written as in LINE's own error answers: `messages[0].contents.body`.
    """

    path: str
    message: str
    message_ja: str


class Check:
    """One run of the rules: collects problems, and what has to be counted across a message."""

    __slots__ = ("allow_http", "animated_images", "nesting", "problems")

    def __init__(self, *, allow_http: bool = False) -> None:
        self.allow_http = allow_http
        self.problems: list[Problem] = []
        self.animated_images = 0
        self.nesting = 0

    def report(self, path: str, message: str, message_ja: str) -> None:
        self.problems.append(Problem(path, message, message_ja))

    def wrong_kind(self, path: str, wanted: str, wanted_ja: str, value: object) -> None:
        held, held_ja = _kind_of(value)
        self.report(
            path,
            f"This must be {wanted}, not {held}.",
            f"{wanted_ja}を指定してください（いまは{held_ja}です）。",
        )

    def missing(self, path: str, name: str) -> None:
        self.report(
            f"{path}.{name}", f"`{name}` is required.", f"必須の項目「{name}」がありません。"
        )

    def unknown_property(self, path: str, name: object, known: Iterable[str]) -> None:
        shown = safe_name(name)
        nearest = nearest_name(name, known)
        self.report(
            f"{path}.{shown}",
            f"LINE knows no property `{shown}` here{_did_you_mean(nearest)}",
            f"「{shown}」という項目はここでは使えません。{_did_you_mean_ja(nearest)}",
        )

    def not_among(self, path: str, value: str, known: Iterable[str]) -> None:
        names = list(known)
        nearest = nearest_name(value, names)
        listed = ", ".join(names)
        self.report(
            path,
            f"This is none of: {listed}{_did_you_mean(nearest)}",
            f"次のどれかにしてください: {listed}。{_did_you_mean_ja(nearest)}",
        )


def safe_name(name: object) -> str:
    """A property name that may be shown: names we did not choose may hold anything."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else "?"


def nearest_name(name: object, known: Iterable[str]) -> str | None:
    """The known name that was most likely meant."""
    # Comparing takes quadratic time, and nobody mistypes a name into hundreds of letters.
    if not isinstance(name, str) or len(name) > _COMPARED_CHARACTERS:
        return None
    close = get_close_matches(name, list(known), n=1)
    return close[0] if close else None


def _kind_of(value: object) -> tuple[str, str]:
    for kinds, name, name_ja in _KINDS:
        if isinstance(value, kinds):
            return name, name_ja
    return "something else", "別のもの"


def _did_you_mean(name: str | None) -> str:
    return f"; did you mean `{name}`?" if name else "."


def _did_you_mean_ja(name: str | None) -> str:
    return f"「{name}」のことではありませんか。" if name else ""
