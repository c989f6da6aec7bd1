"""Merges and undos in any order, against a reference that is slow and obvious.

Whatever comes, comes to one record, its home. A record that stands for itself has what came to it
and to all records that are part of it now. That is all that a merge and its undoing may change.
"""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from core.errors import Conflict
from crm import policies
from crm.coupons import definition, issuing
from crm.coupons.definition import CouponDraft
from crm.coupons.models import IssuedCoupon
from crm.customers import locking, merging, tags
from crm.customers.models import CustomerTag
from crm.models import Customer
from crm.points import ledger, proof
from crm.points.ledger import Grant
from crm.points.policy import PointsPolicy
from crm.purchases import records as purchases
from crm.purchases.draft import PurchaseDraft
from tests.crm.customers.conftest import NOW, TOKYO, People

RECORDS = 4
who = st.integers(0, RECORDS - 1)
STEPS = st.one_of(
    st.tuples(st.just("grant"), who, st.integers(1, 500)),
    st.tuples(st.just("spend"), who, st.integers(1, 500)),
    st.tuples(st.just("buy"), who, st.integers(0, 50_000)),
    st.tuples(st.just("refund"), st.integers(0, 5), st.integers(1, 50_000)),
    st.tuples(st.just("tag"), who, st.integers(0, 3)),
    st.tuples(st.just("coupon"), who, st.just(0)),
    st.tuples(st.just("merge"), who, who),
    st.tuples(st.just("merge"), who, who),
    st.tuples(st.just("undo"), st.integers(0, 4), st.just(0)),
)


@dataclass
class Record:
    """What came to one record, and what it became."""

    points: int = 0
    totals: list[int] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    coupons: int = 0
    into: int | None = None


class Reference:
    """The obvious truth."""

    def __init__(self) -> None:
        self.records = [Record() for _ in range(RECORDS)]
        self.bought: list[tuple[int, int, int]] = []  # home, its place in `totals`, refunded
        self.merges: list[tuple[int, int]] = []

    def root(self, one: int) -> int:
        into = self.records[one].into
        return one if into is None else self.root(into)

    def of(self, one: int) -> list[Record]:
        return [r for n, r in enumerate(self.records) if self.root(n) == one]

    def told(self, one: int) -> tuple[int, int, int, set[str], int]:
        parts = self.of(one)
        totals = [total for part in parts for total in part.totals]
        names = {name for part in parts for name in part.tags}
        return (
            sum(part.points for part in parts), len(totals), sum(totals), names,
            sum(part.coupons for part in parts),
        )  # fmt: skip


