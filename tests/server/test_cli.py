"""The command line as an operator meets it: real processes; what is wrong is one sentence."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import CHANNEL_ID, CHANNEL_SECRET, CHANNEL_TOKEN, SECRET_KEY, free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90
FLOW = """\
key: hello
name: ごあいさつ
trigger: {on: followed}
steps:
  - say: こんにちは
  - wait: {days: 3, at: "19:00"}
  - say: またどうぞ
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The settings of a real shop whose LINE nobody answers for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OKAERI_")}
    return kept | {
        "OKAERI_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'shop.db'}",
        "OKAERI_SECRET_KEY": SECRET_KEY,
        "OKAERI_LINE_API_URL": "http://127.0.0.1:9",
        "OKAERI_LINE_DATA_API_URL": "http://127.0.0.1:9",
        **more,
    }


def okaeri(
    *words: str, env: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "server", *words],
        env={**env, "PYTHONPATH": str(ROOT)},
        cwd=cwd or ROOT,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


def assert_one_sentence(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Exit code 1, said in words, without a traceback."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    for part in parts:
        assert part in done.stderr + done.stdout


class Serving:
    """A running `okaeri serve`."""

    def __init__(self, env: Mapping[str, str], port: int) -> None:
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, "-m", "server", "serve", "--port", str(port)],
            env=dict(env),
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Until `/readyz` says so."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz") as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server does not start")

    def stop(self) -> tuple[int, str]:
        """SIGTERM; returns the exit code and what was said."""
        self.process.send_signal(signal.SIGTERM)
        _out, said = self.process.communicate(timeout=START_SECONDS)
        return self.process.returncode, said


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """A server on a file in the test's folder."""
    server = Serving(environment(tmp_path), free_port())
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def test_help_names_every_command(tmp_path: Path) -> None:
    done = okaeri("--help", env=environment(tmp_path))

    assert done.returncode == 0
    for command in ("serve", "worker", "clock", "migrate", "demo", "check", "token", "flows"):
        assert command in done.stdout


def test_a_server_that_is_told_to_stop_ends_cleanly(serving: Serving) -> None:
    code, said = serving.stop()

    assert code == 0
    assert "Traceback" not in said
    assert '"event": "stopped"' in said


def test_a_second_server_on_the_same_file_is_refused(serving: Serving, tmp_path: Path) -> None:
    second = okaeri("serve", "--port", str(free_port()), env=environment(tmp_path))

    assert_one_sentence(second, "Another Okaeri process already works on", "PostgreSQL")


def test_a_worker_beside_a_server_on_the_same_file_is_refused(
    serving: Serving, tmp_path: Path
) -> None:
    assert_one_sentence(okaeri("worker", env=environment(tmp_path)), "Another Okaeri process")


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        done = okaeri("serve", "--port", port, env=environment(tmp_path))

    assert_one_sentence(done, f"Port {port}", "--port")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()  # below a file nobody can write, root neither

    done = okaeri("serve", "--port", "0", env=environment(tmp_path / "file"))

    assert_one_sentence(done, "cannot be written", "OKAERI_DATABASE_URL")


@pytest.mark.parametrize("content", [b"this is no database, but long enough to look\n" * 30,
                                     b"SQLite format 3\x00" + b"\x00\x01" * 600])  # fmt: skip
def test_a_damaged_database_is_said_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "shop.db").write_bytes(content)

    done = okaeri("serve", "--port", "0", env=environment(tmp_path))

    assert_one_sentence(done, "damaged", "nothing was changed")
    assert (tmp_path / "shop.db").read_bytes() == content


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OKAERI_DATABASE_URL", "mysql://root:hidden-password@localhost/x"),
        ("OKAERI_REDIS_URL", "hidden-password@localhost"),
        ("OKAERI_TIME_ZONE", "Asia/Tokio-hidden-password"),
        ("OKAERI_CLOCK", "hidden-password"),
        ("OKAERI_SECRET_KEY", "hidden"),
        ("OKAERI_LINE_CHANNEL_ID", "hidden-password"),
        ("OKAERI_PUBLIC_URL", "hidden-password"),
    ],
)
def test_a_malformed_setting_is_named_and_its_value_kept_out(
    tmp_path: Path, name: str, value: str
) -> None:
    done = okaeri("serve", "--port", "0", env=environment(tmp_path, **{name: value}))

    assert_one_sentence(done, name)
    assert "hidden" not in done.stderr + done.stdout


