"""Flow files: every fault with line and column, whatever people and machines write."""

import json
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings as effort, strategies as st

from core.errors import Fault, Invalid
from flows import files, store
from flows.definition import KEY_PATTERN, MAX_STEPS
from flows.trees import MAX_BYTES
from server.demo import LIBRARY

GOOD = """\
key: welcome
name: 友だち追加のごあいさつ
trigger:
  on: followed
  where: {back: {eq: false}}
entry: {once: ever}
exit: {when: {activity: purchased}}
caps: marketing
steps:
  - say: "{{ friend.name }}、こんにちは"
  - wait: {days: 3, at: "19:00"}
  - message: second-visit
  - messages:
      - type: text
        text: またどうぞ
"""


def refused(text: str) -> list[Fault]:
    with pytest.raises(Invalid) as caught:
        files.read(text)
    return caught.value.faults


def with_line(number: int, line: str) -> str:
    lines = GOOD.splitlines()
    lines[number - 1] = line
    return "\n".join(lines) + "\n"


def test_a_good_file_is_read_field_by_field() -> None:
    flow = files.read(GOOD)

    assert (flow.key, flow.name, flow.caps) == ("welcome", "友だち追加のごあいさつ", "marketing")
    assert flow.trigger.where["back"].holds(False)
    assert (flow.exit and flow.exit.when.activity) == "purchased"
    assert flow.template_keys() == ["second-visit"]
    assert flow.steps[1].wait is not None
    assert flow.steps[1].wait.days == 3


