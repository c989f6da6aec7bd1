"""Structured logs, one JSON object a line, without personal data or secrets."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from core.settings import Settings

# Names under which a secret or a personal datum would travel; better one word too many.
HIDDEN = re.compile(
    r"token|secret|password|authorization|signature|cookie|nonce|text|display_name|phone|email"
    r"|birthday|address|body|payload|picture",
    re.IGNORECASE,
)
# Long-lived tokens and our own are long runs of base64; user ids are personal.
LONG_SECRET = re.compile(r"okaeri_[\w-]{20,}|Bearer\s+\S+|[A-Za-z0-9+/=_-]{80,}")
# What databases repeat of the values they were given.
DATABASE_VALUE = re.compile(
    r"(query argument \$\d+: |Key \([^)]*\)=|Failing row contains )[^\n]*", re.IGNORECASE
)
USER_ID = re.compile(r"\b([UCR])[0-9a-f]{32}\b")


def get(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of one module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def hide(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace what must not be written, however deep it lies; a processor of structlog."""
    for key in [key for key in event if not key.startswith("_")]:  # those are structlog's own
        value = event.pop(key)
        hidden = key != "event" and HIDDEN.search(key)
        event[scrub(key)] = "[hidden]" if hidden else _hidden_inside(value)
    return event


def scrub(text: str) -> str:
    """A text without tokens and values of database errors, and with user ids cut short."""
    plain = DATABASE_VALUE.sub(r"\1[hidden]", LONG_SECRET.sub("[hidden]", text))
    return USER_ID.sub(r"\1…", plain)


def _hidden_inside(value: Any) -> Any:  # noqa: ANN401
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return hide(None, "", {str(key): inner for key, inner in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden_inside(inner) for inner in value]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    return scrub(value if isinstance(value, str) else repr(value))


def set_up(settings: Settings) -> None:
    """Send our logs and those of libraries to stderr in one form."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for noisy in ("aiosqlite", "alembic", "apscheduler", "docket", "httpx", "sqlalchemy.engine"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
