"""An import: the file is looked through first, then taken in by batches; faults do not stop it.

What no row can be blamed for (another encoding, a missing column, a broken file) stops before
anything is changed. A row with a fault is listed and left out, and all others are taken in; whoever
mends those rows and imports the file again doubles nothing.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import Database, table
from core.errors import Fault, Invalid
from crm.customers import records as customers
from crm.imports import orders
from crm.imports.drafts import Draft, Reader
from crm.imports.mapping import PURCHASES, FileMapping
from crm.imports.orders import Together
from crm.imports.rows import Row, Table, open_table
from crm.models import Customer
from crm.purchases import records as purchases
from crm.purchases.draft import PurchaseDraft, RefundDraft
from crm.purchases.models import Purchase

BATCH = 500
MAX_LISTED = 1_000
_PATH = re.compile(r"\[(\d+)\]\.?(.*)")
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Report:
    """What became of a file. `records` are customers or orders; `unchanged` were known like that.

    `faults` lists at most 1,000 of what is wrong, `warnings` of what is odd and was taken in.
    """

    rows: int = 0
    records: int = 0
    new: int = 0
    changed: int = 0
    left_out: int = 0
    faults: list[Fault] = field(default_factory=list)
    more_faults: int = 0
    warnings: list[Fault] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    @property
    def unchanged(self) -> int:
        """Taken in without anything being new, or told in this file before."""
        return self.records - self.new - self.changed - self.left_out

    def leave_out(self, draft: Draft) -> None:
        """Note a record that is not taken in."""
        self.left_out += 1
        room = max(0, MAX_LISTED - len(self.faults))
        self.faults += draft.faults[:room]
        self.more_faults += len(draft.faults[room:])


@dataclass(frozen=True, slots=True)
class Looked:
    """What the first look at a file has found."""

    rows: int
    together: bool


class _OnlyTried(Exception):
    """Takes back what a dry run has done to see what would come of it."""


@dataclass(slots=True)
class Import:
    """One file, and where it goes."""

    db: Database
    file: BinaryIO
    mapping: FileMapping
    zone: ZoneInfo
    now: datetime
    source: str = ""
    encoding: str = ""
    dry_run: bool = False
    progress: Progress | None = None
    report: Report = field(default_factory=Report)

    async def run(self) -> Report:
        """Take the file in. Raises `Invalid` where it cannot be, having changed nothing."""
        looked = await asyncio.to_thread(self._look)  # reading is work that others would wait for
        found = self._open()
        reader = self._reader(found)
        self.report.ignored = _ignored(reader, found.headings)
        drafts = self._drafts(found, reader, together=looked.together)
        done = 0
        while batch := await asyncio.to_thread(lambda: list(islice(drafts, BATCH))):
            await self._take(reader, batch)
            done += sum(len(draft.rows) for draft in batch)
            if self.progress is not None:
                self.progress(done, looked.rows)
        return self.report

    def _open(self) -> Table:
        return open_table(self.file, self.encoding or self.mapping.encoding)

    def _reader(self, found: Table) -> Reader:
        return Reader(self.mapping, found.headings, zone=self.zone, source=self.source)

    def _look(self) -> Looked:
        """Go through the whole file once, so that what stops an import does so before it begins."""
        found = self._open()
        reader, together, count = self._reader(found), Together(), 0
        for row in found.rows:
            count += 1
            if self.mapping.kind == PURCHASES:
                together.see(reader.key(row))
        return Looked(count, together.sure)

    def _drafts(self, found: Table, reader: Reader, *, together: bool) -> Iterator[Draft]:
        rows = self._rows(found)
        if self.mapping.kind != PURCHASES:
            yield from (self._counted(reader.customer(row)) for row in rows)
            return
        grouped = orders.in_turn if together else orders.sorted_out
        for same in grouped(rows, reader.key):
            if reader.key(same[0]):
                yield self._counted(reader.purchase(same, self.now))
                continue
            for row in same:
                wrong = reader.fault(row, "order_id", "must not be empty", "空にはできません")
                yield self._counted(Draft([row], faults=[wrong]))

    def _rows(self, found: Table) -> Iterator[Row]:
        for row in found.rows:
            self.report.rows += 1
            yield row

    def _counted(self, draft: Draft) -> Draft:
        self.report.records += 1
        return draft

    async def _take(self, reader: Reader, batch: Sequence[Draft]) -> None:
        """Take a batch in; those with faults are found out, put aside, and the rest tried again."""
        for draft in batch:
            if draft.faults:
                self.report.leave_out(draft)
        fine = [draft for draft in batch if not draft.faults]
        work = self._purchases if self.mapping.kind == PURCHASES else self._customers
        while fine:
            try:
                await self._within(work, reader, fine)
            except Invalid as error:
                if not self._blame(reader, fine, error):
                    raise
                for draft in fine:
                    if draft.faults:
                        self.report.leave_out(draft)
                fine = [draft for draft in fine if not draft.faults]
            else:
                return

    async def _within(
        self,
        work: Callable[[AsyncSession, Reader, Sequence[Draft]], Awaitable[None]],
        reader: Reader,
        fine: Sequence[Draft],
    ) -> None:
        with suppress(_OnlyTried):
            async with self.db.transaction() as session:
                await work(session, reader, fine)
                if self.dry_run:
                    raise _OnlyTried

    def _blame(self, reader: Reader, fine: Sequence[Draft], error: Invalid) -> bool:
        """Give each fault to its draft; whether there was one to give."""
        blamed = False
        for fault in error.faults:
            found = _PATH.match(fault.path)
            if found is None or int(found[1]) >= len(fine):
                continue
            draft = fine[int(found[1])]
            row, name = reader.place_of(found[2], draft)
            draft.faults.append(reader.fault(row, name, fault.message, fault.message_ja))
            blamed = True
        return blamed

    async def _customers(
        self, session: AsyncSession, reader: Reader, fine: Sequence[Draft]
    ) -> None:
        told = [draft.customer for draft in fine if draft.customer is not None]
        numbers = [str(draft.member_number) for draft in told]
        known = await customers.by_member_number(session, numbers)
        before = await _versions(session, set(known.values()))
        await customers.upsert(session, told, now=self.now, source=self._source())
        after = await _versions(session, set(known.values()))
        self.report.new += len({number for number in numbers if number not in known})
        self.report.changed += sum(after[id_] != version for id_, version in before.items())

    async def _purchases(
        self, session: AsyncSession, reader: Reader, fine: Sequence[Draft]
    ) -> None:
        told = await self._with_refunds(session, fine)
        paths = [f"[{n}]." for n in range(len(told))]
        done = await purchases.record(
            session, told, now=self.now, zone=self.zone, paths=paths, create_missing=True,
            actor=self._source(),
        )  # fmt: skip
        self.report.new += len(done.new)
        self.report.changed += len(done.changed)
        for id_, draft in zip(done.ids, fine, strict=True):
            for odd in done.warnings.get(id_, ()) if id_ in done.new | done.changed else ():
                if len(self.report.warnings) < MAX_LISTED:
                    japanese, _, english = odd.partition("／")
                    said = reader.fault(draft.rows[0], "order_id", english or odd, japanese)
                    self.report.warnings.append(said)

    async def _with_refunds(
        self, session: AsyncSession, fine: Sequence[Draft]
    ) -> list[PurchaseDraft]:
        """A file says how much was given back in all: what is not known of it is a new refund."""
        told = [draft.purchase for draft in fine if draft.purchase is not None]
        back = [draft.refunded for draft in fine]
        keys = [draft.key for draft, amount in zip(told, back, strict=True) if amount]
        known = await _refunded(session, keys)
        return [
            draft
            if amount <= known.get(draft.key, 0)
            else replace(draft, refunds=[*draft.refunds, RefundDraft(
                key=f"file:{amount}", amount=amount - known.get(draft.key, 0), refunded_at=self.now
            )])
            for draft, amount in zip(told, back, strict=True)
        ]  # fmt: skip

    def _source(self) -> str:
        return f"import:{self.source or self.mapping.name}"[:60]


async def _versions(session: AsyncSession, ids: set[int]) -> dict[int, int]:
    customer = table(Customer)
    query = select(customer.c.id, customer.c.version)
    query = query.where(bulk.is_one_of(session, customer.c.id, sorted(ids)))
    return {row.id: row.version for row in await session.execute(query)} if ids else {}


async def _refunded(
    session: AsyncSession, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    if not keys:
        return {}
    purchase = table(Purchase)
    query = select(purchase.c.source, purchase.c.order_id, purchase.c.refunded).where(
        tuple_(purchase.c.source, purchase.c.order_id).in_(keys)
    )
    rows: list[Any] = list(await session.execute(query))
    return {(row.source, row.order_id): row.refunded for row in rows}


def _ignored(reader: Reader, headings: Sequence[str]) -> list[str]:
    used = set(reader.places.values())
    return [heading for n, heading in enumerate(headings) if n not in used and heading]
