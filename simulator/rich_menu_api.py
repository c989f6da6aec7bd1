"""The rich menu endpoints.

Source: https://developers.line.biz/en/reference/messaging-api/#rich-menu
"""

from simulator import ids
from simulator.calls import JSON, Answer, Call, Endpoint, ok
from simulator.chats import Friend
from simulator.checks import Findings, anything, listing, matching, shape, text
from simulator.clock import iso
from simulator.errors import Detail, InvalidBody, LineError, not_found
from simulator.profiles import checked, require_user_id
from simulator.rate_limits import HOUR, SECOND, Rate
from simulator.rich_menus import Batch, check_batch, check_menu

MAX_USERS = 500
BATCH_DAYS_MS = 14 * 24 * 60 * 60 * 1_000
_some_id = text(1_000)
_linking = shape({"richMenuId": _some_id, "userIds": listing(anything, 1, MAX_USERS)})
_unlinking = shape({"userIds": listing(anything, 1, MAX_USERS)})


def create(call: Call) -> Answer:
    """A menu without a picture."""
    body = call.object()
    menu = call.channel.rich_menus.create(body)
    for path in check_menu(body).unknown:
        call.platform.violations.add("unknown_property", "richmenu", call.request_id, path)
    return ok({"richMenuId": menu.id})


def _refuse(found: Findings) -> None:
    if found.details:
        raise InvalidBody(found.details)


def validate(call: Call) -> Answer:
    """Check a menu object only."""
    _refuse(check_menu(call.json()))
    return ok()


def listed(call: Call) -> Answer:
    """All menus made through the API."""
    return ok({"richmenus": [menu.public() for menu in call.channel.rich_menus.menus.values()]})


def get(call: Call) -> Answer:
    """One menu."""
    return ok(call.channel.rich_menus.get(call.path["richMenuId"]).public())


def delete(call: Call) -> Answer:
    """For good."""
    call.channel.rich_menus.delete(call.path["richMenuId"])
    _changed(call)
    return ok()


def get_image(call: Call) -> Answer:
    """The picture as it was uploaded."""
    menu = call.channel.rich_menus.get(call.path["richMenuId"])
    if menu.image is None:
        raise not_found()
    return Answer(200, menu.image, media_type=menu.image_type.encode())


def set_image(call: Call) -> Answer:
    """Once."""
    content_type = call.header(b"content-type") or ""
    call.channel.rich_menus.set_image(call.path["richMenuId"], content_type, call.body)
    return ok()


def get_default(call: Call) -> Answer:
    """The menu for everybody."""
    default_id = call.channel.rich_menus.default_id
    if default_id is None:
        raise LineError(404, "no default richmenu")
    return ok({"richMenuId": default_id})


def set_default(call: Call) -> Answer:
    """Everybody without a menu of their own sees it."""
    call.channel.rich_menus.set_default(call.path["richMenuId"])
    _changed(call)
    return ok()


def clear_default(call: Call) -> Answer:
    """No menu for everybody."""
    call.channel.rich_menus.set_default(None)
    _changed(call)
    return ok()


def _changed(call: Call) -> None:
    call.platform.changes.to_all({"type": "changed"})


def _link(call: Call, friend: Friend | None, menu_id: str | None) -> None:
    """Without effect on anybody who is no friend."""
    if friend is None or friend.status != "friend":
        return
    friend.rich_menu_id = menu_id
    call.channel.keep(friend)
    call.platform.changes.publish([friend.user_id])


def link(call: Call) -> Answer:
    """Show a menu to one person."""
    user_id = require_user_id(call.path["userId"])
    menu = call.channel.rich_menus.with_image(call.path["richMenuId"])
    _link(call, call.channel.friends.get(user_id), menu.id)
    return ok()


def unlink(call: Call) -> Answer:
    """One person sees the default again."""
    user_id = require_user_id(call.path["userId"])
    _link(call, call.channel.friends.get(user_id), None)
    return ok()


def linked(call: Call) -> Answer:
    """The menu of one person."""
    friend = call.channel.friends.get(require_user_id(call.path["userId"]))
    if friend is None or friend.status != "friend" or friend.rich_menu_id is None:
        raise LineError(404, "the user has no richmenu")
    return ok({"richMenuId": friend.rich_menu_id})


def _users(body: dict[str, object]) -> list[str]:
    """Raises 400 with one detail per malformed id."""
    user_ids = body["userIds"]
    assert isinstance(user_ids, list)
    wrong = [
        Detail("Invalid user id", f"userIds[{index}]")
        for index, user_id in enumerate(user_ids)
        if not isinstance(user_id, str) or not ids.USER_ID.fullmatch(user_id)
    ]
    if wrong:
        raise InvalidBody(wrong)
    return user_ids


def bulk_link(call: Call) -> Answer:
    """Up to 500 people."""
    body = checked(call, _linking)
    user_ids = _users(body)
    menu = call.channel.rich_menus.with_image(str(body["richMenuId"]))
    for user_id in user_ids:
        _link(call, call.channel.friends.get(user_id), menu.id)
    return ok(status=202)


def bulk_unlink(call: Call) -> Answer:
    """Up to 500 people."""
    for user_id in _users(checked(call, _unlinking)):
        _link(call, call.channel.friends.get(user_id), None)
    return ok(status=202)


def batch(call: Call) -> Answer:
    """Move whole groups: every operation sees the links as they were before the request."""
    body = call.object()
    _refuse(check_batch(body))
    menus, now = call.channel.rich_menus, call.platform.clock.ms()
    resume_key = body.get("resumeRequestKey")
    if not _has_run(menus.batches, resume_key, now):
        moves = _moves(call, body["operations"])
        for friend in call.channel.friends.values():
            if friend.rich_menu_id is not None and (friend.rich_menu_id in moves or "*" in moves):
                _link(call, friend, moves.get(friend.rich_menu_id, None))
    key = str(resume_key) if resume_key else None
    menus.batches[call.request_id] = Batch(call.request_id, now, key)
    return ok(status=202)


