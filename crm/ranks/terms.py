"""Windows in which ranks are earned and terms for which they are kept, in the shop's days.

All moments are UTC; a span goes from its beginning up to, and without, its end.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from crm.ranks.policy import MONTHS, RankPolicy, Rolling

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """Time from `begin` until `end`, which is not in it."""

    begin: datetime
    end: datetime


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The shop's day of a moment."""
    return moment.astimezone(zone).date()


def last_day(end: datetime, zone: ZoneInfo) -> date:
    """The last day before an end: 30 June for the midnight that begins 1 July."""
    return local_day(end - timedelta(microseconds=1), zone)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day of the shop begins."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def add_months(day: date, months: int) -> date:
    """The same day so many months later (or earlier), or the last of a month that has none."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def windows(policy: RankPolicy, now: datetime, zone: ZoneInfo) -> list[Span]:
    """The spans of which the better one decides: the current one first.

    A calendar's last period counts on: what it earned is held at least until the end of this one.
    """
    today = local_day(now, zone)
    if isinstance(policy.window, Rolling):
        return [Span(midnight(_first_of_rolling(today, policy.window.months), zone),
                     midnight(today + DAY, zone))]  # fmt: skip
    begin, size = _period_begin(policy, today), _months(policy)
    days = [add_months(begin, -size), begin, add_months(begin, size)]
    before, this, after = (midnight(day, zone) for day in days)
    return [Span(this, after), Span(before, this)]


def windows_at_end(policy: RankPolicy, end: datetime, zone: ZoneInfo) -> list[Span]:
    """The spans that decide when a term ends: the period that ends then.

    Where the period goes on (the policy was another when the term began), the one before, too.
    """
    spans = windows(policy, end - timedelta(microseconds=1), zone)
    return [spans[0]] if spans[0].end == end else spans


def term_end(policy: RankPolicy, since: datetime, zone: ZoneInfo) -> datetime:
    """Until when a rank is kept that was given (or confirmed) at `since`."""
    day = local_day(since, zone)
    target = add_months(day, policy.keep_months)
    begin = _period_begin(policy, target)
    if begin == target and since == midnight(day, zone):
        return midnight(begin, zone)
    return midnight(add_months(begin, _months(policy)), zone)


def holds_until(policy: RankPolicy, oldest: datetime | None, now: datetime, zone: ZoneInfo
                ) -> datetime | None:  # fmt: skip
    """Until when what is achieved now stays so without more purchases or refunds.

    The end of the calendar's period, or when the `oldest` counted purchase leaves the window; None
    where nothing is counted.
    """
    if not isinstance(policy.window, Rolling):
        return windows(policy, now, zone)[0].end
    if oldest is None:
        return None
    bought, months = local_day(oldest, zone), policy.window.months
    day = add_months(bought, months) - DAY
    while _first_of_rolling(day + DAY, months) <= bought:  # months of unlike length
        day += DAY
    return midnight(day + DAY, zone)


def _first_of_rolling(today: date, months: int) -> date:
    return add_months(today, -months) + DAY


def _months(policy: RankPolicy) -> int:
    """Terms end with a period of so many months: of the calendar's, or with a month."""
    return 1 if isinstance(policy.window, Rolling) else MONTHS[policy.window.calendar]


def _period_begin(policy: RankPolicy, day: date) -> date:
    start = 1 if isinstance(policy.window, Rolling) else policy.window.start_month
    return add_months(day.replace(day=1), -((day.month - start) % _months(policy)))
