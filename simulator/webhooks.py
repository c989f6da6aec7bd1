"""Webhooks on their way to the shop: signed, in order per person, until they arrive.

Sources: https://developers.line.biz/en/docs/messaging-api/receiving-messages/ and
https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/
"""

import asyncio
import base64
import hmac
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal

import aiohttp
import orjson

from simulator.channels import Channel
from simulator.errors import LineError
from simulator.state import Documents, Store

Event = dict[str, object]
USER_AGENT = "LineBotWebhook/2.0"
CONTENT_TYPE = "application/json; charset=utf-8"
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 10.0
MAX_TRIES = 100
MAX_AT_ONCE = 32
_KIND = "webhook"
_SUCCESS = range(200, 300)
Outcome = Literal["OK", "COULD_NOT_CONNECT", "REQUEST_TIMEOUT", "ERROR_STATUS_CODE", "UNCLASSIFIED"]


@dataclass(slots=True)
class Behaviour:
    """How LINE's side behaves, good or bad. Probabilities are per event."""

    redeliver: bool = True
    duplicate_probability: float = 0.0
    shuffle: bool = False
    timeout_seconds: float = 2.0
    events_per_body: int = 1

    @classmethod
    def parse(cls, body: object) -> "Behaviour":
        """Raises `LineError` 400."""
        names = {field.name for field in fields(cls)}
        if not isinstance(body, dict) or not body.keys() <= names:
            raise LineError(400, f"known fields are {', '.join(sorted(names))}")
        return cls(**body)


@dataclass(slots=True)
class Outgoing:
    """One event that has not been acknowledged. `lane` is the person: lanes keep their order."""

    number: int
    channel_id: str
    lane: str
    event: Event
    tries: int = 0


@dataclass(slots=True)
class Counts:
    """What has happened to events so far; `lost` ones ran out of tries."""

    delivered: int = 0
    failed_tries: int = 0
    duplicated: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """How the shop took one body."""

    outcome: Outcome
    status: int = 0
    detail: str = ""


def sign(secret: bytes, body: bytes) -> str:
    """Base64 of HMAC-SHA256 over the exact bytes."""
    return base64.b64encode(hmac.digest(secret, body, "sha256")).decode()


def encode(channel: Channel, events: list[Event]) -> bytes:
    """The body of a webhook."""
    return orjson.dumps({"destination": channel.bot_user_id, "events": events})


