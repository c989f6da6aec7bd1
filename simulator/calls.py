"""One request to LINE's API and its answer, as the endpoints see them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs

import orjson

from simulator import ids
from simulator.channels import Channel
from simulator.errors import LineError
from simulator.platform import Platform
from simulator.rate_limits import NORMAL, Rate
from simulator.tokens import AccessToken

JSON = "application/json"
Headers = Mapping[bytes, bytes]


@dataclass(slots=True)
class Answer:
    """Status, body and further headers. `Content-Type` is JSON unless `media_type` says else."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    media_type: bytes = b"application/json"


def ok(value: object = None, status: int = 200) -> Answer:
    """A JSON answer; `{}` without a value."""
    return Answer(status, b"{}" if value is None else orjson.dumps(value))


def refusal(error: LineError) -> Answer:
    """An error in LINE's shape."""
    headers = tuple((k.encode(), v.encode()) for k, v in error.headers.items())
    return Answer(error.status, orjson.dumps(error.body()), headers)


@dataclass(slots=True)
class Call:
    """A request that has passed authentication. `channel` is set where the endpoint needs one."""

    platform: Platform
    endpoint: "Endpoint"
    headers: Headers
    query_string: bytes
    base_url: str
    body: bytes = b""
    path: dict[str, str] = field(default_factory=dict)
    request_id: str = field(default_factory=ids.new_request_id)
    token: AccessToken | None = None
    the_channel: Channel | None = None

    @property
    def channel(self) -> Channel:
        """The channel whose token was shown."""
        assert self.the_channel is not None
        return self.the_channel

    def header(self, name: bytes) -> str | None:
        """A header by its lower-case name."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def query(self, name: str) -> str | None:
        """The first value of a query parameter."""
        values = parse_qs(self.query_string.decode("latin-1"), keep_blank_values=True).get(name)
        return values[0] if values else None

    def required(self, name: str) -> str:
        """A query parameter. Raises 400 when it is missing."""
        value = self.query(name)
        if not value:
            raise LineError(400, f"The parameter '{name}' is required")
        return value

    def form(self) -> dict[str, str]:
        """The fields of a form body."""
        fields = parse_qs(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return {name: values[0] for name, values in fields.items()}

    def json(self) -> object:
        """The body as JSON. Raises 400."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise LineError(400, "The request body could not be parsed as JSON") from error

    def object(self) -> dict[str, object]:
        """The body as a JSON object. Raises 400."""
        value = self.json()
        if not isinstance(value, dict):
            raise LineError(400, "The request body must be a JSON object")
        return value


Handler = Callable[[Call], Answer | Awaitable[Answer]]
Access = Literal["channel", "person", "nobody"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of the API; `takes` is the media type its body must have, None for any."""

    name: str
    method: str
    path: str
    handler: Handler
    rate: Rate = NORMAL
    takes: str | None = None
    retry_key: bool = False
    access: Access = "channel"


def parsed_int(text: str | None, default: int, most: int) -> int:
    """A number of a query string between 1 and `most`. Raises 400."""
    if text is None:
        return default
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise LineError(400, f"limit must be between 1 and {most}")
    return int(text)
