"""Which problem answers which error."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.requests import Request
from fastapi.responses import Response
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    TimeoutError as PoolTimeout,
)
from starlette.exceptions import HTTPException

from admin.api.problems import (
    CONFLICT,
    INTERNAL,
    INVALID,
    KINDS,
    NOT_FOUND,
    STALE,
    UNAVAILABLE,
    Kind,
    Refusal,
    respond,
)
from core import errors, logs
from core.errors import Fault

log = logs.get(__name__)

_GAVE_WAY = frozenset({"40001", "40P01", "55P03"})  # serialization, deadlock, lock not available
_BY_STATUS = {kind.status: kind for kind in KINDS}
_BY_ERROR: tuple[tuple[type[errors.OkaeriError], Kind], ...] = (
    (errors.Invalid, INVALID),
    (errors.NotFound, NOT_FOUND),
    (errors.StaleVersion, STALE),
    (errors.Conflict, CONFLICT),
    (errors.Unavailable, UNAVAILABLE),
)


async def on_refusal(request: Request, error: Exception) -> Response:
    """Answer what the door turned down."""
    assert isinstance(error, Refusal)
    return respond(
        request, error.kind, error.detail, faults=error.faults, extra=error.extra,
        headers=error.headers,
    )  # fmt: skip


async def on_okaeri_error(request: Request, error: Exception) -> Response:
    """Answer what a lower floor raised."""
    kind = next((kind for type_, kind in _BY_ERROR if isinstance(error, type_)), None)
    if kind is None:
        return unexpected(request, error)
    faults = error.faults if isinstance(error, errors.Invalid) else ()
    extra, headers = {}, {}
    if isinstance(error, errors.StaleVersion):
        extra["current_version"] = error.current
        headers["ETag"] = f'"{error.current}"'
    if kind is UNAVAILABLE:
        headers["Retry-After"] = "2"
    return respond(request, kind, str(error), faults=faults, extra=extra, headers=headers)


async def on_validation_error(request: Request, error: Exception) -> Response:
    """Answer what the framework found wrong with path, query, headers or body."""
    assert isinstance(error, RequestValidationError)
    faults = [fault_of(item) for item in error.errors()]
    detail = f"The request has {len(faults)} fault(s)."
    return respond(request, INVALID, detail, faults=faults)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer unknown paths and methods."""
    assert isinstance(error, HTTPException)
    kind = _BY_STATUS.get(error.status_code, INTERNAL)
    detail = {404: "There is nothing at this path.", 405: "This path does not take this method."}
    return respond(
        request,
        kind,
        detail.get(error.status_code, HTTPStatus(kind.status).phrase),
        headers=error.headers,
    )


async def on_integrity_error(request: Request, error: Exception) -> Response:
    """Answer a race that a unique key of the database has decided."""
    log.warning("api.integrity", error=type(getattr(error, "orig", error)).__name__)
    return respond(
        request,
        CONFLICT,
        "Somebody did the same at the same moment; look again before repeating it.",
    )


async def on_unavailable(request: Request, error: Exception) -> Response:
    """Answer that the database cannot be reached."""
    # The driver's own words name tables and hosts; SQLAlchemy's would quote the values as well.
    reason = str(getattr(error, "orig", "") or "")
    log.warning("api.database_unavailable", error=type(error).__name__, reason=reason)
    detail = "The database does not answer right now; nothing was changed, try again in a moment."
    return respond(request, UNAVAILABLE, detail, headers={"Retry-After": "2"})


async def on_database_error(request: Request, error: Exception) -> Response:
    """Answer a change that PostgreSQL gave up for another one: each held what the other wanted."""
    if getattr(getattr(error, "orig", None), "sqlstate", None) not in _GAVE_WAY:
        return unexpected(request, error)
    log.warning("api.gave_way", error=type(error).__name__)
    detail = "Another change to the same things came first; nothing was changed, try again."
    return respond(request, UNAVAILABLE, detail, headers={"Retry-After": "1"})


def unexpected(request: Request, error: BaseException) -> Response:
    """Log what nobody expected and answer without its insides."""
    log_unexpected(error, getattr(request.state, "request_id", ""))
    detail = (
        "The request was not carried out; the server's log has the reason under the request id."
    )
    return respond(request, INTERNAL, detail)


def log_unexpected(error: BaseException, request_id: str) -> None:
    """Where it happened, but not the error's own words: they may quote what the request held."""
    places, here = [], error.__traceback__
    while here is not None:
        code = here.tb_frame.f_code
        places.append(f"{code.co_filename.rsplit('/', 2)[-1]}:{here.tb_lineno} {code.co_name}")
        here = here.tb_next
    log.error("api.failed", request_id=request_id, error=type(error).__name__, at=places[-8:])


HANDLERS: dict[int | type[Exception], Any] = {
    Refusal: on_refusal,
    errors.OkaeriError: on_okaeri_error,
    RequestValidationError: on_validation_error,
    HTTPException: on_http_exception,
    IntegrityError: on_integrity_error,
    DBAPIError: on_database_error,
    OperationalError: on_unavailable,
    InterfaceError: on_unavailable,
    PoolTimeout: on_unavailable,
    ConnectionError: on_unavailable,
}

_JAPANESE = {
    "missing": "「{name}」がありません",
    "extra_forbidden": "「{name}」という項目はありません",
    "string_too_short": "「{name}」が短すぎます",
    "string_too_long": "「{name}」が長すぎます",
    "string_type": "「{name}」は文字列にしてください",
    "string_pattern_mismatch": "「{name}」の書き方が正しくありません",
    "int_parsing": "「{name}」は整数にしてください",
    "int_type": "「{name}」は整数にしてください",
    "int_from_float": "「{name}」は整数にしてください",
    "dict_type": "「{name}」はオブジェクトにしてください",
    "list_type": "「{name}」はリストにしてください",
    "too_long": "「{name}」の数が多すぎます",
    "too_short": "「{name}」の数が足りません",
    "literal_error": "「{name}」は決められた値のどれかにしてください",
    "greater_than_equal": "「{name}」が小さすぎます",
    "less_than_equal": "「{name}」が大きすぎます",
}
_ENGLISH = {"extra_forbidden": "unknown field {name!r}", "missing": "field {name!r} is missing"}


def fault_of(item: Mapping[str, Any]) -> Fault:
    """One of the framework's findings as a fault, without the value that was given."""
    where = (
        item["loc"][1:] if item["loc"][0] in {"body", "query", "path", "header"} else item["loc"]
    )
    name = str(where[-1]) if where else "body"
    reason = str(item["msg"]).removeprefix("Value error, ")
    template = _ENGLISH.get(item["type"])
    english = template.format(name=name) if template else reason
    if item["type"] == "value_error" and "／" in reason:
        english, _, japanese = reason.partition("／")
        return Fault(dotted(where), english, japanese)
    japanese = _JAPANESE.get(item["type"], "「{name}」の値が正しくありません").format(name=name)
    return Fault(dotted(where), english, japanese)


def dotted(location: Sequence[str | int]) -> str:
    """A place in what was given: `activities[3].kind`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
