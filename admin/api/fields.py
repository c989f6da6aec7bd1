"""Fields that many resources share: ids, keys, moments, versions."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, ParamSpec, TypeVar

from fastapi import Header, Path, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from admin.api.problems import PRECONDITION, Refusal
from core.errors import Fault, Invalid, StaleVersion
from flows.definition import KEY_PATTERN

MAX_ID = (1 << 63) - 1
MAX_SMALL_ID = (1 << 31) - 1
FIRST_YEAR, LAST_YEAR = 1970, 2200
ETAG = re.compile(r'"(\d{1,9})"')
P = ParamSpec("P")
T = TypeVar("T")


def _moment(value: Any) -> Any:  # noqa: ANN401
    """ISO 8601 with a zone. A plus sign that a query string has turned into a space is mended."""
    if isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(re.sub(r" (\d\d:?\d\d)$", r"+\1", value))
    except (TypeError, ValueError):
        found = None
    if found is None or found.tzinfo is None or not FIRST_YEAR < found.year < LAST_YEAR:
        msg = (
            "must be a date and time with a zone, like 2026-11-22T10:00:00+09:00"
            "／2026-11-22T10:00:00+09:00 のように、時差つきの日時にしてください"
        )
        raise ValueError(msg)
    return found.astimezone(UTC)


def _trimmed(value: str) -> str:
    if not value.strip():
        msg = "must not be empty／空にはできません"
        raise ValueError(msg)
    return value.strip()


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="validation"),
]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_trimmed)]
RowId = Annotated[int, Field(ge=1, le=MAX_ID)]
PathId = Annotated[int, Path(alias="id", ge=1, le=MAX_ID)]
PathSmallId = Annotated[int, Path(alias="id", ge=1, le=MAX_SMALL_ID)]
PathKey = Annotated[str, Path(pattern=KEY_PATTERN)]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description="The `ETag` that you have read", examples=['"3"']),
]


class Given(BaseModel):
    """Base of what comes in: an unknown field is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid")


class Told(BaseModel):
    """Base of what goes out, read from a row's attributes."""

    model_config = ConfigDict(from_attributes=True)


def like(example: Any) -> ConfigDict:  # noqa: ANN401
    """The configuration of a model that is shown by this example."""
    return ConfigDict(json_schema_extra={"examples": [example]})


def version_read(if_match: str | None) -> int | None:
    """The version that the caller has read; None where they do not say."""
    if if_match is None:
        return None
    found = ETAG.fullmatch(if_match.strip())
    if found is None:
        raise Invalid("The If-Match header cannot be read.", [
            Fault("If-Match", 'must be an ETag of ours, like "3" with its quotes',
                  'ETagの値を引用符ごと（例: "3"）指定してください')])  # fmt: skip
    return int(found[1])


def check_version(current: int, if_match: str | None, *, needed: bool) -> None:
    """Raise `StaleVersion` when another version was read, and answer 428 when none was said."""
    read = version_read(if_match)
    if read is None and needed:
        detail = f"It is at version {current}; send the ETag that you have read as If-Match."
        raise Refusal(PRECONDITION, detail, extra={"current_version": current})
    if read is not None and read != current:
        raise StaleVersion(current=current)


def tag_version(response: Response, version: int) -> None:
    """Tell the version as the ETag header."""
    response.headers["ETag"] = f'"{version}"'


async def beside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a slow check in a thread, so that webhooks do not wait for it."""
    return await asyncio.to_thread(work, *args, **kwargs)
