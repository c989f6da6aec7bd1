"""A second opinion on a message from the official SDK's models.

`linebot` takes more than a second to import, so it is imported by the first thorough check.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Protocol, cast

from core.line.problems import Check, safe_name


def check_round_trip(check: Check, message: dict[str, object], path: str) -> None:
    """Report what the SDK refuses or silently drops: most often a property it does not know."""
    try:
        kept = _message_model().from_dict(message).to_dict()
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        _report_refusal(check, error, path)
        return
    _report_lost(check, message, kept, path)


class _Built(Protocol):
    def to_dict(self) -> dict[str, object]: ...


class _Model(Protocol):
    def from_dict(self, value: dict[str, object]) -> _Built: ...


@cache
def _message_model() -> _Model:
    return cast("_Model", import_module("linebot.v3.messaging").Message)


def _report_refusal(check: Check, error: Exception, path: str) -> None:
    # pydantic's own sentences may quote the value, so only the place and the kind are told.
    details = error.errors() if hasattr(error, "errors") else [{"loc": (), "type": "value_error"}]
    for detail in details:
        check.report(
            "".join([path, *(_step(part) for part in detail["loc"])]),
            f"The official SDK refuses this ({detail['type']}).",
            f"LINE公式SDKがこの値を受け付けません（{detail['type']}）。",
        )


def _step(part: object) -> str:
    return f"[{part}]" if isinstance(part, int) else f".{safe_name(part)}"


def _report_lost(check: Check, sent: object, kept: object, path: str) -> None:
    if isinstance(sent, Mapping):
        held = kept if isinstance(kept, Mapping) else {}
        for name, value in sent.items():
            place = f"{path}.{safe_name(name)}"
            if name in held:
                _report_lost(check, value, held[name], place)
            elif value is not None:
                _report_loss(check, place)
    elif isinstance(sent, list | tuple):
        _report_lost_items(check, sent, kept, path)


def _report_lost_items(
    check: Check, sent: list[object] | tuple[object, ...], kept: object, path: str
) -> None:
    held = kept if isinstance(kept, list | tuple) else []
    if len(held) != len(sent):
        _report_loss(check, path)
        return
    for index, (before, after) in enumerate(zip(sent, held, strict=True)):
        _report_lost(check, before, after, f"{path}[{index}]")


def _report_loss(check: Check, path: str) -> None:
    check.report(
        path,
        "The official SDK does not know this and would drop it.",
        "LINE公式SDKが知らない項目です。名前を確かめてください。",
    )
