"""Logs: whatever is logged, by us or by a library, no secret and no personal datum comes out."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import pytest
import structlog
import uvicorn
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core import logs
from core.db import Database
from core.settings import load

LONG_TOKEN = "hunter2" + "Ab3/+=" * 25  # a channel access token is some 170 characters of base64
OUR_TOKEN = "okaeri_hunter2-hunter2-hunter2-hunter2-hunter2_ab"
USER_ID = "U" + "0123456789abcdef" * 2
GROUP_ID = "C" + "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, config = root.handlers, root.level, structlog.get_config()
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**config)


@pytest.fixture(params=["json", "text"])
def written(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Logs set up in each form; calling it gives what was written."""
    logs.set_up(
        load(_env_file=None, clock="simulated", log_level="DEBUG", log_format=request.param)
    )
    [handler] = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    stream = io.StringIO()
    handler.setStream(stream)
    return stream.getvalue


@dataclass
class Holder:
    """A thing whose repr tells everything."""

    secret: str


FIELDS: list[dict[str, Any]] = [
    {"token": "hunter2"},
    {"access_token": b"hunter2"},
    {"channel_secret": "hunter2"},
    {"Authorization": "Bearer hunter2"},
    {"x_line_signature": "hunter2"},
    {"text": "hunter2"},
    {"display_name": "hunter2"},
    {"phone": "hunter2"},
    {"email": "hunter2@example.com"},
    {"body": {"events": ["hunter2"]}},
    {"payload": ["hunter2"]},
    {"header": "Bearer hunter2"},
    {"value": LONG_TOKEN},
    {"value": LONG_TOKEN.encode()},
    {"value": OUR_TOKEN},
    {"call": {"headers": {"Authorization": "Bearer hunter2"}}},
    {"call": {"to": ["x", {"text": "hunter2"}]}},
    {"call": [{"deep": ({"token": "hunter2"},)}]},
    {"call": [LONG_TOKEN, (OUR_TOKEN,)]},
    {"error": ValueError(f"refused {LONG_TOKEN}")},
    {"holder": Holder(OUR_TOKEN)},
    {"error": "invalid input for query argument $3: ['hunter2'] (a str is required)"},
    {"error": "duplicate key\nDETAIL:  Key (email)=(hunter2@example.com) already exists."},
    {"error": "row\nDETAIL:  Failing row contains (1, hunter2, null)."},
]  # fmt: skip


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_no_secret_comes_out_of_a_field(fields: dict[str, Any], written: Callable[[], str]) -> None:
    logs.get("shop").warning("something.happened", **fields)

    line = written()
    assert "something.happened" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    "fields",
    [{"user": USER_ID}, {"path": f"/friends/{USER_ID}"}, {"all": [USER_ID, {"group": GROUP_ID}]},
     {"error": KeyError(USER_ID)}, {USER_ID: 1}],
    ids=str,
)  # fmt: skip
def test_user_ids_are_cut_short(fields: dict[str, Any], written: Callable[[], str]) -> None:
    logs.get("shop").info(f"met {USER_ID}", **fields)

    assert "0123456789abcdef" not in written()


def raise_inside() -> NoReturn:
    raise ValueError(f"inner {LONG_TOKEN} {USER_ID}")


def raise_deeply() -> NoReturn:
    try:
        raise_inside()
    except ValueError as error:
        raise RuntimeError(f"outer Bearer hunter2 {OUR_TOKEN}") from error


@pytest.mark.parametrize("logger", ["ours", "library"])
def test_no_secret_comes_out_of_an_exception(logger: str, written: Callable[[], str]) -> None:
    log: Any = logs.get("shop") if logger == "ours" else logging.getLogger("somebody.else")
    try:
        raise_deeply()
    except RuntimeError:
        log.exception("it failed")

    line = written()
    assert "RuntimeError" in line
    assert "ValueError" in line
    assert "hunter2" not in line
    assert "0123456789abcdef" not in line


async def test_no_value_comes_out_of_an_error_of_the_database(
    db: Database, written: Callable[[], str]
) -> None:
    for value in ("hunter2", 10**30):
        try:
            async with db.transaction() as session:
                query = text("INSERT INTO simulated_time (id, now_at) VALUES (:id, 'hunter2')")
                await session.execute(query, {"id": value})
        except (DBAPIError, OverflowError):
            logs.get("shop").exception("it failed")

    line = written()
    assert "it failed" in line
    assert "hunter2'" not in line.replace("VALUES (", "").replace(", 'hunter2')", "")


def test_libraries_write_in_the_same_form_and_are_scrubbed(written: Callable[[], str]) -> None:
    uvicorn.Config(None, log_config=None)  # type: ignore[arg-type]
    logging.getLogger("uvicorn.error").error("Invalid header %s", f"Bearer {LONG_TOKEN}")
    logging.getLogger("uvicorn.access").info("GET /friends/%s", USER_ID)
    logging.getLogger("aiohttp.client").warning("Bearer hunter2")

    lines = written()
    assert "Invalid header" in lines
    assert "hunter2" not in lines
    assert "0123456789abcdef" not in lines


async def test_what_asyncio_tells_of_forgotten_tasks_is_scrubbed(
    written: Callable[[], str],
) -> None:
    context = {"message": f"forgotten {LONG_TOKEN}", "exception": ValueError(f"of {USER_ID}")}

    asyncio.get_running_loop().call_exception_handler(context)

    lines = written()
    assert "forgotten" in lines
    assert "hunter2" not in lines
    assert "0123456789abcdef" not in lines


def test_harmless_fields_stay_readable(written: Callable[[], str]) -> None:
    logs.get("shop").info("belt.done", belt="events", count=3, status=None, seconds=0.5)

    line = written()
    for shown in ("belt.done", "events", "3", "0.5", "shop", "info"):
        assert shown in line


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_each_line_is_one_json_object(written: Callable[[], str]) -> None:
    try:
        raise_deeply()
    except RuntimeError:
        logs.get("shop").exception("it failed", note="two\nlines", odd=object(), raw=b"\xff")
    logging.getLogger("somebody.else").warning("two\nlines")

    lines = written().splitlines()
    assert len(lines) == 2
    for line in lines:
        assert {"event", "level", "logger", "timestamp"} <= json.loads(line).keys()


@pytest.mark.parametrize("written", ["json"], indirect=True)
def test_a_message_with_line_breaks_cannot_forge_a_second_line(written: Callable[[], str]) -> None:
    logging.getLogger("uvicorn.error").warning('x\n{"event": "all is well"}')

    assert len(written().splitlines()) == 1


def test_noisy_libraries_are_quiet_below_warnings(written: Callable[[], str]) -> None:
    for name in ("sqlalchemy.engine", "aiosqlite", "docket", "apscheduler"):
        logging.getLogger(name).info("hunter2")

    assert not written()
