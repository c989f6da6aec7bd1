"""Flow definitions as they come in: JSON, or YAML with its line and column in each fault."""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from admin.api import bodies
from admin.api.problems import MEDIA, Refusal
from core.errors import Conflict, Fault, Invalid
from flows import files
from flows.definition import FlowDefinition

YAML_TYPES = {"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"}
WRAPPER = {"key", "name", "definition"}
EXAMPLE = {
    "key": "welcome",
    "name": "友だち追加のごあいさつ",
    "trigger": {"on": "followed"},
    "entry": {"once": "ever"},
    "steps": [
        {"say": "{{ friend.name }}、友だち追加ありがとうございます。"},
        {"wait": {"days": 3, "at": "19:00"}},
        {"say": "その後いかがですか。またのご来店をお待ちしています。"},
    ],
}
EXAMPLE_YAML = """\
key: welcome
name: 友だち追加のごあいさつ
trigger: {on: followed}
entry: {once: ever}
steps:
  - say: "{{ friend.name }}、友だち追加ありがとうございます。"
  - wait: {days: 3, at: "19:00"}
  - say: その後いかがですか。またのご来店をお待ちしています。
"""


def read(body: bytes, content_type: str, *, key: str | None, allow_http: bool) -> FlowDefinition:
    """The definition in a body; raises `Invalid` with each fault, or a `Refusal`.

    JSON may be the definition itself, or `{"key", "name", "definition"}` around it.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in YAML_TYPES:
        definition = _read_yaml(body, allow_http=allow_http)
    elif bodies.is_json(media_type):
        definition = _read_json(body, key, allow_http=allow_http)
    else:
        raise Refusal(MEDIA, "Send a definition as application/json or application/yaml.")
    if key is not None and definition.key != key:
        raise Invalid("The flow has 1 fault.", [
            Fault("key", f"is {definition.key!r}, but the path says {key!r}",
                  f"パスのキー「{key}」と一致していません")])  # fmt: skip
    return definition


def exists_already(key: str) -> Conflict:
    """What stands in the way of creating a flow twice."""
    return Conflict(f"There is a flow {key!r} already; save it with PUT and its version instead.")


def _read_yaml(body: bytes, *, allow_http: bool) -> FlowDefinition:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid("The flow has 1 fault.", [
            Fault("", "is not UTF-8", "文字コードをUTF-8にしてください")]) from None  # fmt: skip
    bodies.check_text(text)
    _check_shape(text)
    return files.read(text, allow_http=allow_http)


def _check_shape(text: str) -> None:
    """Refuse aliases, which let a small text unfold into gigabytes, and bottomless nesting."""
    depth = 0
    try:
        for event in YAML(typ="rt").parse(text):
            depth += isinstance(event, CollectionStartEvent)
            depth -= isinstance(event, CollectionEndEvent)
            if isinstance(event, AliasEvent) or depth > bodies.MAX_DEPTH:
                mark = event.start_mark
                raise Invalid("The flow has 1 fault.", [
                    Fault("", "aliases (*name) and very deep nesting are not taken",
                          "エイリアス（*name）や深すぎる入れ子は使えません",
                          mark.line + 1, mark.column + 1)])  # fmt: skip
    except (YAMLError, RecursionError):
        return  # the reader says the same with line and column


def _read_json(body: bytes, key: str | None, *, allow_http: bool) -> FlowDefinition:
    tree = bodies.parse(body)
    wrapped = isinstance(tree, dict) and isinstance(tree.get("definition"), dict)
    if not wrapped:
        return files.check(_with_key(tree, key), allow_http=allow_http)
    _refuse_unknown(tree)
    names = {name: tree[name] for name in ("key", "name") if name in tree}
    try:
        definition = {**names, **tree["definition"]}
        return files.check(_with_key(definition, key), allow_http=allow_http)
    except Invalid as error:
        raise Invalid(str(error), [_inside(fault) for fault in error.faults]) from None


def _with_key(tree: Any, key: str | None) -> Any:  # noqa: ANN401
    return {"key": key, **tree} if key is not None and isinstance(tree, dict) else tree


def _refuse_unknown(tree: dict[str, Any]) -> None:
    unknown = sorted(tree.keys() - WRAPPER)
    if unknown:
        raise Invalid("The flow has 1 fault.", [
            Fault(unknown[0], f"unknown field {unknown[0]!r}",
                  f"「{unknown[0]}」という項目はありません")])  # fmt: skip


def _inside(fault: Fault) -> Fault:
    path = f"definition.{fault.path}" if fault.path else "definition"
    return Fault(path, fault.message, fault.message_ja, fault.line, fault.column)
