"""Processes that the demo keeps running: started again when they die, ended in order."""

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

from core.errors import StartError

QUICK_DEATHS = 3
STEADY_SECONDS = 30
PAUSE_SECONDS = 1
STOP_SECONDS = 25
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Child:
    """One process: what people call it, its command, and what its environment has besides ours."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


async def keep_running(child: Child, stop: asyncio.Event, say: Callable[[str], None]) -> None:
    """Run it until told to stop.

    Raises `StartError` when it ends of itself at its first start, or dies quickly time and again.
    """
    deaths = 0
    for attempt in count():
        process = await _start(child)
        began = time.monotonic()
        try:
            await _first_of(process.wait(), stop.wait())
        finally:
            await _end(process)
        if stop.is_set():
            return
        lived = time.monotonic() - began
        deaths = 1 if lived > STEADY_SECONDS else deaths + 1
        if deaths == QUICK_DEATHS or (
            attempt == 0 and lived < STEADY_SECONDS and _gave_up(process)
        ):
            raise StartError(
                f"The demo's {child.name} does not stay up; what it said last stands above. "
                "To begin anew, without old data: okaeri demo --fresh"
            )
        say(f"{child.name} が止まったので、もう一度起動します / restarting {child.name}")
        await asyncio.sleep(PAUSE_SECONDS)


def _gave_up(process: asyncio.subprocess.Process) -> bool:
    """Whether it went of itself: it has said why, and would only say so again."""
    return process.returncode is not None and process.returncode > 0


async def _start(child: Child) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *child.command,
        env=os.environ | child.environment,
        start_new_session=True,  # Ctrl-C reaches us alone, and we stop the children in order
        preexec_fn=_die_with_parent,
    )


async def _first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()


def _die_with_parent() -> None:
    """Linux: have the child ended when the demo dies without having stopped it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
