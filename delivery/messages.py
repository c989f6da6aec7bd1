"""Messages that staff write: LINE message objects with `{{ placeholders }}`, checked and filled in.

Placeholders are Jinja expressions in a sandbox (`{{ friend.name }}`); statements, loops and unknown
names are refused when the message is saved, so that filling in cannot fail on one customer alone.
Postback data that staff wrote is signed when the message is filled in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import orjson
from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.buttons import ButtonTooLong, Choice
from core.db import table
from core.errors import Fault, Invalid
from core.line.messages import check_messages
from core.sealing import Signer
from delivery.models import MessageTemplate

Messages = list[dict[str, Any]]
Values = Mapping[str, Mapping[str, str]]
Filler = Callable[[Values, Signer], Any]

NOBODY = "お客さま"  # how a friend is addressed whose name LINE does not tell
THE_SHOP = "当店"  # until LINE has told the account's name
PLACEHOLDERS: Mapping[str, Mapping[str, str]] = {
    "friend": {"name": "みなと 花子さん", "display_name": "みなと 花子"},
    "shop": {"name": "みなと珈琲"},
}
# LINE's app takes names of up to 20 characters, and tells no name of who does not agree to it.
UNUSUAL_NAMES = (
    ("for a friend with a long name", "名前が長い友だちの場合", "あ" * 20),
    ("for a friend without a name", "名前が分からない友だちの場合", None),
)
MARKS = ("{{", "{%", "{#")
ALLOWED_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Const,
    nodes.Filter, nodes.Or,
)  # fmt: skip
ALLOWED_FILTERS = {"default", "upper", "lower", "trim", "truncate"}

_jinja = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


def say(text: str) -> Messages:
    """One text message."""
    return [{"type": "text", "text": text}]


def values_for(*, display_name: str | None, shop_name: str) -> Values:
    """What placeholders stand for, for one friend.

    `friend.name` is how one addresses them, with さん; `friend.display_name` is the bare name.
    """
    name = f"{display_name}さん" if display_name else NOBODY
    return {
        "friend": {"name": name, "display_name": display_name or ""},
        "shop": {"name": shop_name or THE_SHOP},
    }


def check_draft(messages: object, *, path: str = "", allow_http: bool = False) -> list[Fault]:
    """What is wrong with messages as staff wrote them: placeholders first, then LINE's limits.

    Paths begin with `path` (`steps[0]`) where it is given.
    """
    prefix = f"{path}." if path else ""
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        return [Fault(f"{prefix}messages", "must be a list of LINE message objects",
                      "LINEのメッセージオブジェクトのリストにしてください")]  # fmt: skip
    faults = [f for text, where in _strings(messages, "messages") for f in _check_text(text, where)]
    faults = faults or _check_filled(messages, allow_http=allow_http)
    return [Fault(prefix + f.path, f.message, f.message_ja) for f in faults]


def fill(messages: Sequence[Mapping[str, Any]], values: Values, signer: Signer) -> Messages:
    """The messages for one friend: placeholders filled in, staff's postback data signed."""
    filler = _filler(orjson.dumps(list(messages)))
    filled: Messages = filler(values, signer)
    return filled


async def templates(session: AsyncSession, keys: Sequence[str]) -> dict[str, Messages]:
    """The stored templates with these keys; a missing one is left out."""
    template = table(MessageTemplate)
    query = select(template.c.key, template.c.messages).where(template.c.key.in_(keys))
    return {row.key: row.messages for row in await session.execute(query)}


def refuse(faults: Sequence[Fault], what: str) -> None:
    """Raise `Invalid` when there are faults."""
    if faults:
        raise Invalid(f"{what} has {len(faults)} fault(s).", faults)


def _strings(value: object, path: str) -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(value, path)]
    if isinstance(value, dict):
        return [s for key, inner in value.items() for s in _strings(inner, f"{path}.{key}")]
    if isinstance(value, list):
        return [s for i, inner in enumerate(value) for s in _strings(inner, f"{path}[{i}]")]
    return []


