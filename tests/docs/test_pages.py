"""What the documents name exists: links, headings, make targets, commands and their options."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from server.cli import app
from tests.docs import pages

MAX_LINE = 200
COMMAND = typer.main.get_command(app)
every_page = pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)


@every_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    wrong = [link for link in pages.links(page) if not _leads_somewhere(page, link)]

    assert wrong == []


@every_page
def test_no_line_is_too_long_to_review(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()

    assert [n for n, line in enumerate(lines, 1) if len(line) > MAX_LINE] == []


@every_page
def test_every_make_target_exists(page: Path) -> None:
    makefile = (pages.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))

    named = {word for line in pages.code(page) for word in re.findall(r"\bmake ([a-z-]+)", line)}

    assert named - targets == set()


@every_page
def test_every_command_and_option_exists(page: Path) -> None:
    wrong = [line for line in pages.code(page) for call in _calls(line) if not _exists(call)]

    assert wrong == []


def test_a_command_that_does_not_exist_would_be_found() -> None:
    assert [_exists(call) for call in _calls("okaeri fly && okaeri flows eat")] == [False, False]
    assert [_exists(call) for call in _calls(".venv/bin/okaeri serve --faster")] == [False]
    assert [_exists(call) for call in _calls("okaeri serve --no-worker --port 1")] == [True]


def test_the_example_settings_are_known_variables() -> None:
    lines = (pages.ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    settings = (pages.ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

    named = [found[1] for line in lines if (found := re.match(r"(?:# )?(OKAERI_\w+)=", line))]

    assert named
    assert [variable for variable in named if f"`{variable}`" not in settings] == []


def _leads_somewhere(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return False
    return not anchor or anchor in pages.anchors(target)


def _calls(line: str) -> list[list[str]]:
    """The words after each `okaeri` of a line that is a call of it."""
    shown = line.partition(" #")[0]
    return [call.split() for call in re.findall(r"(?:^|[\s/])okaeri +([a-z][^|;&]*)", shown)]


def _exists(call: list[str]) -> bool:
    command: Any = COMMAND
    words = iter(call)
    while commands := getattr(command, "commands", None):
        command = commands.get(next(words, ""))
        if command is None:
            return False
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return {word.partition("=")[0] for word in words if word.startswith("--")} <= known
