"""Flow definitions: what a flow file may say, every field checked when it is saved.

key: welcome
name: 友だち追加のごあいさつ
trigger: {on: followed, where: {back: {eq: false}}}
entry: {once: ever}
steps:
  - say: "{{ friend.name }}、友だち追加ありがとうございます。"
  - wait: {days: 3, at: "19:00"}
  - message: second-visit        # a message template by its key
"""

import re
from datetime import datetime, time, timedelta
from difflib import get_close_matches
from math import isfinite
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    field_serializer,
    field_validator,
    model_validator,
)

from crm.activities import KINDS

OPERATORS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "contains", "exists")
MAX_STEPS = 200
MAX_WAIT_DAYS = 1_100
KEY_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,59}$"

Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN)]


class Part(BaseModel):
    """Base of all parts: an unknown field is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _number(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        msg = "must be a number"
        raise ValueError(msg)
    return value


# Kept as it was written: 3000, not 3000.0.
Number = Annotated[int | float, BeforeValidator(_number)]


class Condition(Part):
    """What one field of the activity's data must be."""

    eq: Any = None
    ne: Any = None
    gt: Number | None = None
    gte: Number | None = None
    lt: Number | None = None
    lte: Number | None = None
    in_: list[Any] | None = Field(None, alias="in")
    contains: str | None = None
    exists: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> "Condition":
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if not given or any(value is None for value in given.values()):
            msg = f"needs an operator with a value; operators are {', '.join(OPERATORS)}"
            raise ValueError(msg)
        return self

    def holds(self, value: Any) -> bool:  # noqa: ANN401
        """Whether the value meets every operator that is given; a missing value meets none."""
        return all(_holds(op, self._given(op), value) for op in self._operators())

    def _operators(self) -> list[str]:
        return ["in" if name == "in_" else name for name in self.model_fields_set]

    def _given(self, operator: str) -> Any:  # noqa: ANN401
        return getattr(self, "in_" if operator == "in" else operator)


def _holds(operator: str, wanted: Any, value: Any) -> bool:  # noqa: ANN401
    if operator == "exists":
        return (value is not None) is wanted
    if value is None:
        return False
    if operator in {"gt", "gte", "lt", "lte"}:
        return isinstance(value, int | float) and _compares(operator, value, wanted)
    found: dict[str, bool] = {
        "eq": value == wanted,
        "ne": value != wanted,
        "in": isinstance(wanted, list) and value in wanted,
        "contains": isinstance(wanted, str) and wanted in str(value),
    }
    return found[operator]


def _compares(operator: str, value: float, wanted: float) -> bool:
    return {
        "gt": value > wanted,
        "gte": value >= wanted,
        "lt": value < wanted,
        "lte": value <= wanted,
    }[operator]


class Trigger(Part):
    """The activity that starts the flow, with conditions on its data."""

    on: str
    where: dict[str, Condition] = {}

    @field_validator("on")
    @classmethod
    def _known(cls, kind: str) -> str:
        return known_activity(kind)


def known_activity(kind: str) -> str:
    """The kind itself; raises `ValueError` with the nearest known one."""
    if kind not in KINDS:
        near = get_close_matches(kind, KINDS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(KINDS))}"
        msg = f"unknown activity {kind!r}; {hint}"
        raise ValueError(msg)
    return kind


def _once(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str) and re.fullmatch(r"ever|always|per [1-9][0-9]{0,3}d", value):
        return value
    msg = "must be 'ever', 'always' or like 'per 365d'"
    raise ValueError(msg)


class Entry(Part):
    """How often one customer may enter."""

    once: Annotated[
        str,
        BeforeValidator(_once),
        WithJsonSchema({"type": "string", "pattern": "^(ever|always|per [1-9][0-9]{0,3}d)$"}),
    ] = "ever"

    def period(self) -> timedelta | None:
        """How long after entering a customer may not enter again; None for no limit."""
        if self.once == "always":
            return None
        return timedelta.max if self.once == "ever" else timedelta(days=int(self.once[4:-1]))


class ExitWhen(Part):
    """The activity that ends the walk."""

    activity: str

    @field_validator("activity")
    @classmethod
    def _known(cls, kind: str) -> str:
        return known_activity(kind)


class Exit(Part):
    """When the goal is reached or the flow no longer fits."""

    when: ExitWhen


def _clock_time(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str) and (
        found := re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", value)
    ):
        return time(int(found[1]), int(found[2]))
    msg = 'must be a clock time like "19:00"'
    raise ValueError(msg)


class Wait(Part):
    """How long to wait: days, hours and minutes, and then until a clock time of the shop.

    `{days: 3, at: "19:00"}` is 19:00 of the third day after, by the shop's calendar.
    """

    days: int = Field(0, ge=0, le=MAX_WAIT_DAYS)
    hours: int = Field(0, ge=0, le=24 * MAX_WAIT_DAYS)
    minutes: int = Field(0, ge=0, le=24 * 60 * MAX_WAIT_DAYS)
    at: Annotated[
        time | None,
        BeforeValidator(_clock_time),
        WithJsonSchema({"type": "string", "pattern": "^([01]?[0-9]|2[0-3]):[0-5][0-9]$"}),
    ] = None

    @field_serializer("at")
    def _written(self, at: time | None) -> str | None:
        return at.strftime("%H:%M") if at else None

    @model_validator(mode="after")
    def _something(self) -> "Wait":
        if not (self.days or self.hours or self.minutes or self.at):
            msg = "says no time; give days, hours, minutes or at"
            raise ValueError(msg)
        return self

    def until(self, start: datetime, zone: ZoneInfo) -> datetime:
        """The moment at which a wait that begins at `start` ends."""
        local = start.astimezone(zone)
        by_calendar = (local.replace(tzinfo=None) + timedelta(days=self.days)).replace(tzinfo=zone)
        moment = by_calendar.astimezone(start.tzinfo) + timedelta(
            hours=self.hours, minutes=self.minutes
        )
        if self.at is None:
            return moment
        day = moment.astimezone(zone).date()
        target = datetime.combine(day, self.at, zone)
        # Days are the calendar's: 19:00 of the third day. Hours are to be waited in full.
        earliest = moment if self.hours or self.minutes else start + timedelta.resolution
        if target.astimezone(start.tzinfo) < earliest:
            target = datetime.combine(day + timedelta(days=1), self.at, zone)
        return target.astimezone(start.tzinfo)


class Step(Part):
    """One step: exactly one of its fields is given."""

    say: Annotated[str, StringConstraints(min_length=1)] | None = None
    message: Key | None = None
    messages: list[dict[str, Any]] | None = Field(None, min_length=1, max_length=5)
    wait: Wait | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Step":
        given = sorted(self.model_fields_set)
        if len(given) != 1:
            msg = f"must be exactly one of {', '.join(Step.model_fields)}; found {given or 'none'}"
            raise ValueError(msg)
        return self


class FlowDefinition(Part):
    """A whole flow."""

    key: Key
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    trigger: Trigger
    entry: Entry = Entry()
    exit: Exit | None = None
    caps: Literal["marketing", "transactional"] = "marketing"
    topic: Key = "news"
    steps: list[Step] = Field(min_length=1, max_length=MAX_STEPS)

    @property
    def refusable_topic(self) -> str | None:
        """The topic that customers may have refused; None for what they must hear."""
        return self.topic if self.caps == "marketing" else None

    def template_keys(self) -> list[str]:
        """The message templates that the steps name."""
        return [step.message for step in self.steps if step.message]
