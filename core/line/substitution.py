"""LINE emoji in `text` messages, and the placeholders of `textV2` messages.

Source: https://developers.line.biz/en/reference/messaging-api/#text-message-v2
"""

from collections.abc import Iterator

import regex

from core.line.problems import Check, safe_name
from core.line.rules import Kinds, Shape, anything, matching, text, whole

SUBSTITUTIONS = 100
MENTIONS = 20
EMOJI = 20

EMOJI_IN_TEXT = Shape(
    {"index": whole(), "productId": text(100), "emojiId": text(100)},
    required="index productId emojiId",
)

_KEY = regex.compile(r"[0-9A-Za-z_]{1,20}")
# Doubled braces stand for themselves; what is left over is a lone brace.
_BRACES = regex.compile(r"\{\{|\}\}|\{(?P<key>[^{}]*)\}|(?P<lone>[{}])")

_VALUE = Kinds(
    {
        "mention": Shape(
            {
                "type": anything,
                "mentionee": Kinds(
                    {
                        "user": Shape(
                            {
                                "type": anything,
                                "userId": matching("U[0-9a-f]{32}", "U and 32 hex digits"),
                            },
                            required="userId",
                        ),
                        "all": Shape({"type": anything}),
                    }
                ),
            },
            required="mentionee",
        ),
        "emoji": Shape(
            {"type": anything, "productId": text(100), "emojiId": text(100)},
            required="productId emojiId",
        ),
    }
)


def dollars_under_emoji(check: Check, message: dict[str, object], path: str) -> None:
    """Each emoji stands on a `$` of the text, one emoji to a `$`."""
    words, emojis = message.get("text"), message.get("emojis")
    if not isinstance(words, str) or not isinstance(emojis, list | tuple):
        return
    free = set(_dollar_positions(words))
    for number, emoji in enumerate(emojis[:EMOJI]):
        index = emoji.get("index") if isinstance(emoji, dict) else None
        if not isinstance(index, int):
            continue
        if index not in free:
            check.report(
                f"{path}.emojis[{number}].index",
                "No unused `$` stands at this place of the text (counted in UTF-16 units from 0).",
                "本文のこの位置に、空いている $ がありません（位置はUTF-16で0から数えます）。",
            )
        free.discard(index)


def _dollar_positions(words: str) -> Iterator[int]:
    position = 0
    for character in words:
        if character == "$":
            yield position
        position += 2 if character > "\uffff" else 1


def substitution(check: Check, value: object, path: str) -> None:
    """What stands for each placeholder: at most 100 keys, 20 mentions and 20 emoji."""
    if not isinstance(value, dict):
        check.wrong_kind(path, "an object", "オブジェクト", value)
        return
    _at_most(check, path, len(value), SUBSTITUTIONS, "keys", "キー")
    for key, item in value.items():
        if not (isinstance(key, str) and _KEY.fullmatch(key)):
            check.report(
                f"{path}.{safe_name(key)}",
                "A placeholder's name is 1 to 20 of 0-9, A-Z, a-z and _.",
                "プレースホルダー名は半角英数字と _ で20文字までです。",
            )
        _VALUE(check, item, f"{path}.{safe_name(key)}")
    kinds = [item.get("type") for item in value.values() if isinstance(item, dict)]
    _at_most(check, path, kinds.count("mention"), MENTIONS, "mentions", "メンション")
    _at_most(check, path, kinds.count("emoji"), EMOJI, "emoji", "絵文字")


def _at_most(check: Check, path: str, held: int, most: int, name: str, name_ja: str) -> None:
    if held > most:
        check.report(
            path,
            f"There are {held} {name}; at most {most} are allowed.",
            f"{name_ja}が{held}個あります。{most}個までです。",
        )


def placeholders_have_substitutions(check: Check, message: dict[str, object], path: str) -> None:
    """Each `{key}` of the text has its substitution; other braces are doubled."""
    words, known = message.get("text"), message.get("substitution", {})
    if not isinstance(words, str) or not isinstance(known, dict):
        return
    missing = set()
    for found in _BRACES.finditer(words):
        if found["lone"]:
            _lone_brace(check, f"{path}.text")
            return
        if found["key"] is not None and found["key"] not in known:
            missing.add(safe_name(found["key"]))
    for name in sorted(missing):
        check.report(
            f"{path}.text",
            f"The placeholder `{name}` has no substitution (a literal brace is written doubled).",
            f"「{name}」に対応する substitution がありません"
            "（波かっこそのものは {{ と }} のように2つ重ねて書きます）。",
        )


def _lone_brace(check: Check, path: str) -> None:
    check.report(
        path,
        "A brace stands alone; a literal brace is written doubled.",
        "対になっていない波かっこがあります。文字として使うときは2つ重ねて書いてください。",
    )
