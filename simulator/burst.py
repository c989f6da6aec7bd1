"""A crowd of new people at once, for benchmarks and for tests that kill the shop meanwhile."""

import asyncio
import time
from dataclasses import dataclass

from simulator import events
from simulator.channels import Channel
from simulator.chats import Friend, Message
from simulator.platform import Platform
from simulator.webhooks import Event, encode, sign

MAX_TRIES = 100
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0


@dataclass(slots=True)
class Result:
    """What a burst has done."""

    people: int = 0
    events: int = 0
    acknowledged: int = 0
    tries: int = 0
    seconds: float = 0.0


class Burst:
    """New people follow, then say `text`: `events_per_person` events each, the follow included.

    `concurrency` of them act at once, each in order; an event that is not acknowledged is sent
    again, as a redelivery. The result comes when all are acknowledged or out of tries.
    """

    def __init__(
        self,
        platform: Platform,
        channel: Channel,
        *,
        text: Message,
        people: int,
        events_per_person: int,
    ) -> None:
        self._platform = platform
        self._channel = channel
        self._text = text
        self._events_per_person = events_per_person
        self._waiting = iter(range(people))
        self._result = Result(people=people)

    async def run(self, concurrency: int) -> Result:
        """As fast as `concurrency` connections go."""
        started = time.monotonic()
        workers = min(concurrency, self._result.people)
        await asyncio.gather(*(self._work() for _ in range(workers)))
        self._result.seconds = round(time.monotonic() - started, 3)
        return self._result

    async def _work(self) -> None:
        for _ in self._waiting:
            await self._live()

    async def _live(self) -> None:
        """One person from beginning to end."""
        person = self._platform.people.invite("にぎわいのお客さま")
        friend = self._channel.friend(person.user_id)
        friend.status, friend.followed_at = "friend", self._platform.clock.ms()
        self._channel.keep(friend)
        await self._send(friend, "follow", {"follow": {"isUnblocked": False}})
        for _ in range(self._events_per_person - 1):
            message_id = self._platform.message_ids.next()
            fields = events.message_fields(friend, message_id, self._text)
            await self._send(friend, "message", fields)

    async def _send(self, friend: Friend, kind: str, fields: Event) -> None:
        at = self._platform.clock.stamp()
        token = self._platform.reply_tokens.issue(self._channel.id, friend.user_id, at)
        event = events.envelope(kind, at, fields)
        event["source"] = {"type": "user", "userId": friend.user_id}
        event["replyToken"] = token.token
        self._result.events += 1
        if await self._insist(event, token.token):
            self._result.acknowledged += 1

    async def _insist(self, event: Event, token: str) -> bool:
        pause = _FIRST_PAUSE_SECONDS
        for attempt in range(MAX_TRIES):
            event["deliveryContext"] = {"isRedelivery": attempt > 0}
            self._platform.reply_tokens.sent(token)
            self._result.tries += 1
            if await self._is_taken(encode(self._channel, [event])):
                return True
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        return False

    async def _is_taken(self, body: bytes) -> bool:
        signature = sign(self._channel.secret, body)
        seconds = self._platform.webhooks.behaviour.timeout_seconds
        url = self._channel.webhook_url
        delivery = await self._platform.courier.post(url, body, signature, seconds)
        return delivery.outcome == "OK"
