"""What the phone page asks for: people, chats, taps, the clock, news as they happen."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from simulator import acting, oauth_api, shop as shops
from simulator.channels import Channel
from simulator.chats import Friend
from simulator.checks import Findings, number, shape, text
from simulator.clock import iso
from simulator.errors import InvalidBody, LineError, not_found
from simulator.people import Person
from simulator.pictures import avatar, sample_photo, shop_avatar
from simulator.web import Handler, Json, guarded, json_body, the_channel, the_platform, who

PHONE = Path(__file__).parent / "phone"
KEEP_ALIVE_SECONDS = 15
MAX_PEOPLE = 500
MAX_NAME = 20
MAX_TRAVEL_SECONDS = 366 * 24 * 60 * 60


def public_person(person: Person, friend: Friend | None) -> dict[str, object]:
    """A person as the page shows them."""
    last_message, last_at = friend.last() if friend else (None, None)
    return {
        "user_id": person.user_id,
        "name": person.name,
        "picture_url": f"/simulator/people/{person.user_id}/picture.svg",
        "status": friend.status if friend else "none",
        "featured": person.featured,
        "about": person.about,
        "last_message": last_message,
        "last_at": last_at,
    }


async def people(request: Request) -> Response:
    """Featured ones first, then who spoke last, then the order of appearance."""
    platform, channel = the_platform(request), the_channel(request)
    wanted = request.query_params.get("q", "").strip().casefold()
    found = [
        (person, channel.friends.get(person.user_id))
        for person in platform.people.all()
        if wanted in f"{person.name} {person.about} {person.user_id}".casefold()
    ]
    found.sort(key=lambda pair: (not pair[0].featured, -_spoke_at(pair[1])))
    limit = _number(request, "limit", 50, MAX_PEOPLE)
    items = [public_person(person, friend) for person, friend in found[:limit]]
    return Json({"items": items, "total": len(found)})


def _spoke_at(friend: Friend | None) -> int:
    if friend is None or not friend.chat:
        return 0
    return friend.chat[-1].at


def _number(request: Request, name: str, default: int, most: int) -> int:
    given = request.query_params.get(name, str(default))
    if not given.isdecimal():
        raise LineError(400, f"{name} must be a number")
    return min(int(given), most)


async def add_person(request: Request) -> Response:
    """A fresh person."""
    name = (await json_body(request)).get("name")
    if not isinstance(name, str) or not 0 < len(name.strip()) <= MAX_NAME:
        raise LineError(400, f"name must have 1 to {MAX_NAME} characters")
    person = the_platform(request).people.invite(name.strip(), "新しく来たお客さま")
    return Json(public_person(person, None), 201)


async def chat(request: Request) -> Response:
    """Everything one screen needs."""
    platform, channel, person = the_platform(request), the_channel(request), who(request)
    friend = channel.friends.get(person.user_id) or Friend(channel.id, person.user_id)
    bot = {
        "name": channel.name,
        "basic_id": channel.basic_id,
        "picture_url": f"/simulator/bot/{channel.id}/picture.svg",
    }
    return Json(
        {
            "bot": bot,
            "person": public_person(person, friend),
            "messages": list(friend.entries()),
            "rich_menu": _menu(channel, friend),
            "typing": friend.typing_until > platform.clock.elapsed(),
            "read_to": friend.read_to,
            "now": iso(platform.clock.ms()),
            "simulated_clock": platform.clock.simulated,
        }
    )


def _menu(channel: Channel, friend: Friend) -> dict[str, object] | None:
    menu = channel.rich_menus.shown(friend.rich_menu_id)
    if menu is None or menu.image is None:
        return None
    shown = ("size", "selected", "areas")
    return {
        "rich_menu_id": menu.id,
        "image_url": f"/simulator/rich-menus/{channel.id}/{menu.id}/image",
        "chat_bar_text": menu.definition["chatBarText"],
        **{name: menu.definition[name] for name in shown},
    }


async def menu_image(request: Request) -> Response:
    """The picture of a rich menu, without a token."""
    channel = the_platform(request).channels.get(request.path_params["channel_id"])
    if channel is None:
        raise not_found()
    menu = channel.rich_menus.get(request.path_params["menu_id"])
    if menu.image is None:
        raise not_found()
    return Response(menu.image, media_type=menu.image_type)


async def stream(request: Request) -> Response:
    """Server-sent events until the phone or the server goes home."""
    person, changes = who(request), the_platform(request).changes

    async def news() -> AsyncIterator[bytes]:
        watcher = changes.watch(person.user_id)
        try:
            yield b"retry: 1000\n\n: welcome\n\n"
            while not watcher.closed:
                for change in await watcher.next(KEEP_ALIVE_SECONDS):
                    yield b"data: " + orjson.dumps(change) + b"\n\n"
                if not watcher.closed:
                    yield b": still here\n\n"
        finally:
            changes.leave(person.user_id, watcher)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(news(), media_type="text/event-stream", headers=headers)


async def follow(request: Request) -> Response:
    """Add the shop as a friend, or unblock it."""
    friend = acting.follow(the_platform(request), the_channel(request), who(request).user_id)
    return Json({"ok": True, "status": friend.status})


async def block(request: Request) -> Response:
    """Block the shop."""
    friend = acting.block(the_platform(request), the_channel(request), who(request).user_id)
    return Json({"ok": True, "status": friend.status})


async def _say(request: Request, message: dict[str, object]) -> Response:
    platform, channel = the_platform(request), the_channel(request)
    said = acting.say(platform, channel, who(request).user_id, message)
    return Json({"ok": True, "id": said.id})


async def say(request: Request) -> Response:
    """Write a text."""
    return await _say(request, acting.text_message((await json_body(request)).get("text")))


async def sticker(request: Request) -> Response:
    """Send a sticker."""
    body = await json_body(request)
    wanted = {"packageId": str(body.get("package_id")), "stickerId": str(body.get("sticker_id"))}
    if not all(value.isdecimal() for value in wanted.values()):
        raise LineError(400, "package_id and sticker_id must be numbers")
    return await _say(request, {"type": "sticker", **wanted})


async def image(request: Request) -> Response:
    """Send a generated sample picture."""
    return await _say(request, {"type": "image"})


_location = shape(
    {"latitude": number(-90, 90), "longitude": number(-180, 180)},
    {"title": text(100), "address": text(100)},
)


async def location(request: Request) -> Response:
    """Send a place."""
    body = await json_body(request) or dict(acting.SAMPLE_PLACE)
    found = Findings()
    _location(body, "", found)
    if found.details:
        raise InvalidBody(found.details)
    return await _say(request, {"type": "location", **body})


async def unsend(request: Request) -> Response:
    """Take a message back."""
    message_id = str((await json_body(request)).get("id"))
    acting.unsend(the_platform(request), the_channel(request), who(request).user_id, message_id)
    return Json({"ok": True})


async def tap(request: Request) -> Response:
    """Tap on something with an action."""
    body = await json_body(request)
    platform, channel, person = the_platform(request), the_channel(request), who(request)
    more = acting.tap(platform, channel, person.user_id, body.get("action"), body.get("params"))
    return Json({"ok": True, **more})


async def id_token(request: Request) -> Response:
    """What LINE Login would give to this person's browser: an ID token and an access token."""
    platform, channel, person = the_platform(request), the_channel(request), who(request)
    body = await json_body(request)
    nonce = body.get("nonce")
    token = oauth_api.id_token(
        channel,
        person.user_id,
        person.name,
        platform.clock.ms(),
        client_id=str(body.get("client_id") or channel.id),
        nonce=str(nonce) if nonce else None,
    )
    access = platform.tokens.issue(channel.id, "person", person.user_id)
    return Json({"id_token": token, "access_token": access.token})


