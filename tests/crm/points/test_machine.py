"""Whatever happens to points, in whatever order: the ledger and a slow reference say the same."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from hypothesis import HealthCheck, settings as hypothesis_settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, update

from core.db import table
from core.models import SimulatedTime
from core.runtime import Runtime, running
from core.settings import load
from crm import policies
from crm.customers import locking
from crm.models import Customer
from crm.points import calendar, jobs, ledger, move
from crm.points.calendar import JAPAN
from crm.points.ledger import Overdrawn
from crm.points.models import PENDING, PointLot
from crm.points.policy import PointsPolicy
from crm.purchases.models import Purchase
from tests.crm.points.conftest import Books, add_customers
from tests.crm.points.reference import NotEnough, Order, Reference

BEGIN = datetime(2027, 12, 30, 3, tzinfo=UTC)  # before a change of year and a leap day
POINTS = st.integers(1, 200)
PEOPLE = st.integers(0, 2)
numbers = count(1)


class World(RuleBasedStateMachine):
    """Three customers of one shop."""

    runner: asyncio.Runner
    runtime: Runtime

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    @initialize(
        overdraw=st.sampled_from(["settle", "staff"]),
        window=st.sampled_from([0, 3]),
        months=st.sampled_from([1, 2]),
    )
    def begin(self, overdraw: Any, window: int, months: int) -> None:
        self.now = BEGIN
        expiry = {"months": months, "end_of": "month" if window else "day"}
        policy = PointsPolicy.model_validate(
            {"base_rate": 10, "overdraw": overdraw, "return_window_days": window, "expiry": expiry,
             "staff_daily_limit": None}
        )  # fmt: skip
        self.go_on_with_others(policy)
        self.run(self._set_out(policy))

    def go_on_with_others(self, policy: PointsPolicy) -> None:
        self.people = self.run(add_customers(self.runtime.db, 3))
        self.books = Books(self.runtime.db, self.people[0], self.people[1])
        self.right = Reference(policy, self.now)
        self.merged: tuple[int, int, dict[str, Any]] | None = None

    async def _set_out(self, policy: PointsPolicy) -> None:
        await self.runtime.clock.now()
        async with self.runtime.db.transaction() as session:
            await session.execute(update(table(SimulatedTime)).values(now_at=self.now))
            await policies.save(session, policy, expected=None, now=self.now)

    def who(self, number: int) -> int:
        """One of the people who are no other's by now."""
        found = self.people[number]
        return self.merged[1] if self.merged and found == self.merged[0] else found

    def attempt(self, ours: Coroutine[Any, Any, Any], reference: Callable[[], None]) -> None:
        """Do it in both; both refuse it, or neither."""
        before = deepcopy(self.right)
        refused = False
        try:
            reference()
        except NotEnough:
            refused, self.right = True, before
        try:
            self.run(ours)
        except Overdrawn:
            assert refused
        else:
            assert not refused

    @rule(n=PEOPLE, points=POINTS, wait=st.sampled_from([0, 0, 2]),
          days=st.sampled_from([None, 1, 5, 40]))  # fmt: skip
    def grant(self, n: int, points: int, wait: int, days: int | None) -> None:
        who, available = self.who(n), self.now + timedelta(days=wait)
        expires = None if days is None else self.now + timedelta(days=days)
        source = f"grant:{next(numbers)}"

        def reference() -> None:
            self.right.mature(who)
            self.right.add(who, points, available, expires)
            self.right.close()

        more = {"available_at": available, "expires_at": expires}
        self.attempt(self.books.grant(points, source, who=who, now=self.now, **more), reference)

    @rule(n=PEOPLE, points=POINTS)
    def spend(self, n: int, points: int) -> None:
        who, source = self.who(n), f"spend:{next(numbers)}"
        self.attempt(
            self.books.spend(points, source, who=who, now=self.now),
            lambda: self.right.spend(who, points),
        )

    @rule(n=PEOPLE, delta=st.integers(-100, 100).filter(bool))
    def correct(self, n: int, delta: int) -> None:
        who, source = self.who(n), f"correct:{next(numbers)}"

        def reference() -> None:
            if delta < 0:
                self.right.spend(who, -delta)
                return
            policy = self.right.policy
            expires = calendar.expiry_of(self.now, policy, JAPAN)
            self.right.mature(who)
            self.right.add(who, delta, self.now, expires)
            self.right.close()

        self.attempt(self._correct(who, delta, source), reference)

    async def _correct(self, who: int, delta: int, source: str) -> None:
        async with self.runtime.db.transaction() as session:
            await ledger.correct(
                session, who, delta, reason="調整", actor="token:x", now=self.now, source=source
            )

    @rule(n=PEOPLE, total=st.integers(0, 3000), used=st.sampled_from([0, 0, 0, 50, 150]),
          paid=st.sampled_from([True, True, False]))  # fmt: skip
    def buy(self, n: int, total: int, used: int, paid: bool) -> None:
        who = self.who(n)
        used = min(used, total, self.right.balance(who))
        values = {"customer_id": who, "points_used": used, "paid_at": self.now if paid else None}
        before = deepcopy(self.right)
        try:
            if used:
                self.right.spend(who, used, order=-1)
        except NotEnough:
            self.right, used = before, 0
            values["points_used"] = 0
        id_ = self.run(self._buy(total, used, who, values))
        self.right.had[id_, who] = self.right.had.pop((-1, who), Counter())
        self.right.paid_from[id_, who] = self.right.paid_from.pop((-1, who), Counter())
        self.right.orders[id_] = Order(who, total, used, self.now, paid)
        self.right.recount(id_)

    async def _buy(self, total: int, used: int, who: int, values: dict[str, Any]) -> int:
        unpaid = values | {"paid_at": None}
        id_ = await self.books.buy(f"order:{next(numbers)}", total, now=self.now, **unpaid)
        if used:
            await self.books.spend(used, f"order:{id_}", who=who, now=self.now, purchase_id=id_)
        await self.books.alter(id_, now=self.now, paid_at=values["paid_at"])
        return id_

    @precondition(lambda self: self.right.orders)
    @rule(data=st.data(), what=st.sampled_from(
        ["refund", "whole", "cancel", "stand", "pay", "deliver", "again", "correct", "give"]
    ))  # fmt: skip
    def news_of_an_order(self, data: st.DataObject, what: str) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.right.orders)))
        order, values = self.right.orders[id_], dict[str, Any]()
        if what in {"refund", "whole"}:
            order.refunded = (
                order.total if what == "whole" else data.draw(st.integers(0, order.total))
            )
            values = {"refunded": order.refunded}
        elif what in {"cancel", "stand"}:
            order.cancelled = what == "cancel"
            values = {"cancelled_at": self.now if order.cancelled else None}
        elif what == "pay":
            order.paid = True
            values = {"paid_at": self.now}
        elif what == "deliver":
            order.delivered = self.now
            values = {"delivered_at": self.now}
        elif what == "correct":
            order.total = data.draw(st.integers(max(order.refunded, order.used), 4000))
            values = {"total": order.total}
        elif what == "give" and not order.used and self.merged is None:
            order.owner = data.draw(st.sampled_from(self.people))
            values = {"customer_id": order.owner}
        self.right.recount(id_)
        self.run(self._alter(id_, values))

    async def _alter(self, id_: int, values: dict[str, Any]) -> None:
        values = values or {"version": 2}
        await self.books.alter(id_, now=self.now, **values)

    @rule(hours=st.sampled_from([1, 24, 24 * 5, 24 * 33]), jobs_run=st.booleans())
    def time_passes(self, hours: int, jobs_run: bool) -> None:
        self.now = self.right.now = self.now + timedelta(hours=hours)
        self.run(self.runtime.clock.move_to(self.now))  # type: ignore[attr-defined]
        if jobs_run:
            for who in self.people:
                self.right.mature(who)
            self.right.close()
            self.run(self._nightly())

    async def _nightly(self) -> None:
        await jobs.confirm_due(self.runtime)
        await jobs.expire_due(self.runtime)
        assert await jobs.confirm_due(self.runtime) + await jobs.expire_due(self.runtime) == 0
        await jobs.notify_expiring(self.runtime)
        assert await jobs.notify_expiring(self.runtime) == 0

    @precondition(lambda self: self.merged is None)
    @rule()
    def merge(self) -> None:
        """Two records become one: one list of lots."""
        away, into = self.people[1], self.people[0]
        for who in (away, into):
            self.right.mature(who)
        self.right.arrived = []
        for lot in self.right.lots:
            lot.owner = into if lot.owner == away else lot.owner
        self.right.owed[into] += self.right.owed.pop(away, 0)
        hand_over(self.right.had, away, into)
        hand_over(self.right.paid_from, away, into)
        for order in self.right.orders.values():
            order.owner = into if order.owner == away else order.owner
        self.merged = (away, into, self.run(self._merge(away, into)))

    async def _merge(self, away: int, into: int) -> dict[str, Any]:
        purchase = table(Purchase)
        async with self.runtime.db.transaction() as session:
            await locking.lock(session, [away, into])
            here = update(purchase).where(purchase.c.customer_id == away)
            ids = await session.scalars(here.values(customer_id=into).returning(purchase.c.id))
            bought = list(ids)
            moved = await move.move(session, away, into, now=self.now)
        return moved | {"bought": bought}

    @precondition(lambda self: self.merged is not None)
    @rule()
    def part(self) -> None:
        """The merge was wrong: all that both have and owe together stays as it is."""
        assert self.merged is not None
        away, into, moved = self.merged
        for who in (away, into):
            self.right.mature(who)
        worth = self.right.balance(into) - self.right.owed[into]
        self.run(self._part(away, into, moved))
        found = self.run(self._found())
        assert sum(found[who][0] - found[who][2] for who in (away, into)) == worth
        self.run(self.books.prove())
        for id_ in self.right.orders:
            self.run(self._alter(id_, {"cancelled_at": self.now}))
            self.run(self.books.prove())
        self.go_on_with_others(self.right.policy)

    async def _part(self, away: int, into: int, moved: dict[str, Any]) -> None:
        purchase = table(Purchase)
        async with self.runtime.db.transaction() as session:
            await locking.lock(session, [away, into])
            here = update(purchase).where(purchase.c.id.in_(moved["bought"]))
            await session.execute(here.values(customer_id=away))
            await move.move_back(session, away, into, moved, now=self.now)

    async def _found(self) -> dict[int, tuple[int, int, int]]:
        """Balance, pending and owed of each."""
        customer, lot = table(Customer), table(PointLot)
        async with self.runtime.db.reading() as session:
            rows = list(
                await session.execute(
                    select(customer.c.id, customer.c.points, customer.c.points_owed).where(
                        customer.c.id.in_(self.people)
                    )
                )
            )
            waiting = Counter[int]()
            query = select(lot.c.customer_id, lot.c.remaining).where(lot.c.state == PENDING)
            for row in await session.execute(query):
                waiting[row.customer_id] += row.remaining
        return {row.id: (row.points, waiting[row.id], row.points_owed) for row in rows}

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "people"):
            return
        self.run(self.books.prove())
        found = self.run(self._found())
        for who in self.people:
            right = (self.right.balance(who), self.right.pending(who), self.right.owed[who])
            assert found[who] == right, who


def hand_over(kept: dict[tuple[int, int], Counter[Any]], away: int, into: int) -> None:
    """What was known of one person's orders is the other's now."""
    for order, who in list(kept):
        if who == away:
            kept.setdefault((order, into), Counter()).update(kept.pop((order, away)))


def test_the_ledger_and_the_reference_say_the_same(database_url: str, backend: str) -> None:
    settings = load(
        _env_file=None, database_url=database_url, redis_url="", clock="simulated",
        secret_key="a-secret-key-for-tests-only",
    )  # fmt: skip
    with asyncio.Runner() as runner:
        opened = running(settings)
        runtime = runner.run(opened.__aenter__())
        World.runner, World.runtime = runner, runtime
        try:
            run_state_machine_as_test(
                World,
                settings=hypothesis_settings(
                    max_examples=20 if backend == "sqlite" else 8,
                    stateful_step_count=25,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(opened.__aexit__(None, None, None))
