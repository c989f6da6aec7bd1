"""For tests and benchmarks: look inside, inject faults, send events by hand, make crowds."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from itertools import count as counting, islice

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from simulator import acting, ids, sample_shop
from simulator.burst import Burst
from simulator.channels import Channel
from simulator.chats import Friend
from simulator.clock import iso, to_ms
from simulator.errors import LineError
from simulator.people import Person
from simulator.platform import Platform
from simulator.web import Handler, Json, guarded, json_body, the_platform
from simulator.webhooks import Behaviour, encode, sign

MAX_PAGE = 10_000
MAX_CROWD = 2_000_000


async def accepted(request: Request) -> Response:
    """Every message request LINE accepted, in order."""
    since, limit = _whole(request, "since", 0), min(_whole(request, "limit", 100), MAX_PAGE)
    found = the_platform(request).accepted[since : since + limit]
    return Json({"items": [one.public() for one in found], "next": since + len(found)})


def _whole(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name, str(default))
    if not given.isdecimal():
        raise LineError(400, f"{name} must be a number")
    return int(given)


async def requests(request: Request) -> Response:
    """How often each endpoint was asked and what it answered; status 0: cut without an answer."""
    counts: dict[str, dict[str, int]] = {}
    for (endpoint, status), count in sorted(the_platform(request).requests.items()):
        counts.setdefault(endpoint, {})[str(status)] = count
    return Json({"requests": counts})


async def violations(request: Request) -> Response:
    """What a correct client must never do."""
    found = list(the_platform(request).violations)
    return Json({"items": found, "total": len(found)})


async def get_faults(request: Request) -> Response:
    """Rules, and how often each struck."""
    return Json(the_platform(request).faults.public())


async def set_faults(request: Request) -> Response:
    """Replace the rules."""
    the_platform(request).faults.set(await json_body(request))
    return await get_faults(request)


async def clear_faults(request: Request) -> Response:
    """No more faults."""
    the_platform(request).faults.clear()
    return await get_faults(request)


async def webhooks(request: Request) -> Response:
    """How webhooks fare."""
    return Json(the_platform(request).webhooks.public())


async def set_behaviour(request: Request) -> Response:
    """Duplicates, disorder, several events a body, redelivery."""
    the_platform(request).webhooks.behaviour = Behaviour.parse(await json_body(request))
    return await webhooks(request)


async def reset(request: Request) -> Response:
    """As new; the sample shop's people move in again."""
    platform = the_platform(request)
    platform.reset()
    if platform.settings.sample_shop:
        sample_shop.move_in(platform)
    return Json({"ok": True})


async def set_quota(request: Request) -> Response:
    """Change the month's cap of a channel: `{"value": 100}`, null for none."""
    body = await json_body(request)
    value = body.get("value")
    if value is not None and not isinstance(value, int):
        raise LineError(400, "value must be a number or null")
    _channel(the_platform(request), body).monthly_quota = value
    return Json({"ok": True})


def _channel(platform: Platform, body: dict[str, object]) -> Channel:
    wanted = body.get("channel_id")
    if wanted is None:
        return platform.first_channel
    if str(wanted) not in platform.channels:
        raise LineError(404, "no such channel")
    return platform.channels[str(wanted)]


async def add_crowd(request: Request) -> Response:
    """Make `count` people who are friends already, without any webhook. Answers their ids."""
    body = await json_body(request)
    platform = the_platform(request)
    count = body.get("count")
    if not isinstance(count, int) or not 0 < count <= MAX_CROWD:
        raise LineError(400, f"count must be 1 to {MAX_CROWD}")
    channel, now = _channel(platform, body), platform.clock.ms()
    made = list(islice(_crowd(str(body.get("seed", "crowd"))), count))
    for number, user_id in enumerate(made):
        platform.people.add(Person(user_id, f"お客さま {number + 1}"))
        channel.friends[user_id] = Friend(channel.id, user_id, "friend", now)
        channel.keep(channel.friends[user_id])
        if number % MAX_PAGE == 0:
            await asyncio.sleep(0)
    return Json({"user_ids": made if count <= MAX_PAGE else made[:MAX_PAGE], "count": count})


def _crowd(seed: str) -> Iterator[str]:
    return (ids.user_id_for(f"{seed}:{number}") for number in counting())


