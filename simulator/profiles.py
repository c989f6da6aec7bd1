"""Profiles, followers, the bot itself, groups, chats and received content.

Source: https://developers.line.biz/en/reference/messaging-api/, from "Users" to "Getting content"
"""

import asyncio
from urllib.parse import urlsplit

from simulator import ids
from simulator.calls import JSON, Answer, Call, Endpoint, ok, parsed_int
from simulator.chats import Friend, Said
from simulator.checks import Check, Findings, matching, shape, whole
from simulator.clock import iso
from simulator.errors import InvalidBody, LineError, not_found
from simulator.pictures import sample_photo
from simulator.rate_limits import HOUR, MINUTE, SECOND, Rate
from simulator.statistics import page
from simulator.webhooks import encode, sign

MAX_FOLLOWERS = 1_000
MAX_WEBHOOK_URL = 500
_LOADING_STEP, _SHORTEST_LOADING, _LONGEST_LOADING, _USUAL_LOADING = 5, 5, 60, 20
_PREVIEW = (240, 180)


def checked(call: Call, check: Check) -> dict[str, object]:
    """The body as an object that passes the check. Raises `InvalidBody`."""
    body = call.object()
    found = Findings(allow_http=call.platform.settings.allow_http_urls)
    check(body, "", found)
    if found.details:
        raise InvalidBody(found.details)
    return body


def require_user_id(user_id: str) -> str:
    """Raises 400 for a malformed id."""
    if not ids.USER_ID.fullmatch(user_id):
        raise LineError(400, "The value for the 'userId' parameter is invalid")
    return user_id


def profile(call: Call) -> Answer:
    """Of friends, and of others who wrote; 404 for all the rest."""
    user_id = require_user_id(call.path["userId"])
    person = call.platform.person(user_id)
    friend = call.channel.friends.get(user_id)
    if person is None or friend is None or not _shows_profile(friend):
        raise not_found()
    answer = {
        "userId": user_id,
        "displayName": person.name,
        "pictureUrl": f"{call.base_url}/simulator/people/{user_id}/picture.svg",
        "language": person.language,
    }
    if person.status_message:
        answer["statusMessage"] = person.status_message
    return ok(answer)


def _shows_profile(friend: Friend) -> bool:
    if friend.status == "blocked":
        return False
    return friend.status == "friend" or friend.talked_at is not None


def follower_ids(call: Call) -> Answer:
    """For verified accounts only."""
    if not call.channel.settings.verified:
        raise LineError(403, "Access to this API is not available for your account")
    limit = parsed_int(call.query("limit"), 300, MAX_FOLLOWERS)
    return ok(page("userIds", sorted(call.channel.followers()), call.query("start"), limit))


def bot_info(call: Call) -> Answer:
    """The channel's own user."""
    channel = call.channel
    return ok(
        {
            "userId": channel.bot_user_id,
            "basicId": channel.basic_id,
            "displayName": channel.name,
            "pictureUrl": f"{call.base_url}/simulator/bot/{channel.id}/picture.svg",
            "chatMode": "bot",
            "markAsReadMode": "manual",
        }
    )


def no_group(call: Call) -> Answer:
    """The stand-in's people meet the shop alone: it is in no group and no room."""
    raise not_found()


_loading = shape(
    {"chatId": matching(ids.USER_ID.pattern)},
    {"loadingSeconds": whole(_SHORTEST_LOADING, _LONGEST_LOADING)},
)


def start_loading(call: Call) -> Answer:
    """Three dots in the chat until a message comes, 20 seconds at most unless told."""
    body = checked(call, _loading)
    seconds = body.get("loadingSeconds", _USUAL_LOADING)
    assert isinstance(seconds, int)
    if seconds % _LOADING_STEP:
        raise LineError(400, "loadingSeconds must be a multiple of 5")
    user_id = str(body["chatId"])
    friend = call.channel.friends.get(user_id)
    if friend is not None and friend.status == "friend":
        friend.typing_until = call.platform.clock.elapsed() + seconds
        call.platform.changes.publish([user_id])
        loop = asyncio.get_running_loop()
        loop.call_later(seconds + 0.1, call.platform.changes.publish, [user_id])
    return ok(status=202)


def mark_as_read(call: Call) -> Answer:
    """Up to the message whose webhook carried the token."""
    body = checked(call, shape({"markAsReadToken": matching(r"\S+")}))
    place = ids.unseal("read", str(body["markAsReadToken"]))
    if place is None or place[0] != call.channel.id:
        raise LineError(400, "The markAsReadToken is invalid")
    _, user_id, message_id = place
    return _read(call, user_id, message_id)


def mark_chat_as_read(call: Call) -> Answer:
    """The older call, which names the person."""
    user = shape({"userId": matching(ids.USER_ID.pattern)})
    body = checked(call, shape({"chat": user}))
    chat = body["chat"]
    assert isinstance(chat, dict)
    return _read(call, chat["userId"], None)


def _read(call: Call, user_id: str, message_id: str | None) -> Answer:
    friend = call.channel.friends.get(user_id)
    if friend is not None:
        own = [item.id for item in friend.chat if isinstance(item, Said)]
        friend.read_to = message_id or (own[-1] if own else None)
        call.channel.keep(friend)
        call.platform.changes.publish([user_id])
    return ok()


