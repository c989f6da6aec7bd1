"""The shop's time, and moving it where it is simulated."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, model_validator

from admin import audit
from admin.api.fields import Given, Moment, Told, like
from admin.api.routing import Api, Shared, Who, least, router
from admin.clock import AdvanceClock
from core.errors import Conflict, Fault, Invalid

routes = router("clock")

MAX_STEP = timedelta(days=400)


class Time(Told):
    """The shop's time."""

    model_config = like(
        {"now": "2026-11-22T01:00:00Z", "simulated": True, "time_zone": "Asia/Tokyo"}
    )

    now: datetime
    simulated: bool = Field(description="Whether time moves only when told")
    time_zone: str


class MoveTime(Given):
    """Where to: exactly one of the two."""

    model_config = like({"advance_seconds": 86400})

    advance_seconds: Annotated[int, Field(ge=1, le=int(MAX_STEP.total_seconds()))] | None = None
    now: Moment | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "MoveTime":
        if (self.advance_seconds is None) == (self.now is None):
            msg = (
                "give either advance_seconds or now"
                "／advance_seconds か now のどちらか一方を指定してください"
            )
            raise ValueError(msg)
        return self


class RanAt(Told):
    """What ran at one moment on the way."""

    at: datetime
    what: str = Field(description="The belt or job")
    count: int = Field(description="How many rows it moved")


class TimeMoved(Told):
    """The time now, and what ran on the way, in order."""

    model_config = like(
        {
            "now": "2026-11-23T01:00:00Z",
            "ran": [{"at": "2026-11-22T10:00:00Z", "what": "steps", "count": 12}],
        }
    )

    now: datetime
    ran: list[RanAt]


@routes.get("/clock", summary="Tell the time", openapi_extra=least("viewer", "現在の時刻"))
async def tell(api: Shared) -> Time:
    """The shop's time, in UTC, and whether it is simulated."""
    runtime = api.runtime
    return Time(
        now=await runtime.clock.now(),
        simulated=runtime.clock.simulated,
        time_zone=runtime.settings.time_zone,
    )


@routes.post("/clock", summary="Move the time on", openapi_extra=least("owner", "時刻を進める"))
async def move(wanted: MoveTime, api: Shared, caller: Who) -> TimeMoved:
    """Move the simulated time on, by 1 second to 400 days.

    Everything that falls due on the way runs in order, and the answer comes when it has run. With
    `OKAERI_CLOCK=real` time moves by itself, and this answers 409; so does going back. To repeat a
    request safely, say `now` rather than `advance_seconds`.
    """
    if api.advance is None or not api.runtime.clock.simulated:
        raise Conflict("The clock is real here; only a simulated one (OKAERI_CLOCK) can be moved.")
    async with api.moving:
        moved = await _move(api, api.advance, wanted)
    await _note(api, caller.actor, moved)
    return moved


async def _move(api: Api, advance: AdvanceClock, wanted: MoveTime) -> TimeMoved:
    now = await api.runtime.clock.now()
    to = wanted.now or now + timedelta(seconds=wanted.advance_seconds or 0)
    if to < now:
        raise Conflict(f"Time cannot go back from {now.isoformat()} to {to.isoformat()}.")
    if to - now > MAX_STEP:
        raise Invalid("That is too far.", [
            Fault("now", f"is more than {MAX_STEP.days} days ahead",
                  f"一度に進められるのは{MAX_STEP.days}日までです")])  # fmt: skip
    ran = await advance(to)
    return TimeMoved(
        now=await api.runtime.clock.now(), ran=[RanAt.model_validate(each) for each in ran]
    )


async def _note(api: Api, actor: str, moved: TimeMoved) -> None:
    async with api.runtime.db.transaction() as session:
        audit.note(
            session, actor=actor, action="clock.move", subject="clock", now=moved.now,
            data={"to": moved.now.isoformat(), "ran": len(moved.ran)},
        )  # fmt: skip
