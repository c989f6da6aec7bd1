"""Webhook bodies of every kind that LINE documents: our own, and LINE's samples where they lie by.

Source: https://developers.line.biz/en/reference/messaging-api/#webhook-event-objects
"""

from pathlib import Path
from typing import Any

from tests.bot.helpers import HANA, KEN, body, edited, event, follow, text, unfollow, unsend

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "line" / "webhook-samples"

Event = dict[str, Any]


def _in(source: str, kind: str, **fields: Any) -> Event:
    """An event of a group or a room."""
    return event(kind, None, source={"type": source, f"{source}Id": "C" + "d" * 32}, **fields)


def _silent(made: Event) -> Event:
    """An event that nobody can reply to."""
    return {name: value for name, value in made.items() if name != "replyToken"}


def _message(kind: str, **fields: Any) -> Event:
    return event("message", message={"type": kind, "id": "500000000000000001", **fields})


_LINE = {"contentProvider": {"type": "line"}}
_ELSEWHERE = {
    "contentProvider": {
        "type": "external",
        "originalContentUrl": "https://shop.example/a.jpg",
        "previewImageUrl": "https://shop.example/b.jpg",
    }
}
_MEMBERS = [{"type": "user", "userId": HANA}, {"type": "user", "userId": KEN}]
_MENU = {"newRichMenuAliasId": "tab-b", "status": "SUCCESS"}

EVENTS: dict[str, Event] = {
    "text": text("こんにちは😀"),
    "text-group-mention": _in(
        "group",
        "message",
        message={
            "type": "text", "id": "500000000000000002", "text": "@花 (kiss)",
            "mention": {"mentionees": [{"index": 0, "length": 2, "type": "user", "userId": HANA}]},
            "emojis": [{"index": 3, "length": 6, "productId": "5ac1", "emojiId": "001"}],
            "quotedMessageId": "500000000000000001", "quoteToken": "q",
        },
    ),
    "sticker": _message("sticker", packageId="446", stickerId="1988", stickerResourceType="STATIC"),
    "image": _message("image", **_LINE, imageSet={"id": "E0", "index": 2, "total": 2}),
    "image-external": _message("image", **_ELSEWHERE),
    "video": _message("video", duration=60_000, **_LINE),
    "audio": _message("audio", duration=60_000, **_LINE),
    "file": _message("file", fileName="a.txt", fileSize=2_138),
    "location": _message("location", title="港", address="横浜市", latitude=35.4, longitude=139.6),
    "message-of-tomorrow": _message("hologram", depth=3),
    "edited": edited("500000000000000001", "こんばんは"),
    "unsend": unsend("500000000000000001"),
    "follow": follow(),
    "follow-unblocked": follow(unblocked=True),
    "unfollow": unfollow(),
    "join": _in("group", "join"),
    "leave": _silent(_in("room", "leave")),
    "memberJoined": _in("group", "memberJoined", joined={"members": _MEMBERS}),
    "memberLeft": _silent(_in("group", "memberLeft", left={"members": _MEMBERS})),
    "postback": event("postback", postback={"data": "a=1"}),
    "postback-date": event("postback", postback={"data": "a", "params": {"date": "2026-02-28"}}),
    "postback-menu": event("postback", postback={"data": "a", "params": _MENU}),
    "videoPlayComplete": event("videoPlayComplete", videoPlayComplete={"trackingId": "t-1"}),
    "beacon": event("beacon", beacon={"hwid": "d41d8cd98f", "type": "enter", "dm": "0a"}),
    "accountLink-ok": event("accountLink", link={"result": "ok", "nonce": "n" * 24}),
    "accountLink-failed": _silent(
        event("accountLink", None, link={"result": "failed", "nonce": "n" * 24})
    ),
    "membership-joined": event("membership", membership={"type": "joined", "membershipId": 3_189}),
    "membership-left": event("membership", membership={"type": "left", "membershipId": 3_189}),
    "module": _silent(
        event("module", None, module={"type": "attached", "botId": "U" + "e" * 32, "scopes": []})
    ),
    "activated": _silent(event("activated", chatControl={"expireAt": 1_462_629_479_859})),
    "deactivated": _silent(event("deactivated")),
    "botSuspended": _silent(event("botSuspended", None)),
    "botResumed": _silent(event("botResumed", None)),
    "delivery": _silent(event("delivery", None, delivery={"data": "15034552939884E28681A7D6"})),
    "standby": text("こんにちは", mode="standby"),
    "of-tomorrow": event("teleported", teleported={"to": "港"}),
}  # fmt: skip


def bodies() -> dict[str, bytes]:
    """All bodies by name: each event of ours alone, several at once, none; and LINE's samples."""
    own = {name: body(made) for name, made in EVENTS.items()}
    together = body(text("ひとつ"), text("ふたつ", KEN), follow(KEN))
    samples = {file.name: file.read_bytes() for file in sorted(SAMPLES.glob("*.json"))}
    return {**own, "together": together, "none": body(), **samples}