# A line of the good file as somebody has it instead → path, a word of the message, line, column.
@pytest.mark.parametrize(
    ("number", "line", "path", "message", "place"),
    [
        (1, "kee: welcome", "kee", "unknown field 'kee'; did you mean 'key'?", (1, 1)),
        (1, "key: Welcome!", "key", "String should match pattern", (1, 1)),
        (1, "key: " + "a" * 61, "key", "String should match pattern", (1, 1)),
        (1, "key: 12", "key", "valid string", (1, 1)),
        (2, "name: ''", "name", "at least 1 character", (2, 1)),
        (2, "name: " + "あ" * 101, "name", "at most 100 characters", (2, 1)),
        (4, "  on: folowed", "trigger.on", "did you mean 'followed'?", (4, 3)),
        (4, "  onn: followed", "trigger.onn", "did you mean 'on'?", (4, 3)),
        (5, "  where: {back: {eqq: 1}}", "trigger.where.back.eqq", "did you mean 'eq'?", (5, 18)),
        (5, "  where: {back: {gte: x}}", "trigger.where.back.gte", "must be a number", (5, 18)),
        (5, "  where: {back: {gte: }}", "trigger.where.back", "needs an operator", (5, 11)),
        (5, "  where: {back: false}", "trigger.where.back", "valid dictionary", (5, 11)),
        (6, "entry: {once: sometimes}", "entry.once", "per 365d", (6, 9)),
        (6, "entry: {ones: ever}", "entry.ones", "did you mean 'once'?", (6, 9)),
        (6, "entry: {once: [ever]}", "entry.once", "per 365d", (6, 9)),
        (7, "exit: {when: {activity: bought}}", "exit.when.activity", "unknown activity", (7, 15)),
        (7, "exit: {if: {activity: purchased}}", "exit.if", "unknown field 'if'", (7, 8)),
        (8, "caps: none", "caps", "'marketing' or 'transactional'", (8, 1)),
        (10, "  - sey: hello", "steps[0].sey", "did you mean 'say'?", (10, 5)),
        (10, "  - say: ''", "steps[0].say", "at least 1 character", (10, 5)),
        (10, "  - say: [a]", "steps[0].say", "valid string", (10, 5)),
        (10, "  - hello", "steps[0]", "valid dictionary", (10, 5)),
        (10, "  -", "steps[0]", "valid dictionary", (10, 4)),
        (10, "  - {}", "steps[0]", "exactly one of", (10, 5)),
        (10, "  - {say: a, message: b}", "steps[0]", "found ['message', 'say']", (10, 5)),
        (10, "  - say: '{{ freind.name }}'", "steps[0].say", "'freind.name'", (10, 5)),
        (10, "  - say: " + "あ" * 5_001, "steps[0].say", "5001 UTF-16 units", (10, 5)),
        (11, "  - wait: {days: 3, at: '25:00'}", "steps[1].wait.at", 'like "19:00"', (11, 21)),
        (11, "  - wait: {days: 3, at: '19:60'}", "steps[1].wait.at", 'like "19:00"', (11, 21)),
        (11, "  - wait: {days: 3, at: 7pm}", "steps[1].wait.at", 'like "19:00"', (11, 21)),
        (11, "  - wait: {days: 3, at: 1140}", "steps[1].wait.at", 'like "19:00"', (11, 21)),
        (11, "  - wait: {days: -1}", "steps[1].wait.days", "greater than or equal to 0", (11, 12)),
        (11, "  - wait: {days: 1101}", "steps[1].wait.days", "less than or equal to", (11, 12)),
        (11, "  - wait: {days: 1.5}", "steps[1].wait.days", "valid integer", (11, 12)),
        (11, "  - wait: {days: .inf}", "steps[1].wait.days", "must be text, a number", (11, 12)),
        (11, "  - wait: {day: 3}", "steps[1].wait.day", "did you mean 'days'?", (11, 12)),
        (11, "  - wait: {}", "steps[1].wait", "says no time", (11, 5)),
        (11, "  - wait: {days: 0}", "steps[1].wait", "says no time", (11, 5)),
        (11, "  - wait: 3 days", "steps[1].wait", "valid dictionary", (11, 5)),
        (12, "  - message: Second Visit", "steps[2].message", "match pattern", (12, 5)),
        (14, "      - type: fax", "steps[3].messages[0].type", "none of: text", (14, 9)),
        (15, "        text: ''", "steps[3].messages[0].text", "empty", (15, 9)),
        (15, "        txt: またどうぞ", "steps[3].messages[0].txt", "no property `txt`", (15, 9)),
        (15, "        text: !!binary aGk=", "steps[3].messages[0].text", "must be text", (15, 9)),
        (15, '        text: "a\\0b"', "steps[3].messages[0].text", "NUL", (15, 9)),
        (15, '        text: "\\uD83C"', "steps[3].messages[0].text", "surrogate", (15, 9)),
        (15, "        text: 2026-11-03 10:00:00", "steps[3].messages[0].text", "quotes", (15, 9)),
        (15, "        text: 9223372036854775808", "steps[3].messages[0].text", "must be", (15, 9)),
    ],
)  # fmt: skip
def test_each_fault_is_told_with_its_place_and_how_to_mend_it(
    number: int, line: str, path: str, message: str, place: tuple[int, int]
) -> None:
    faults = {fault.path: fault for fault in refused(with_line(number, line))}

    assert message in faults[path].message
    assert (faults[path].line, faults[path].column) == place
    assert faults[path].message_ja


@pytest.mark.parametrize("field", ["key", "name", "trigger", "steps"])
def test_a_missing_field_is_named(field: str) -> None:
    tree = json.loads(json.dumps(files.read(GOOD).model_dump(mode="json", exclude_unset=True)))
    del tree[field]

    (fault,) = [f for f in refused(files.write(tree)) if f.path == field]

    assert fault.message == f"field '{field}' is missing"


def test_all_faults_of_a_file_are_told_at_once() -> None:
    text = GOOD.replace("caps: marketing", "caps: none").replace("days: 3", "days: -3")

    assert [fault.path for fault in refused(text)] == ["caps", "steps[1].wait.days"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("steps: []", "at least 1 item"),
        ("steps:", "valid list"),
        ("steps: {say: a}", "valid list"),
        ("steps: " + json.dumps([{"say": "a"}] * (MAX_STEPS + 1)), "at most 200 items"),
        ("steps: [{messages: []}]", "at least 1 item"),
        (
            "steps: [{messages: " + json.dumps([{"type": "text", "text": "a"}] * 6) + "}]",
            "at most 5 items",
        ),
    ],
)
def test_too_few_and_too_many_steps_are_refused(steps: str, message: str) -> None:
    head = GOOD.partition("steps:")[0]

    assert any(message in fault.message for fault in refused(head + steps + "\n"))


