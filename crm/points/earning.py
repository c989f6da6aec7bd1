"""What a purchase earns."""

from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from crm.points import calendar
from crm.points.policy import WEEKDAYS, Campaign, PointsPolicy


def points_of(
    purchase: Any,  # noqa: ANN401 - a purchase, or a row of one
    lines: Sequence[Any],
    *,
    rank: str | None,
    rates: Mapping[str, float],
    policy: PointsPolicy,
    zone: ZoneInfo,
) -> int:
    """What the whole purchase earns, refunds left aside; rounded down once.

    Paid money × rate × the lines' share-weighted multiplier. What the total has beyond its lines
    (postage) gets the multiplier of campaigns that are not limited to products; where the lines
    exceed the total (a discount), they share it.
    """
    day = calendar.day_of(purchase.purchased_at, zone)
    if policy.earns_from is not None and day < policy.earns_from:
        return 0
    paid = max(0, purchase.total - purchase.points_used * policy.yen_per_point)
    rate = Fraction(str(rates.get(rank or "", policy.base_rate)))
    campaigns = [one for one in policy.campaigns if _in_force(one, day, rank)]
    return int(paid * rate / 100 * _multiplier(purchase.total, lines, campaigns))


def share_of(full: int, full_for: int, total: int, refunded: int) -> int:
    """What is left of a purchase's points after refunds, or for a corrected total; rounded down."""
    return full * (total - refunded) // full_for if full_for > 0 else 0


def _in_force(campaign: Campaign, day: date, rank: str | None) -> bool:
    return (
        (campaign.starts_on is None or campaign.starts_on <= day)
        and (campaign.ends_on is None or day <= campaign.ends_on)
        and (not campaign.weekdays or WEEKDAYS[day.weekday()] in campaign.weekdays)
        and (not campaign.days_of_month or day.day in campaign.days_of_month)
        and (not campaign.ranks or rank in campaign.ranks)
    )


def _multiplier(total: int, lines: Sequence[Any], campaigns: Sequence[Campaign]) -> Fraction:
    for_all = [one for one in campaigns if not (one.categories or one.skus)]
    limited = [one for one in campaigns if one.categories or one.skus]
    common = _highest(for_all)
    amounts = [
        (max(0, line.quantity * line.unit_price),
         max(common, _highest([one for one in limited if _holds(one, line)])))
        for line in lines
    ]  # fmt: skip
    in_lines = sum(amount for amount, _multiplier_ in amounts)
    whole = max(total, in_lines)
    if whole == 0:
        return common
    weighted = sum((amount * each for amount, each in amounts), (whole - in_lines) * common)
    return Fraction(weighted, whole)


def _highest(campaigns: Sequence[Campaign]) -> Fraction:
    return max((Fraction(str(one.multiplier)) for one in campaigns), default=Fraction(1))


def _holds(campaign: Campaign, line: Any) -> bool:  # noqa: ANN401
    return line.category in campaign.categories or line.sku in campaign.skus
