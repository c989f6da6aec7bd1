"""The demo as a stranger starts it: a real process on free ports, with a folder of its own."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.conftest import free_port

READY = "Ctrl-C"
# Bounds for a hang, not for speed: the machine may be busy with other tests.
START_SECONDS = 180
STOP_SECONDS = 120
PAUSE_SECONDS = 0.1
QUIET_SECONDS = 2


def environment(**more: str) -> dict[str, str]:
    """Ours without any setting of this product, and what the test adds."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("OKAERI_", "SIMULATOR_"))}
    return ours | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"} | more


def command(folder: Path, port: int, phone_port: int, *options: str) -> list[str]:
    """`okaeri demo` with its options."""
    ports = ["--port", str(port), "--phone-port", str(phone_port)]
    return [sys.executable, "-m", "server", "demo", *ports, "--data", str(folder), *options]


class Demo:
    """A running `okaeri demo`; what it prints goes into `<folder>.out`."""

    def __init__(self, folder: Path, *options: str, **more: str) -> None:
        self.folder = folder
        self.port, self.phone_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.phone_url = f"http://127.0.0.1:{self.phone_port}"
        self._out = folder.with_suffix(".out")
        self._command = command(folder, self.port, self.phone_port, *options)
        self._more = more
        self._started: set[int] = set()
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                self._command, stdout=out, stderr=out, cwd=self.folder.parent,
                env=environment(**self._more), start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            self._leave_nothing_behind()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            if self.process.poll() is None:
                self.children()
                self.stop()
        finally:
            self._leave_nothing_behind()

    @property
    def printed(self) -> str:
        """All it has said so far, its children's words among it."""
        return self._out.read_text(encoding="utf-8")

    @property
    def token(self) -> str:
        """The owner's token."""
        return (self.folder / "owner-token.txt").read_text(encoding="utf-8").strip()

    def children(self) -> dict[str, int]:
        """Process ids by name: server and simulator."""
        found = {}
        for name in ("server", "simulator"):
            for pid in _children_of(self.process.pid):
                if name.encode() in _arguments(pid):
                    found[name] = pid
        self._started |= set(found.values())
        return found

    def stop(self, sign: signal.Signals = signal.SIGINT) -> int:
        """Press Ctrl-C and wait; returns the exit code."""
        self.process.send_signal(sign)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End it without asking; its children notice by themselves."""
        self.process.kill()
        self.process.wait()

    def _leave_nothing_behind(self) -> None:
        # Only a demo that is broken leaves children; the tests notice, the machine should not.
        for pid in self._started:
            if is_alive(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + START_SECONDS
        while READY not in self.printed:
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < until, self.printed
            self.children()
            time.sleep(PAUSE_SECONDS)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and only waits to be noticed does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def resident_mib(pid: int) -> float:
    """How much memory the process holds (RSS)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


async def get(url: str, *, token: str = "") -> Any:
    """JSON from the demo."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(headers=headers) as http, http.get(url) as response:
        response.raise_for_status()
        return await response.json()


async def everything(demo: Demo, resource: str) -> list[dict[str, Any]]:
    """All items of a list of the admin API."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        joint = "&" if "?" in resource else "?"
        url = f"{demo.url}/api/v1/{resource}{joint}limit=200{cursor}"
        answer = await get(url, token=demo.token)
        found += answer["items"]
        if not answer["next_cursor"]:
            return found
        cursor = f"&cursor={answer['next_cursor']}"


async def past_is_told(demo: Demo) -> None:
    """Wait until the sample shop's past is told: Misaki's coupons are the end of it."""
    until = time.monotonic() + START_SECONDS
    while not await _has_coupons(demo, "MN-000005", 2):
        assert time.monotonic() < until, demo.printed
        await asyncio.sleep(QUIET_SECONDS)


async def _has_coupons(demo: Demo, member_number: str, least: int) -> bool:
    members = await everything(demo, f"customers?member_number={member_number}")
    if not members:
        return False
    held = await everything(demo, f"customers/{members[0]['id']}/coupons")
    return len({coupon["coupon"] for coupon in held} - {"welcome-300"}) >= least


def _children_of(parent: int) -> list[int]:
    path = Path(f"/proc/{parent}/task/{parent}/children")
    try:
        return [int(pid) for pid in path.read_text(encoding="ascii").split()]
    except OSError:
        return []


def _arguments(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
