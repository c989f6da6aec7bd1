"""Purchases recorded: the same news twice changes nothing, other news re-counts what it touches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from core.errors import Conflict, Fault, Invalid, NotFound
from core.sealing import Seal
from crm.customers import locking
from crm.models import Customer
from crm.purchases import buyers, paying, shelf
from crm.purchases.draft import MAX_AHEAD, MOMENTS, PurchaseDraft, RefundDraft, check, refuse
from crm.purchases.models import Purchase
from crm.purchases.news import News
from crm.purchases.paying import Till
from crm.purchases.settle import settle
from crm.purchases.shelf import Key
from crm.purchases.stubs import is_stub

STAFF = "staff"
TRIES = 5


@dataclass(slots=True)
class Recorded:
    """What became of drafts: purchase ids in their order, which were new and which changed.

    `warnings` holds what is odd about a purchase, by its id; Japanese with English beside it.
    """

    ids: list[int] = field(default_factory=list)
    new: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    warnings: dict[int, list[str]] = field(default_factory=dict)


async def record(
    session: AsyncSession,
    drafts: Sequence[PurchaseDraft],
    *,
    now: datetime,
    zone: ZoneInfo,
    paths: Sequence[str] | None = None,
    create_missing: bool = False,
    actor: str = STAFF,
    seal: Seal | None = None,
) -> Recorded:
    """Record news of up to 500 orders and settle what follows from them, all or nothing.

    An order is known by source and order id. The same again changes nothing; other content replaces
    what was told before, unless it was true earlier (`as_of`); moments are kept as the earliest,
    refunds by their keys. So the order in which news arrives does not matter.

    With `create_missing` unknown customers are made, and what comes before its order waits for it.
    `seal` reads a coupon's code that rotates on the customer's phone.

    Raises `Invalid` with faults whose paths begin with `paths`, and what paying with points or a
    coupon raises; then nothing may be committed.
    """
    paths = paths if paths is not None else [f"purchases[{n}]." for n in range(len(drafts))]
    check(drafts, paths, now=now)
    clerk = _Clerk(session, Till(actor, now, zone, seal))
    drafts = await paying.name_coupons(session, drafts, till=clerk.till)
    done, ids = Recorded(), dict[int, int]()
    for places in _rounds(drafts):
        some = [drafts[place] for place in places]
        news = await clerk.read(
            some, [paths[place] for place in places], create_missing=create_missing
        )
        made = await clerk.write(news, done)
        ids |= dict(zip(places, made, strict=True))
    done.changed -= done.new
    done.ids = [ids[place] for place in range(len(drafts))]
    return done


async def refund(
    session: AsyncSession,
    purchase_id: int,
    amount: int | None,
    *,
    key: str,
    at: datetime,
    now: datetime,
    zone: ZoneInfo,
) -> bool:
    """Give money back, all that is left without an amount; False where `key` was told before.

    Raises `Invalid` for more than is left and for a key that came with another amount, `Conflict`
    when nothing is left, `NotFound` for an unknown purchase.
    """
    purchase = await _locked(session, purchase_id)
    earlier = (await shelf.refunds(session, [purchase_id])).get(purchase_id, {})
    if key in earlier and amount in {None, earlier[key]}:
        return False
    left = purchase.total - purchase.refunded
    if amount is None and left <= 0:
        raise Conflict("全額返金済みです／The whole amount was given back before.")
    back = RefundDraft(key=key, amount=left if amount is None else amount, refunded_at=at)
    draft = PurchaseDraft(
        source=purchase.source, order_id=purchase.order_id, purchased_at=purchase.purchased_at,
        total=None, refunds=[back],
    )  # fmt: skip
    news = News(draft, "", None, now, purchase, refunds_before=earlier)
    _refuse_refund(lambda: check([draft], [""], now=now))
    _refuse_refund(lambda: refuse(news.faults()))
    await shelf.write(session, [news], now=now)
    await settle(session, [purchase_id], now=now, zone=zone)
    return True


async def set_status(
    session: AsyncSession,
    purchase_id: int,
    moments: Mapping[str, datetime | None],
    *,
    now: datetime,
    zone: ZoneInfo,
    actor: str = STAFF,
) -> bool:
    """Say when an order was paid, shipped, delivered or cancelled; None that it was not.

    `moments` by their names (`paid_at` …): what staff say stands, even where it is later than what
    was told. Returns whether anything changed. Raises `Invalid` for the future, `NotFound`.
    """
    assert set(moments) <= set(MOMENTS)
    refuse(
        Fault(name, "is in the future", "未来の日時は記録できません")
        for name, at in moments.items()
        if at is not None and at > now + MAX_AHEAD
    )
    purchase = await _locked(session, purchase_id)
    changed = {name: at for name, at in moments.items() if getattr(purchase, name) != at}
    if not changed:
        return False
    row = table(Purchase)
    change = update(row).where(row.c.id == purchase_id)
    await session.execute(change.values(**changed, version=row.c.version + 1))
    if changed.get("cancelled_at") is not None:
        await paying.return_coupons(session, [purchase_id], actor=actor, now=now)
    await settle(session, [purchase_id], now=now, zone=zone)
    return True


def _rounds(drafts: Sequence[PurchaseDraft]) -> Iterator[list[int]]:
    """Places of the drafts, so that no order comes twice in a round: its news in their turn."""
    rounds: list[list[int]] = []
    turns: dict[Key, int] = {}
    for place, draft in enumerate(drafts):
        turn = turns[draft.key] = turns.get(draft.key, -1) + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(place)
    yield from rounds


@dataclass(slots=True)
class _Clerk:
    """Takes in news of different orders, in a bounded number of statements."""

    session: AsyncSession
    till: Till

    async def read(
        self, drafts: Sequence[PurchaseDraft], paths: Sequence[str], *, create_missing: bool
    ) -> list[News]:
        """The news beside what is known, under the locks of all customers concerned."""
        session, keys = self.session, [draft.key for draft in drafts]
        await shelf.queue_up(session, keys)
        known = await shelf.known(session, keys)
        owners = await buyers.find(
            session, drafts, paths, known=known, create_missing=create_missing, now=self.till.now
        )
        owners, known = await self._lock(keys, owners, known)
        ids = [row.id for row in known.values()]
        lines, refunds = await shelf.lines(session, ids), await shelf.refunds(session, ids)
        news = [
            News(draft, path, owner, self.till.now, known.get(draft.key))
            for draft, path, owner in zip(drafts, paths, owners, strict=True)
        ]
        for each in news:
            if each.before is not None:
                each.lines_before = lines.get(each.before.id, [])
                each.refunds_before = refunds.get(each.before.id, {})
        refuse(
            fault
            for each in news
            for found in (each.faults(), paying.faults(each))
            for fault in found
        )
        return news

    async def write(self, news: Sequence[News], done: Recorded) -> list[int]:
        """Store the news and settle what follows; returns the orders' ids."""
        session, till = self.session, self.till
        ids = await shelf.write(session, news, now=till.now)
        await paying.pay(session, news, ids, till=till)
        both = list(zip(ids, news, strict=True))
        if cancelled := [id_ for id_, each in both if each.cancels]:
            await paying.return_coupons(session, cancelled, actor=till.actor, now=till.now)
        changed = {id_ for id_, each in both if each.changes}
        moved = {id_: each.moves_from for id_, each in both if each.moves_from is not None}
        await settle(session, changed, now=till.now, zone=till.zone, moved_from=moved)
        await self._forget_stubs(news)
        done.new |= {id_ for id_, each in both if each.before is None}
        done.changed |= changed
        done.warnings |= {id_: each.after["warnings"] for id_, each in both}
        return ids

    async def _lock(
        self, keys: Sequence[Key], owners: Sequence[int | None], known: dict[Key, Any]
    ) -> tuple[list[int | None], dict[Key, Any]]:
        """Lock all customers concerned in one order; both again as they are under the locks."""
        for _ in range(TRIES):
            wanted = {owner for owner in owners if owner is not None}
            wanted |= {row.customer_id for row in known.values()}
            await locking.lock(self.session, wanted)
            live = await locking.resolve(self.session, wanted)
            owners = [owner if owner is None else live[owner] for owner in owners]
            known = await shelf.known(self.session, keys)
            if {*live.values(), *(row.customer_id for row in known.values())} <= wanted:
                return list(owners), known
        raise Conflict("These customers are being merged at this moment; send it again.")

    async def _forget_stubs(self, news: Sequence[News]) -> None:
        """Orders have come for which something waited, with a customer made up to hold it.

        That record, which nobody has come to know otherwise, stands for the true customer now.
        """
        into = {
            each.moves_from: each.after["customer_id"]
            for each in news
            if each.moves_from is not None and is_stub(each.before)
        }
        if into:
            empty = await self.session.scalars(buyers.made_up(self.session, sorted(into)))
            rows = [{"id": id_, "merged_into_id": into[id_]} for id_ in empty]
            await bulk.update_rows(self.session, table(Customer), rows)


async def _locked(session: AsyncSession, purchase_id: int) -> Any:  # noqa: ANN401
    """The row of an order that is here, under its customer's lock."""
    for _ in range(TRIES):
        owner = await _find(session, purchase_id)
        await locking.lock(session, [owner.customer_id])
        again = await _find(session, purchase_id)
        if again.customer_id == owner.customer_id:
            return again
    raise Conflict("This customer is being merged at this moment; send it again.")


async def _find(session: AsyncSession, purchase_id: int) -> Any:  # noqa: ANN401
    row = table(Purchase)
    found = (await session.execute(row.select().where(row.c.id == purchase_id))).first()
    if found is None or is_stub(found):
        raise NotFound("purchase", purchase_id)
    return found


def _refuse_refund(look: Any) -> None:  # noqa: ANN401
    """Faults of the one refund, where its caller has put it."""
    try:
        look()
    except Invalid as error:
        faults = [
            Fault(fault.path.removeprefix("refunds[0].").replace("refunds", "amount"),
                  fault.message, fault.message_ja)
            for fault in error.faults
        ]  # fmt: skip
        raise Invalid("Nothing was given back.", faults) from None