def test_a_token_is_printed_alone(tmp_path: Path) -> None:
    done = okaeri("token", "create", "till", "--role", "clerk", env=environment(tmp_path))

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("okaeri_")
    assert len(done.stdout.split()) == 1


def test_an_unknown_role_is_refused(tmp_path: Path) -> None:
    done = okaeri("token", "create", "till", "--role", "boss", env=environment(tmp_path))

    assert_one_sentence(done, "boss", "viewer, clerk, marketer, owner")


def test_flows_are_applied_exported_and_applied_again_unchanged(tmp_path: Path) -> None:
    env = environment(tmp_path)
    (tmp_path / "hello.yaml").write_text(FLOW, encoding="utf-8")

    applied = okaeri("flows", "apply", str(tmp_path / "hello.yaml"), env=env)
    exported = okaeri("flows", "export", str(tmp_path / "out"), env=env)
    again = okaeri("flows", "apply", str(tmp_path / "out"), env=env)

    assert "version 1 published" in applied.stdout, applied.stderr
    assert exported.returncode == 0, exported.stderr
    assert "version 1 unchanged" in again.stdout, again.stderr


@pytest.mark.parametrize(
    ("wrong", "place", "word"),
    [
        (FLOW.replace("wait:", "wiat:"), "6:5", "did you mean 'wait'"),
        (FLOW.replace("またどうぞ", "あ" * 5001), "7:5", "5001"),
        (FLOW.replace("followed", "folowed"), "3:11", "did you mean 'followed'"),
        (FLOW.replace("19:00", "25:00"), "6:21", "clock time"),
        ("key: [", "", "YAML"),
    ],
)
def test_a_faulty_flow_is_said_with_its_place_and_nothing_is_applied(
    tmp_path: Path, wrong: str, place: str, word: str
) -> None:
    env = environment(tmp_path)
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "good.yaml").write_text(FLOW, encoding="utf-8")
    faulty = wrong.replace("key: hello", "key: other")
    (tmp_path / "flows" / "wrong.yaml").write_text(faulty, encoding="utf-8")

    done = okaeri("flows", "apply", str(tmp_path / "flows"), env=env)
    okaeri("flows", "export", str(tmp_path / "out"), env=env)

    assert_one_sentence(done, "nothing was changed", place, word)
    assert not (tmp_path / "out" / "hello.yaml").exists()


def test_migrating_twice_says_so(tmp_path: Path) -> None:
    first = okaeri("migrate", env=environment(tmp_path))
    second = okaeri("migrate", env=environment(tmp_path))

    assert "empty → " in first.stdout, first.stderr
    assert "Already" in second.stdout


def test_check_without_a_channel_says_what_to_set(tmp_path: Path) -> None:
    env = environment(tmp_path)
    okaeri("migrate", env=env)

    done = okaeri("check", env=env)

    assert_one_sentence(done, "none is registered", "OKAERI_LINE_CHANNEL_ID")


def test_check_says_when_line_cannot_be_reached(tmp_path: Path) -> None:
    env = environment(
        tmp_path,
        OKAERI_LINE_CHANNEL_ID=CHANNEL_ID,
        OKAERI_LINE_CHANNEL_SECRET=CHANNEL_SECRET,
        OKAERI_LINE_CHANNEL_ACCESS_TOKEN=CHANNEL_TOKEN,
    )
    okaeri("token", "create", "x", "--role", "viewer", env=env)  # sets the channel up

    done = okaeri("check", env=env)

    assert_one_sentence(done, "LINE cannot be reached", "OKAERI_LINE_API_URL")
    assert CHANNEL_SECRET not in done.stdout + done.stderr
    assert CHANNEL_TOKEN not in done.stdout + done.stderr
