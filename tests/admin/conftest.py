"""The admin API over real databases, its callers, and a small cast. Nothing here calls LINE."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from admin import tokens
from admin.api import create_api
from admin.clock import Ran
from admin.models import ROLES
from core.clock import SimulatedClock
from core.runtime import Runtime, running
from core.settings import Settings, load
from crm import channels
from crm.models import BLOCKED, FOLLOWING, Customer, Friend

SECRET_KEY = "a-secret-key-for-tests-only"
LINE_CHANNEL = "1234567890"


@dataclass(frozen=True)
class Cast:
    """Hana the new friend, Ken who has two accounts of one customer, Yui who blocked us."""

    hana: Friend
    ken: Friend
    ken_again: Friend
    yui: Friend
    nobody: Customer


class Callers:
    """A client for each role, and one without a token."""

    def __init__(self, app: Starlette, api: FastAPI, keys: dict[str, str]) -> None:
        self.api, self.keys = api, keys
        self.app = app
        self.clients = {role: self.client(token) for role, token in keys.items()}
        self.stranger = self.client(None)

    def client(self, token: str | None) -> httpx2.AsyncClient:
        """A client that sends this token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app),
            base_url="http://shop.example/api/v1",
            headers=headers,
        )

    def __getitem__(self, role: str) -> httpx2.AsyncClient:
        return self.clients[role]


@pytest.fixture
def settings(database_url: str) -> Settings:
    return load(
        _env_file=None,
        database_url=database_url,
        redis_url="",
        secret_key=SECRET_KEY,
        clock="simulated",
        public_url="https://okaeri.example.jp",
    )


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    async with running(settings) as made:
        yield made


@pytest.fixture
async def now(runtime: Runtime) -> datetime:
    return await runtime.clock.now()


@pytest.fixture
async def callers(runtime: Runtime, now: datetime) -> AsyncIterator[Callers]:
    keys = {}
    async with runtime.db.transaction() as session:
        for role in ROLES:
            keys[role] = await tokens.create(session, name=role, role=role, now=now)

    async def advance(to: datetime) -> Sequence[Ran]:
        before = await runtime.clock.now()
        assert isinstance(runtime.clock, SimulatedClock)
        await runtime.clock.move_to(to)
        return [Ran(at=before, what="steps", count=3)]

    api = create_api(runtime, advance=advance)
    yield Callers(Starlette(routes=[Mount("/api/v1", api)]), api, keys)
    await api.state.api.tokens.settled()


@pytest.fixture
def owner(callers: Callers) -> httpx2.AsyncClient:
    return callers["owner"]


@pytest.fixture
def marketer(callers: Callers) -> httpx2.AsyncClient:
    return callers["marketer"]


@pytest.fixture
def clerk(callers: Callers) -> httpx2.AsyncClient:
    return callers["clerk"]


@pytest.fixture
def viewer(callers: Callers) -> httpx2.AsyncClient:
    return callers["viewer"]


@pytest.fixture
async def cast(runtime: Runtime, now: datetime) -> Cast:
    async with runtime.db.transaction() as session:
        channel = await channels.add(
            session, runtime.seal, channel_id=LINE_CHANNEL, name="みなと珈琲",
            secret="secret-of-the-channel", access_token="token-of-the-channel", now=now,
        )  # fmt: skip
        customers = [Customer(created_at=now) for _ in range(4)]
        session.add_all(customers)
        await session.flush()

        defaults: dict[str, Any] = {
            "status": FOLLOWING,
            "followed_at": now,
            "profile_fetched_at": now,
        }

        def friend(number: int, customer: Customer, name: str, **values: Any) -> Friend:
            made = Friend(
                channel_id=channel, user_id=f"U{number:032x}", customer_id=customer.id or 0,
                status_at=now, created_at=now, display_name=name,
                **defaults | values,
            )  # fmt: skip
            session.add(made)
            return made

        hana = friend(1, customers[0], "はな")
        ken = friend(2, customers[1], "けん", followed_at=now - timedelta(days=365))
        ken_again = friend(3, customers[1], "けん2", followed_at=now)
        yui = friend(4, customers[2], "ゆい", status=BLOCKED, blocked_at=now)
        await session.flush()
    return Cast(hana, ken, ken_again, yui, customers[3])


def problem(response: httpx2.Response, status: int) -> dict[str, Any]:
    """The problem that a response holds; checks its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["type"].startswith("/api/v1/docs#")
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["title"]
    assert body["title_ja"]
    assert body["detail"]
    return body


def paths(response: httpx2.Response) -> list[str]:
    """Where the faults of an invalid request are."""
    return [error["path"] for error in problem(response, 422)["errors"]]
