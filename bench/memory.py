"""Memory of the demo's server: after its start, and after 500 new friends who follow and speak."""

import json
import time
import urllib.request
from pathlib import Path
from tempfile import mkdtemp

from bench import children
from bench.children import CouldNotMeasure
from bench.figures import Figure, Reach
from bench.places import Bench

FRIENDS = 500
QUIET_SECONDS = 3.0
PATIENCE_SECONDS = 120.0


def measure(bench: Bench) -> list[Figure]:
    """Resident memory of `okaeri serve` as the demo runs it, in one round."""
    port, phone = children.free_port(), children.free_port()
    ports = ["--port", str(port), "--phone-port", str(phone)]
    folder = Path(mkdtemp(dir=bench.folder))
    with children.started(
        ["-m", "server", "demo", *ports, "--data", str(folder / "demo")],
        {},
        core=children.AROUND,
        pinned=False,
    ) as demo:
        children.wait_until_answers(f"http://127.0.0.1:{port}/readyz")
        children.wait_until_answers(f"http://127.0.0.1:{phone}/phone")
        server = children.child_running(demo, "server", "serve")
        _wait_until_quiet(port)
        at_start = children.resident_mib(server)
        _befriend(phone)
        _wait_until_quiet(port)
        later = children.resident_mib(server)
    reach = Reach(200, at_least=False)
    return [
        Figure("the demo's server after its start", "MiB", [at_start], reach),
        Figure(f"after {FRIENDS} friends followed and spoke", "MiB", [later], reach),
    ]


def _befriend(phone: int) -> None:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{phone}/simulator/burst",
        json.dumps({"people": FRIENDS, "events_per_person": 2}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=PATIENCE_SECONDS) as response:
        done = json.load(response)
    if done["acknowledged"] != FRIENDS * 2:
        raise CouldNotMeasure(f"only {done['acknowledged']} events were taken")


def _wait_until_quiet(port: int) -> None:
    """Return when nothing has been due on any belt for a while."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET_SECONDS:
        if _backlog(port):
            quiet_since = time.monotonic()
        if time.monotonic() > give_up_at:
            raise CouldNotMeasure("the demo's belts do not come to rest")
        time.sleep(0.2)


def _backlog(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    return sum(float(li.rpartition(" ")[2]) for li in lines if li.startswith("okaeri_backlog{"))
