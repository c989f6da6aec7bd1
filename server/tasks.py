"""What the command line does with the database: tokens, flow files, text rule files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select

from admin import tokens
from admin.models import ROLES
from core.db import table
from core.errors import Fault, Invalid
from core.settings import Settings
from delivery import text_rules
from delivery.text_rules import RuleDraft
from flows import files, store, trees
from flows.definition import FlowDefinition
from flows.models import Flow
from flows.trees import NotPlain
from server.process import ready

Rules = dict[str, RuleDraft]


async def create_token(settings: Settings, *, name: str, role: str) -> str:
    """Make a token of the admin API; returns it in the clear, the only time it is seen."""
    if role not in ROLES:
        raise Invalid(f"There is no role {role!r}; choose one of {', '.join(ROLES)}.")
    async with ready(settings) as runtime:
        now = await runtime.clock.now()
        async with runtime.db.transaction() as session:
            return await tokens.create(session, name=name, role=role, now=now)


def read_flows(path: Path, *, allow_http: bool) -> list[tuple[Path, FlowDefinition]]:
    """All flows that a path names; raises `Invalid` that lists the faults of all files."""
    found, faults = [], []
    for file in files.files_under(path):
        try:
            found.append((file, files.read(_text(file), allow_http=allow_http)))
        except Invalid as error:
            faults += [_in_file(file, fault) for fault in error.faults] or [
                Fault(str(file), str(error))
            ]
    if faults:
        raise Invalid(f"{len(faults)} fault(s) in {path}; nothing was changed.", faults)
    return found


async def apply_flows(settings: Settings, path: Path, *, publish: bool) -> list[str]:
    """Save all flows of a path, and publish them; all or none. Returns a line for each."""
    flows = read_flows(path, allow_http=settings.allow_http_urls)
    lines = []
    async with ready(settings) as runtime:
        now = await runtime.clock.now()
        async with runtime.db.transaction() as session:
            for file, definition in flows:
                _flow, changed = await store.save(session, definition, now=now)
                if not publish:
                    lines.append(f"{file}: {definition.key} {'saved' if changed else 'unchanged'}")
                    continue
                await session.flush()
                version, new = await store.publish(session, definition.key, now=now)
                word = "published" if new else "unchanged"
                lines.append(f"{file}: {definition.key} version {version.number} {word}")
    return lines


async def export_flows(settings: Settings, path: Path) -> list[str]:
    """Write every flow's draft to `PATH/KEY.yaml`; returns a line for each."""
    async with ready(settings) as runtime, runtime.db.reading() as session:
        flow = table(Flow)
        query = select(flow.c.key, flow.c.definition).order_by(flow.c.key)
        rows: Sequence[Any] = list(await session.execute(query))
    return [_write_flow(path, row.key, row.definition) for row in rows]


def _write_flow(folder: Path, key: str, definition: dict[str, Any]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{key}.yaml"
    target.write_text(files.write(definition), encoding="utf-8")
    return f"{target}: {key}"


def read_rules(path: Path, *, allow_http: bool) -> list[tuple[Path, Rules]]:
    """All text rules that a path names: YAML lists of rules with a `key` each."""
    found, faults = [], []
    for file in files.files_under(path):
        try:
            found.append((file, _rules(_text(file), allow_http=allow_http)))
        except Invalid as error:
            faults += [_in_file(file, fault) for fault in error.faults]
    if faults:
        raise Invalid(f"{len(faults)} fault(s) in {path}; nothing was changed.", faults)
    return found


async def apply_rules(settings: Settings, path: Path) -> list[str]:
    """Save all text rules of a path; all or none. Returns a line for each, and for each overlap."""
    lines = []
    given = read_rules(path, allow_http=settings.allow_http_urls)
    async with ready(settings) as runtime:
        now = await runtime.clock.now()
        async with runtime.db.transaction() as session:
            for file, rules in given:
                for key, draft in rules.items():
                    await text_rules.save(
                        session, key, draft, now=now, allow_http=settings.allow_http_urls
                    )
                    lines.append(f"{file}: {key} saved")
            lines += [_overlap_line(o) for o in await text_rules.conflicts(session)]
    return lines


def _overlap_line(overlap: Any) -> str:  # noqa: ANN401
    words = "、".join(f"「{word}」" for word in overlap.words)
    order = "same priority, the older one answers" if overlap.same_priority else "it answers"
    return (
        f"note: {overlap.winner} and {overlap.other} both match {words}; {overlap.winner}: {order}"
    )


def _rules(text: str, *, allow_http: bool) -> Rules:
    tree = trees.parse(text)
    try:
        items = trees.plain(tree)
    except NotPlain as error:
        fault = Fault(trees.dotted(error.location), error.message, error.message_ja)
        raise _refused(tree, [fault]) from None
    if not isinstance(items, list):
        raise _refused(tree, [Fault("", "a text rule file is a list of rules, each with a key",
                                    "「- key: …」で始まるルールを並べてください")])  # fmt: skip
    rules: Rules = {}
    faults: list[Fault] = []
    for index, item in enumerate(items):
        try:
            key, rule = _rule(item, rules, allow_http=allow_http)
            rules[key] = rule
        except Invalid as error:
            faults += [
                replace(fault, path=f"[{index}].{fault.path}".rstrip(".")) for fault in error.faults
            ]
    if faults:
        raise _refused(tree, faults)
    return rules


def _rule(item: Any, known: Rules, *, allow_http: bool) -> tuple[str, RuleDraft]:  # noqa: ANN401
    if not isinstance(item, dict):
        raise _one_fault("", "must be a rule with a key", "key のあるルールを書いてください")
    key = str(item.pop("key", ""))
    if not key or key in known:
        raise _one_fault("key", "is missing or stands twice", "key がないか、重複しています")
    try:
        rule = RuleDraft.model_validate(item)
    except ValidationError as error:
        first = error.errors()[0]
        raise _one_fault(trees.dotted(first["loc"]), first["msg"]) from None
    text_rules.check(rule, allow_http=allow_http)
    return key, rule


def _one_fault(path: str, message: str, message_ja: str = "") -> Invalid:
    return Invalid("The file has 1 fault.", [Fault(path, message, message_ja)])


def _refused(tree: object, faults: Sequence[Fault]) -> Invalid:
    placed = [trees.placed(tree, fault) for fault in faults]
    return Invalid(f"The file has {len(placed)} fault(s).", placed)


def _in_file(file: Path, fault: Fault) -> Fault:
    """The fault with its place as compilers write it: `FILE:LINE:COLUMN: steps[1].wait`."""
    place = f"{file}:{fault.line}:{fault.column}" if fault.line else str(file)
    path = f"{place}: {fault.path}" if fault.path else place
    return Fault(path, fault.message, fault.message_ja)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise _one_fault("", "is not UTF-8 text; save it as UTF-8") from None
