"""Reply, push, multicast, broadcast, narrowcast: who is reached, what is refused.

Source: https://developers.line.biz/en/reference/messaging-api/#sending-messages
"""

import random
import re
from collections.abc import Iterable

import orjson

from simulator import ids
from simulator.calls import Answer, Call, Endpoint, ok
from simulator.channels import RetryKey
from simulator.chats import Accepted, Message
from simulator.checks import Check, Findings, anything, boolean, listing, matching, shape, whole
from simulator.errors import Detail, InvalidBody, LineError, over_quota
from simulator.messages import check_messages
from simulator.rate_limits import HOUR, SECOND, Rate
from simulator.retry_keys import open_key, sent_messages
from simulator.state import Change
from simulator.violations import Kind

MAX_RECIPIENTS = 500
_MEMO_ENTRIES = 4_096
_MEMO_BYTES = 64 * 1024
_SORTED = orjson.OPT_SORT_KEYS
_USER_IDS = re.compile(f"{ids.USER_ID.pattern}(,{ids.USER_ID.pattern})*")
_CONTEXT = (b'"quoteToken"', b'"coupon"', b'"mention"')

_unit = listing(matching("[a-zA-Z0-9_]{1,30}"), 0, 1)
_string: Check = matching(r"(?s).+", "Must be a non-empty string")
_silent: dict[str, Check] = {"notificationDisabled": boolean}
_BODIES: dict[str, Check] = {
    "reply": shape({"replyToken": _string, "messages": anything}, _silent),
    "push": shape(
        {"to": _string, "messages": anything}, {**_silent, "customAggregationUnits": _unit}
    ),
    "multicast": shape(
        {"to": listing(anything, 1, MAX_RECIPIENTS), "messages": anything},
        {**_silent, "customAggregationUnits": _unit},
    ),
    "broadcast": shape({"messages": anything}, _silent),
    "narrowcast": shape(
        {"messages": anything},
        {
            **_silent,
            "recipient": shape({"type": _string}, dict.fromkeys(("and", "or", "not"), anything)),
            "filter": shape({}, {"demographic": anything}),
            "limit": shape(
                {},
                {
                    "max": whole(1, 2**31 - 1),
                    "upToRemainingQuota": boolean,
                    "forbidPartialDelivery": boolean,
                },
            ),
        },
    ),
}
_PLAIN_KEYS = {
    "reply": frozenset({"replyToken", "messages"}),
    "push": frozenset({"to", "messages"}),
}


class Request:
    """A message request that is well-formed; `raw` are its messages as canonical bytes."""

    __slots__ = ("body", "call", "messages", "raw")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.body = call.object()
        self._check_shape()
        self.messages, self.raw = read_messages(call, self.body)

    def _check_shape(self) -> None:
        name = self.call.endpoint.name
        body = self.body
        if body.keys() == _PLAIN_KEYS.get(name) and all(
            isinstance(value, str) or key == "messages" for key, value in body.items()
        ):
            return  # The usual case on the hot path; the full check would say the same.
        found = Findings()
        _BODIES[name](body, "", found)
        settle(self.call, found)

    @property
    def unit(self) -> str | None:
        """The aggregation unit, if the request names one."""
        units = self.body.get("customAggregationUnits")
        return str(units[0]) if isinstance(units, list) and units else None


def note(call: Call, kind: Kind, detail: str) -> None:
    """Record what a correct client must never do."""
    call.platform.violations.add(kind, call.endpoint.name, call.request_id, detail)


def settle(call: Call, found: Findings) -> None:
    """Note unknown properties; raise `InvalidBody` when something is wrong."""
    for path in found.unknown:
        note(call, "unknown_property", path)
    if found.details:
        note(call, "malformed_request", found.details[0].property)
        raise InvalidBody(found.details)


def read_messages(call: Call, body: dict[str, object]) -> tuple[list[Message], bytes]:
    """The checked messages of a body and their canonical bytes. Raises `InvalidBody`."""
    messages = body.get("messages")
    raw = orjson.dumps(messages, option=_SORTED)
    memo = call.platform.checked_messages
    needs_context = memo.get(raw)
    if needs_context is None:
        settle(call, check_messages(messages, allow_http=call.platform.settings.allow_http_urls))
        needs_context = any(word in raw for word in _CONTEXT)
        if len(memo) >= _MEMO_ENTRIES:
            memo.clear()
        if len(raw) <= _MEMO_BYTES:
            memo[raw] = needs_context
    assert isinstance(messages, list)
    if needs_context:
        _check_context(call, messages, body.get("to"))
    return messages, raw


