"""The rules of points, as the shop sets them."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from crm.policies import PolicyDocument

MAX_RATE = 100.0
MAX_POINTS = 1_000_000_000

Text = Annotated[str, Field(min_length=1, max_length=100)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _each_once(values: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(values), reverse=True))


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expiry(_Part):
    """Points expire so many months after they became available, when that day (or month) ends.

    A day that the last month lacks is its last day: 31 January and one month is 28 February.
    """

    months: int = Field(12, ge=1, le=120)
    end_of: Literal["day", "month"] = "day"


class Campaign(_Part):
    """More points for a while; what is left empty does not limit it.

    Days are the shop's own. Limited to products, it multiplies only the lines that hold them.
    """

    name: Text
    multiplier: float = Field(ge=1, le=100, allow_inf_nan=False, description="2 doubles the points")
    starts_on: date | None = Field(None, description="The first day")
    ends_on: date | None = Field(None, description="The last day, which is part of it")
    weekdays: tuple[Weekday, ...] = Field((), max_length=7)
    days_of_month: tuple[Annotated[int, Field(ge=1, le=31)], ...] = Field((), max_length=31)
    categories: tuple[Text, ...] = Field((), max_length=100)
    skus: tuple[Text, ...] = Field((), max_length=1000)
    ranks: tuple[Text, ...] = Field((), max_length=20)

    @model_validator(mode="after")
    def _in_order(self) -> "Campaign":
        if self.starts_on and self.ends_on and self.ends_on < self.starts_on:
            msg = "ends_on is before starts_on／終了日が開始日より前です"
            raise ValueError(msg)
        return self


class PointsPolicy(PolicyDocument):
    """How points are earned, when they become usable, when they expire, what staff may do.

    Earned: (amount paid, without what was paid in points) × rate ÷ 100 × multiplier, rounded down
    once for the whole purchase. The rate is that of the customer's rank at the purchase, or
    `base_rate`; the multiplier of each line is the highest of the campaigns in force when it was
    bought: campaigns do not multiply each other.
    """

    key: ClassVar[str] = "points"

    base_rate: float = Field(
        1.0, ge=0, le=MAX_RATE, allow_inf_nan=False, description="Percent, for who has no rank"
    )
    yen_per_point: int = Field(1, ge=1, le=1000, description="What a point is worth")
    campaigns: tuple[Campaign, ...] = Field((), max_length=100)
    earns_from: date | None = Field(
        None, description="Purchases before this day earn nothing (for a move from another system)"
    )
    return_window_days: int = Field(
        0, ge=0, le=365,
        description="Days from delivery (or purchase, until that is known) for which points are "
        "pending; they become usable when the last of these days ends. 0: at once",
    )  # fmt: skip
    expiry: Expiry | None = Field(Expiry(), description="null: never")
    expiry_notice_days: Annotated[
        tuple[Annotated[int, Field(ge=1, le=180)], ...], AfterValidator(_each_once)
    ] = Field((30, 7), max_length=5, description="Activity points_expiring, so many days before")
    reopen_days: int = Field(
        30, ge=1, le=365,
        description="Points that come back after their time is over are good for so many days",
    )  # fmt: skip
    overdraw: Literal["settle", "staff"] = Field(
        "settle",
        description="What a refund could not take back is owed: settle takes it from later grants "
        "by itself, staff leaves it to them",
    )
    staff_daily_limit: int | None = Field(
        10_000, ge=0, le=MAX_POINTS,
        description="Points that one member of staff may correct in a day, up and down together",
    )  # fmt: skip