async def picture(request: Request) -> Response:
    """A person's face."""
    person = who(request)
    return _svg(avatar(person.user_id, person.name))


async def bot_picture(request: Request) -> Response:
    """The shop's face."""
    if request.path_params["channel_id"] not in the_platform(request).channels:
        raise not_found()
    return _svg(shop_avatar())


def _svg(drawing: str) -> Response:
    headers = {"Cache-Control": "max-age=86400", "X-Content-Type-Options": "nosniff"}
    return Response(drawing, media_type="image/svg+xml", headers=headers)


async def content(request: Request) -> Response:
    """A picture a person sent."""
    return Response(sample_photo(request.path_params["message_id"]), media_type="image/png")


async def clock(request: Request) -> Response:
    """The time."""
    now = the_platform(request).clock
    return Json({"now": iso(now.ms()), "simulated": now.simulated})


async def travel(request: Request) -> Response:
    """Let time pass, in the shop too; one journey at a time."""
    seconds = (await json_body(request)).get("advance_seconds")
    if not isinstance(seconds, int) or not 0 <= seconds <= MAX_TRAVEL_SECONDS:
        raise LineError(400, f"advance_seconds must be 0 to {MAX_TRAVEL_SECONDS}")
    platform, journey = the_platform(request), request.app.state.journey
    async with journey:
        ran = await shops.travel(platform, request.app.state.shop, seconds)
    now = iso(platform.clock.ms())
    platform.changes.to_all({"type": "clock", "now": now})
    platform.changes.to_all({"type": "changed"})
    return Json({"now": now, "ran": ran})