def _own_picture(call: Call) -> Said:
    """The image a person sent. Raises 404, and 410 when it was taken back."""
    message_id = call.path["messageId"]
    for friend in call.channel.friends.values():
        said = friend.said(message_id)
        if said is not None and said.is_unsent:
            raise LineError(410, "The message has been unsent")
        if said is not None and said.message["type"] == "image":
            return said
    raise not_found()


def content(call: Call) -> Answer:
    """The picture."""
    return Answer(200, sample_photo(_own_picture(call).id), media_type=b"image/png")


def preview(call: Call) -> Answer:
    """The picture, small."""
    photo = sample_photo(_own_picture(call).id, *_PREVIEW)
    return Answer(200, photo, media_type=b"image/png")


def transcoding(call: Call) -> Answer:
    """For video and audio only, which nobody sends here."""
    _own_picture(call)
    raise LineError(400, "The message is neither video nor audio")


def _webhook_url(value: object, path: str, found: Findings) -> None:
    if not isinstance(value, str) or not _is_web(value, allow_http=found.allow_http):
        found.add(path, "Invalid webhook endpoint URL")
    elif len(str(value)) > MAX_WEBHOOK_URL:
        found.add(path, f"Length must be between 0 and {MAX_WEBHOOK_URL}")


def _is_web(value: str, *, allow_http: bool) -> bool:
    try:
        parts = urlsplit(value)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:  # A port that is no number, a bracket that is not closed.
        return False
    return has_host and (parts.scheme == "https" or (allow_http and parts.scheme == "http"))


def get_webhook(call: Call) -> Answer:
    """Where events go."""
    return ok({"endpoint": call.channel.webhook_url, "active": True})


def set_webhook(call: Call) -> Answer:
    """Send events elsewhere."""
    body = checked(call, shape({"endpoint": _webhook_url}))
    call.channel.set_webhook(str(body["endpoint"]))
    return ok()


async def test_webhook(call: Call) -> Answer:
    """Post a signed body without events and tell how that went."""
    wish = checked(call, shape({}, {"endpoint": _webhook_url})) if call.body else {}
    url = str(wish.get("endpoint") or call.channel.webhook_url)
    platform = call.platform
    body = encode(call.channel, [])
    delivery = await platform.courier.post(
        url, body, sign(call.channel.secret, body), platform.webhooks.behaviour.timeout_seconds
    )
    return ok(
        {
            "success": delivery.outcome == "OK",
            "timestamp": iso(platform.clock.ms()),
            "statusCode": delivery.status,
            "reason": delivery.outcome,
            "detail": delivery.detail,
        }
    )


def link_token(call: Call) -> Answer:
    """The first step of account linking; for friends only."""
    user_id = require_user_id(call.path["userId"])
    friend = call.channel.friends.get(user_id)
    if friend is None or friend.status != "friend":
        raise LineError(400, "The user is not a friend of this account")
    return ok({"linkToken": call.platform.tokens.issue_link(call.channel.id, user_id).token})


_WEBHOOK = "/v2/bot/channel/webhook"
_CONTENT = "/v2/bot/message/{messageId}/content"
_PER_MINUTE = Rate(1_000, MINUTE)
ENDPOINTS = (
    Endpoint("profile", "GET", "/v2/bot/profile/{userId}", profile),
    Endpoint("followers", "GET", "/v2/bot/followers/ids", follower_ids),
    Endpoint("info", "GET", "/v2/bot/info", bot_info),
    *(
        Endpoint(f"{kind}/{what}", "GET", f"/v2/bot/{kind}/{{id}}/{what}", no_group)
        for kind, parts in (
            ("group", ("summary", "members/count", "members/ids", "member/{userId}")),
            ("room", ("members/count", "members/ids", "member/{userId}")),
        )
        for what in parts
    ),
    Endpoint("group/leave", "POST", "/v2/bot/group/{id}/leave", no_group),
    Endpoint("room/leave", "POST", "/v2/bot/room/{id}/leave", no_group),
    Endpoint(
        "loading", "POST", "/v2/bot/chat/loading/start", start_loading, Rate(100, SECOND), JSON
    ),
    Endpoint("markAsRead", "POST", "/v2/bot/chat/markAsRead", mark_as_read, takes=JSON),
    Endpoint("markChatAsRead", "POST", "/v2/bot/message/markAsRead", mark_chat_as_read, takes=JSON),
    Endpoint("content", "GET", _CONTENT, content),
    Endpoint("content/preview", "GET", f"{_CONTENT}/preview", preview),
    Endpoint("content/transcoding", "GET", f"{_CONTENT}/transcoding", transcoding),
    Endpoint("webhook/get", "GET", f"{_WEBHOOK}/endpoint", get_webhook, _PER_MINUTE),
    Endpoint("webhook/set", "PUT", f"{_WEBHOOK}/endpoint", set_webhook, _PER_MINUTE, JSON),
    Endpoint("webhook/test", "POST", f"{_WEBHOOK}/test", test_webhook, Rate(60, HOUR)),
    Endpoint("linkToken", "POST", "/v2/bot/user/{userId}/linkToken", link_token),
)
