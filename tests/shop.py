"""A whole shop for journeys: server, belts and LINE stand-in over real HTTP, and its people."""

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
from sqlalchemy import delete

from admin.clock import Ran
from bot.models import ReceivedMessage, WebhookEvent
from core.db import table
from core.jobs import BeltRunner
from core.runtime import Runtime
from crm.models import Activity, Friend
from delivery.models import ReplyToken
from flows import files, store
from server.demo import LIBRARY
from server.travel import Traveller
from server.worker import look

QUIET_ROUNDS = 400


class Person:
    """Somebody with LINE on their phone: what they do goes through the stand-in's phone API."""

    def __init__(self, http: aiohttp.ClientSession, line_url: str, user_id: str) -> None:
        self._http = http
        self._base = f"{line_url}/simulator/people/{user_id}"
        self.user_id = user_id

    async def follow(self) -> None:
        """Add the shop as a friend, or unblock it."""
        await self._do("follow")

    async def block(self) -> None:
        """Block the shop."""
        await self._do("block")

    async def say(self, text: str) -> str:
        """Type a text; returns the message's id."""
        return str((await self._do("say", text=text))["id"])

    async def sticker(self) -> None:
        """Send a sticker."""
        await self._do("sticker", package_id="11537", sticker_id="52002734")

    async def unsend(self, message_id: str) -> None:
        """Take a message back."""
        await self._do("unsend", id=message_id)

    async def tap(self, action: dict[str, Any], **params: Any) -> dict[str, Any]:
        """Tap a button."""
        body = {"action": action} | ({"params": params} if params else {})
        return await self._do("tap", **body)

    async def chat(self) -> dict[str, Any]:
        """What the phone shows."""
        async with self._http.get(f"{self._base}/chat") as response:
            shown: dict[str, Any] = await response.json()
            return shown

    async def heard(self) -> list[dict[str, Any]]:
        """What the shop's account has sent, in order: entries with `via` and `message`."""
        return [entry for entry in (await self.chat())["messages"] if entry["from"] == "bot"]

    async def texts(self) -> list[str]:
        """The texts that the shop's account has sent."""
        return [e["message"].get("text", e["message"]["type"]) for e in await self.heard()]

    async def _do(self, what: str, **body: Any) -> dict[str, Any]:
        async with self._http.post(f"{self._base}/{what}", json=body) as response:
            answer: dict[str, Any] = await response.json()
            assert response.ok, answer
            return answer


class Shop:
    """The server without its own rhythm: belts move only when the test says so."""

    def __init__(
        self, runtime: Runtime, runner: BeltRunner, line_url: str, http: aiohttp.ClientSession
    ) -> None:
        self.runtime, self.runner, self.line_url, self.http = runtime, runner, line_url, http
        self.traveller = Traveller(runtime, runner)

    async def new_person(self, name: str) -> Person:
        """A person who does not know the shop yet."""
        url = f"{self.line_url}/simulator/people"
        async with self.http.post(url, json={"name": name}) as response:
            return Person(self.http, self.line_url, (await response.json())["user_id"])

    async def publish_library(self) -> None:
        """Publish every ready-made flow."""
        for file in files.files_under(LIBRARY):
            await self.publish(file.read_text(encoding="utf-8"))

    async def publish(self, text: str) -> None:
        """Publish one flow from its YAML."""
        definition = files.read(text, allow_http=True)
        now = await self.runtime.clock.now()
        async with self.runtime.db.transaction() as session:
            await store.save(session, definition, now=now)
            await session.flush()
            await store.publish(session, definition.key, now=now)

    async def work(self) -> None:
        """Wait until the stand-in's webhooks have come in and nothing is due any more."""
        quiet = 0
        for _ in range(QUIET_ROUNDS):
            for name in self.runner.belts:
                await self.runner.run(name)
            now = await self.runtime.clock.now()
            waiting = sum(count for _b, count, _n in await look(self.runtime, now))
            quiet = 0 if waiting else quiet + 1
            if quiet == 5:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"the belts do not come to rest: {await look(self.runtime, now)}")

    async def runner_rests(self, belt: str) -> None:
        """Wait for the next webhook and let this belt alone work it off."""
        for _ in range(QUIET_ROUNDS):
            if await self.runner.run(belt):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"nothing came for {belt}")

    async def forget_everybody(self) -> None:
        """As if the installation had begun just now: no friend, no event, no activity is known."""
        async with self.runtime.db.transaction() as session:
            for model in (ReplyToken, ReceivedMessage, WebhookEvent, Activity, Friend):
                await session.execute(delete(table(model)))

    async def travel(self, by: timedelta) -> list[Ran]:
        """Move both clocks on; returns what ran."""
        to = await self.runtime.clock.now() + by
        return list(await self.traveller(to))