# What is no flow file at all → a word of the message, line, column.
@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "list of fields", 1),
        ("# nothing yet\n", "list of fields", 1),
        ("- key: a\n", "list of fields", 1),
        ("hello", "list of fields", 1),
        ("key: a\nname: 'open\n", "not readable as YAML", 3),
        ("key: a\n\tname: b\n", "not readable as YAML", 2),
        ("key: [a\n", "not readable as YAML", 2),
        ("key: a\nkey: b\n", "duplicate key", 2),
        ("key: a\n---\nkey: b\n", "another document", 2),
        ("key: *a\n", "undefined alias", 1),
        ("key: a\nname: b\x00c\n", "character that YAML does not allow", 2),
        ("key: a\nname: \x1b[31m\n", "character that YAML does not allow", 2),
        ("%YAML 9.9\n---\nkey: a\n", "incompatible", 1),
        ("key: !!int a\n", "not readable as YAML", None),
        ("key: !!bool a\n", "not readable as YAML", None),
        ("key: !!set a\n", "not readable as YAML", None),
        ("key: 2026-13-45\n", "not readable as YAML", None),
        ("key: " + "9" * 5_000 + "\n", "not readable as YAML", None),
        ('key: "\\UFFFFFFFF"\n', "not readable as YAML", None),
        ("key: " + "[" * 5_000, "nested too deep", None),
    ],
)
def test_what_is_no_flow_file_is_answered_too(text: str, message: str, line: int | None) -> None:
    (fault, *_) = refused(text)

    assert message in fault.message
    assert fault.line == line


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault() -> None:
    assert files.read("\ufeff" + GOOD.replace("\n", "\r\n")) == files.read(GOOD)


def test_anchors_may_save_typing() -> None:
    text = GOOD.replace("  - message: second-visit\n", "  - &hello {say: はい}\n  - *hello\n")

    assert [step.say for step in files.read(text).steps[2:4]] == ["はい", "はい"]


