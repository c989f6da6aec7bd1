"""Message objects: every rule of LINE's reference that can be seen from the JSON.

Source: https://developers.line.biz/en/reference/messaging-api/#message-objects
"""

import regex

from simulator import imagemaps
from simulator.actions import Place, action
from simulator.checks import (
    Check,
    Findings,
    anything,
    by_type,
    join,
    listing,
    matching,
    number,
    one_of,
    shape,
    text,
    url,
    whole,
)
from simulator.flex import container
from simulator.ids import USER_ID
from simulator.templates import template

MAX_MESSAGES = 5
MAX_TEXT = 5_000
MAX_ALT_TEXT = 1_500
MAX_EMOJIS = 20
MAX_QUICK_REPLIES = 13
_DAY_MS = 24 * 60 * 60 * 1_000
_PLACEHOLDER = regex.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_KEY = regex.compile(r"[0-9A-Za-z_]{1,20}")

_some_id = text(1_000)
_emoji_ids: dict[str, Check] = {"productId": _some_id, "emojiId": _some_id}
_quick_reply = shape(
    {
        "items": listing(
            shape(
                {"action": action(Place.quick_reply)}, {"type": one_of("action"), "imageUrl": url}
            ),
            1,
            MAX_QUICK_REPLIES,
        )
    }
)


def _sender_name(value: object, path: str, found: Findings) -> None:
    text(20)(value, path, found)
    if isinstance(value, str) and "line" in value.casefold():
        found.add(path, "This word cannot be used in the sender's name")


_common: dict[str, Check] = {
    "quickReply": _quick_reply,
    "sender": shape({}, {"name": _sender_name, "iconUrl": url}),
}


def _emojis_stand_at_dollars(value: dict[str, object], path: str, found: Findings) -> None:
    said, emojis = value.get("text"), value.get("emojis")
    if not isinstance(said, str) or not isinstance(emojis, list):
        return
    units = said.encode("utf-16-le")
    for index, emoji in enumerate(emojis):
        at = emoji.get("index") if isinstance(emoji, dict) else None
        if not isinstance(at, int) or at < 0 or units[2 * at : 2 * at + 2] != b"$\0":
            found.add(f"{join(path, 'emojis')}[{index}].index", "Must point at a $ of the text")


def placeholders(said: str) -> list[str] | None:
    """The keys in a textV2 text, or None where a brace is left alone."""
    keys = []
    for match in _PLACEHOLDER.finditer(said):
        if match[0] in {"{", "}"}:
            return None
        if match[1] is not None:
            keys.append(match[1])
    return keys


def _mentionee(value: object, path: str, found: Findings) -> None:
    by_type(
        {
            "all": shape({"type": anything}),
            "user": shape({"type": anything, "userId": matching(USER_ID.pattern)}),
        }
    )(value, path, found)


_substitute = by_type(
    {
        "mention": shape({"type": anything, "mentionee": _mentionee}),
        "emoji": shape({"type": anything, **_emoji_ids}),
    }
)


def _substitution(value: object, path: str, found: Findings) -> None:
    if not isinstance(value, dict):
        found.add(path, "Must be an object")
        return
    if len(value) > 100:  # noqa: PLR2004  as the reference says
        found.add(path, "Size must be between 0 and 100")
    for key, part in value.items():
        if not _KEY.fullmatch(key):
            found.add(join(path, key), "Invalid key")
        _substitute(part, join(path, key), found)
    kinds = [part.get("type") for part in value.values() if isinstance(part, dict)]
    for kind in ("mention", "emoji"):
        if kinds.count(kind) > MAX_EMOJIS:
            found.add(path, f"At most {MAX_EMOJIS} of type {kind}")


def _placeholders_are_filled(value: dict[str, object], path: str, found: Findings) -> None:
    said, filling = value.get("text"), value.get("substitution")
    if not isinstance(said, str):
        return
    keys = placeholders(said)
    if keys is None:
        found.add(join(path, "text"), "Braces must be doubled or enclose a key")
        return
    known = filling if isinstance(filling, dict) else {}
    for key in keys:
        if key not in known:
            found.add(join(path, "text"), f"No substitution for {{{key}}}")


message: Check = by_type(
    {
        "text": shape(
            {"type": anything, "text": text(MAX_TEXT)},
            {
                **_common,
                "emojis": listing(
                    shape({"index": whole(0, MAX_TEXT), **_emoji_ids}), 0, MAX_EMOJIS
                ),
                "quoteToken": _some_id,
            },
            _emojis_stand_at_dollars,
        ),
        "textV2": shape(
            {"type": anything, "text": text(MAX_TEXT)},
            {**_common, "substitution": _substitution, "quoteToken": _some_id},
            _placeholders_are_filled,
        ),
        "sticker": shape(
            {"type": anything, "packageId": matching(r"\d+"), "stickerId": matching(r"\d+")},
            {**_common, "quoteToken": _some_id},
        ),
        "image": shape(
            {"type": anything, "originalContentUrl": url, "previewImageUrl": url}, _common
        ),
        "video": shape(
            {"type": anything, "originalContentUrl": url, "previewImageUrl": url},
            {**_common, "trackingId": matching(r"[a-zA-Z0-9\-.=,+*()%$&;:@{}!?<>\[\]]{1,100}")},
        ),
        "audio": shape(
            {"type": anything, "originalContentUrl": url, "duration": whole(1, _DAY_MS)}, _common
        ),
        "location": shape(
            {
                "type": anything,
                "title": text(100),
                "address": text(100),
                "latitude": number(-90, 90),
                "longitude": number(-180, 180),
            },
            _common,
        ),
        "coupon": shape(
            {"type": anything, "couponId": _some_id},
            {**_common, "deliveryTag": matching("[a-zA-Z0-9_]{1,30}")},
        ),
        "imagemap": imagemaps.message(_common),
        "template": shape(
            {"type": anything, "altText": text(MAX_ALT_TEXT), "template": template}, _common
        ),
        "flex": shape(
            {"type": anything, "altText": text(MAX_ALT_TEXT), "contents": container}, _common
        ),
    }
)
_messages = listing(message, 1, MAX_MESSAGES)


def check_messages(messages: object, *, allow_http: bool = False) -> Findings:
    """What is wrong with the `messages` of a request, with paths as `messages[0].text`."""
    found = Findings(allow_http=allow_http)
    if messages is None:
        found.add("messages", "May not be null")
    else:
        _messages(messages, "messages", found)
    return found
