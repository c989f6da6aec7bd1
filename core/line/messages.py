"""Whether LINE would take a list of message objects, asked before anything leaves.

Source: https://developers.line.biz/en/reference/messaging-api/#message-objects
"""

from collections.abc import Sequence

import regex

from core.line.actions import ACTIONS, Place
from core.line.flex import flex_container
from core.line.imagemap import ALT_TEXT_UNITS, IMAGEMAP
from core.line.lengths import graphemes, utf16_units
from core.line.limits import MESSAGES_PER_REQUEST, QUICK_REPLY_ITEMS, TEXT_UNITS
from core.line.problems import Check, Problem
from core.line.rules import (
    Further,
    Kinds,
    Rule,
    Shape,
    anything,
    choice,
    items,
    matching,
    number,
    resource_url,
    text,
    whole,
)
from core.line.sdk_models import check_round_trip
from core.line.substitution import (
    EMOJI,
    EMOJI_IN_TEXT,
    dollars_under_emoji,
    placeholders_have_substitutions,
    substitution,
)
from core.line.templates import template

__all__ = ["Problem", "check_messages", "graphemes", "utf16_units"]

_OWN_NAME = regex.compile(r"(?<![A-Za-z])LINE(?![A-Za-z])", regex.IGNORECASE)
_name = text(20)


def check_messages(
    messages: object, *, thorough: bool = False, allow_http: bool = False
) -> list[Problem]:
    """Every broken rule in a list of one to five LINE message objects; empty when LINE takes it.

    Takes any JSON value and never raises. A plain text costs some tens of microseconds, so this may
    run for each personalised message. `thorough` also asks the official SDK's models, which takes
    milliseconds and is for messages that a person has just written. `allow_http` lets pictures come
    from http://localhost and http://127.0.0.1, as in the demo.
    """
    check = Check(allow_http=allow_http)
    _MESSAGES(check, messages, "messages")
    if thorough and isinstance(messages, list | tuple):
        _ask_the_sdk(check, messages)
    return check.problems


def _ask_the_sdk(check: Check, messages: Sequence[object]) -> None:
    """Have the SDK look at each message that has kept the rules so far."""
    wrong = {problem.path.partition("]")[0] for problem in check.problems}
    for index, message in enumerate(messages[:MESSAGES_PER_REQUEST]):
        if isinstance(message, dict) and f"messages[{index}" not in wrong:
            check_round_trip(check, message, f"messages[{index}]")


def _sender_name(check: Check, value: object, path: str) -> None:
    _name(check, value, path)
    if isinstance(value, str) and _OWN_NAME.search(value):
        check.report(
            path,
            'LINE refuses the word "LINE" in a sender\'s name.',
            "送信者名に「LINE」という語は使えません。",
        )


_COMMON: dict[str, Rule] = {
    "type": anything,
    "quickReply": Shape(
        {
            "items": items(
                Shape(
                    {
                        "type": choice("action"),
                        "imageUrl": resource_url,
                        "action": ACTIONS[Place.quick_reply],
                    },
                    required="type action",
                ),
                1,
                QUICK_REPLY_ITEMS,
            )
        },
        required="items",
    ),
    "sender": Shape({"name": _sender_name, "iconUrl": resource_url}),
}


def _message(fields: dict[str, Rule], required: str, further: Further | None = None) -> Rule:
    return Shape(_COMMON | fields, required=required, further=further)


_quote_token = text(1000)
_alt_text = text(ALT_TEXT_UNITS)

_MESSAGE = Kinds(
    {
        "text": _message(
            {
                "text": text(TEXT_UNITS),
                "emojis": items(EMOJI_IN_TEXT, 0, EMOJI),
                "quoteToken": _quote_token,
            },
            "text",
            dollars_under_emoji,
        ),
        "textV2": _message(
            {"text": text(TEXT_UNITS), "substitution": substitution, "quoteToken": _quote_token},
            "text",
            placeholders_have_substitutions,
        ),
        "sticker": _message(
            {"packageId": text(100), "stickerId": text(100), "quoteToken": _quote_token},
            "packageId stickerId",
        ),
        "image": _message(
            {"originalContentUrl": resource_url, "previewImageUrl": resource_url},
            "originalContentUrl previewImageUrl",
        ),
        "video": _message(
            {
                "originalContentUrl": resource_url,
                "previewImageUrl": resource_url,
                "trackingId": matching(
                    r"[a-zA-Z0-9\-.=,+*()%$&;:@{}!?<>\[\]]+", "spring-sale-2026", most=100
                ),
            },
            "originalContentUrl previewImageUrl",
        ),
        "audio": _message(
            {"originalContentUrl": resource_url, "duration": whole(1)},
            "originalContentUrl duration",
        ),
        "location": _message(
            {
                "title": text(100),
                "address": text(100),
                "latitude": number(-90, 90),
                "longitude": number(-180, 180),
            },
            "title address latitude longitude",
        ),
        "coupon": _message(
            {
                "couponId": text(1000),
                "deliveryTag": matching("[a-zA-Z0-9_]+", "spring_sale", most=30),
            },
            "couponId",
        ),
        "imagemap": _message(IMAGEMAP, "baseUrl altText baseSize actions"),
        "template": _message({"altText": _alt_text, "template": template}, "altText template"),
        "flex": _message({"altText": _alt_text, "contents": flex_container}, "altText contents"),
    }
)

_MESSAGES = items(_MESSAGE, 1, MESSAGES_PER_REQUEST)
