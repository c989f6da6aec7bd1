"""Flow files: read YAML (or JSON), check every field, and say where each fault is."""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from core.errors import Fault, Invalid
from delivery import messages
from flows.definition import (
    Condition,
    Entry,
    Exit,
    ExitWhen,
    FlowDefinition,
    Part,
    Step,
    Trigger,
    Wait,
)
from flows.trees import MAX_BYTES, Location, NotPlain, dotted, parse, placed, plain

_FIELDS: dict[Location, type[Part]] = {
    (): FlowDefinition, ("trigger",): Trigger, ("entry",): Entry, ("exit",): Exit,
    ("exit", "when"): ExitWhen, ("steps", 0): Step, ("steps", 0, "wait"): Wait,
    ("trigger", "where", "*"): Condition,
}  # fmt: skip


def read(text: str, *, allow_http: bool = False) -> FlowDefinition:
    """The flow that a file's text defines; raises `Invalid` with line and column of each fault."""
    return check(parse(text), allow_http=allow_http)


def check(tree: object, *, allow_http: bool = False) -> FlowDefinition:
    """Check a definition that was parsed already (YAML or JSON); raises `Invalid`."""
    if not isinstance(tree, dict):
        raise Invalid("The flow has 1 fault.", [
            Fault("", "a flow file is a list of fields like `key: welcome`",
                  "「key: welcome」のような項目を書いてください", 1, 1)])  # fmt: skip
    try:
        flow = FlowDefinition.model_validate(plain(tree))
    except NotPlain as error:
        fault = Fault(dotted(error.location), error.message, error.message_ja)
        raise Invalid("The flow has 1 fault.", [placed(tree, fault, error.location)]) from None
    except ValidationError as error:
        faults = [_fault(tree, dict(e)) for e in error.errors()]
        raise Invalid(f"The flow has {len(faults)} fault(s).", faults) from None
    faults = [placed(tree, fault) for fault in _message_faults(flow, allow_http=allow_http)]
    if faults:
        raise Invalid(f"The flow has {len(faults)} fault(s).", faults)
    return flow


def files_under(path: Path) -> list[Path]:
    """The flow files that a path names: itself, or all in the folder. Raises `Invalid`."""
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix in {".yaml", ".yml", ".json"})
        if not found:
            raise Invalid(f"{path} holds no flow files (*.yaml).")
        return [_bounded(file) for file in found]
    if not path.is_file():
        raise Invalid(f"There is no file {path}.")
    return [_bounded(path)]


def _bounded(file: Path) -> Path:
    if file.stat().st_size > MAX_BYTES:
        raise Invalid(f"{file} is larger than {MAX_BYTES} bytes; that is no flow file.")
    return file


def write(definition: dict[str, Any]) -> str:
    """A definition as a YAML file."""
    out = StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 100
    yaml.dump(definition, out)
    return out.getvalue()


def say_messages(step: Step) -> list[dict[str, Any]] | None:
    """The messages that a step itself carries; None where it names a template or waits."""
    if step.say is not None:
        return messages.say(step.say)
    return step.messages


def _message_faults(flow: FlowDefinition, *, allow_http: bool) -> list[Fault]:
    faults = []
    for index, step in enumerate(flow.steps):
        own = say_messages(step)
        if own is not None:
            path = f"steps[{index}]"
            found = messages.check_draft(own, path=path, allow_http=allow_http)
            faults += [_as_written(step, path, fault) for fault in found]
    return faults


def _as_written(step: Step, path: str, fault: Fault) -> Fault:
    """The fault under the name that the file has for it: `say` is short for one text message."""
    own = f"{path}.messages[0].text"
    if step.say is None or not fault.path.startswith(own):
        return fault
    return replace(fault, path=f"{path}.say{fault.path.removeprefix(own)}")


def _fault(tree: object, error: dict[str, Any]) -> Fault:
    location: Location = tuple(part for part in error["loc"] if not _is_branch(part))
    message, japanese = _sentences(location, error)
    return placed(tree, Fault(dotted(location), message, japanese), location)


def _is_branch(part: object) -> bool:
    return isinstance(part, str) and part.startswith("function-")


def _sentences(location: Location, error: dict[str, Any]) -> tuple[str, str]:
    name = str(location[-1]) if location else ""
    if error["type"] == "extra_forbidden":
        near = get_close_matches(name, _known_fields(location[:-1]), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        also = f"。「{near[0]}」の間違いではありませんか？" if near else ""
        return f"unknown field {name!r}{hint}", f"「{name}」という項目はありません{also}"
    if error["type"] == "missing":
        return f"field {name!r} is missing", f"「{name}」がありません"
    reason = str(error["msg"]).removeprefix("Value error, ")
    return reason, f"「{name}」の値が正しくありません（{reason}）"


def _known_fields(location: Location) -> Sequence[str]:
    shape: Location = tuple(0 if isinstance(part, int) else part for part in location)
    if shape[:-1] == ("trigger", "where"):
        shape = ("trigger", "where", "*")
    model = _FIELDS.get(shape)
    return [field.alias or name for name, field in model.model_fields.items()] if model else []