def _check_text(text: str, path: str) -> list[Fault]:
    if "\x00" in text:  # PostgreSQL stores none, and nobody means one
        return [Fault(path, "holds a NUL character", "使えない文字（NUL）が含まれています")]
    if not _is_template(text):
        return []
    try:
        tree = _jinja.parse(text)
    except TemplateError as error:
        return [
            Fault(
                path, f"placeholder cannot be read: {error}", "差し込みの書き方が正しくありません"
            )
        ]
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, ALLOWED_NODES) or _bad_filter(node):
            kind = type(node).__name__
            return [Fault(path, f"placeholders may not contain {kind}",
                          "差し込みには {{ friend.name }} のような名前だけを書けます")]  # fmt: skip
    known = {f"{a}.{b}" for a, names in PLACEHOLDERS.items() for b in names}
    getters = list(tree.find_all(nodes.Getattr))
    inside = {id(getter.node) for getter in getters}
    bare = {name.name for name in tree.find_all(nodes.Name) if id(name) not in inside}
    unknown = sorted(({_dotted(getter) for getter in getters} - known) | bare)
    if not unknown:
        return _try(text, path)
    name, names = unknown[0], ", ".join(sorted(known))
    english = f"unknown placeholder {name!r}; known are {names}"
    return [Fault(path, english, f"「{name}」という差し込みはありません。使えるもの: {names}")]


def _try(text: str, path: str) -> list[Fault]:
    """What a filter says against its arguments; that does not depend on the friend."""
    try:
        _jinja.from_string(text).render(PLACEHOLDERS)
    except (TemplateError, TypeError, ValueError, ArithmeticError, AssertionError) as error:
        english = f"placeholder cannot be filled in: {error}"
        return [Fault(path, english, "差し込みの書き方が正しくありません")]
    return []


def _is_template(text: str) -> bool:
    return any(mark in text for mark in MARKS)


def _check_filled(messages: Messages, *, allow_http: bool) -> list[Fault]:
    """What LINE would say to the messages: for the sample, then for who has a long name or none."""
    faults = _check_for(messages, PLACEHOLDERS, thorough=True, allow_http=allow_http)
    for whom, whom_ja, name in () if faults else UNUSUAL_NAMES:
        values = values_for(display_name=name, shop_name=PLACEHOLDERS["shop"]["name"])
        found = _check_for(messages, values, thorough=False, allow_http=allow_http)
        faults += [
            replace(f, message=f"{f.message} ({whom})", message_ja=f"{f.message_ja}（{whom_ja}）")
            for f in found
        ]
    return faults


def _check_for(
    messages: Messages, values: Values, *, thorough: bool, allow_http: bool
) -> list[Fault]:
    try:
        filled = fill(messages, values, _SAMPLE_SIGNER)
    except ButtonTooLong as error:
        return [Fault("messages", str(error), "ボタンのデータが長すぎます")]
    except TypeError as error:  # of orjson: not JSON, or half of a surrogate pair
        return [Fault("messages", f"cannot be written as JSON: {error}",
                      "JSONとして書けない値が含まれています")]  # fmt: skip
    problems = check_messages(filled, thorough=thorough, allow_http=allow_http)
    return [Fault(p.path, p.message, p.message_ja) for p in problems]


def _bad_filter(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Filter) and node.name not in ALLOWED_FILTERS


def _dotted(node: nodes.Getattr) -> str:
    inner = node.node
    return f"{inner.name}.{node.attr}" if isinstance(inner, nodes.Name) else f"?.{node.attr}"


@lru_cache(maxsize=2_000)
def _filler(raw: bytes) -> Filler:
    return _compile(orjson.loads(raw))


def _compile(value: Any) -> Filler:  # noqa: ANN401
    """A function that makes the value for one friend; parts without placeholders are shared."""
    if isinstance(value, str) and _is_template(value):
        template = _jinja.from_string(value)
        return lambda values, _signer: template.render(values)
    if isinstance(value, dict):
        return _compile_object(value)
    if isinstance(value, list):
        parts = [_compile(item) for item in value]
        return lambda values, signer: [part(values, signer) for part in parts]
    return lambda _values, _signer: value


def _compile_object(value: dict[str, Any]) -> Filler:
    parts = {key: _compile(inner) for key, inner in value.items()}
    if value.get("type") == "postback" and isinstance(value.get("data"), str):
        data = parts["data"]
        parts["data"] = lambda values, signer: Choice(value=data(values, signer)).pack(signer)
    return lambda values, signer: {key: part(values, signer) for key, part in parts.items()}


@dataclass(frozen=True)
class _Sample:
    def sign(self, _text: str) -> str:
        return "x" * 14


_SAMPLE_SIGNER: Any = _Sample()
