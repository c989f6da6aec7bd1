"""The ledger: granted once, spent soonest first, never below zero."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from core.errors import Conflict, Invalid
from crm.points import ledger
from crm.points.ledger import OverDailyLimit, Overdrawn
from tests.crm.points.conftest import NOW, Books

TOKYO = ZoneInfo("Asia/Tokyo")
DAY = timedelta(days=1)


async def test_the_same_grant_counts_once(books: Books) -> None:
    new = [await books.grant(100, "welcome:1") for _ in range(10)]

    assert sum(new) == 1
    assert await books.points() == (100, 0)
    assert await books.told("points_granted") == [
        {"points": 100, "balance": 100, "reason": "おためし"}
    ]


async def test_the_soonest_to_expire_is_spent_first(books: Books) -> None:
    await books.grant(100, "late", expires_at=NOW + 30 * DAY)
    await books.grant(100, "never", expires_at=None)
    await books.grant(100, "soon", expires_at=NOW + 3 * DAY)

    await books.spend(150, "order:1")

    assert [lot.remaining for lot in await books.lots()] == [50, 100, 0]
    assert await books.entries() == [
        ("grant", 100), ("grant", 100), ("grant", 100), ("spend", -150)
    ]  # fmt: skip


async def test_spending_more_than_there_is_says_how_much_there_is_and_changes_nothing(
    books: Books,
) -> None:
    await books.grant(100, "welcome")

    with pytest.raises(Overdrawn, match="残高は100ポイント") as refused:
        await books.spend(101, "order:1")

    assert (refused.value.balance, refused.value.wanted) == (100, 101)
    assert await books.points() == (100, 0)
    assert await books.entries() == [("grant", 100)]


async def test_the_same_spend_again_is_the_first_one_and_another_under_its_name_is_refused(
    books: Books,
) -> None:
    await books.grant(100, "welcome")
    first = await books.spend(60, "order:1")

    assert await books.spend(60, "order:1") == first
    with pytest.raises(Conflict):
        await books.spend(30, "order:1")
    assert await books.points() == (40, 0)


@pytest.mark.parametrize("points", [0, -1, 10**10])
async def test_a_strange_number_of_points_is_refused(books: Books, points: int) -> None:
    with pytest.raises(Invalid):
        await books.grant(points, "strange")
    with pytest.raises(Invalid):
        await books.spend(points, "strange")


async def test_expired_points_cannot_be_spent_before_the_nightly_job_has_run(books: Books) -> None:
    await books.grant(100, "welcome", expires_at=NOW + DAY)
    standing = await books.standing(now=NOW + DAY)

    with pytest.raises(Overdrawn):
        await books.spend(1, "order:1", now=NOW + DAY)

    assert (standing.points, standing.next_expiry) == (0, None)


async def test_pending_points_are_usable_from_their_moment_on(books: Books) -> None:
    await books.grant(100, "order:1", available_at=NOW + DAY)
    before = await books.standing()
    with pytest.raises(Overdrawn):
        await books.spend(1, "order:2")

    await books.spend(70, "order:3", now=NOW + DAY)

    assert (before.points, before.pending) == (0, 100)
    assert await books.points() == (30, 0)


async def test_standing_tells_what_expires_next(books: Books) -> None:
    await books.grant(100, "a", expires_at=NOW + 5 * DAY)
    await books.grant(20, "b", expires_at=NOW + 5 * DAY)
    await books.grant(50, "c", expires_at=NOW + 9 * DAY)

    standing = await books.standing()

    assert standing == ledger.Balance(170, 0, 0, (NOW + 5 * DAY, 120))


async def test_the_balance_of_any_past_moment_can_be_told(books: Books) -> None:
    await books.grant(100, "a", now=NOW)
    await books.spend(30, "b", now=NOW + DAY)
    await books.grant(5, "c", now=NOW + 2 * DAY)

    async with books.db.reading() as session:
        told = [
            await ledger.balance_at(session, books.hana, NOW + timedelta(days=n, seconds=-1))
            for n in range(4)
        ]

    assert told == [0, 100, 70, 75]


EXPIRY = [
    # granted (Tokyo), policy, last good day
    ("2027-01-10T12:00", {"months": 12}, "2028-01-10"),
    ("2028-02-29T12:00", {"months": 12}, "2029-02-28"),  # no 29 February in 2029
    ("2027-02-28T12:00", {"months": 12}, "2028-02-28"),
    ("2027-01-31T12:00", {"months": 1}, "2027-02-28"),
    ("2028-01-31T12:00", {"months": 1}, "2028-02-29"),
    ("2026-12-31T23:59", {"months": 1}, "2027-01-31"),
    ("2027-01-01T00:00", {"months": 1}, "2027-02-01"),  # 31 December in UTC
    ("2027-01-10T12:00", {"months": 1, "end_of": "month"}, "2027-02-28"),
    ("2027-11-01T00:00", {"months": 3, "end_of": "month"}, "2028-02-29"),
]


@pytest.mark.parametrize(("at", "expiry", "last"), EXPIRY)
async def test_points_expire_when_the_last_day_ends_in_tokyo(
    books: Books, at: str, expiry: dict[str, object], last: str
) -> None:
    await books.policy(expiry=expiry)
    now = datetime.fromisoformat(at).replace(tzinfo=TOKYO).astimezone(UTC)

    await books.grant(10, "a", now=now)

    (lot,) = await books.lots()
    midnight = datetime.combine(date.fromisoformat(last) + DAY, datetime.min.time(), TOKYO)
    assert lot.expires_at == midnight


async def test_points_never_expire_where_the_policy_says_so(books: Books) -> None:
    await books.policy(expiry=None)
    await books.grant(10, "a")
    (lot,) = await books.lots()
    assert lot.expires_at is None


async def test_what_would_have_expired_already_is_not_granted(books: Books) -> None:
    assert await books.grant(10, "old", occurred_at=NOW - 800 * DAY) == 0
    assert await books.points() == (0, 0)


async def correct(books: Books, delta: int, source: str, **more: object) -> int:
    values = {"reason": "お詫び", "actor": "token:till", "now": NOW, "source": source}
    async with books.db.transaction() as session:
        entry = await ledger.correct(session, books.hana, delta, **values | more)  # type: ignore[arg-type]
        return entry.delta


async def test_staff_correct_with_a_reason(books: Books) -> None:
    await correct(books, 500, "c:1", expires_on=date(2027, 1, 31))
    await correct(books, -120, "c:2")

    assert await books.points() == (380, 0)
    assert await books.entries() == [("correct", 500), ("correct", -120)]
    (lot,) = await books.lots()
    assert lot.expires_at == datetime(2027, 2, 1, tzinfo=TOKYO)


BAD_CORRECTIONS = [
    (0, {}, "delta"),
    (10, {"reason": "  "}, "reason"),
    (10, {"expires_on": date(2027, 1, 9)}, "expires_on"),
    (-10, {"expires_on": date(2027, 2, 9)}, "expires_on"),
    (10**10, {}, "delta"),
]


@pytest.mark.parametrize(("delta", "more", "path"), BAD_CORRECTIONS)
async def test_a_bad_correction_is_refused(
    books: Books, delta: int, more: dict[str, object], path: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await correct(books, delta, "c:1", **more)
    assert [fault.path for fault in refused.value.faults] == [path]


async def test_a_correction_never_goes_below_zero(books: Books) -> None:
    await correct(books, 100, "c:1")
    with pytest.raises(Overdrawn):
        await correct(books, -101, "c:2")


async def test_staff_have_a_limit_for_each_day_of_the_shop(books: Books) -> None:
    await books.policy(staff_daily_limit=1000)
    await correct(books, 700, "c:1")
    await correct(books, -300, "c:2")  # 700 + 300 = 1000

    with pytest.raises(OverDailyLimit, match="1,000ポイント"):
        await correct(books, 1, "c:3")

    await correct(books, 1, "c:4", actor="token:owner")
    midnight = datetime(2027, 1, 11, tzinfo=TOKYO)
    with pytest.raises(OverDailyLimit):
        await correct(books, 1, "c:5", now=midnight - timedelta(seconds=1))
    await correct(books, 1, "c:6", now=midnight)
