"""`python -m simulator`: LINE on your desk."""

import argparse
import gc
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from simulator.app import Simulator, create_app
from simulator.settings import DEFAULT_CHANNEL, ChannelSettings, Settings
from simulator.state import StateInUse

CHANNELS = "SIMULATOR_CHANNELS"
SHOP_TOKEN = "SIMULATOR_SHOP_TOKEN"  # noqa: S105  the name of a variable
# What is accepted is kept, so that looking for garbage in it again and again is time lost.
_GC_THRESHOLDS = (100_000, 50, 100)
_DEMO = f"{DEFAULT_CHANNEL.id}:{DEFAULT_CHANNEL.secret}:{DEFAULT_CHANNEL.token}"
_ABOUT = """A stand-in for the LINE platform with a phone in the browser.

Point a shop's api.line.me, api-data.line.me and access.line.me at this server, start it, and open
http://HOST:PORT/phone.
"""
_ENVIRONMENT = f"""environment:
  {CHANNELS}    channels as ID:SECRET:TOKEN, comma separated; secrets given this way do
                        not stand in the process list
  {SHOP_TOKEN}  bearer token of the shop's admin API; time travel and the sample shop's
                        purchases need it

Without a channel the demo channel {_DEMO} is played.
For tests: GET /simulator/accepted, PUT /simulator/faults, POST /simulator/burst and more.
"""


def parser() -> argparse.ArgumentParser:
    """All options."""
    options = argparse.ArgumentParser(
        prog="python -m simulator",
        description=_ABOUT,
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8001, help="port to listen on (default: %(default)s)")
    add("--shop-url", default="http://127.0.0.1:8000", help="the shop (default: %(default)s)")
    add("--channel", action="append", default=[], metavar="ID:SECRET:TOKEN", help="repeatable")
    add("--webhook", metavar="URL", help="webhook URL (default: SHOP_URL/webhook/CHANNEL_ID)")
    add("--state", type=Path, metavar="FILE", help="keep everything here (default: in memory)")
    add("--sample-shop", action="store_true", help="bring the 300 people of Minato Coffee")
    add("--simulated-clock", action="store_true", help="time stands still until you travel")
    add("--allow-http-urls", action="store_true", help="take http://localhost URLs in messages")
    add("--no-rate-limits", action="store_true", help="never answer 429 for speed")
    add("--quota", type=int, metavar="N", help="messages a month (default: 5000, 0: no cap)")
    add("--verified", action="store_true", help="play a verified account (follower ids)")
    add("--everyone-is-a-friend", action="store_true", help="any user id is reached (load tests)")
    return options


def read_settings(arguments: Sequence[str]) -> tuple[Settings, str, int]:
    """Settings, host and port. Exits with a sentence when an option is wrong."""
    options = parser()
    given = options.parse_args(arguments)
    texts = [*given.channel, *filter(None, os.environ.get(CHANNELS, "").split(","))]
    try:
        channels = [ChannelSettings.parse(text) for text in texts] or [DEFAULT_CHANNEL]
    except ValueError as error:
        options.error(str(error))
    settings = Settings(
        channels=tuple(_tuned(channel, given) for channel in channels),
        shop_url=given.shop_url,
        shop_token=os.environ.get(SHOP_TOKEN) or None,
        state=given.state,
        sample_shop=given.sample_shop,
        simulated_clock=given.simulated_clock,
        allow_http_urls=given.allow_http_urls,
        rate_limits=not given.no_rate_limits,
        everyone_is_a_friend=given.everyone_is_a_friend,
    )
    return settings, given.host, given.port


def _tuned(channel: ChannelSettings, given: argparse.Namespace) -> ChannelSettings:
    quota = channel.monthly_quota if given.quota is None else given.quota or None
    return ChannelSettings(
        channel.id,
        channel.secret,
        channel.token,
        channel.name,
        given.webhook,
        given.verified,
        quota,
    )


class Server(uvicorn.Server):
    """Stops at once, although phones hold their streams open."""

    def __init__(self, app: Simulator) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_level="warning",
                lifespan="on",
                timeout_graceful_shutdown=1,
                server_header=False,
            )
        )
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGTERM and SIGINT."""
        self._app.state.platform.changes.close()
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SystemExit(_cannot_listen(host, port, error)) from error
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    return (
        f"Port {port} on {host} cannot be used ({error.strerror}): stop what uses it, "
        f"or choose another with --port."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    settings, host, port = read_settings(sys.argv[1:] if arguments is None else arguments)
    listener = _listen(host, port)
    try:
        app = create_app(settings)
    except StateInUse as error:
        listener.close()
        raise SystemExit(f"Another simulator uses the state file {error}.") from error
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    address = f"http://{host}:{listener.getsockname()[1]}"
    sys.stderr.write(f"LINE on your desk: {address}/phone (shop: {settings.shop_url})\n")
    Server(app).run(sockets=[listener])


if __name__ == "__main__":
    main()
