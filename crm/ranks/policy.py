"""The rank policy: tiers, what earns them over which window, and for how long they are kept."""

from collections import Counter
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crm.policies import PolicyDocument

MAX_TIERS = 10
Basis = Literal["amount", "count"]
Period = Literal["year", "half", "quarter", "month"]
MONTHS = {"year": 12, "half": 6, "quarter": 3, "month": 1}
Perk = Annotated[str, Field(min_length=1, max_length=100)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tier(_Part):
    """One rank. `threshold` in yen or purchases; `point_rate` in percent of what is paid."""

    key: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$", examples=["gold"])
    name: str = Field(min_length=1, max_length=20, examples=["ゴールド"])
    threshold: int = Field(ge=0, le=1_000_000_000)
    point_rate: float = Field(1.0, ge=0, le=100, allow_inf_nan=False)
    perks: list[Perk] = Field(default_factory=list, max_length=10)
    colour: str = Field("#6B7280", pattern=r"^#[0-9A-Fa-f]{6}$")


class Rolling(_Part):
    """The last so many months, up to and with today."""

    months: int = Field(ge=1, le=60)


class Calendar(_Part):
    """A fixed period. With `start_month` 4 the year runs from April, and a half year from April and
    October. What was earned in the period before counts on in this one, as its rank does.
    """

    calendar: Period
    start_month: int = Field(1, ge=1, le=12)


class RankPolicy(PolicyDocument):
    """How ranks are earned and kept.

    A purchase counts once it is paid and while it is not cancelled: by `amount` with what is left
    of it after refunds, by `count` unless nothing is left. A rank is given at once when it is
    earned, kept for `keep_months` and then to the end of the month (or of the calendar period); not
    before that end does it become what the window earns then, whatever is refunded meanwhile.
    """

    key: ClassVar[str] = "ranks"

    basis: Basis = "amount"
    window: Rolling | Calendar = Rolling(months=12)
    keep_months: int = Field(12, ge=1, le=60)
    tiers: list[Tier] = Field(
        default_factory=lambda: list(DEFAULT_TIERS), min_length=1, max_length=MAX_TIERS
    )

    @model_validator(mode="after")
    def _tiers_are_a_ladder(self) -> Self:
        for field in ("key", "name"):
            value, times = Counter(getattr(tier, field) for tier in self.tiers).most_common(1)[0]
            if times > 1:
                msg = f"tiers: two tiers have the {field} {value}／{value} のランクが重複しています"
                raise ValueError(msg)
        if self.tiers[0].threshold != 0:
            msg = (
                "tiers: the first tier's threshold must be 0, as every member has it"
                "／最初のランクの条件は 0 にしてください（全会員が対象）"
            )
            raise ValueError(msg)
        for lower, higher in pairwise(self.tiers):
            if higher.threshold <= lower.threshold:
                msg = (
                    f"tiers: {higher.key} must have a higher threshold than {lower.key}"
                    f"／「{higher.name}」の条件は「{lower.name}」より高くしてください"
                )
                raise ValueError(msg)
        return self

    def level(self, key: str | None) -> int | None:
        """Where on the ladder a tier is, from 0; None for no rank and for one that is no more."""
        return next((n for n, tier in enumerate(self.tiers) if tier.key == key), None)

    def tier(self, key: str | None) -> Tier | None:
        """The tier of this key; None for no rank and for one that is no more."""
        return next((tier for tier in self.tiers if tier.key == key), None)

    def point_rate(self, key: str | None) -> float:
        """Percent of points that a customer of this rank gets; the first tier's for no rank."""
        return (self.tier(key) or self.tiers[0]).point_rate

    def earned(self, achieved: int) -> int:
        """The level that this amount or count earns."""
        return max(n for n, tier in enumerate(self.tiers) if tier.threshold <= achieved)


class AppliedRanks(PolicyDocument):
    """Which version of the rank policy the last review has applied to all customers."""

    key: ClassVar[str] = "ranks-applied"

    version: int = 0


DEFAULT_TIERS: tuple[Tier, ...] = (
    Tier(key="regular", name="レギュラー", threshold=0, point_rate=1, colour="#6B7280",
         perks=["お買い物でポイントが貯まります"]),
    Tier(key="silver", name="シルバー", threshold=10_000, point_rate=1.5, colour="#8A94A6",
         perks=["ポイント1.5倍"]),
    Tier(key="gold", name="ゴールド", threshold=50_000, point_rate=2, colour="#B8860B",
         perks=["ポイント2倍", "セールに先行ご招待"]),
    Tier(key="platinum", name="プラチナ", threshold=150_000, point_rate=3, colour="#334155",
         perks=["ポイント3倍", "セールに先行ご招待", "送料無料"]),
)  # fmt: skip
