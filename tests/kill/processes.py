"""Whole processes: killed as a crash kills, and started again with the same command."""

import asyncio
import ctypes
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from core.clock import wall

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.05
CALLS_BETWEEN_KILLS = (20, 400)
NOTHING_MORE_SECONDS = 10.0
STILL_STARTING = 1 / 4
PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


class Process:
    """One process with a name, whose lives all write into one log.

    `up` is what it logs once it is at work.
    """

    def __init__(
        self,
        name: str,
        module: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        up: str,
    ) -> None:
        self.name = name
        self.killed_at: list[datetime] = []
        self._command = [sys.executable, "-m", *module]
        self._environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), **environment}
        self._folder, self._up = folder, up.encode()
        self._log = folder / f"{name}.log"
        self._born_at = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        self._born_at = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_us,  # noqa: PLW1509 - this process has no other threads yet
            )

    async def is_up(self) -> None:
        """Return when it is at work; fails when it ends instead."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while self._up not in self.log()[self._born_at :]:
            assert self._process is not None
            assert self._process.poll() is None, f"{self.name} ended by itself"
            assert time.monotonic() < give_up_at, f"{self.name} is not up"
            await asyncio.sleep(LOOK_SECONDS)

    def kill(self) -> None:
        """`kill -9`; returns when it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
            self.killed_at.append(wall())
            with self._log.open("a") as log:
                log.write(f"--- {self.name} killed, {self.killed_at[-1].isoformat()} ---\n")

    def log(self) -> bytes:
        """What all its lives have written."""
        return self._log.read_bytes()


async def kill_in_turn(
    processes: Sequence[Process],
    chance: random.Random,
    progress: Callable[[], Awaitable[int]],
    *,
    each: int,
) -> None:
    """Kill every process `each` times in random order, amid work, and start it again at once.

    Before each kill some more of LINE's answers must have been given, as `progress` counts them,
    since the process was up. One in four is killed once more while it is starting.
    """
    order = [process for process in processes for _ in range(each)]
    chance.shuffle(order)
    for victim in order:
        await victim.is_up()
        await _progress_of(chance.randint(*CALLS_BETWEEN_KILLS), progress)
        await asyncio.sleep(chance.uniform(0.0, 0.3))
        victim.kill()
        victim.start()
        if chance.random() < STILL_STARTING:
            await asyncio.sleep(chance.uniform(0.0, 1.5))
            victim.kill()
            victim.start()


async def _progress_of(wanted: int, progress: Callable[[], Awaitable[int]]) -> None:
    """Return when so much has been done, or when nothing more comes for a while."""
    give_up_at = time.monotonic() + NOTHING_MORE_SECONDS
    goal = await progress() + wanted
    while time.monotonic() < give_up_at:
        if await progress() >= goal:
            return
        await asyncio.sleep(LOOK_SECONDS)


def _die_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
