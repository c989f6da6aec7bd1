"""What a person does on the phone: follow, block, talk, tap."""

from simulator import events
from simulator.channels import Channel
from simulator.chats import Friend, Message, Said
from simulator.checks import utf16_units
from simulator.errors import LineError
from simulator.messages import MAX_TEXT
from simulator.platform import Platform
from simulator.webhooks import Event

SAMPLE_PLACE = {
    "title": "横浜駅",
    "address": "神奈川県横浜市西区高島2丁目",
    "latitude": 35.46583,
    "longitude": 139.62229,
}
_PICKED = {"date": "date", "time": "time", "datetime": "datetime"}
_FOR_THE_PHONE = ("inputOption", "fillInText")


def follow(platform: Platform, channel: Channel, user_id: str) -> Friend:
    """Add the channel as a friend, or unblock it. Doing it twice changes nothing."""
    friend = channel.friend(user_id)
    if friend.status == "friend":
        return friend
    unblocked = friend.status == "blocked"
    at = platform.clock.stamp()
    friend.status, friend.followed_at, friend.blocked_at = "friend", at, None
    said = "ブロックを解除しました" if unblocked else "友だちに追加しました"
    _announce(platform, channel, friend, said, "follow", {"follow": {"isUnblocked": unblocked}}, at)
    return friend


def block(platform: Platform, channel: Channel, user_id: str) -> Friend:
    """Block the channel. Doing it twice changes nothing."""
    friend = channel.friend(user_id)
    if friend.status == "blocked":
        return friend
    at = platform.clock.stamp()
    was_friend = friend.status == "friend"
    friend.status, friend.blocked_at = "blocked", at
    _announce(
        platform, channel, friend, "ブロックしました", "unfollow" if was_friend else "", {}, at
    )
    return friend


def _announce(
    platform: Platform,
    channel: Channel,
    friend: Friend,
    said: str,
    kind: str,
    fields: Event,
    at: int,
) -> None:
    changes = events.build(platform, friend, kind, at, fields) if kind else []
    changes.append(("friend", friend.key, friend.document()))
    line = platform.compose(friend, {"type": "system", "text": said}, at, by_system=True)
    platform.put(friend, line, changes)
    events.send(platform, changes)


def say(platform: Platform, channel: Channel, user_id: str, message: Message) -> Said:
    """Write a message of type text, sticker, image or location. Raises 409 when blocked."""
    friend = channel.friend(user_id)
    friend.require_able_to_talk()
    at = platform.clock.stamp()
    friend.talked_at = at
    said = platform.compose(friend, message, at)
    if message["type"] == "image":
        url = f"/simulator/content/{said.id}.png"
        message.update(originalContentUrl=url, previewImageUrl=url)
    fields = events.message_fields(friend, said.id, _as_event(message))
    changes = events.build(platform, friend, "message", at, fields)
    changes.append(("friend", friend.key, friend.document()))
    platform.put(friend, said, changes)
    events.send(platform, changes)
    return said


def _as_event(message: Message) -> Message:
    if message["type"] == "image":
        return {"type": "image", "contentProvider": {"type": "line"}}
    if message["type"] == "sticker":
        return {**message, "stickerResourceType": "STATIC", "keywords": ["hello"]}
    return message


def text_message(text: object) -> Message:
    """Raises `LineError` 400 for what the phone could not send."""
    if not isinstance(text, str) or not text.strip() or utf16_units(text) > MAX_TEXT:
        raise LineError(400, f"text must have 1 to {MAX_TEXT} characters")
    return {"type": "text", "text": text}


def unsend(platform: Platform, channel: Channel, user_id: str, message_id: str) -> None:
    """Take an own message back. Raises 404 for anything else; twice changes nothing."""
    friend = channel.friend(user_id)
    said = friend.said(message_id)
    if said is None or said.by != "person":
        raise LineError(404, "No such message of this person")
    if said.is_unsent:
        return
    said.message = {"type": "unsent"}
    at = platform.clock.stamp()
    changes = events.build(platform, friend, "unsend", at, {"unsend": {"messageId": message_id}})
    platform.store.put_all([("said", said.id, said), *changes])
    platform.changes.publish([user_id])
    events.send(platform, changes)


