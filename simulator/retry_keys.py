"""`X-Line-Retry-Key`: asking twice and getting it once.

Source: https://developers.line.biz/en/docs/messaging-api/retrying-api-request/
"""

import hashlib
import re

from simulator.calls import Call
from simulator.channels import RetryKey
from simulator.chats import Accepted
from simulator.errors import LineError
from simulator.ids import seal
from simulator.violations import Kind

HEADER = b"x-line-retry-key"
QUOTABLE = frozenset({"text", "textV2", "sticker", "image", "video", "template", "flex"})
LIFE_MS = 24 * 60 * 60 * 1_000
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def open_key(call: Call, fingerprint_of: bytes) -> RetryKey | None:
    """The retry key of a request, None without one.

    `fingerprint_of` stands for recipients and messages. Raises 400 for a malformed key and 409 for
    one that was accepted within 24 hours of its first request.
    """
    text = call.header(HEADER)
    if text is None:
        return None
    if not _UUID.fullmatch(text):
        _note(call, "malformed_retry_key", "not a UUID")
        raise LineError(400, "The value of the X-Line-Retry-Key header is invalid")
    known = _still_valid(call, call.channel.retry_keys.get(text.lower()))
    fingerprint = hashlib.blake2b(
        call.endpoint.name.encode() + fingerprint_of, digest_size=16
    ).hexdigest()
    if known is None:
        key = RetryKey(text.lower(), call.channel.id, call.platform.clock.ms(), fingerprint)
        call.channel.retry_keys[key.key] = key
        return key
    if known.fingerprint != fingerprint:
        _note(call, "retry_key_changed", "other recipients or messages under the same key")
    if known.accepted is not None:
        raise already_accepted(known.accepted)
    return known


def _still_valid(call: Call, key: RetryKey | None) -> RetryKey | None:
    if key is not None and call.platform.clock.ms() - key.first_at >= LIFE_MS:
        _note(call, "retry_key_after_24_hours", "sent again as a new request")
        return None
    return key


def _note(call: Call, kind: Kind, detail: str) -> None:
    call.platform.violations.add(kind, call.endpoint.name, call.request_id, detail)


def already_accepted(accepted: Accepted) -> LineError:
    """409: it is out already. For a push with the messages sent then."""
    more = {"sentMessages": sent_messages(accepted)} if accepted.endpoint == "push" else {}
    return LineError(
        409,
        "The retry key is already accepted",
        headers={"x-line-accepted-request-id": accepted.request_id},
        more=more,
    )


def sent_messages(accepted: Accepted) -> list[dict[str, str]]:
    """Ids of the messages of a push or reply, with quote tokens where one can quote them."""
    user_id = accepted.to[0]
    sent = []
    for message_id, message in zip(accepted.ids, accepted.messages, strict=True):
        entry = {"id": message_id}
        if message["type"] in QUOTABLE:
            entry["quoteToken"] = seal("quote", accepted.channel_id, user_id, message_id)
        sent.append(entry)
    return sent