class Courier:
    """Posts signed bodies over one aiohttp session, which opens by itself."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, url: str, body: bytes, signature: str | None, timeout_seconds: float
    ) -> Delivery:
        """Post one body; redirects are not followed. Never raises for what the network does."""
        headers = {"Content-Type": CONTENT_TYPE, "User-Agent": USER_AGENT}
        if signature is not None:
            headers["x-line-signature"] = signature
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        try:
            async with self._open().post(
                url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                await answer.read()
                return _judge(answer.status)
        except TimeoutError:
            return Delivery("REQUEST_TIMEOUT", detail="Request timeout")
        except aiohttp.ClientConnectionError:
            return Delivery("COULD_NOT_CONNECT", detail="Could not connect")
        except (aiohttp.ClientError, ValueError) as error:
            return Delivery("UNCLASSIFIED", detail=type(error).__name__)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _judge(status: int) -> Delivery:
    if status in _SUCCESS:
        return Delivery("OK", status, str(status))
    return Delivery("ERROR_STATUS_CODE", status, str(status))


class WebhookSender:
    """Sends queued events in the background. `on_try` hears of each event that goes out."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        store: Store,
        courier: Courier,
        on_try: Callable[[Event], None],
    ) -> None:
        self.behaviour = Behaviour()
        self.counts = Counts()
        self._channels = channels
        self._store = store
        self._courier = courier
        self._on_try = on_try
        self._lanes: dict[str, deque[Outgoing]] = {}
        self._ready: deque[str] = deque()
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._number = 0
        self._chance = random.Random(7)  # noqa: S311  not for secrets
        self._closed = False

    @property
    def pending(self) -> int:
        """How many events are not acknowledged yet."""
        return sum(map(len, self._lanes.values()))

    def queued(self) -> list[Event]:
        """The events that are not acknowledged yet, lane by lane."""
        return [outgoing.event for queue in self._lanes.values() for outgoing in queue]

    def load(self, documents: Documents) -> None:
        """Queue again what an earlier life could not deliver."""
        for document in sorted(
            documents.get(_KIND, {}).values(), key=lambda one: int(str(one["number"]))
        ):
            outgoing = Outgoing(**document)  # type: ignore[arg-type]
            self._number = max(self._number, outgoing.number)
            self._lanes.setdefault(outgoing.lane, deque()).append(outgoing)
        self._ready.extend(self._lanes)
        if self._lanes:
            self._idle.clear()

    def prepare(self, channel_id: str, user_id: str, event: Event) -> Outgoing:
        """An event with its place in the queue; hand it to `enqueue` once it is kept."""
        self._number += 1
        return Outgoing(self._number, channel_id, f"{channel_id}/{user_id}", event)

    def change(self, outgoing: Outgoing) -> tuple[str, str, object]:
        """What the store must keep before the event may go."""
        return _KIND, str(outgoing.number), outgoing

    def enqueue(self, outgoing: Outgoing) -> None:
        """Send it when its turn comes."""
        lane = self._lanes.setdefault(outgoing.lane, deque())
        lane.append(outgoing)
        if len(lane) == 1:
            self._ready.append(outgoing.lane)
        self._idle.clear()
        self.start()

    def start(self) -> None:
        """Send what is ready, as far as there is an event loop and room."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # The next event inside a loop, or the start of the server, sends it.
        while self._ready and len(self._tasks) < MAX_AT_ONCE and not self._closed:
            batch = self._take()
            if batch:
                task = loop.create_task(self._deliver(batch))
                self._tasks.add(task)
                task.add_done_callback(self._finished)

    def _take(self) -> list[Outgoing]:
        """The next events of one channel for one body, each lane marked as busy."""
        batch: list[Outgoing] = []
        for _ in range(len(self._ready)):
            if len(batch) >= self.behaviour.events_per_body:
                break
            if self.behaviour.shuffle:
                self._ready.rotate(self._chance.randrange(len(self._ready)))
            lane = self._ready.popleft()
            self._pick(lane, batch)
        return batch

    def _pick(self, lane: str, batch: list[Outgoing]) -> None:
        queue = self._lanes.get(lane)
        if not queue or lane in self._busy:
            return
        if batch and queue[0].channel_id != batch[0].channel_id:
            self._ready.append(lane)
            return
        room = self.behaviour.events_per_body - len(batch)
        picked = list(queue)[:room]
        if self.behaviour.shuffle:
            picked = self._chance.sample(list(queue), min(room, len(queue)))
        self._busy.add(lane)
        batch.extend(picked)

    async def _deliver(self, batch: list[Outgoing]) -> None:
        channel = self._channels[batch[0].channel_id]
        for outgoing in batch:
            _mark_redelivery(outgoing)
            self._on_try(outgoing.event)
        body = encode(channel, [outgoing.event for outgoing in batch])
        delivery = await self._post(channel, body)
        if delivery.outcome == "OK":
            await self._perhaps_again(channel, body, len(batch))
            self._acknowledged(batch)
        else:
            self._failed(batch)

    async def _perhaps_again(self, channel: Channel, body: bytes, events: int) -> None:
        if self._chance.random() < self.behaviour.duplicate_probability:
            self.counts.duplicated += events
            await self._post(channel, body)

    async def _post(self, channel: Channel, body: bytes) -> Delivery:
        signature = sign(channel.secret, body)
        timeout_seconds = self.behaviour.timeout_seconds
        return await self._courier.post(channel.webhook_url, body, signature, timeout_seconds)

    def _acknowledged(self, batch: list[Outgoing]) -> None:
        self.counts.delivered += len(batch)
        for outgoing in batch:
            self._forget(outgoing)
        self._release(batch, after=0)

    def _failed(self, batch: list[Outgoing]) -> None:
        self.counts.failed_tries += 1
        for outgoing in batch:
            outgoing.tries += 1
            if not self.behaviour.redeliver or outgoing.tries >= MAX_TRIES:
                self.counts.lost += 1
                self._forget(outgoing)
        most = max(outgoing.tries for outgoing in batch)
        self._release(
            batch, after=min(FIRST_PAUSE_SECONDS * 2 ** min(most - 1, 10), LONGEST_PAUSE_SECONDS)
        )

    def _forget(self, outgoing: Outgoing) -> None:
        queue = self._lanes.get(outgoing.lane)
        if queue and outgoing in queue:
            queue.remove(outgoing)
            self._store.delete(_KIND, str(outgoing.number))

    def _release(self, batch: list[Outgoing], *, after: float) -> None:
        for lane in {outgoing.lane for outgoing in batch}:
            self._busy.discard(lane)
            if not self._lanes.get(lane):
                self._lanes.pop(lane, None)
            elif after:
                self._wake_later(lane, after)
            else:
                self._ready.append(lane)
        if not self._lanes:
            self._idle.set()

    def _wake_later(self, lane: str, after: float) -> None:
        def wake() -> None:
            self._timers.discard(timer)
            self._ready.append(lane)
            self.start()

        timer = asyncio.get_running_loop().call_later(after, wake)
        self._timers.add(timer)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._closed:
            self.start()

    async def drain(self) -> None:
        """Come back when every queued event has been acknowledged or given up."""
        await self._idle.wait()

    def clear(self) -> None:
        """Forget what is queued, under way and counted; behave well again."""
        for task in self._tasks:
            task.cancel()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for queue in self._lanes.values():
            for outgoing in queue:
                self._store.delete(_KIND, str(outgoing.number))
        self._lanes.clear()
        self._ready.clear()
        self._busy.clear()
        self._idle.set()
        self.counts = Counts()
        self.behaviour = Behaviour()

    def public(self) -> dict[str, object]:
        """Counts and behaviour."""
        return {
            "pending": self.pending,
            **asdict(self.counts),
            "behaviour": asdict(self.behaviour),
        }

    async def close(self) -> None:
        """Stop sending; what is queued stays in the state."""
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _mark_redelivery(outgoing: Outgoing) -> None:
    if outgoing.tries:
        outgoing.event["deliveryContext"] = {"isRedelivery": True}
