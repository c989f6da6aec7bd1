"""Whatever is issued, used, undone and left to expire: the database says what a notebook says.

The notebook is slow and obviously right: a list of copies and a list of uses.
"""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from core.db import Database
from core.errors import Conflict
from core.settings import load
from crm.coupons.models import Coupon, IssuedCoupon
from crm.coupons.refusals import Refused
from tests.crm.coupons.conftest import NOW, Shop

KEYS = ("a", "b")
LIMITS: dict[str, dict[str, Any]] = {
    "a": {"max_uses": 2, "per_customer": 2, "max_redemptions": 4, "valid_days": 3},
    "b": {"max_uses": 1, "per_customer": 1, "max_redemptions": None, "valid_days": 1},
}
PEOPLE = 3


@dataclass
class Copy:
    """One line of the notebook."""

    key: str
    person: int
    reason: str
    code: str
    until: datetime
    uses: list[int] = field(default_factory=list)


class Notebook(RuleBasedStateMachine):
    """Does everything twice: in the database, and in a notebook."""

    database_url: str
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.db = Database(load(_env_file=None, database_url=self.fresh(), clock="simulated"))
        self.shop = Shop(self.db)
        self.copies: list[Copy] = []
        self.undone: list[int] = []
        self.people = self.run(self._set_up())

    @classmethod
    def fresh(cls) -> str:
        raise NotImplementedError

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def _set_up(self) -> list[int]:
        for key in KEYS:
            await self.shop.define(key, **LIMITS[key])
        return await self.shop.customers(*(f"M-{n}" for n in range(PEOPLE)))

    def teardown(self) -> None:
        self.run(self.db.close())

    @rule(
        key=st.sampled_from(KEYS), person=st.integers(0, PEOPLE - 1), reason=st.sampled_from("xyz")
    )
    def issue(self, key: str, person: int, reason: str) -> None:
        mine = [c for c in self.copies if (c.key, c.person) == (key, person)]
        wanted = len(mine) < LIMITS[key]["per_customer"] and all(c.reason != reason for c in mine)

        done = self.run(self.shop.issue(self.people[person], key=key, reason=reason))

        assert bool(done.new) == wanted
        if wanted:
            row = self.run(self.shop.row(IssuedCoupon, done.new[self.people[person]]))
            end = (self.shop.now + timedelta(hours=9)).date()
            until = datetime.combine(end, datetime.min.time(), tzinfo=NOW.tzinfo)
            until += timedelta(days=LIMITS[key]["valid_days"] + 1) - timedelta(hours=9)
            assert row.expires_at == until
            self.copies.append(Copy(key, person, reason, row.code, until))

    @rule(which=st.integers(0, 50))
    def redeem(self, which: int) -> None:
        if not self.copies:
            return
        copy = self.copies[which % len(self.copies)]
        limit = LIMITS[copy.key]["max_redemptions"]
        together = sum(len(c.uses) for c in self.copies if c.key == copy.key)
        why = (
            "used" if len(copy.uses) >= LIMITS[copy.key]["max_uses"]
            else "expired" if copy.until <= self.shop.now
            else "sold_out" if limit is not None and together >= limit
            else None
        )  # fmt: skip
        told = None
        try:
            copy.uses.append(self.run(self.shop.redeem(copy.code, now=self.shop.now)).id)
        except Refused as error:
            told = error.reason
        assert told == why

    @rule(which=st.integers(0, 50))
    def undo(self, which: int) -> None:
        uses = [use for copy in self.copies for use in copy.uses] + self.undone
        if not uses:
            return
        use = uses[which % len(uses)]
        try:
            self.run(self.shop.undo(use))
        except Conflict:
            assert use in self.undone
        else:
            (copy,) = [c for c in self.copies if use in c.uses]
            copy.uses.remove(use)
            self.undone.append(use)

    @rule(hours=st.integers(1, 40))
    def time_passes(self, hours: int) -> None:
        self.shop.now += timedelta(hours=hours)

    @invariant()
    def they_agree(self) -> None:
        self.run(self._compare())

    async def _compare(self) -> None:
        for number, copy in enumerate(self.copies, 1):
            row = await self.shop.row(IssuedCoupon, number)
            full = len(copy.uses) == row.max_uses
            assert (row.code, row.used) == (copy.code, len(copy.uses))
            assert row.state == ("used" if full else "held")
        for number, key in enumerate(KEYS, 1):
            used = sum(len(c.uses) for c in self.copies if c.key == key)
            assert (await self.shop.row(Coupon, number)).redeemed == used
        assert await self.shop.count(IssuedCoupon) == len(self.copies)
        told = [await self.shop.activities(k) for k in ("coupon_redeemed", "coupon_undone")]
        uses = sum(len(c.uses) for c in self.copies)
        assert [len(each) for each in told] == [uses + len(self.undone), len(self.undone)]


@pytest.fixture
def machine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[type[Notebook]]:
    """A notebook whose every run has a database of its own, of each kind."""
    migrated, kind = request.getfixturevalue("migrated"), request.getfixturevalue("backend")
    used: list[str] = []
    loop = asyncio.new_event_loop()

    def fresh() -> str:
        if kind == "sqlite":
            path = tmp_path / f"{len(used)}.db"
            shutil.copy(migrated, path)
            used.append(str(path))
            return f"sqlite+aiosqlite:///{path}"
        url: str = request.getfixturevalue("postgres").create_database(template=migrated)
        used.append(url)
        return url

    yield type("Run", (Notebook,), {"fresh": staticmethod(fresh), "loop": loop})
    loop.close()
    for url in used if kind != "sqlite" else ():
        request.getfixturevalue("postgres").drop_database(url)


@pytest.mark.slow
def test_the_database_says_what_the_notebook_says(backend: str, machine: type[Notebook]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=12, stateful_step_count=30, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
