"""Forms from a browser: read up to a bound, and only from our own pages."""

from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

MAX_BODY = 16_384
MAX_FIELDS = 20
MAX_VALUE = 300
FORM = "application/x-www-form-urlencoded"
OURS = {"same-origin", "none"}


class BadForm(Exception):
    """The form is not taken; `status` is the HTTP status that says why."""

    def __init__(self, status: int) -> None:
        super().__init__(f"form refused: {status}")
        self.status = status


async def read_form(request: Request, *, public_url: str) -> dict[str, str]:
    """The fields of a form that one of our pages sent. Raises `BadForm`."""
    if media_type(request) != FORM:
        raise BadForm(415)
    if not _from_us(request, public_url):
        raise BadForm(403)
    raw = await read_body(request)
    try:
        pairs = parse_qsl(
            raw.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError:
        raise BadForm(400) from None
    fields = dict(pairs)
    if any(len(value) > MAX_VALUE or "\0" in value for value in fields.values()):
        raise BadForm(400)
    return fields


async def read_body(request: Request) -> bytes:
    """The body, of at most 16 KiB. Raises `BadForm`, without reading more than that."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise BadForm(413)
    return body


def media_type(request: Request) -> str:
    """The type of the body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _from_us(request: Request, public_url: str) -> bool:
    """Whether the form stood on our own page, by what browsers say of themselves.

    The ticket in the address is what nobody else knows; this is the second door.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in OURS
    origin = request.headers.get("origin")
    if origin is None:
        return True
    known = {urlsplit(public_url).netloc, request.headers.get("host", "")}
    return urlsplit(origin).netloc in known