async def webhook_events(request: Request) -> Response:
    """Send events written by hand, right now: `events`, or a `raw` body; `signature` may be wrong.

    People who appear are made, `follow` and `unfollow` change who is a friend, and reply tokens
    become usable, so that the shop can answer. `"signature": null` sends none.
    """
    platform, body = the_platform(request), await json_body(request)
    channel = _channel(platform, body)
    sent = body.get("events") or []
    if not isinstance(sent, list):
        raise LineError(400, "events must be an array")
    for event in sent:
        _take_part(platform, channel, event)
    raw = body.get("raw")
    payload = encode(channel, sent) if raw is None else str(raw).encode()
    signature = body.get("signature", sign(channel.secret, payload))
    delivery = await platform.courier.post(
        channel.webhook_url,
        payload,
        None if signature is None else str(signature),
        platform.webhooks.behaviour.timeout_seconds,
    )
    return Json({"status": delivery.status, "outcome": delivery.outcome})


def _take_part(platform: Platform, channel: Channel, event: object) -> None:
    source = event.get("source") if isinstance(event, dict) else None
    user_id = source.get("userId") if isinstance(source, dict) else None
    if not isinstance(event, dict) or not isinstance(user_id, str):
        return
    if user_id not in platform.people:
        platform.people.add(Person(user_id, "手書きのお客さま"))
    friend, now = channel.friend(user_id), platform.clock.ms()
    kind = event.get("type")
    if kind == "follow":
        friend.status, friend.followed_at, friend.blocked_at = "friend", now, None
    elif kind == "unfollow":
        friend.status, friend.blocked_at = "blocked", now
    elif kind == "message":
        friend.talked_at = now
    channel.keep(friend)
    if isinstance(event.get("replyToken"), str):
        platform.reply_tokens.adopt(event["replyToken"], channel.id, user_id, now)


async def burst(request: Request) -> Response:
    """New people follow, then speak; see `Burst`."""
    platform, body = the_platform(request), await json_body(request)
    wanted = Burst(
        platform,
        _channel(platform, body),
        text=acting.text_message(body.get("text", "こんにちは")),
        people=_count(body, "people", 1),
        events_per_person=_count(body, "events_per_person", 2),
    )
    return Json(asdict(await wanted.run(_count(body, "concurrency", 16))))


def _count(body: dict[str, object], name: str, default: int) -> int:
    value = body.get(name, default)
    if not isinstance(value, int) or not 0 < value <= MAX_CROWD:
        raise LineError(400, f"{name} must be 1 to {MAX_CROWD}")
    return value


async def sample(request: Request) -> Response:
    """The sample shop's people with birthdays and purchases: what the shop's till would know."""
    people = sample_shop.customers(the_platform(request))
    return Json(
        {
            "items": [
                {
                    "user_id": person.user_id,
                    "name": person.name,
                    "birthday": person.birthday,
                    "followed_at": _when(person.followed_at),
                    "blocked_at": _when(person.blocked_at),
                    "purchases": [
                        {
                            "order_id": purchase.order_id,
                            "purchased_at": _when(purchase.at),
                            "total": purchase.total,
                            "lines": purchase.lines,
                        }
                        for purchase in person.purchases
                    ],
                }
                for person in people
            ],
            "told": the_platform(request).done.get("sample_shop", {}),
        }
    )


def _when(moment: datetime | None) -> str | None:
    return iso(to_ms(moment)) if moment else None


def routes() -> list[BaseRoute]:
    """All routes for tests."""
    asked: list[tuple[str, Handler, str]] = [
        ("/simulator/accepted", accepted, "GET"),
        ("/simulator/requests", requests, "GET"),
        ("/simulator/violations", violations, "GET"),
        ("/simulator/faults", get_faults, "GET"),
        ("/simulator/faults", set_faults, "PUT"),
        ("/simulator/faults", clear_faults, "DELETE"),
        ("/simulator/webhooks", webhooks, "GET"),
        ("/simulator/webhook-behaviour", webhooks, "GET"),
        ("/simulator/webhook-behaviour", set_behaviour, "PUT"),
        ("/simulator/webhook-events", webhook_events, "POST"),
        ("/simulator/quota", set_quota, "PUT"),
        ("/simulator/crowd", add_crowd, "POST"),
        ("/simulator/burst", burst, "POST"),
        ("/simulator/sample-shop", sample, "GET"),
        ("/simulator/reset", reset, "POST"),
    ]
    return [Route(path, guarded(handler), methods=[method]) for path, handler, method in asked]
