"""A busy day: people follow and speak, staff write to old friends, LINE and the network stumble."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import aiohttp

from tests.shop import Person

FAULTS = ("429", "500", "cut_before", "cut_after", "502_html")
ENDPOINTS = ("push", "reply", "profile")
PROBABILITY = 0.05
BEYOND_OUR_PATIENCE_SECONDS = 9.0
FRIENDS_A_CALL = 5
ASK_AGAIN_SECONDS = 0.2
WORDS = tuple(f"質問{number}" for number in range(1, 10))
GREETING = "はじめまして。"
THANKS = "たくさんのご質問、ありがとうございました。"


def answer_to(word: str) -> str:
    """What the shop's rule answers to one of the words."""
    return f"{word}のお返事です。"


def faults() -> dict[str, Any]:
    """5 % of each fault on each endpoint, and ten answers that come later than we wait for them."""
    usual: list[dict[str, Any]] = [
        {"kind": kind, "endpoint": endpoint, "probability": PROBABILITY}
        for endpoint in ENDPOINTS
        for kind in FAULTS
    ]
    usual += [
        {"kind": "slow", "endpoint": endpoint, "probability": PROBABILITY, "delay_seconds": 0.5}
        for endpoint in ENDPOINTS
    ]
    late = {"kind": "slow", "probability": 0.005, "delay_seconds": BEYOND_OUR_PATIENCE_SECONDS}
    return {
        "rules": [
            {**late, "endpoint": "push", "times": 5},
            {**late, "endpoint": "reply", "times": 5},
            *usual,
        ],
        "seed": 1,
    }


class Town:
    """Everybody outside the shop's server, through the stand-in and through the admin API."""

    def __init__(
        self, http: aiohttp.ClientSession, line_url: str, shop_url: str, token: str
    ) -> None:
        self._http, self._line_url, self._shop_url = http, line_url, shop_url
        self._authorization = {"Authorization": f"Bearer {token}"}
        self.guests: list[str] = []

    async def line(self, method: str, path: str, body: object = None) -> Any:
        """Ask the stand-in; again and again while it is down."""

        async def ask() -> Any:
            async with self._http.request(method, self._line_url + path, json=body) as response:
                assert response.ok, await response.text()
                return await response.json()

        return await _until_it_works(ask)

    async def weather(self, behaviour: dict[str, Any]) -> None:
        """Set LINE's faults, and how its webhooks behave."""
        await self.line("PUT", "/simulator/faults", faults())
        await self.line("PUT", "/simulator/webhook-behaviour", behaviour)

    async def clears_up(self) -> Counter[tuple[str, str]]:
        """End all faults; returns how often each struck, by endpoint and kind."""
        rules = (await self.line("GET", "/simulator/faults"))["rules"]
        await self.line("DELETE", "/simulator/faults")
        struck: Counter[tuple[str, str]] = Counter()
        for rule in rules:
            struck[rule["endpoint"], rule["kind"]] += rule["struck"]
        return struck

    async def calls(self) -> int:
        """How many pushes and replies LINE has answered, or cut."""
        answered = (await self.line("GET", "/simulator/requests"))["requests"]
        return sum(sum(answered.get(endpoint, {}).values()) for endpoint in ("push", "reply"))

    async def crowd(self, count: int) -> list[str]:
        """People who were friends long before; returns their user ids."""
        found: list[str] = (await self.line("POST", "/simulator/crowd", {"count": count}))[
            "user_ids"
        ]
        return found

    async def come_and_ask(self, people: int, chance: random.Random, *, seconds: float) -> None:
        """New people follow and ask the nine questions, all within some seconds."""

        async def live(begin: float, pause: float) -> None:
            await asyncio.sleep(begin)
            made = await self.line("POST", "/simulator/people", {"name": "花"})
            person = Person(self._http, self._line_url, made["user_id"])
            self.guests.append(person.user_id)
            await _until_it_works(person.follow)
            for word in WORDS:
                await asyncio.sleep(pause)
                await _until_it_works(partial(person.say, word))

        pause = seconds / 3 / len(WORDS)
        begins = [chance.uniform(0, seconds * 2 / 3) for _ in range(people)]
        await asyncio.gather(*(live(begin, pause) for begin in begins))

    async def write_to(self, friends: Sequence[int], texts: Sequence[str], *, pause: float) -> None:
        """Have staff send each text to each friend, in order, five friends a call.

        Each call is repeated under its idempotency key until it is answered.
        """
        for text in texts:
            for start in range(0, len(friends), FRIENDS_A_CALL):
                await self._send(text, friends[start : start + FRIENDS_A_CALL], f"{text}/{start}")
                await asyncio.sleep(pause)

    async def _send(self, text: str, friends: Sequence[int], key: str) -> None:
        body = {"messages": [{"type": "text", "text": text}], "friend_ids": list(friends)}
        headers = self._authorization | {"Idempotency-Key": key.encode().hex()}
        url = f"{self._shop_url}/api/v1/messages/test"

        async def ask() -> None:
            async with self._http.post(url, json=body, headers=headers) as response:
                said = await response.text()
                if response.status >= 500:
                    raise aiohttp.ClientPayloadError(said)
                assert response.status == 202, said

        await _until_it_works(ask)

    async def said(self) -> dict[str, list[str]]:
        """What each guest has written, by user id."""
        found = {}
        for user_id in self.guests:
            chat = await self.line("GET", f"/simulator/people/{user_id}/chat")
            theirs = [entry["message"]["text"] for entry in chat["messages"]
                      if entry["from"] == "person"]  # fmt: skip
            found[user_id] = theirs
        return found

    async def accepted(self) -> list[dict[str, Any]]:
        """All message requests that LINE has accepted."""
        found: list[dict[str, Any]] = (await self.line("GET", "/simulator/accepted?limit=10000"))[
            "items"
        ]
        assert len(found) < 10_000
        return found


async def _until_it_works(ask: Callable[[], Awaitable[Any]]) -> Any:
    while True:
        try:
            return await ask()
        except (aiohttp.ClientError, OSError):
            await asyncio.sleep(ASK_AGAIN_SECONDS)