async def info(request: Request) -> Response:
    """Where things are."""
    url = request.app.state.shop.url
    return Json(
        {
            "shop_url": url,
            "admin_docs_url": f"{url}/api/v1/docs",
            "start_page_url": f"{url}/",
            "channel_id": the_platform(request).first_channel.id,
        }
    )


async def page(request: Request) -> Response:
    """The phone."""
    return FileResponse(PHONE / "index.html", headers={"Cache-Control": "no-cache"})


async def root(request: Request) -> Response:
    """To the phone."""
    return RedirectResponse("/phone")


_HERE = "/simulator/people/{user_id}"
_ACTIONS: dict[str, Handler] = {
    "follow": follow,
    "unblock": follow,
    "block": block,
    "say": say,
    "sticker": sticker,
    "image": image,
    "location": location,
    "unsend": unsend,
    "tap": tap,
    "id-token": id_token,
}


def routes() -> list[BaseRoute]:
    """All routes of the phone and its page."""
    asked: list[tuple[str, Handler, str]] = [
        ("/simulator/people", people, "GET"),
        ("/simulator/people", add_person, "POST"),
        (f"{_HERE}/chat", chat, "GET"),
        (f"{_HERE}/stream", stream, "GET"),
        (f"{_HERE}/picture.svg", picture, "GET"),
        ("/simulator/bot/{channel_id}/picture.svg", bot_picture, "GET"),
        ("/simulator/rich-menus/{channel_id}/{menu_id}/image", menu_image, "GET"),
        ("/simulator/content/{message_id}.png", content, "GET"),
        ("/simulator/clock", clock, "GET"),
        ("/simulator/clock", travel, "POST"),
        ("/simulator/info", info, "GET"),
        *((f"{_HERE}/{name}", handler, "POST") for name, handler in _ACTIONS.items()),
    ]
    static = StaticFiles(directory=PHONE / "static", check_dir=False)
    return [
        Route("/", root),
        Route("/phone", page),
        Mount("/phone/static", static),
        *(Route(path, guarded(handler), methods=[method]) for path, handler, method in asked),
    ]


def new_journey() -> asyncio.Lock:
    """Held while time passes."""
    return asyncio.Lock()
