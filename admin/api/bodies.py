"""Request bodies: read once, within bounds, as strict JSON that the database can hold."""

from collections.abc import Iterable
from typing import Any

import orjson
from starlette.requests import Request

from admin.api.problems import MALFORMED, MEDIA, TOO_LARGE, Refusal
from core.errors import Fault, Invalid

MAX_BYTES = 1 << 20
MAX_BYTES_IN = "x-max-bytes"  # what a route says that takes more: a file, say
MAX_DEPTH = 80
MAX_NUMBER = 1 << 63


class StrictRequest(Request):
    """A request whose body is read before any transaction begins."""

    max_bytes: int = MAX_BYTES
    _raw: bytes | None = None
    _tree: Any = None

    async def body(self) -> bytes:
        """The body; a `Refusal` (413) where it is over 1 MiB, or what its route allows."""
        if self._raw is None:
            chunks, size = [], 0
            async for chunk in self.stream():
                size += len(chunk)
                if size > self.max_bytes:
                    raise Refusal(TOO_LARGE, f"The body is over {self.max_bytes} bytes.")
                chunks.append(chunk)
            self._raw = b"".join(chunks)
        return self._raw

    async def json(self) -> Any:  # noqa: ANN401
        """The body as JSON; a `Refusal` where it is none, `Invalid` where we cannot hold it."""
        if self._tree is None:
            self._tree = parse(await self.body())
        return self._tree

    @property
    def media_type(self) -> str:
        """The body's media type in small letters, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def read(self, *, takes_json: bool) -> None:
        """Read and parse the body now."""
        body = await self.body()
        if not takes_json:
            return
        if body and not is_json(self.media_type):
            raise Refusal(MEDIA, "Send JSON with Content-Type: application/json.")
        if body:
            await self.json()


def is_json(media_type: str) -> bool:
    """Whether this media type is JSON."""
    return media_type == "application/json" or media_type.endswith("+json")


def parse(body: bytes) -> Any:  # noqa: ANN401
    """Parse strictly (RFC 8259): no NaN, no lone surrogates, no doubtful UTF-8."""
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        fault = Fault(
            "",
            f"not readable as JSON: {error.msg}",
            "JSONとして読めません",
            error.lineno,
            error.colno,
        )
        raise Refusal(MALFORMED, "The body is not valid JSON.", [fault]) from None
    check_tree(tree)
    return tree


def check_tree(tree: object) -> None:
    """Raise `Invalid` for what no database column takes: NUL, huge numbers, bottomless nesting."""
    level: list[object] = [tree]
    for _depth in range(MAX_DEPTH):
        if not level:
            return
        level = [inner for value in level for inner in _inside(value)]
    if level:
        raise Invalid("The body is nested too deeply.", [
            Fault("", f"is nested more than {MAX_DEPTH} levels deep",
                  f"入れ子が深すぎます（{MAX_DEPTH}段まで）")])  # fmt: skip


def check_text(*texts: str) -> None:
    """Raise `Invalid` where a text holds a NUL character or half a character."""
    for text in texts:
        if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text):
            raise Invalid("The request holds a character that cannot be stored.", [
                Fault("", "holds a NUL character or half a character",
                      "使えない文字（NULなど）が含まれています")])  # fmt: skip


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, dict):
        check_text(*(key for key in value if isinstance(key, str)))
        return value.values()
    elif isinstance(value, list):
        return value
    elif isinstance(value, int | float) and not -MAX_NUMBER <= value < MAX_NUMBER:
        raise Invalid("The body holds a number that is too large.", [
            Fault("", "holds a number beyond 64 bits", "大きすぎる数値があります")])  # fmt: skip
    return ()