def _check_context(call: Call, messages: list[Message], to: object) -> None:
    """What depends on the channel and the chat, not on the object alone."""
    found = Findings()
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        if message["type"] == "coupon" and not _is_running(call, str(message["couponId"])):
            found.add(f"{path}.couponId", "No such coupon, or it is closed")
        if message.get("quoteToken") is not None and not _is_own_quote(call, message, to):
            found.add(f"{path}.quoteToken", "Invalid quote token")
        for part in _substitutes(message):
            if part.get("type") == "mention":
                found.add(f"{path}.substitution", "A mention needs a group or room")
    settle(call, found)


def _substitutes(message: Message) -> Iterable[dict[str, object]]:
    substitution = message.get("substitution")
    return substitution.values() if isinstance(substitution, dict) else ()


def _is_running(call: Call, coupon_id: str) -> bool:
    coupon = call.channel.coupons.coupons.get(coupon_id)
    return coupon is not None and coupon.status == "RUNNING"


def _is_own_quote(call: Call, message: Message, to: object) -> bool:
    quoted = ids.unseal("quote", str(message["quoteToken"]))
    if quoted is None or quoted[0] != call.channel.id:
        return False
    return to is None or quoted[1] == to


def _reached(request: Request, to: list[str]) -> list[str]:
    """Whom of the people who exist a push or multicast reaches, each once."""
    call = request.call
    friends, now = call.channel.friends, call.platform.clock.ms()
    everyone = call.platform.settings.everyone_is_a_friend
    is_push = call.endpoint.name == "push"
    reached = []
    for user_id in dict.fromkeys(to):
        friend = friends.get(user_id)
        if friend is None:
            is_reached = everyone
        elif friend.status == "none":
            is_reached = is_push and friend.wrote_lately(now)
        else:
            is_reached = friend.status == "friend"
        if is_reached:
            reached.append(user_id)
    return reached


def _require_quota(request: Request, people: int) -> None:
    channel = request.call.channel
    remaining = channel.remaining(request.call.platform.clock.ms())
    if remaining is not None and people > remaining:
        raise over_quota()


def _accept(
    request: Request,
    to: list[str],
    delivered: list[str],
    changes: list[Change],
    *,
    retry_key: str | None = None,
) -> Accepted:
    call, platform = request.call, request.call.platform
    accepted = Accepted(
        n=len(platform.accepted) + 1,
        at=platform.clock.stamp(),
        order=platform.next_order(),
        channel_id=call.channel.id,
        endpoint=call.endpoint.name,
        request_id=call.request_id,
        retry_key=retry_key,
        to=to,
        delivered_to=delivered,
        messages=request.messages,
        ids=[platform.message_ids.next() for _ in request.messages],
        unit=request.unit,
        silent=request.body.get("notificationDisabled") is True,
    )
    platform.accept(call.channel, accepted, changes)
    return accepted


def _accept_once(request: Request, key: RetryKey | None, to: list[str]) -> Accepted:
    """Deliver under a retry key, which is kept whether the request succeeds or not."""
    platform = request.call.platform
    try:
        delivered = _deliverable(request, to)
        _require_quota(request, len(delivered))
    except LineError:
        if key is not None:
            platform.keep_retry_key(key)
        raise
    if key is None:
        return _accept(request, to, delivered, [])
    accepted_n = len(platform.accepted) + 1
    document = {**key.document(), "accepted_n": accepted_n}
    changes: list[Change] = [("retry_key", f"{key.channel_id}/{key.key}", document)]
    key.accepted = _accept(request, to, delivered, changes, retry_key=key.key)
    return key.accepted


def _deliverable(request: Request, to: list[str]) -> list[str]:
    if request.call.endpoint.name == "narrowcast":
        return _narrowed(request)
    if request.call.endpoint.name == "broadcast":
        return request.call.channel.followers()
    _require_known(request, to)
    return _reached(request, to)


def _require_known(request: Request, to: list[str]) -> None:
    """Raises 400 for a malformed id, and for one nobody has."""
    call = request.call
    people, everyone = call.platform.people, call.platform.settings.everyone_is_a_friend
    is_push = call.endpoint.name == "push"
    if people.has_all(to) or (everyone and _USER_IDS.fullmatch(",".join(to))):
        return
    for index, user_id in enumerate(to):
        if user_id in people:
            continue
        if everyone and ids.USER_ID.fullmatch(user_id):
            continue  # Only the malformed ones among them are named.
        if is_push and (ids.USER_ID.fullmatch(user_id) or ids.GROUP_ID.fullmatch(user_id)):
            raise LineError(400, "Failed to send messages")
        where = "to" if is_push else f"to[{index}]"
        text = f"The property, {where}, in the request body is invalid (line: -, column: -)"
        raise LineError(400, text, [Detail("Invalid user id", where)] if not is_push else ())