def _has_run(batches: dict[str, Batch], resume_key: object, now: int) -> bool:
    return resume_key is not None and any(
        one.resume_key == resume_key and now - one.at < BATCH_DAYS_MS for one in batches.values()
    )


def _moves(call: Call, operations: object) -> dict[str, str | None]:
    """From menu id to menu id, None for no menu; `*` stands for all. Raises 400, 404."""
    assert isinstance(operations, list)
    moves: dict[str, str | None] = {}
    for one in operations:
        if one["type"] == "link":
            moves[one["from"]] = call.channel.rich_menus.with_image(one["to"]).id
        else:
            moves[one.get("from", "*")] = None
    return moves


def validate_batch(call: Call) -> Answer:
    """Check a batch request only."""
    _refuse(check_batch(call.json()))
    return ok()


def batch_progress(call: Call) -> Answer:
    """Batches are done at once here."""
    found = call.channel.rich_menus.batches.get(call.required("requestId"))
    if found is None or call.platform.clock.ms() - found.at > BATCH_DAYS_MS:
        raise not_found()
    when = iso(found.at)
    return ok({"phase": "succeeded", "acceptedTime": when, "completedTime": when})


def _public_alias(alias: str, menu_id: str) -> dict[str, str]:
    return {"richMenuAliasId": alias, "richMenuId": menu_id}


def create_alias(call: Call) -> Answer:
    """A name that tabs can point to."""
    body = checked(call, shape({"richMenuAliasId": _some_id, "richMenuId": _some_id}))
    call.channel.rich_menus.add_alias(str(body["richMenuAliasId"]), str(body["richMenuId"]))
    return ok()


def get_alias(call: Call) -> Answer:
    """One alias."""
    alias = call.path["alias"]
    return ok(_public_alias(alias, call.channel.rich_menus.aliased(alias)))


def move_alias(call: Call) -> Answer:
    """Point it to another menu."""
    body = checked(call, shape({"richMenuId": matching(r"\S+")}))
    call.channel.rich_menus.move_alias(call.path["alias"], str(body["richMenuId"]))
    return ok()


def delete_alias(call: Call) -> Answer:
    """For good."""
    call.channel.rich_menus.delete_alias(call.path["alias"])
    return ok()


def aliases(call: Call) -> Answer:
    """All aliases."""
    pairs = call.channel.rich_menus.aliases.items()
    return ok({"aliases": [_public_alias(alias, menu_id) for alias, menu_id in pairs]})


_MENU = "/v2/bot/richmenu"
_HUNDRED = Rate(100, HOUR)
ENDPOINTS = (
    Endpoint("richmenu/create", "POST", _MENU, create, _HUNDRED, JSON),
    Endpoint("richmenu/validate", "POST", f"{_MENU}/validate", validate, takes=JSON),
    Endpoint("richmenu/list", "GET", f"{_MENU}/list", listed, Rate(10, SECOND)),
    Endpoint("richmenu/bulk/link", "POST", f"{_MENU}/bulk/link", bulk_link, takes=JSON),
    Endpoint("richmenu/bulk/unlink", "POST", f"{_MENU}/bulk/unlink", bulk_unlink, takes=JSON),
    Endpoint("richmenu/batch", "POST", f"{_MENU}/batch", batch, Rate(3, HOUR), JSON),
    Endpoint(
        "richmenu/validate/batch", "POST", f"{_MENU}/validate/batch", validate_batch, takes=JSON
    ),
    Endpoint("richmenu/progress", "GET", f"{_MENU}/progress/batch", batch_progress, _HUNDRED),
    Endpoint("richmenu/alias/create", "POST", f"{_MENU}/alias", create_alias, takes=JSON),
    Endpoint("richmenu/alias/list", "GET", f"{_MENU}/alias/list", aliases),
    Endpoint("richmenu/alias/get", "GET", f"{_MENU}/alias/{{alias}}", get_alias),
    Endpoint("richmenu/alias/move", "POST", f"{_MENU}/alias/{{alias}}", move_alias, takes=JSON),
    Endpoint("richmenu/alias/delete", "DELETE", f"{_MENU}/alias/{{alias}}", delete_alias, _HUNDRED),
    Endpoint("richmenu/image/get", "GET", f"{_MENU}/{{richMenuId}}/content", get_image),
    Endpoint("richmenu/image/set", "POST", f"{_MENU}/{{richMenuId}}/content", set_image),
    Endpoint("richmenu/get", "GET", f"{_MENU}/{{richMenuId}}", get),
    Endpoint("richmenu/delete", "DELETE", f"{_MENU}/{{richMenuId}}", delete, _HUNDRED),
    Endpoint("richmenu/default/get", "GET", "/v2/bot/user/all/richmenu", get_default),
    Endpoint("richmenu/default/clear", "DELETE", "/v2/bot/user/all/richmenu", clear_default),
    Endpoint("richmenu/default/set", "POST", "/v2/bot/user/all/richmenu/{richMenuId}", set_default),
    Endpoint("richmenu/linked", "GET", "/v2/bot/user/{userId}/richmenu", linked),
    Endpoint("richmenu/unlink", "DELETE", "/v2/bot/user/{userId}/richmenu", unlink),
    Endpoint("richmenu/link", "POST", "/v2/bot/user/{userId}/richmenu/{richMenuId}", link),
)
