"""A server on loopback that reads a request and then does to the connection what a test says."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class Request:
    """One request as it arrived, with all of its body."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class BadLine:
    """What has arrived, and where; `behaviours` are used up in turn, the last one for good."""

    port: int
    behaviours: list[Behaviour]
    greeting: bytes = b""
    read_bodies: bool = True
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            writer.write(self.greeting)
            while not writer.is_closing():
                await self._serve_one(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The other side is gone, which is what some tests are about.
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self.hung_up.set()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await _read_request(reader, whole=self.read_bodies))
        self.arrived.set()
        behave = self.behaviours[0]
        if len(self.behaviours) > 1:
            self.behaviours.pop(0)
        await behave(writer)


async def _read_request(reader: asyncio.StreamReader, *, whole: bool) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")[:-2]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(headers.get("content-length", "0")) if whole else 0
    body = await reader.readexactly(length)
    method, target, _ = first.split(" ")
    return Request(method, target, headers, body)


@contextlib.asynccontextmanager
async def bad_line(
    *behaviours: Behaviour, greeting: bytes = b"", read_bodies: bool = True
) -> AsyncIterator[BadLine]:
    """Serve until the block ends; `greeting` is said before anything was asked."""
    tasks: set[asyncio.Task[None]] = set()
    line = BadLine(0, list(behaviours), greeting, read_bodies)

    def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(line.serve(reader, writer)))

    server = await asyncio.start_server(on_connect, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def answer(
    status: int = 200,
    body: bytes = b"{}",
    headers: Mapping[str, str] | None = None,
    *,
    missing: int = 0,
) -> Behaviour:
    """Answer in full, or promise `missing` more bytes than come and hang up."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        fields = {"Content-Length": str(len(body) + missing), **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body)
        await writer.drain()
        if missing:
            writer.close()

    return behave


def write(raw: bytes) -> Behaviour:
    """Write these bytes and hang up."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        writer.close()

    return behave


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close without a word."""
    writer.close()


async def reset(writer: asyncio.StreamWriter) -> None:
    """Drop the connection the hard way, with a TCP reset."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def silence(writer: asyncio.StreamWriter) -> None:
    """Say nothing until the other side hangs up or the server is stopped."""
    await asyncio.Event().wait()


def stall(raw: bytes) -> Behaviour:
    """Write these bytes, then say nothing more."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        await silence(writer)

    return behave


def answer_and_hang_up(status: int = 200) -> Behaviour:
    """Answer as if the connection were kept, then close it."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        await answer(status)(writer)
        writer.close()

    return behave