def postback(
    platform: Platform, channel: Channel, user_id: str, fields: Event, shown: str | None
) -> None:
    """Send a postback event; `shown` appears in the chat as the person's own words."""
    friend = channel.friend(user_id)
    friend.require_able_to_talk()
    at = platform.clock.stamp()
    changes = events.build(platform, friend, "postback", at, {"postback": fields})
    if shown:
        said = platform.compose(friend, {"type": "text", "text": shown}, at)
        platform.put(friend, said, changes)
    else:
        platform.store.put_all(changes)
    events.send(platform, changes)


def tap(
    platform: Platform, channel: Channel, user_id: str, action: object, params: object
) -> dict[str, object]:
    """Do what the LINE app does on a tap; answers what the phone itself has to do."""
    if not isinstance(action, dict) or not isinstance(action.get("type"), str):
        raise LineError(400, "action must be a LINE action object")
    kind = action["type"]
    if kind not in _TAPS:
        raise LineError(400, f"unknown action type {kind}")
    return _TAPS[kind](platform, channel, user_id, action, params) or {}


Answer = dict[str, object] | None


def _tap_message(p: Platform, c: Channel, user: str, action: Event, params: object) -> Answer:
    say(p, c, user, text_message(action.get("text")))
    return None


def _tap_postback(p: Platform, c: Channel, user: str, action: Event, params: object) -> Answer:
    shown = action.get("displayText") or action.get("text")
    postback(p, c, user, {"data": action.get("data", "")}, str(shown) if shown else None)
    opened: dict[str, object] = {name: action[name] for name in _FOR_THE_PHONE if name in action}
    return opened or None


def _tap_uri(p: Platform, c: Channel, user: str, action: Event, params: object) -> Answer:
    return {"open": action.get("uri")}


def _tap_clipboard(p: Platform, c: Channel, user: str, action: Event, params: object) -> Answer:
    return {"copy": action.get("clipboardText")}


def _tap_picker(p: Platform, c: Channel, user: str, action: Event, params: object) -> Answer:
    name = _PICKED.get(str(action.get("mode")))
    picked = params.get(name) if isinstance(params, dict) and name else None
    if not isinstance(picked, str) or not picked:
        raise LineError(400, "params must hold the date, time or datetime that was picked")
    postback(p, c, user, {"data": action.get("data", ""), "params": {name: picked}}, None)
    return None


def _tap_photo(p: Platform, c: Channel, user: str, action: Event, params: object) -> Answer:
    say(p, c, user, {"type": "image"})
    return None


def _tap_location(p: Platform, c: Channel, user: str, action: Event, params: object) -> Answer:
    say(p, c, user, {"type": "location", **SAMPLE_PLACE})
    return None


def _tap_switch(p: Platform, c: Channel, user: str, action: Event, params: object) -> Answer:
    """Link the alias' menu to the person, then tell the shop how that went."""
    result: dict[str, object] = {"status": switch_menu(p, c, user, action.get("richMenuAliasId"))}
    if result["status"] == "SUCCESS":
        result = {"newRichMenuAliasId": action["richMenuAliasId"], **result}
    postback(p, c, user, {"data": action.get("data", ""), "params": result}, None)
    return {"switched": result["status"] == "SUCCESS"}


def switch_menu(platform: Platform, channel: Channel, user_id: str, alias: object) -> str:
    """Returns the `status` of the postback's params."""
    menu_id = channel.rich_menus.aliases.get(str(alias))
    if menu_id is None:
        return "RICHMENU_ALIAS_ID_NOTFOUND"
    if menu_id not in channel.rich_menus.menus:
        return "RICHMENU_NOTFOUND"
    friend = channel.friend(user_id)
    friend.rich_menu_id = menu_id
    channel.keep(friend)
    platform.changes.publish([user_id])
    return "SUCCESS"


_TAPS = {
    "message": _tap_message,
    "postback": _tap_postback,
    "uri": _tap_uri,
    "clipboard": _tap_clipboard,
    "datetimepicker": _tap_picker,
    "camera": _tap_photo,
    "cameraRoll": _tap_photo,
    "location": _tap_location,
    "richmenuswitch": _tap_switch,
}
