"""Reminders: once, on the day, and not to who has used the coupon in the meantime."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from core.clock import SimulatedClock
from core.db import table
from core.runtime import Runtime
from crm.coupons import jobs
from crm.coupons.models import IssuedCoupon
from crm.models import Friend
from tests.crm.coupons.conftest import TOKYO, Shop as Coupons
from tests.shop import Shop

START = datetime(2030, 1, 31, 3, tzinfo=UTC)  # noon in Tokyo, on the last day of a month


@pytest.fixture
async def late(runtime: Runtime) -> Coupons:
    """Coupons on the runtime's own clock."""
    assert isinstance(runtime.clock, SimulatedClock)
    await runtime.clock.now()
    await runtime.clock.move_to(START)
    return Coupons(runtime.db, now=START)


async def travel(shop: Coupons, runtime: Runtime, moment: datetime) -> int:
    assert isinstance(runtime.clock, SimulatedClock)
    shop.now = await runtime.clock.move_to(moment)
    return await jobs.remind_due(runtime)


def tokyo(month: int, day: int, hour: int = 10) -> datetime:
    return datetime(2030, month, day, hour, tzinfo=TOKYO)


async def test_a_reminder_comes_once_on_its_day(late: Coupons, runtime: Runtime) -> None:
    people = await late.customers("M-1", "M-2")
    await late.define(valid_days=28, remind_days=3)  # the last day is 28 February
    done = await late.issue(*people)

    told = [await travel(late, runtime, tokyo(2, day)) for day in (1, 24, 25, 26, 28)]

    assert told == [0, 0, 2, 0, 0]
    (first, _second) = await late.activities("coupon_expiring")
    assert first.data["coupon"] == "c500"
    assert first.data["issued_id"] in done.new.values()
    assert first.data["expires_at"] == "2030-02-28T15:00:00+00:00"


async def test_a_used_copy_is_not_reminded_of_unless_the_use_is_undone(
    late: Coupons, runtime: Runtime
) -> None:
    people = await late.customers("M-1", "M-2")
    await late.define(valid_days=28, remind_days=3)
    done = await late.issue(*people)
    codes = [await late.code(id_) for id_ in done.new.values()]
    uses = [await late.redeem(code, now=START) for code in codes]
    await late.undo(uses[1].id)

    assert await travel(late, runtime, tokyo(2, 25)) == 1
    (told,) = await late.activities("coupon_expiring")
    assert told.data["issued_id"] == uses[1].issued_coupon_id


async def test_what_is_over_already_is_passed_over(late: Coupons, runtime: Runtime) -> None:
    (ken,) = await late.customers("M-1")
    await late.define(valid_days=28, remind_days=3)
    await late.issue(ken)

    assert await travel(late, runtime, tokyo(3, 1)) == 0
    waiting = table(IssuedCoupon).c.remind_at.is_not(None)
    assert await late.count(IssuedCoupon, waiting) == 0


async def test_reminders_go_in_batches(
    late: Coupons, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BATCH", 2)
    people = await late.customers(*(f"M-{n}" for n in range(5)))
    await late.define(valid_days=28, remind_days=3)
    await late.issue(*people)

    assert await travel(late, runtime, tokyo(2, 25)) == 5
    assert len(await late.activities("coupon_expiring")) == 5


REMINDER = """\
key: coupon-reminder
name: クーポンのお知らせ
trigger: {on: coupon_expiring}
entry: {once: always}
exit: {when: {activity: coupon_redeemed}}
steps:
  - wait: {hours: 3}
  - say: クーポンの期限が近づいています。
"""


async def customer_of(runtime: Runtime, person: Any) -> int:
    friend = table(Friend)
    async with runtime.db.reading() as session:
        query = select(friend.c.customer_id).where(friend.c.user_id == person.user_id)
        return int(await session.scalar(query) or 0)


async def test_a_flows_waiting_message_is_dropped_the_moment_the_coupon_is_used(
    shop: Shop, runtime: Runtime
) -> None:
    hana, ken = await shop.new_person("花"), await shop.new_person("健")
    for person in (hana, ken):
        await person.follow()
    await shop.work()
    coupons = Coupons(runtime.db, now=await runtime.clock.now())
    await shop.publish(REMINDER)
    await coupons.define(valid_days=2, remind_days=1)
    ids = [await customer_of(runtime, person) for person in (hana, ken)]
    done = await coupons.issue(*ids)
    begin = coupons.now.astimezone(TOKYO).replace(hour=10, minute=0, second=0, microsecond=0)

    await shop.traveller(begin + timedelta(days=1, minutes=1))  # past the reminder
    used = await coupons.code(done.new[ids[0]])
    await coupons.redeem(used, now=await runtime.clock.now())
    await shop.work()
    await shop.traveller(begin + timedelta(days=1, hours=4))

    assert await hana.texts() == []
    assert await ken.texts() == ["クーポンの期限が近づいています。"]