class Run:
    """The same steps on the database and on the reference."""

    def __init__(self, people: People, ids: list[int], mark: str) -> None:
        self.people, self.ids, self.mark = people, ids, mark
        self.reference = Reference()
        self.now: datetime = NOW
        self.purchases: list[int] = []
        self.merges: list[int] = []
        self.undone: set[int] = set()
        self.count = 0

    async def step(self, kind: str, first: int, second: int) -> None:
        self.now += timedelta(minutes=1)
        self.count += 1
        act: Callable[[int, int], Coroutine[Any, Any, None]] = getattr(self, kind)
        await act(first, second)

    async def grant(self, one: int, points: int) -> None:
        async with self.people.change() as session:
            live = await locking.locked(session, self.ids[one])
            source = f"{self.mark}:{self.count}"
            given = Grant(customer_id=live.id or 0, points=points, source=source, reason="")
            await ledger.grant(session, [given], now=self.now)
        self.reference.records[self.reference.root(one)].points += points

    async def spend(self, one: int, points: int) -> None:
        home = self.reference.records[self.reference.root(one)]
        with suppress(Conflict):
            async with self.people.change() as session:
                live = await locking.locked(session, self.ids[one])
                before = live.points
                source = f"{self.mark}:{self.count}"
                await ledger.spend(
                    session, live.id or 0, points, source=source, reason="", now=self.now
                )
            assert before >= points
            home.points -= points

    async def buy(self, one: int, total: int) -> None:
        draft = PurchaseDraft(
            source=self.mark[:60], order_id=str(self.count), purchased_at=self.now, total=total,
            customer_id=self.ids[one],
        )  # fmt: skip
        async with self.people.change() as session:
            made = await purchases.record(session, [draft], now=self.now, zone=TOKYO)
        root = self.reference.root(one)
        home = self.reference.records[root]
        self.purchases.append(made.ids[0])
        self.reference.bought.append((root, len(home.totals), 0))
        home.totals.append(total)
        home.points += total // 100

    async def refund(self, which: int, amount: int) -> None:
        if which >= len(self.purchases):
            return
        root, place, refunded = self.reference.bought[which]
        home = self.reference.records[root]
        left = home.totals[place]
        if not 0 < amount <= left:
            return
        async with self.people.change() as session:
            await purchases.refund(
                session, self.purchases[which], amount, key=str(self.count), at=self.now,
                now=self.now, zone=TOKYO,
            )  # fmt: skip
        full = left + refunded
        earned = [full // 100 * rest // full for rest in (left, left - amount)]
        home.points += earned[1] - earned[0]
        home.totals[place] = left - amount
        self.reference.bought[which] = (root, place, refunded + amount)

    async def tag(self, one: int, number: int) -> None:
        root = self.reference.root(one)
        name = f"tag{number}"
        new = not any(name in part.tags for part in self.reference.of(root))
        async with self.people.change() as session:
            live = await locking.locked(session, self.ids[one])
            made = await tags.add(session, [live.id or 0], name, source="t", now=self.now)
        assert bool(made) == new
        if new:
            self.reference.records[root].tags.add(name)

    async def coupon(self, one: int, _none: int) -> None:
        async with self.people.change() as session:
            live = await locking.locked(session, self.ids[one])
            await issuing.issue(
                session, "c", [live.id or 0], reason=f"{self.mark}:{self.count}", now=self.now,
                zone=TOKYO,
            )  # fmt: skip
        self.reference.records[self.reference.root(one)].coupons += 1

    async def merge(self, one: int, other: int) -> None:
        here, there = self.reference.root(one), self.reference.root(other)
        made = None
        with suppress(Conflict):
            async with self.people.change() as session:
                made = await merging.merge(
                    session, self.ids[one], self.ids[other], reason="", evidence={}, actor="t",
                    now=self.now,
                )  # fmt: skip
        assert (made is not None) == (here != there)
        if made is not None:
            self.merges.append(made)
            self.reference.merges.append((here, there))
            self.reference.records[here].into = there

    async def undo(self, which: int, _none: int) -> None:
        if which >= len(self.merges):
            return
        here, there = self.reference.merges[which]
        part, rest = self.reference.records[here], self.reference.records[there]
        fine = part.into == there and rest.into is None and which not in self.undone
        done = False
        with suppress(Conflict):
            async with self.people.change() as session:
                await merging.undo(session, self.merges[which], actor="t", now=self.now, zone=TOKYO)
            done = True
        assert done == fine
        if done:
            self.undone.add(which)
            part.into = None

    async def check(self) -> None:
        async with self.people.db.reading() as session:
            assert await proof.differing(session) == []
        rows = {row.id: row for row in await self.people.rows(Customer)}
        tagged = await self.people.rows(CustomerTag)
        issued = await self.people.rows(IssuedCoupon)
        for one, id_ in enumerate(self.ids):
            row, into = rows[id_], self.reference.records[one].into
            assert row.merged_into_id == (None if into is None else self.ids[into])
            held = len([each for each in issued if each.customer_id == id_])
            if into is not None:
                assert (row.points, row.points_owed, row.purchase_count, held) == (0, 0, 0, 0)
                continue
            mine = {each.tag for each in tagged if each.customer_id == id_}
            found = (
                row.points - row.points_owed, row.purchase_count, row.purchase_total, mine, held,
            )  # fmt: skip
            assert found == self.reference.told(one), f"record {one}"


async def prepare(people: People) -> None:
    async with people.change() as session:
        policy = PointsPolicy(base_rate=1, return_window_days=0, expiry=None)
        await policies.save(session, policy, expected=None, now=NOW)
        draft = CouponDraft(name="c", discount=definition.Discount(amount=100), per_customer=1000)
        await definition.save(session, "c", draft, now=NOW, expected=None)


@settings(
    max_examples=12, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(steps=st.lists(STEPS, min_size=1, max_size=25))
async def test_nothing_is_lost_or_counted_twice_whatever_is_merged_and_undone(
    people: People, steps: list[tuple[str, int, int]]
) -> None:
    if not await people.rows(Customer):
        await prepare(people)
    ids = [await people.add() for _ in range(RECORDS)]
    run = Run(people, ids, f"run{ids[0]}")
    for step in steps:
        await run.step(*step)
        if step[0] in {"merge", "undo"}:
            await run.check()
    await run.check()
