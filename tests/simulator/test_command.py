"""`python -m simulator` as a process."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from httpx2 import AsyncClient, HTTPError

from tests.simulator.helpers import AUTHORIZED, CHANNEL, HELLO

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def start(*arguments: str) -> Process:
    channels = f"{CHANNEL.id}:{CHANNEL.secret}:{CHANNEL.token}"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "simulator",
        *arguments,
        cwd=ROOT,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, "SIMULATOR_CHANNELS": channels},
    )


@asynccontextmanager
async def serving(*arguments: str) -> AsyncIterator[tuple[Process, AsyncClient]]:
    """A running process, killed at the end if it still runs."""
    port = free_port()
    process = await start("--port", str(port), "--shop-url", "http://127.0.0.1:9", *arguments)
    try:
        async with AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await _until_up(client)
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _until_up(client: AsyncClient) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await client.get("/simulator/info")
            except HTTPError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_help_helps() -> None:
    process = await start("--help")
    out, _ = await process.communicate()

    assert process.returncode == 0
    for word in ("--shop-url", "--sample-shop", "SIMULATOR_SHOP_TOKEN", "/phone"):
        assert word in out.decode()


async def test_a_port_in_use_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = await start("--port", str(taken.getsockname()[1]))
        _, error = await process.communicate()

    assert process.returncode == 1
    assert len(error.decode().strip().splitlines()) == 1
    assert "--port" in error.decode()


async def test_a_wrong_channel_is_said() -> None:
    process = await start("--channel", "123")
    _, error = await process.communicate()

    assert process.returncode == 2
    assert "ID:SECRET:TOKEN" in error.decode()


async def test_sigterm_stops_it_although_a_phone_listens() -> None:
    async with serving("--sample-shop") as (process, client):
        people = (await client.get("/simulator/people?limit=1")).json()
        user_id = people["items"][0]["user_id"]
        async with client.stream("GET", f"/simulator/people/{user_id}/stream") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "retry: 1000"
            process.send_signal(signal.SIGTERM)
            rest = [line async for line in lines]

        assert await process.wait() == 0
        assert not any(line.startswith("data:") for line in rest)


async def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state.jsonl"))
    async with serving(*state) as (process, client):
        person = (await client.post("/simulator/people", json={"name": "ゆき"})).json()
        await client.post(f"/simulator/people/{person['user_id']}/follow")
        body = {"to": person["user_id"], "messages": [HELLO]}
        answer = await client.post("/v2/bot/message/push", json=body, headers=AUTHORIZED)
        assert answer.status_code == 200
        process.kill()
        await process.wait()

    async with serving(*state) as (_, client):
        accepted = (await client.get("/simulator/accepted")).json()["items"]
        webhooks = (await client.get("/simulator/webhooks")).json()

    assert [one["delivered_to"] for one in accepted] == [[person["user_id"]]]
    assert webhooks["pending"] == 1
