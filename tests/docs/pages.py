"""The documents, taken apart: code, prose, links, headings."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^( *)```([a-z]*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


def name(page: Path) -> str:
    """How a page is called in a test's name."""
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks in one language, without their indentation."""
    found = _FENCE.findall(_text(page))
    return [
        "\n".join(line.removeprefix(indent) for line in body.splitlines()) + "\n"
        for indent, lang, body in found
        if lang == language
    ]


def code(page: Path) -> Iterator[str]:
    """Each line of code: of the fenced blocks, and what stands between backticks."""
    for _indent, _language, body in _FENCE.findall(_text(page)):
        yield from body.splitlines()
    yield from _SPAN.findall(_prose(page))


def links(page: Path) -> list[str]:
    """Where the links and pictures point to."""
    return _LINK.findall(_prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    return {
        _NOT_IN_ANCHORS.sub("", heading.strip().lower()).replace(" ", "-")
        for heading in _HEADING.findall(_prose(page))
    }


def first_cells(page: Path) -> list[str]:
    """What stands in backticks in the first cell of each table row."""
    rows = [line for line in _prose(page).splitlines() if line.startswith("| ")]
    return [word for row in rows for word in _SPAN.findall(row.split("|")[1])]


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _prose(page: Path) -> str:
    return _FENCE.sub("", _text(page))
