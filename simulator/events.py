"""Webhook events, built and handed to the sender.

Source: https://developers.line.biz/en/reference/messaging-api/#webhook-event-objects
"""

from simulator import ids
from simulator.channels import Channel
from simulator.chats import Friend, Message
from simulator.platform import Platform
from simulator.state import Change
from simulator.webhooks import Event, Outgoing

_NO_TOKEN = frozenset({"unsend", "unfollow"})
_QUOTABLE = frozenset({"text", "image", "sticker"})


def envelope(kind: str, at: int, fields: Event, *, seed: str | None = None) -> Event:
    """What all events have in common; `seed` makes the event's id come again."""
    return {
        "type": kind,
        **fields,
        "webhookEventId": ids.ulid(at, seed),
        "deliveryContext": {"isRedelivery": False},
        "timestamp": at,
        "mode": "active",
    }


def build(platform: Platform, friend: Friend, kind: str, at: int, fields: Event) -> list[Change]:
    """Queue an event of a person. Returns what must be kept along with its cause."""
    event = envelope(kind, at, fields)
    event["source"] = {"type": "user", "userId": friend.user_id}
    changes: list[Change] = []
    if kind not in _NO_TOKEN:
        token = platform.reply_tokens.issue(friend.channel_id, friend.user_id, at)
        event["replyToken"] = token.token
        changes.append(platform.reply_tokens.change(token))
    outgoing = platform.webhooks.prepare(friend.channel_id, friend.user_id, event)
    return [*changes, platform.webhooks.change(outgoing)]


def send(platform: Platform, changes: list[Change]) -> None:
    """Let the events among kept changes go."""
    for _, _, document in changes:
        if isinstance(document, Outgoing):
            platform.webhooks.enqueue(document)


def link_failed(platform: Platform, channel: Channel, nonce: str) -> None:
    """The event without a source: another person opened the link."""
    at = platform.clock.stamp()
    event = envelope("accountLink", at, {"link": {"result": "failed", "nonce": nonce}})
    outgoing = platform.webhooks.prepare(channel.id, "", event)
    platform.store.put_all([platform.webhooks.change(outgoing)])
    platform.webhooks.enqueue(outgoing)


def message_fields(friend: Friend, message_id: str, message: Message) -> Event:
    """The `message` of a message event."""
    where = (friend.channel_id, friend.user_id, message_id)
    body: dict[str, object] = {"type": message["type"], "id": message_id}
    if message["type"] in _QUOTABLE:
        body["quoteToken"] = ids.seal("quote", *where)
    body["markAsReadToken"] = ids.seal("read", *where)
    rest = {k: v for k, v in message.items() if k not in {"type", "contentUrl", "previewUrl"}}
    return {"message": {**body, **rest}}