@pytest.mark.parametrize(
    "leaf", ["x", "x" * 5_000], ids=["many small things", "one large thing many times"]
)
def test_a_bomb_of_aliases_neither_fills_the_memory_nor_goes_through(leaf: str) -> None:
    """Nine levels of ten each: unfolded it would be ten to the ninth."""
    levels = [f"  - &l0 [{', '.join([leaf] * 10)}]\n"]
    levels += [f"  - &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9)]
    bomb = GOOD.replace("  - message: second-visit\n", "".join(levels))
    tracemalloc.start()
    try:
        (fault,) = refused(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert "unfold" in fault.message
    assert fault.line is not None
    assert peak < 200_000_000


def test_a_flow_that_holds_itself_is_refused() -> None:
    text = GOOD.replace("  - message: second-visit\n", "  - &me {messages: [*me]}\n")

    assert refused(text)


def test_a_text_of_more_than_a_megabyte_is_refused_unread() -> None:
    (fault,) = refused("#" + "x" * MAX_BYTES)

    assert "larger than" in fault.message


def test_json_files_are_flow_files_too() -> None:
    tree = files.read(GOOD).model_dump(mode="json", by_alias=True, exclude_unset=True)
    tree["steps"][0]["say"] = "🍎 はい/"

    for text in (
        json.dumps(tree),  # 🍎 as two escapes
        json.dumps(tree, ensure_ascii=False, indent=2),
        json.dumps(tree, indent="\t").replace("/", "\\/"),
    ):
        assert files.read(text).steps[0].say == "🍎 はい/"


def test_a_fault_in_a_json_file_has_its_line_as_well() -> None:
    tree = files.read(GOOD).model_dump(mode="json", by_alias=True, exclude_unset=True)
    tree["caps"] = "none"

    (fault,) = refused(json.dumps(tree, indent=1))

    assert fault.path == "caps"
    assert (fault.line or 0) > 10


def test_a_folder_gives_its_flow_files_in_order_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.yaml", "a.yml", "deep/c.json", "notes.txt"):
        (tmp_path / name).write_text(GOOD, encoding="utf-8")

    found = files.files_under(tmp_path)

    assert [str(path.relative_to(tmp_path)) for path in found] == ["a.yml", "b.yaml", "deep/c.json"]
    assert files.files_under(tmp_path / "b.yaml") == [tmp_path / "b.yaml"]


def test_paths_that_name_no_flow_are_answered(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "flow.yaml").write_bytes(b"#" * (MAX_BYTES + 1))

    with pytest.raises(Invalid, match="holds no flow files"):
        files.files_under(tmp_path / "empty")
    with pytest.raises(Invalid, match="There is no file"):
        files.files_under(tmp_path / "nowhere.yaml")
    with pytest.raises(Invalid, match="larger than"):
        files.files_under(tmp_path / "large" / "flow.yaml")
    with pytest.raises(Invalid, match="larger than"):
        files.files_under(tmp_path / "large")


@pytest.mark.parametrize("path", files.files_under(LIBRARY), ids=lambda path: str(path.stem))
def test_the_ready_made_flows_have_no_fault_and_come_back_as_they_were(path: Path) -> None:
    flow = files.read(path.read_text(encoding="utf-8"))
    stored = store.to_json(flow)

    again = files.read(files.write(stored))

    assert store.to_json(again) == stored


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(
    lambda text: not any(mark in text for mark in ("{{", "{%", "{#"))
)
OBJECTS = TEXTS.map(lambda text: {"type": "text", "text": text})
STEPS = st.one_of(
    st.fixed_dictionaries({"say": TEXTS}),
    st.fixed_dictionaries({"message": st.from_regex(KEY_PATTERN, fullmatch=True)}),
    st.fixed_dictionaries({"messages": st.lists(OBJECTS, min_size=1, max_size=5)}),
    st.fixed_dictionaries(
        {
            "wait": st.fixed_dictionaries(
                {"days": st.integers(1, 1_100)},
                optional={
                    "hours": st.integers(0, 99),
                    "at": st.sampled_from(["00:00", "07:05", "19:00", "23:59"]),
                },
            )
        }
    ),
)  # fmt: skip
DEFINITIONS = st.fixed_dictionaries(
    {
        "key": st.from_regex(KEY_PATTERN, fullmatch=True),
        "name": TEXTS,
        "trigger": st.fixed_dictionaries(
            {"on": st.sampled_from(["followed", "purchased"])},
            optional={
                "where": st.dictionaries(TEXTS, st.fixed_dictionaries({"eq": TEXTS}), max_size=3)
            },
        ),
        "steps": st.lists(STEPS, min_size=1, max_size=6),
    },
    optional={
        "entry": st.sampled_from([{"once": "ever"}, {"once": "always"}, {"once": "per 30d"}]),
        "exit": st.just({"when": {"activity": "purchased"}}),
        "caps": st.sampled_from(["marketing", "transactional"]),
    },
)


@effort(max_examples=60, deadline=timedelta(seconds=30))
@given(tree=DEFINITIONS)
def test_what_is_exported_and_applied_again_is_the_same(tree: dict[str, Any]) -> None:
    stored = store.to_json(files.check(tree))

    exported = files.read(files.write(stored))

    assert store.to_json(exported) == stored


def told(check: Callable[[Any], object], given_: Any) -> bool:
    """Whether it is taken, or refused with a reason; anything else is raised."""
    try:
        check(given_)
    except Invalid as error:
        return bool(error.faults)
    return True


@effort(max_examples=150, deadline=timedelta(seconds=30))
@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    assert told(files.read, text)
    assert told(files.read, GOOD + text)
    assert told(files.read, GOOD.replace("second-visit", text))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = ("key", "name", "trigger", "entry", "exit", "steps", "caps")


@effort(max_examples=150, deadline=timedelta(seconds=30))
@given(tree=JSON, field=st.sampled_from(FIELDS))
def test_any_json_in_any_field_is_taken_or_refused_and_nothing_else(tree: Any, field: str) -> None:
    whole = {"key": "a", "name": "b", "trigger": {"on": "followed"}, "steps": [{"say": "c"}]}

    assert told(files.check, tree)
    assert told(files.check, whole | {field: tree})
    assert told(files.check, whole | {"steps": [{"messages": tree}]})