def _narrowed(request: Request) -> list[str]:
    """All friends, or a random part of them where `limit` says so."""
    followers = request.call.channel.followers()
    limit = request.body.get("limit")
    limit = limit if isinstance(limit, dict) else {}
    most = limit.get("max") or len(followers)
    if limit.get("upToRemainingQuota"):
        remaining = request.call.channel.remaining(request.call.platform.clock.ms())
        most = most if remaining is None else min(most, remaining)
    if most < len(followers):
        return random.Random(request.call.request_id).sample(followers, most)  # noqa: S311
    return followers


def reply(call: Call) -> Answer:
    """Free of charge; the token is spent by a reply that is accepted."""
    request = Request(call)
    token = call.platform.reply_tokens.usable(call.channel.id, str(request.body["replyToken"]))
    if token is None:
        raise LineError(400, "Invalid reply token")
    token.used = True
    friend = call.channel.friend(token.user_id)
    delivered = [] if friend.status == "blocked" else [token.user_id]
    changes = [call.platform.reply_tokens.change(token)]
    accepted = _accept(request, [token.user_id], delivered, changes)
    return ok({"sentMessages": sent_messages(accepted)})


def push(call: Call) -> Answer:
    """To one person."""
    request = Request(call)
    user_id = str(request.body["to"])
    key = open_key(call, user_id.encode() + request.raw)
    accepted = _accept_once(request, key, [user_id])
    return ok({"sentMessages": sent_messages(accepted)})


def multicast(call: Call) -> Answer:
    """To up to 500 people: all, or none when one id is wrong."""
    request = Request(call)
    to = _recipients(request)
    if len(set(to)) != len(to):
        note(call, "duplicate_recipient", "the same user id twice in one multicast")
    key = open_key(call, ",".join(to).encode() + request.raw)
    _accept_once(request, key, to)
    return ok()


def _recipients(request: Request) -> list[str]:
    to = request.body["to"]
    assert isinstance(to, list)
    wrong = [
        Detail("Must be a string", f"to[{index}]")
        for index, user_id in enumerate(to)
        if not isinstance(user_id, str)
    ]
    if wrong:
        raise InvalidBody(wrong)
    return to


def broadcast(call: Call) -> Answer:
    """To all friends."""
    request = Request(call)
    _accept_once(request, open_key(call, request.raw), [])
    return ok()


def narrowcast(call: Call) -> Answer:
    """To all friends; audiences and attributes are not played, so naming them is refused."""
    request = Request(call)
    if request.body.get("recipient") or request.body.get("filter"):
        raise LineError(400, "The stand-in knows no audiences and no attributes of people")
    body = orjson.dumps(request.body.get("limit"), option=_SORTED)
    _accept_once(request, open_key(call, body + request.raw), [])
    return ok(status=202)


def validate(call: Call) -> Answer:
    """Check the message objects only; a finding here is no violation."""
    body = call.object()
    allow_http = call.platform.settings.allow_http_urls
    found = check_messages(body.get("messages"), allow_http=allow_http)
    if found.details:
        raise InvalidBody(found.details)
    return ok()


_JSON = "application/json"
ENDPOINTS = (
    Endpoint("reply", "POST", "/v2/bot/message/reply", reply, takes=_JSON),
    Endpoint("push", "POST", "/v2/bot/message/push", push, takes=_JSON, retry_key=True),
    Endpoint(
        "multicast",
        "POST",
        "/v2/bot/message/multicast",
        multicast,
        Rate(200, SECOND),
        takes=_JSON,
        retry_key=True,
    ),
    Endpoint(
        "broadcast",
        "POST",
        "/v2/bot/message/broadcast",
        broadcast,
        Rate(60, HOUR),
        takes=_JSON,
        retry_key=True,
    ),
    Endpoint(
        "narrowcast",
        "POST",
        "/v2/bot/message/narrowcast",
        narrowcast,
        Rate(60, HOUR),
        takes=_JSON,
        retry_key=True,
    ),
    *(
        Endpoint(
            f"validate/{kind}", "POST", f"/v2/bot/message/validate/{kind}", validate, takes=_JSON
        )
        for kind in ("reply", "push", "multicast", "broadcast", "narrowcast")
    ),
)
