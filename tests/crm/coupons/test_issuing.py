"""Issuing: to sets, once for a reason, dated by the shop's days, and never by halves."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from core.db import table
from core.errors import Invalid, NotFound, StaleVersion
from crm.coupons import definition, issuing
from crm.coupons.issuing import NotIssuable, PoolEmpty
from crm.coupons.models import CouponCode, IssuedCoupon
from crm.models import Activity, Customer
from tests.crm.coupons.conftest import NOW, TOKYO, Shop, draft
from tests.crm.coupons.test_codes import fill


async def test_each_customer_gets_a_copy_of_their_own(coupons: Shop) -> None:
    people = await coupons.customers("M-1", "M-2", None)
    await coupons.define(max_uses=2)

    done = await coupons.issue(*people)

    assert set(done.new) == set(people)
    assert len(set(done.new.values())) == 3
    copy = await coupons.row(IssuedCoupon, done.new[people[0]])
    assert (copy.state, copy.max_uses, copy.used) == ("held", 2, 0)
    assert copy.source == f"c500:test:{people[0]}"
    (first, *_rest) = told = await coupons.activities("coupon_issued")
    assert {a.customer_id for a in told} == set(people)
    assert first.source == f"coupon_issued:{first.data['issued_id']}"
    assert first.data["coupon"] == "c500"
    assert copy.code not in str([a.data for a in told])


async def test_the_same_reason_issues_once_and_another_up_to_the_limit(
    coupons: Shop, ken: int
) -> None:
    await coupons.define(per_customer=2)

    first = await coupons.issue(ken, reason="welcome")
    again = await coupons.issue(ken, reason="welcome")
    second = await coupons.issue(ken, reason="birthday:2026")
    third = await coupons.issue(ken, reason="sorry")

    assert not again.new
    assert again.same == first.new
    assert second.new.keys() == {ken}
    assert not third.new
    assert third.full == {ken}
    assert await coupons.count(IssuedCoupon) == 2
    assert len(await coupons.activities("coupon_issued")) == 2


async def test_reasons_of_two_coupons_do_not_meet(coupons: Shop, ken: int) -> None:
    await coupons.define("a")
    await coupons.define("a:b".replace(":", "-"))

    assert (await coupons.issue(ken, key="a")).new
    assert (await coupons.issue(ken, key="a-b")).new


DAY_ENDS = [  # issued at (Tokyo), days, last day
    ("2026-11-22T12:00:00+09:00", 30, date(2026, 12, 22)),
    ("2026-11-22T00:00:00+09:00", 1, date(2026, 11, 23)),
    ("2026-11-22T23:59:59+09:00", 1, date(2026, 11, 23)),
    ("2027-01-31T09:00:00+09:00", 28, date(2027, 2, 28)),
    ("2028-01-31T09:00:00+09:00", 29, date(2028, 2, 29)),  # a leap year
    ("2028-02-28T23:00:00+09:00", 1, date(2028, 2, 29)),
    ("2026-12-31T23:30:00+09:00", 1, date(2027, 1, 1)),
    ("2026-12-25T08:00:00+09:00", 7, date(2027, 1, 1)),
]


async def test_a_copy_is_good_to_the_end_of_the_shops_day(coupons: Shop, ken: int) -> None:
    await coupons.define(per_customer=100)
    for number, (issued, days, last) in enumerate(DAY_ENDS):
        coupons.now = datetime.fromisoformat(issued).astimezone(UTC)
        await coupons.define(per_customer=100, valid_days=days)
        done = await coupons.issue(ken, reason=f"test:{number}")
        copy = await coupons.row(IssuedCoupon, done.new[ken])

        end = datetime.combine(last + timedelta(days=1), time(), TOKYO)
        assert copy.expires_at == end, issued
        assert copy.valid_from == coupons.now


TERMS: list[tuple[dict[str, Any], datetime, datetime | None]] = [  # definition; valid from, until
    ({"valid_days": None}, NOW, None),
    ({"valid_days": None, "valid_until": NOW + timedelta(days=3)}, NOW, NOW + timedelta(days=3)),
    ({"valid_days": 30, "valid_until": NOW + timedelta(days=3)}, NOW, NOW + timedelta(days=3)),
    ({"valid_days": 1, "valid_until": NOW + timedelta(days=9)}, NOW,
     datetime(2026, 11, 23, 15, tzinfo=UTC)),
    ({"valid_days": None, "valid_from": NOW + timedelta(days=1),
      "valid_until": NOW + timedelta(days=3)}, NOW + timedelta(days=1), NOW + timedelta(days=3)),
    ({"valid_days": None, "valid_from": NOW - timedelta(days=1)}, NOW, None),
]  # fmt: skip


async def test_fixed_dates_and_days_from_the_issue_meet(coupons: Shop, ken: int) -> None:
    for number, (values, start, end) in enumerate(TERMS):
        await coupons.define(per_customer=100, **values)
        done = await coupons.issue(ken, reason=f"test:{number}")
        copy = await coupons.row(IssuedCoupon, done.new[ken])
        assert (copy.valid_from, copy.expires_at) == (start, end), values


REMINDERS = [  # valid days, remind days, the reminder's day in Tokyo
    (30, 3, date(2026, 12, 19)),
    (30, 30, None),  # on the day of issue nobody needs it
    (4, 3, date(2026, 11, 23)),
    (3, 3, None),
    (2, 30, None),
]


async def test_the_reminder_falls_on_a_day_before_the_last(coupons: Shop, ken: int) -> None:
    for number, (days, before, day) in enumerate(REMINDERS):
        await coupons.define(per_customer=100, valid_days=days, remind_days=before)
        done = await coupons.issue(ken, reason=f"test:{number}")
        copy = await coupons.row(IssuedCoupon, done.new[ken])
        assert (copy.remind_at and copy.remind_at.astimezone(TOKYO).date()) == day, (days, before)


async def test_what_is_issued_keeps_its_dates_when_the_definition_changes(
    coupons: Shop, ken: int, hana: int
) -> None:
    await coupons.define(valid_days=30, max_uses=3)
    old = (await coupons.issue(ken)).new[ken]
    before = await coupons.row(IssuedCoupon, old)

    changed = await coupons.define(valid_days=1, max_uses=1)
    new = await coupons.row(IssuedCoupon, (await coupons.issue(hana)).new[hana])

    assert changed.version == 2
    assert await coupons.row(IssuedCoupon, old) == before
    assert (new.max_uses, new.expires_at) == (1, datetime(2026, 11, 23, 15, tzinfo=UTC))


async def test_what_is_over_archived_or_unknown_is_not_issued(coupons: Shop, ken: int) -> None:
    await coupons.define("over", valid_days=None, valid_until=NOW)
    await coupons.define("archived", state="archived")

    for key in ("over", "archived"):
        with pytest.raises(NotIssuable):
            await coupons.issue(ken, key=key)
    with pytest.raises(NotFound):
        await coupons.issue(ken, key="nothing")
    assert await coupons.count(IssuedCoupon) == 0


async def test_a_pool_gives_its_codes_in_order_and_says_what_is_left(coupons: Shop) -> None:
    people = await coupons.customers("M-1", "M-2")
    await coupons.define("pool", code_source="pool", pool_warning=1)
    await fill(coupons, "AUTUMN-0001", "AUTUMN-0002", "AUTUMN-0003", "AUTUMN-0004")

    done = await coupons.issue(*people, key="pool")
    more = await coupons.issue(*await coupons.customers("M-3"), key="pool")

    assert (done.pool_free, done.pool_low) == (2, False)
    assert (more.pool_free, more.pool_low) == (1, True)
    assert await coupons.code(done.new[people[0]]) == "AUTUMN0001"
    taken = await coupons.count(CouponCode, table(CouponCode).c.issued_coupon_id.is_not(None))
    assert taken == 3


async def test_a_pool_that_does_not_reach_for_all_gives_to_nobody(coupons: Shop) -> None:
    people = await coupons.customers("M-1", "M-2", "M-3")
    await coupons.define("pool", code_source="pool")
    await fill(coupons, "AUTUMN-0001", "AUTUMN-0002")

    with pytest.raises(PoolEmpty) as caught:
        await coupons.issue(*people, key="pool")

    assert (caught.value.free, caught.value.wanted) == (2, 3)
    assert await coupons.count(IssuedCoupon) == 0
    assert await coupons.count(Activity) == 0
    assert (await coupons.issue(*people[:2], key="pool")).pool_free == 0


async def test_a_wide_issue_goes_in_batches_and_its_repetition_gives_the_rest(
    coupons: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuing, "BATCH", 3)
    people = await coupons.customers(*(f"M-{n}" for n in range(8)))
    gone = table(Customer).c.id == people[7]
    async with coupons.transaction() as session:
        await session.execute(update(table(Customer)).where(gone).values(erased_at=NOW))
    await coupons.define()
    await coupons.issue(people[1], reason="wide")

    async def wide() -> int:
        return await issuing.issue_widely(
            coupons.db, "c500", reason="wide", now=NOW, zone=TOKYO,
            where=table(Customer).c.member_number != "M-4",
        )  # fmt: skip

    assert (await wide(), await wide()) == (5, 0)
    copy = table(IssuedCoupon)
    assert await coupons.count(IssuedCoupon, copy.c.customer_id.in_([people[4], people[7]])) == 0


async def test_a_wide_issue_from_a_pool_is_refused_before_it_begins(coupons: Shop) -> None:
    people = await coupons.customers("M-1", "M-2", "M-3")
    await coupons.define("pool", code_source="pool")
    await fill(coupons, "AUTUMN-0001", "AUTUMN-0002")
    await coupons.issue(people[0], key="pool")

    with pytest.raises(PoolEmpty):
        await issuing.issue_widely(coupons.db, "pool", reason="wide", now=NOW, zone=TOKYO)
    await fill(coupons, "AUTUMN-0003")
    done = await issuing.issue_widely(coupons.db, "pool", reason="wide", now=NOW, zone=TOKYO)

    assert done == 2


async def test_a_stale_change_and_a_limit_under_what_is_used_are_refused(
    coupons: Shop, ken: int, hana: int
) -> None:
    await coupons.define(max_redemptions=5)
    for person in (ken, hana):
        await coupons.redeem(await coupons.copy(person))

    async with coupons.transaction() as session:
        with pytest.raises(StaleVersion):
            await definition.save(session, "c500", draft(), now=NOW, expected=7)
    with pytest.raises(Invalid) as caught:
        await coupons.define(max_redemptions=1)
    assert [fault.path for fault in caught.value.faults] == ["max_redemptions"]
    assert (await coupons.define(max_redemptions=2)).redeemed == 2


async def test_copies_belong_to_twenty_issues_at_once_as_the_limit_says(
    coupons: Shop, ken: int
) -> None:
    await coupons.define(per_customer=3)

    done = await asyncio.gather(*(coupons.issue(ken, reason=f"race:{n}") for n in range(20)))

    assert sum(len(one.new) for one in done) == 3
    assert await coupons.count(IssuedCoupon) == 3
