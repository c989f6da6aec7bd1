"""The shop's own API, as far as the stand-in uses it: the clock, friends, past purchases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import aiohttp

from simulator.platform import Platform
from simulator.settings import Settings

READY_SECONDS = 60
_QUICK = aiohttp.ClientTimeout(total=5)
_ASKING = aiohttp.ClientTimeout(total=0.5)
_TELLING = aiohttp.ClientTimeout(total=60)
_TRAVEL = aiohttp.ClientTimeout(total=1_800)  # A year of flows may run on the way.
_OK = 200
_CREATED = frozenset({200, 201, 202, 409})  # 409: the shop has had this key before.
_PAGE = 200


class ShopError(Exception):
    """The shop did not answer, or not as agreed. `status` is 0 without an answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Shop:
    """A client with the shop's bearer token."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.shop_url.rstrip("/")
        self.has_token = settings.shop_token is not None
        self._headers = {"Authorization": f"Bearer {settings.shop_token}"}
        self._session: aiohttp.ClientSession | None = None

    async def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        limit: aiohttp.ClientTimeout = _QUICK,
        more_headers: dict[str, str] | None = None,
    ) -> tuple[int, object]:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        headers = (self._headers if self.has_token else {}) | (more_headers or {})
        try:
            async with self._session.request(
                method, self.url + path, json=body, headers=headers, timeout=limit
            ) as answer:
                is_json = "json" in answer.content_type
                return answer.status, await answer.json(content_type=None) if is_json else None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ShopError(f"the shop at {self.url} does not answer") from error

    async def is_ready(self) -> bool:
        """Whether `/readyz` says 200."""
        try:
            status, _ = await self._call("GET", "/readyz")
        except ShopError:
            return False
        return status == _OK

    async def wait_until_ready(self) -> None:
        """Ask every half second for a minute. Raises `ShopError` when it is in vain."""
        for _ in range(READY_SECONDS * 2):
            if await self.is_ready():
                return
            await asyncio.sleep(0.5)
        raise ShopError(f"the shop at {self.url} is not ready after a minute")

    async def time(self) -> datetime:
        """What the shop's clock says. Raises `ShopError`."""
        status, body = await self._call("GET", "/api/v1/clock", limit=_ASKING)
        return _now(status, body)

    async def travel(self, seconds: int) -> tuple[datetime, list[object]]:
        """Let time pass in the shop: its new time, and what ran. Raises `ShopError`."""
        wish = {"advance_seconds": seconds}
        status, body = await self._call("POST", "/api/v1/clock", wish, limit=_TRAVEL)
        now = _now(status, body)
        ran = body.get("ran") if isinstance(body, dict) else None
        return now, ran if isinstance(ran, list) else []

    async def friends(self) -> AsyncIterator[dict[str, object]]:
        """All friends the shop knows. Raises `ShopError`."""
        async for item in self._all("friends"):
            yield item

    async def _all(self, what: str, more: str = "") -> AsyncIterator[dict[str, object]]:
        cursor = more
        while True:
            status, body = await self._call("GET", f"/api/v1/{what}?limit={_PAGE}{cursor}")
            if status != _OK or not isinstance(body, dict):
                raise ShopError(f"the shop answers {status} to a question for its {what}", status)
            for item in body["items"]:
                yield item
            if not body.get("next_cursor"):
                return
            cursor = f"{more}&cursor={body['next_cursor']}"

    async def members(self) -> AsyncIterator[dict[str, object]]:
        """All customers in the shop's books who are linked. Raises `ShopError`."""
        async for item in self._all("customers", "&linked=true"):
            yield item

    async def tell(self, path: str, body: dict[str, object], key: str) -> None:
        """Tell the shop something, once per idempotency key. Raises `ShopError`."""
        headers = {"Idempotency-Key": key}
        status, _ = await self._call("POST", f"/api/v1/{path}", body, _TELLING, headers)
        if status not in _CREATED:
            raise ShopError(f"the shop answers {status} to what it is told of {path}", status)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _now(status: int, body: object) -> datetime:
    now = body.get("now") if isinstance(body, dict) else None
    if status != _OK or not isinstance(now, str):
        raise ShopError(f"the shop answers {status} to a question for the time", status)
    return datetime.fromisoformat(now)


async def travel(platform: Platform, shop: Shop, seconds: int) -> list[object]:
    """Let time pass in the shop and here; what ran. Without a token only here.

    Messages that come in on the way bear the shop's time of that moment, as far as it tells.
    """
    if not shop.has_token:
        platform.clock.advance(timedelta(seconds=seconds))
        platform.keep_clock()
        return []
    platform.while_travelling = _Follower(platform, shop).follow
    try:
        now, ran = await shop.travel(seconds)
    finally:
        platform.while_travelling = None
    _catch_up(platform, now)
    platform.keep_clock()
    return ran


def _catch_up(platform: Platform, now: datetime) -> None:
    """Never back: events of the journey have added a few milliseconds here."""
    if now > platform.clock.now():
        platform.clock.move_to(now)


class _Follower:
    """Keeps the stand-in's clock up with a shop that is travelling."""

    def __init__(self, platform: Platform, shop: Shop) -> None:
        self._platform = platform
        self._shop = shop
        self._answers = True

    async def follow(self) -> None:
        """Ask the shop for its time; once it has not answered, ask no more on this journey."""
        if not self._answers:
            return
        try:
            now = await self._shop.time()
        except ShopError:
            self._answers = False
            return
        _catch_up(self._platform, now)


async def follow_clock(platform: Platform, shop: Shop) -> None:
    """Set a standing clock to the shop's at the start. Raises `ShopError`."""
    if platform.clock.simulated and shop.has_token:
        platform.clock.move_to(await shop.time())
        platform.keep_clock()
