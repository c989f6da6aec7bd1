"""The demo as a process: stopped, started again, killed, and begun in a place that is not right."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.browser.demo_process import Demo, command, environment, everything, get, is_alive
from tests.conftest import free_port
from tests.shop import Person

ROUNDS = 600
PAUSE_SECONDS = 0.1
PEOPLE, FRIENDS = 300, 240


@dataclass(frozen=True)
class Past:
    """A demo in which Sakura was greeted, and which was stopped with Ctrl-C."""

    folder: Path
    user_id: str
    heard: int
    printed: str
    exit_code: int
    children: dict[str, int]

    def copy(self, to: Path) -> Path:
        """The folder, for a test to do with as it likes."""
        shutil.copytree(self.folder, to)
        return to


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    """Made once; tests work on copies."""
    with Demo(tmp_path_factory.mktemp("past") / "data") as demo:
        user_id, heard = asyncio.run(_greeted(demo))
        children = demo.children()
        code = demo.stop()
    return Past(demo.folder, user_id, heard, demo.printed, code, children)


async def _greeted(demo: Demo) -> tuple[str, int]:
    async with aiohttp.ClientSession() as http:
        people = f"{demo.phone_url}/simulator/people"
        async with http.post(people, json={"name": "さくら"}) as response:
            person = Person(http, demo.phone_url, (await response.json())["user_id"])
        await person.follow()
        await until(lambda: _has_heard(person, "はじめまして"))
        return person.user_id, len(await person.heard())


async def _has_heard(person: Person, words: str) -> bool:
    return any(words in text for text in await person.texts())


async def _has_friends(demo: Demo, count: int) -> bool:
    return len(await everything(demo, "friends")) >= count


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it is; a minute is a hang."""
    for _ in range(ROUNDS):
        try:
            if await true():
                return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(PAUSE_SECONDS)
    raise AssertionError("it does not come about")


def refused(*arguments: str, **more: str) -> str:
    """Start a demo that must not start; returns what it says on its last line."""
    done = subprocess.run(
        arguments, env=environment(**more), capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def demo_at(folder: Path, *options: str) -> list[str]:
    """The command of a demo on free ports."""
    return command(folder, free_port(), free_port(), *options)


def test_ctrl_c_stops_everything_and_says_so(past: Past) -> None:
    assert past.exit_code == 0
    assert past.printed.rstrip().endswith("またどうぞ。/ Stopped; your data is kept.")
    assert "Traceback" not in past.printed
    assert sorted(past.children) == ["server", "simulator"]
    assert [name for name, pid in past.children.items() if is_alive(pid)] == []


async def test_a_second_start_keeps_what_happened_and_greets_nobody_twice(
    past: Past, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    with Demo(past.copy(tmp_path / "data")) as demo:
        sakura = Person(http, demo.phone_url, past.user_id)
        before = await sakura.texts()
        await sakura.say("営業時間")
        await until(lambda: _has_heard(sakura, "8:00〜20:00"))
        await until(lambda: _has_friends(demo, FRIENDS + 1))  # it goes on where it was stopped
        code = demo.stop(signal.SIGTERM)

    assert len(before) == past.heard
    assert code == 0
    assert "Traceback" not in demo.printed


async def test_fresh_begins_anew_and_leaves_what_is_not_the_demos(
    past: Past, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    folder = past.copy(tmp_path / "data")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")

    with Demo(folder, "--fresh") as demo:
        people = await get(f"{demo.phone_url}/simulator/people?limit=400")

    assert past.user_id not in {person["user_id"] for person in people["items"]}
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"


async def test_the_sample_shop_arrives_with_its_past_and_nobody_of_it_is_written_to(
    demo: Demo, http: aiohttp.ClientSession
) -> None:
    async def has_purchases() -> bool:
        return len(await everything(demo, "activities?kind=purchased")) > FRIENDS

    await until(lambda: _has_friends(demo, FRIENDS))
    await until(has_purchases)
    people = await get(f"{demo.phone_url}/simulator/people?limit=400")
    friends = {f["id"]: f["user_id"] for f in await everything(demo, "friends")}
    written_to = {friends[d["friend_id"]] for d in await everything(demo, "deliveries")}

    assert people["total"] >= PEOPLE
    sample = {p["user_id"] for p in people["items"] if p["name"] not in {"花", "さくら", "もみじ"}}
    assert written_to & sample == set()


@pytest.mark.parametrize("victim", ["server", "simulator"])
async def test_a_killed_child_comes_back_and_nothing_is_lost(
    victim: str, demo: Demo, sakura: Person
) -> None:
    await sakura.follow()
    await until(lambda: _has_heard(sakura, "はじめまして"))
    before = await sakura.heard()
    killed = demo.children()[victim]

    os.kill(killed, signal.SIGKILL)
    await until(lambda: _is_back(demo, victim, killed))
    after = await sakura.heard()
    await sakura.say("営業時間")
    await until(lambda: _has_heard(sakura, "8:00〜20:00"))

    assert after == before
    assert f"restarting {victim}" in demo.printed


async def _is_back(demo: Demo, name: str, killed: int) -> bool:
    if demo.children().get(name, killed) == killed:
        return False
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        for address in (f"{demo.url}/readyz", f"{demo.phone_url}/phone"):
            async with http.get(address):
                pass
    return True


async def test_a_demo_that_is_killed_takes_its_children_along(past: Past, tmp_path: Path) -> None:
    with Demo(past.copy(tmp_path / "data")) as demo:
        children = demo.children()
        demo.kill()

        async def are_gone() -> bool:
            return not any(is_alive(pid) for pid in children.values())

        await until(are_gone)

    assert len(children) == 2


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refused(*command(tmp_path / "data", port, free_port()))

    assert said.startswith(f"okaeri: Port {port} on 127.0.0.1 cannot be used")


def test_one_port_for_both_is_refused(tmp_path: Path) -> None:
    port = free_port()

    said = refused(*command(tmp_path / "data", port, port))

    assert said == f"okaeri: Server and phone both want port {port}; give them two different ones."


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file", encoding="utf-8")

    said = refused(*demo_at(tmp_path / "data"))

    assert said.startswith(f"okaeri: The demo cannot write to {tmp_path}/data")
    assert said.endswith("Choose another folder with --data.")


@pytest.mark.parametrize("options", [(), ("--fresh",)])
def test_two_demos_do_not_share_a_folder(demo: Demo, options: tuple[str, ...]) -> None:
    said = refused(*demo_at(demo.folder, *options))

    assert said.startswith("okaeri: Another demo already works in")
    assert (demo.folder / "secrets.json").exists()


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("okaeri.db", "is damaged or not an SQLite database."),
        ("secrets.json", "cannot be read. Begin anew with: okaeri demo --fresh"),
    ],
)
def test_a_damaged_file_is_named(past: Past, tmp_path: Path, file: str, sentence: str) -> None:
    folder = past.copy(tmp_path / "data")
    for beside in folder.glob(f"{file}-*"):
        beside.unlink()
    (folder / file).write_bytes(b"\x00\xff damaged " * 512)

    said = refused(*demo_at(folder))

    assert str(folder / file) in said
    assert sentence in said


def test_the_demo_stays_out_of_the_database_of_a_shop(past: Past, tmp_path: Path) -> None:
    database = past.copy(tmp_path / "shop") / "okaeri.db"

    said = refused(
        *demo_at(tmp_path / "data"), OKAERI_DATABASE_URL=f"sqlite+aiosqlite:///{database}"
    )

    assert "names a database that a shop uses already" in said
