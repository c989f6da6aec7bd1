"""Chromium and Japanese fonts for the browser tests: where they are, and how they get here.

`make test` runs this file before pytest. It is quick when all is there; otherwise it installs the
distribution's packages, as root or with a sudo that asks for no password, or says what to do.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER_PACKAGES = ("chromium",)
FONT_PACKAGES = ("fontconfig", "fonts-noto-cjk", "fonts-noto-color-emoji")
APT_GET = (
    "env",
    "DEBIAN_FRONTEND=noninteractive",
    "apt-get",
    "-qq",
    "-o",
    "DPkg::Lock::Timeout=600",
)
BY_HAND = (
    "Install Chromium and a Japanese font such as Noto Sans CJK, or set OKAERI_TEST_CHROMIUM to a "
    "Chromium or Chrome that is here already. On Debian and Ubuntu:\n  apt-get install "
)


class BrowserMissing(RuntimeError):
    """There is no Chromium or no Japanese font; the message says what to do."""


def chromium_path() -> Path:
    """The browser to test with: `OKAERI_TEST_CHROMIUM`, or the first that PATH has.

    Raises `BrowserMissing`.
    """
    named = os.environ.get("OKAERI_TEST_CHROMIUM")
    if named and not os.access(named, os.X_OK):
        raise BrowserMissing(f"OKAERI_TEST_CHROMIUM: {named} is not a program that can be run")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        raise BrowserMissing(f"no {', '.join(NAMES)} on PATH. {_by_hand(BROWSER_PACKAGES)}")
    return Path(found)


def main() -> int:
    """Bring what is missing; returns the exit code."""
    try:
        missing = _missing_packages()
        if missing:
            _install(missing)
        _say(f"Browser for the tests: {chromium_path()}")
    except BrowserMissing as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _missing_packages() -> tuple[str, ...]:
    browser = () if _has_browser() else BROWSER_PACKAGES
    fonts = () if _has_japanese_font() else FONT_PACKAGES
    return browser + fonts


def _has_browser() -> bool:
    return "OKAERI_TEST_CHROMIUM" in os.environ or any(map(shutil.which, NAMES))


def _has_japanese_font() -> bool:
    if shutil.which("fc-list") is None:
        return False
    fonts = subprocess.run(["fc-list", ":lang=ja"], capture_output=True, check=False)
    return bool(fonts.stdout.strip())


def _install(packages: tuple[str, ...]) -> None:
    """Install with apt-get. Raises `BrowserMissing` when that is not possible or does not help."""
    as_root = _as_root()
    if shutil.which("apt-get") is None or as_root is None:
        raise BrowserMissing(f"Missing: {', '.join(packages)}. {_by_hand(packages)}")
    _say("Reading the package lists (apt-get update)")
    _run([*as_root, *APT_GET, "update"], packages)
    _say(f"Installing {', '.join(packages)}: a minute or two")
    _run([*as_root, *APT_GET, "install", "-y", "--no-install-recommends", *packages], packages)
    if still_missing := _missing_packages():
        raise BrowserMissing(f"Installed, but not found: {', '.join(still_missing)}")


def _as_root() -> list[str] | None:
    """What to put before a command so that root runs it; None when we may not."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asks = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode
    return None if asks else ["sudo", "-n"]


def _run(command: list[str], packages: tuple[str, ...]) -> None:
    # Ctrl-C reaches apt-get too, and it ends in order; were we to end first, Python would kill it
    # midway. A handler, other than ignoring, is not inherited by what we run.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-10:])
        raise BrowserMissing(f"{' '.join(command)} failed:\n{end}\n{_by_hand(packages)}")


def _by_hand(packages: tuple[str, ...]) -> str:
    return BY_HAND + " ".join(packages)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
