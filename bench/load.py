"""A bounded load of signed webhooks, each event new, over connections that stay open.

A process of its own: `python -m bench.load` takes a plan on standard input (so that the secret does
not stand in the process list) and writes what it saw to standard output, both JSON.
"""

import asyncio
import gc
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

import orjson
import uvloop

from core.line.signature import sign

PEOPLE = 5_000
TEXTS = (
    "こんにちは",
    "ポイントを教えてください",
    "営業時間は何時までですか？",
    "ありがとうございます！",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """`name` makes the events' ids unique; the first `warm_up` requests are not counted."""

    port: int
    channel_id: str
    secret: str
    name: str
    requests: int
    warm_up: int
    connections: int
    seconds: float


@dataclass(slots=True)
class Seen:
    """What the load found; latencies in ms, `busy` is its own share of its core."""

    requests: int = 0
    seconds: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    busy: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.seconds


def prepared(plan: Plan) -> list[bytes]:
    """Whole HTTP requests, ready to be written."""
    return [_request(plan, number) for number in range(plan.warm_up + plan.requests)]


def _request(plan: Plan, number: int) -> bytes:
    body = orjson.dumps({"destination": f"U{0:032x}", "events": [_event(plan, number)]})
    head = (
        f"POST /webhook/{plan.channel_id} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\n"
        f"Content-Type: application/json; charset=utf-8\r\nUser-Agent: LineBotWebhook/2.0\r\n"
        f"X-Line-Signature: {sign(plan.secret, body)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _event(plan: Plan, number: int) -> dict[str, object]:
    return {
        "type": "message",
        "message": {
            "type": "text",
            "id": f"{468_789_000_000_000_000 + number}",
            "quoteToken": f"q3Plxr4AgKd{number:032d}",
            "text": TEXTS[number % len(TEXTS)],
        },
        "webhookEventId": f"{plan.name}{number:0{26 - len(plan.name)}d}",
        "deliveryContext": {"isRedelivery": False},
        "timestamp": 1_792_629_479_859 + number,
        "source": {"type": "user", "userId": f"U{number % PEOPLE:032x}"},
        "replyToken": f"{number + 1:032x}",
        "mode": "active",
    }


class _Load:
    """One stretch of requests, shared out to connections as each becomes free."""

    def __init__(self, requests: Sequence[bytes], give_up_at: float) -> None:
        self.queue: Iterator[bytes] = iter(requests)
        self.give_up_at = give_up_at
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()

    async def run(self, port: int, connections: int) -> float:
        """Returns the seconds from the first request to the last answer."""
        loop = asyncio.get_running_loop()
        made = [_Connection(self) for _ in range(connections)]
        for one in made:
            await loop.create_connection(lambda one=one: one, "127.0.0.1", port)  # type: ignore[misc]
        began = time.perf_counter()
        for one in made:
            one.send_next()
        await asyncio.gather(*(one.done for one in made))
        return time.perf_counter() - began


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._load = load
        self._sent_at = 0.0
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def send_next(self) -> None:
        request = next(self._load.queue, None)
        self._sent_at = time.perf_counter()
        if request is None or self._sent_at > self._load.give_up_at:
            self._transport.close()
            return
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, ended, body = self._got.partition(b"\r\n\r\n")
        if not ended or len(body) < _length(head):
            return
        self._got = b""
        self._load.latencies.append(time.perf_counter() - self._sent_at)
        self._load.statuses[head[9:12].decode()] += 1
        self.send_next()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None or self._got:
            self._load.statuses["cut"] += 1
        if not self.done.done():
            self.done.set_result(None)


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)


async def run(plan: Plan) -> Seen:
    """Warm up, then measure."""
    requests = prepared(plan)
    gc.collect()
    gc.freeze()
    give_up_at = time.perf_counter() + plan.seconds
    await _Load(requests[: plan.warm_up], give_up_at).run(plan.port, plan.connections)
    load, busy = _Load(requests[plan.warm_up :], give_up_at), time.process_time()
    seconds = await load.run(plan.port, plan.connections)
    busy = time.process_time() - busy
    took = sorted(load.latencies)
    return Seen(
        requests=len(took),
        seconds=seconds,
        p50=took[len(took) // 2] * 1000,
        p99=took[len(took) * 99 // 100] * 1000,
        busy=busy / seconds,
        statuses=dict(load.statuses),
    )


def main() -> None:
    """Take a plan, make the load, say what was seen."""
    plan = Plan(**orjson.loads(sys.stdin.buffer.read()))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.buffer.write(orjson.dumps(asdict(runner.run(run(plan)))))


if __name__ == "__main__":
    main()
