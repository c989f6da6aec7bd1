"""Matching what was typed: exact, starts, contains, regex; and which rules meet the same words."""

from collections.abc import Sequence
from dataclasses import dataclass

import regex

from core.errors import Invalid
from core.text import fold, fold_pattern

REGEX_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A rule over what was typed: `exact`, `starts`, `contains` or `regex` of any of the words.

    Words and texts are compared folded (`core.text.fold`); patterns see the folded text, and the
    kana in them are folded too.
    """

    how: str
    words: tuple[str, ...]

    def matches(self, folded: str) -> bool:
        """Whether a folded text meets the rule."""
        if self.how == "regex":
            return any(_search(word, folded) for word in self.words)
        return any(_compare(self.how, fold(word), folded) for word in self.words)

    def sample_words(self) -> tuple[str, ...]:
        """Texts that surely meet the rule, for finding two rules that meet the same one."""
        return () if self.how == "regex" else tuple(fold(word) for word in self.words)


def _compare(how: str, word: str, folded: str) -> bool:
    if how == "exact":
        return folded == word
    return folded.startswith(word) if how == "starts" else word in folded


def _search(pattern: str, folded: str) -> bool:
    try:
        found = regex.search(
            fold_pattern(pattern), folded, flags=regex.IGNORECASE, timeout=REGEX_SECONDS
        )
    except TimeoutError:  # a pattern that explodes on this text answers nobody
        return False
    return found is not None


def check_pattern(pattern: str) -> None:
    """Raise `Invalid` when a regular expression cannot be read."""
    try:
        regex.compile(fold_pattern(pattern), regex.IGNORECASE)
    except regex.error as error:
        raise Invalid(f"The pattern {pattern!r} cannot be read: {error}") from None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two text rules that meet the same words; `winner` is asked first."""

    words: tuple[str, ...]
    winner: str
    other: str
    same_priority: bool


def overlaps(rules: Sequence[tuple[str, TextMatch, int]]) -> list[Overlap]:
    """Pairs of rules (name, match, priority) that meet the same words, in the order they are asked.

    Regular expressions are tried on the other rules' words; two of them are not compared.
    """
    ordered = sorted(rules, key=lambda rule: -rule[2])
    found = []
    for index, (name, match, priority) in enumerate(ordered):
        for other, other_match, other_priority in ordered[index + 1 :]:
            words = {w for w in match.sample_words() if other_match.matches(w)}
            words |= {w for w in other_match.sample_words() if match.matches(w)}
            if words:
                found.append(Overlap(tuple(sorted(words)), name, other, priority == other_priority))
    return found
