"""What the documents say about flow and text rule files is what the code takes."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from ruamel.yaml import YAML

from crm.activities import KINDS
from delivery.messages import ALLOWED_FILTERS, PLACEHOLDERS
from delivery.text_rules import RuleDraft
from flows import files
from flows.definition import OPERATORS, Entry, FlowDefinition, Step, Wait
from server.tasks import read_rules
from tests.docs import pages
from tests.docs.flow_schema import FILE, flow_schema

PAGE = pages.ROOT / "docs" / "flows.md"
LIBRARY = sorted((pages.ROOT / "flows" / "library").glob("*.yaml"))


def _examples() -> list[str]:
    written = [block for page in pages.PAGES for block in pages.blocks(page, "yaml")]
    in_curl = [
        block.partition("<<'END'\n")[2].partition("END\n")[0]
        for page in pages.PAGES
        for block in pages.blocks(page, "bash")
        if ".yaml <<'END'" in block
    ]
    return written + in_curl


def _tree(text: str) -> Any:
    return YAML(typ="safe").load(text)


FLOWS = [text for text in _examples() if "steps" in _tree(text)]
RULES = [text for text in _examples() if isinstance(_tree(text), list)]


def test_there_are_examples_of_both() -> None:
    assert len(FLOWS) > 2
    assert RULES


@pytest.mark.parametrize("text", FLOWS)
def test_every_example_of_a_flow_is_accepted(text: str) -> None:
    assert files.read(text).steps


@pytest.mark.parametrize("text", RULES)
def test_every_example_of_text_rules_is_accepted(text: str, tmp_path: Path) -> None:
    file = tmp_path / "replies.yaml"
    file.write_text(text, encoding="utf-8")

    assert read_rules(file, allow_http=False)


def test_the_schema_is_the_models() -> None:
    assert FILE.read_text(encoding="utf-8") == flow_schema()


@pytest.mark.parametrize("text", [*FLOWS, *(file.read_text("utf-8") for file in LIBRARY)])
def test_what_is_accepted_also_fits_the_schema(text: str) -> None:
    jsonschema.validate(_tree(text), json.loads(FILE.read_text(encoding="utf-8")))


def test_every_field_step_and_rule_is_explained() -> None:
    said = {cell.partition(":")[0] for cell in pages.first_cells(PAGE)}
    fields = {*FlowDefinition.model_fields, *Step.model_fields, *RuleDraft.model_fields}

    assert fields - said == set()


def test_every_word_is_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    placeholders = [f"{{{{ {a}.{b} }}}}" for a, names in PLACEHOLDERS.items() for b in names]
    words = [*KINDS, *OPERATORS, *ALLOWED_FILTERS, *Wait.model_fields, *Entry.model_fields]

    assert [word for word in words if f"`{word}`" not in text and f"{word}:" not in text] == []
    assert [word for word in placeholders if f"`{word}`" not in text] == []
