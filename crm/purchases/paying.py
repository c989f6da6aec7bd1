"""Paying with points and coupons of this shop, in the transaction of the purchase itself."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.db import table
from core.errors import Fault
from core.sealing import Seal
from crm.coupons import redeeming
from crm.coupons.models import Redemption
from crm.points import ledger
from crm.purchases.draft import LineDraft, PurchaseDraft
from crm.purchases.news import News
from crm.purchases.stubs import is_stub


def faults(news: News) -> Iterator[Fault]:
    """What was paid with cannot be changed afterwards: such an order is cancelled and told anew."""
    before, draft, path = news.before, news.draft, news.path
    if before is None or is_stub(before) or not draft.spends or not news.replaces:
        return
    for name in ("points_used", "coupon_code"):
        if getattr(before, name) != getattr(draft, name):
            yield Fault(
                f"{path}{name}",
                "cannot be changed afterwards; cancel it and record it under another order_id",
                "あとから変更できません。取り消して、別の注文番号で登録し直してください",
            )
    if news.moves_from is not None and (before.points_used or before.coupon_code):
        name = "customer_id" if draft.customer_id is not None else "member_number"
        yield Fault(
            f"{path}{name}",
            "another customer has paid for this order with points or a coupon",
            "ポイントやクーポンを使った購入は、別の顧客に付け替えられません",
        )


@dataclass(frozen=True, slots=True)
class Till:
    """Where and by whom is paid. Without `seal` a code that rotates on a phone cannot be read."""

    actor: str
    now: datetime
    zone: ZoneInfo
    seal: Seal | None = None


async def name_coupons(
    session: AsyncSession, drafts: Sequence[PurchaseDraft], *, till: Till
) -> list[PurchaseDraft]:
    """The drafts with coupons by their codes as stored, however they were typed or shown.

    Raises `Refused` for a code that is none of ours.
    """
    named = []
    for draft in drafts:
        if draft.spends and draft.coupon_code:
            seen = await redeeming.look(
                session, draft.coupon_code, now=till.now, seal=till.seal, zone=till.zone
            )
            named.append(replace(draft, coupon_code=seen.copy.code))
        else:
            named.append(draft)
    return named


async def pay(
    session: AsyncSession, news: Sequence[News], ids: Sequence[int], *, till: Till
) -> None:
    """Spend the points and redeem the coupons of orders that are new; the customers are locked.

    Raises `Overdrawn` and what `redeeming.redeem` raises.
    """
    for each, purchase_id in zip(news, ids, strict=True):
        fresh = each.before is None or is_stub(each.before)
        if fresh and each.draft.spends and each.replaces:
            await _pay(session, each, purchase_id, till)


async def return_coupons(
    session: AsyncSession, purchase_ids: Collection[int], *, actor: str, now: datetime
) -> None:
    """Give back the coupons that were redeemed with orders that are cancelled now."""
    redemption = table(Redemption)
    sources = sorted(_coupon_source(id_) for id_ in purchase_ids)
    query = select(redemption.c.id).where(
        bulk.is_one_of(session, redemption.c.source, sources), redemption.c.undone_at.is_(None)
    )
    for id_ in list(await session.scalars(query.order_by(redemption.c.id))):
        await redeeming.undo(session, id_, reason="注文の取り消し", actor=actor, now=now)


async def _pay(session: AsyncSession, news: News, purchase_id: int, till: Till) -> None:
    draft, customer_id = news.draft, news.after["customer_id"]
    if draft.points_used:
        await ledger.spend(
            session, customer_id, draft.points_used, source=f"purchase:{purchase_id}:points",
            reason="お買い物でのご利用／Paid for a purchase", now=till.now, actor=till.actor,
            purchase_id=purchase_id,
        )  # fmt: skip
    if draft.coupon_code:
        worth = sum(line.quantity * line.unit_price for line in draft.lines) or draft.total
        await redeeming.redeem(
            session, draft.coupon_code, now=till.now, order_id=draft.order_id, total=worth,
            lines=_as_basket(draft.lines), store=draft.store, actor=till.actor,
            source=_coupon_source(purchase_id), customer_id=customer_id, seal=till.seal,
            zone=till.zone,
        )  # fmt: skip


def _as_basket(lines: Sequence[LineDraft]) -> list[redeeming.Line]:
    return [redeeming.Line(each.sku, each.category, each.quantity, each.unit_price)
            for each in lines]  # fmt: skip


def _coupon_source(purchase_id: int) -> str:
    return f"purchase:{purchase_id}:coupon"
