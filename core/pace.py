"""Keeping to LINE's rate limits: one bucket per channel and endpoint, shared by all processes."""

import asyncio
from types import TracebackType
from typing import Any, Self

from pyrate_limiter import Rate
from pyrate_limiter.abstracts.rate import RateItem
from pyrate_limiter.buckets.redis_state import RedisStateStore
from pyrate_limiter.buckets.state_bucket import InMemoryStateStore, StateBucket
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core import logs

log = logs.get(__name__)

# We stay a little under LINE's published 2,000 and 200 a second
# (https://developers.line.biz/en/reference/messaging-api/#rate-limits).
PER_SECOND = {"push": 1_900, "reply": 1_900, "multicast": 190, "profile": 1_000}
CHUNK = 50


class Pace:
    """Asks for leave before calls; waits while LINE's limit would be exceeded."""

    def __init__(self, redis_url: str) -> None:
        self._redis: Redis | None = Redis.from_url(redis_url) if redis_url else None
        self._buckets: dict[tuple[int, str], StateBucket] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._redis is not None:
            await self._redis.aclose()

    async def leave(self, channel_id: int, endpoint: str, calls: int) -> None:
        """Return when so many calls (at most `CHUNK`) may be made.

        Without Redis each process keeps its own count: LINE's 429 is then what holds us back.
        """
        bucket = self._bucket(channel_id, endpoint)
        while True:
            wait = await self._try(bucket, endpoint, calls)
            if wait <= 0:
                return
            await asyncio.sleep(wait)

    async def _try(self, bucket: StateBucket, endpoint: str, calls: int) -> float:
        try:
            now: Any = bucket.now()  # type: ignore[no-untyped-call]
            stamp = now if isinstance(now, int) else await now
            item = RateItem(endpoint, stamp, weight=calls)
            put = bucket.put(item)
            if put if isinstance(put, bool) else await put:
                return 0.0
            waiting = bucket.waiting(item)
            milliseconds = waiting if isinstance(waiting, int) else await waiting
        except RedisError as error:
            log.warning("pace.redis_unavailable", error=type(error).__name__)
            return 0.0
        return max(milliseconds, 1) / 1000

    def _bucket(self, channel_id: int, endpoint: str) -> StateBucket:
        bucket = self._buckets.get((channel_id, endpoint))
        if bucket is None:
            store = (
                RedisStateStore(self._redis, f"okaeri:pace:{channel_id}:{endpoint}")
                if self._redis is not None
                else InMemoryStateStore()
            )
            bucket = StateBucket([Rate(PER_SECOND[endpoint], 1000)], store=store)
            self._buckets[channel_id, endpoint] = bucket
        return bucket
