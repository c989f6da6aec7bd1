"""Days and months of the shop's calendar, as moments."""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from crm.points.policy import PointsPolicy

JAPAN = ZoneInfo("Asia/Tokyo")
LAST_YEAR = 2200


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """The shop's day of a moment."""
    return moment.astimezone(zone).date()


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The moment at which a day of the shop begins."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The moment at which a day of the shop is over: the next one's beginning."""
    return start_of(day + timedelta(days=1), zone)


def months_after(day: date, months: int) -> date:
    """The same day so many months later; the month's last day where it has no such day."""
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def expiry_of(available_at: datetime, policy: PointsPolicy, zone: ZoneInfo) -> datetime | None:
    """When points that become usable at a moment expire by the policy; None is never."""
    if policy.expiry is None:
        return None
    last = months_after(day_of(available_at, zone), policy.expiry.months)
    if policy.expiry.end_of == "month":
        last = last.replace(day=monthrange(last.year, last.month)[1])
    return end_of(last, zone)


def usable_from(begins_at: datetime, policy: PointsPolicy, zone: ZoneInfo) -> datetime:
    """When points become usable whose return window begins at a moment."""
    if policy.return_window_days == 0:
        return begins_at
    return end_of(day_of(begins_at, zone) + timedelta(days=policy.return_window_days), zone)
