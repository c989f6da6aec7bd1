"""The page of settings and the code's settings are the same list, with the same defaults."""

import re

import pytest
from pydantic import SecretStr

from core.settings import PREFIX, Settings
from tests.docs import pages

PAGE = pages.ROOT / "docs" / "settings.md"
FIELDS = {PREFIX + name.upper(): field for name, field in Settings.model_fields.items()}


def test_every_setting_stands_on_the_page_once() -> None:
    assert sorted(pages.first_cells(PAGE)) == sorted(FIELDS)


@pytest.mark.parametrize("variable", FIELDS)
def test_the_default_is_the_codes(variable: str) -> None:
    row = re.search(rf"^\| `{variable}` \|.*\| ([^|]+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)

    assert row is not None
    assert row[1] == _as_written(FIELDS[variable].default)


def _as_written(default: object) -> str:
    text = default.get_secret_value() if isinstance(default, SecretStr) else str(default)
    if isinstance(default, bool):
        text = text.lower()
    return f"`{text}`" if text else "empty"
