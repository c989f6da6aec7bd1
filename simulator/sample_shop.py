"""The sample shop comes to life: its people move in, and the shop hears of their past.

Each step remembers how far it is, and repeats do no harm: event ids and idempotency keys are the
same every time.
"""

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime

from simulator import events, sample_members
from simulator.clock import JAPAN, from_ms, to_ms
from simulator.ids import user_id_for
from simulator.people import Person
from simulator.platform import Platform
from simulator.sample_data import Customer, build
from simulator.shop import Shop, ShopError, follow_clock
from simulator.webhooks import Event, encode, sign

log = logging.getLogger("simulator")
EVENTS_PER_BODY = 50
_DONE = "sample_shop"
_PATIENCE_SECONDS = 60
_TRIES = 10
_PAUSE_SECONDS = 2.0
_POST_SECONDS = 10.0
_SAME_TIME_MS = 60 * 60 * 1_000


def customers(platform: Platform) -> list[Customer]:
    """The people of the sample shop, with the past they had when they moved in."""
    moved_in = platform.done.get(_DONE, {}).get("moved_in_at", platform.clock.ms())
    return build(from_ms(int(str(moved_in))).astimezone(JAPAN).date())


def move_in(platform: Platform) -> None:
    """Add the people and their friendships with the first channel, once."""
    if _DONE in platform.done:
        return
    platform.mark_done(_DONE, {"moved_in_at": platform.clock.ms(), "events": 0})
    channel = platform.first_channel
    for customer in customers(platform):
        platform.people.add(
            Person(
                customer.user_id,
                customer.name,
                customer.about,
                featured=customer.featured,
                language=customer.language,
            )
        )
        friend = channel.friend(customer.user_id)
        if customer.followed_at is not None:
            friend.followed_at = to_ms(customer.followed_at)
            friend.blocked_at = to_ms(customer.blocked_at) if customer.blocked_at else None
            friend.status = "blocked" if customer.blocked_at else "friend"
            channel.keep(friend)


async def tell_past(platform: Platform, shop: Shop) -> None:
    """Tell the shop what it does not know yet. Never raises: what fails is one line of log.

    A shop that is busy or just being started again is asked again, and goes on where it was.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            await _tell_past(platform, shop)
        except ShopError as error:
            if attempt == _TRIES:
                log.warning("The sample shop's past could not be told: %s", error)
            await asyncio.sleep(_PAUSE_SECONDS)
        except (KeyError, TypeError, ValueError) as error:
            log.warning("The sample shop's past could not be told: the shop is odd (%r)", error)
            return
        else:
            return


async def _tell_past(platform: Platform, shop: Shop) -> None:
    await shop.wait_until_ready()
    await _agree_on_time(platform, shop)
    await _tell_events(platform)
    if not shop.has_token:
        log.warning("Members and purchases are not told: SIMULATOR_SHOP_TOKEN is not set")
        return
    await sample_members.tell(platform, shop, customers(platform), _DONE)


async def _agree_on_time(platform: Platform, shop: Shop) -> None:
    """Where the shop lives in another time, its customers' past moves along."""
    await follow_clock(platform, shop)
    moved_in = int(str(platform.done[_DONE]["moved_in_at"]))
    untold = not platform.done[_DONE]["events"]
    if untold and abs(moved_in - platform.clock.ms()) > _SAME_TIME_MS:
        del platform.done[_DONE]
        move_in(platform)


def past_events(people: Iterable[Customer]) -> list[Event]:
    """Follow and unfollow events in order of time; their reply tokens have expired long ago."""
    happened: list[tuple[datetime, str, Customer]] = []
    for person in people:
        if person.followed_at is not None:
            happened.append((person.followed_at, "follow", person))
        if person.blocked_at is not None:
            happened.append((person.blocked_at, "unfollow", person))
    happened.sort(key=lambda item: item[0])
    return [_past_event(*item) for item in happened]


def _past_event(when: datetime, kind: str, person: Customer) -> Event:
    seed = f"{kind}:{person.user_id}"
    event = events.envelope(kind, to_ms(when), {}, seed=seed)
    event["source"] = {"type": "user", "userId": person.user_id}
    if kind == "follow":
        event["follow"] = {"isUnblocked": False}
        event["replyToken"] = user_id_for(f"reply:{seed}")[1:]
    return event


async def _tell_events(platform: Platform) -> None:
    told = int(str(platform.done[_DONE]["events"]))
    past = past_events(customers(platform))
    while told < len(past):
        await _post(platform, past[told : told + EVENTS_PER_BODY])
        told = min(told + EVENTS_PER_BODY, len(past))
        platform.mark_done(_DONE, {**platform.done[_DONE], "events": told})


async def _post(platform: Platform, batch: list[Event]) -> None:
    """Raises `ShopError` when the shop takes no webhook for a minute."""
    channel = platform.first_channel
    body = encode(channel, batch)
    for _ in range(_PATIENCE_SECONDS):
        delivery = await platform.courier.post(
            channel.webhook_url, body, sign(channel.secret, body), _POST_SECONDS
        )
        if delivery.outcome == "OK":
            return
        await asyncio.sleep(1)
    raise ShopError(f"the webhook answers {delivery.detail}")
