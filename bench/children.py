"""Processes of ours under measurement: pinned to a core, waited for, looked at, ended."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 30.0
# What is measured has the first core to itself; load, LINE stand-in and databases share the other.
MEASURED, AROUND = 0, 1


class CouldNotMeasure(RuntimeError):
    """Something did not start, answer or add up; the figures would mean nothing."""


def can_pin() -> bool:
    """Whether there are two cores that processes can be bound to (Linux)."""
    return hasattr(os, "sched_setaffinity") and {MEASURED, AROUND} <= os.sched_getaffinity(0)


def pin(core: int, pid: int = 0, *, if_possible: bool = True) -> None:
    """Bind a process, by default this one, and what it starts from now on, to a core."""
    if if_possible and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, {core})


@contextmanager
def started(
    arguments: Sequence[str], environment: Mapping[str, str], *, core: int, pinned: bool
) -> Iterator[int]:
    """Run `python ARGUMENTS` and give its process id; ask it to end, then force it."""
    child = subprocess.Popen(
        [sys.executable, *arguments],
        env={**plain(), **environment},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    pin(core, child.pid, if_possible=pinned)
    try:
        yield child.pid
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def output_of(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    given: bytes,
    *,
    core: int,
    pinned: bool,
    seconds: float,
) -> bytes:
    """What `python ARGUMENTS` writes to standard output when it is given this as input."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        env={**plain(), **environment},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        pin(core, child.pid, if_possible=pinned)
        try:
            said, _ = child.communicate(given, seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            raise CouldNotMeasure(f"{arguments} took longer than {seconds} s") from None
    if child.returncode:
        raise CouldNotMeasure(f"{arguments} ended with {child.returncode}")
    return said


def plain() -> dict[str, str]:
    """This environment without settings of a shop or a stand-in."""
    ours = ("OKAERI_", "SIMULATOR_")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)}


def wait_until_answers(url: str) -> None:
    """Return when the URL answers 200. Raises `CouldNotMeasure`."""
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise CouldNotMeasure(f"{url} does not answer")


def free_port() -> int:
    """A port on loopback that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far (proc(5), fields utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Memory of a process that is in RAM now, in MiB (`VmRSS`)."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def child_running(pid: int, *words: str) -> int:
    """The direct child of a process whose command line holds all these words, one after another."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    for child in found:
        command = Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8").split("\0")
        if all(word in command for word in words):
            return int(child)
    raise CouldNotMeasure(f"process {pid} has no child {' '.join(words)}")
