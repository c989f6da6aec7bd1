"""The proof that points add up: entries, lots and balances say the same of every customer."""

from sqlalchemy import case, func, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from core import logs, metrics
from core.db import table
from core.runtime import Runtime
from crm.models import Customer
from crm.points.models import OPEN, SETTLE, PointDraw, PointEntry, PointLot

log = logs.get(__name__)


async def differing(session: AsyncSession) -> list[int]:
    """Customers of whom it does not hold; empty when all is well.

    Sum of entries = what is left in open lots = `customer.points`; what was advanced less what was
    settled = `customer.points_owed`; of each lot, what was granted less what was drawn is left.
    """
    customer, entry, lot = table(Customer), table(PointEntry), table(PointLot)
    settled = case((entry.c.kind == SETTLE, entry.c.delta), else_=0)
    written = (
        select(entry.c.customer_id, func.sum(entry.c.delta).label("points"),
               func.sum(settled).label("owed"))
        .group_by(entry.c.customer_id).subquery()
    )  # fmt: skip
    held = (
        select(lot.c.customer_id, func.sum(lot.c.remaining).label("points"))
        .where(lot.c.state == OPEN).group_by(lot.c.customer_id).subquery()
    )  # fmt: skip
    balances = (
        select(customer.c.id)
        .outerjoin(written, written.c.customer_id == customer.c.id)
        .outerjoin(held, held.c.customer_id == customer.c.id)
        .where(
            or_(
                func.coalesce(written.c.points, 0) != customer.c.points,
                func.coalesce(held.c.points, 0) != customer.c.points,
                func.coalesce(written.c.owed, 0) != customer.c.points_owed,
            )
        )
    )
    draw = table(PointDraw)
    drawn = (
        select(draw.c.lot_id, func.sum(draw.c.amount).label("points"))
        .group_by(draw.c.lot_id).subquery()
    )  # fmt: skip
    lots = (
        select(lot.c.customer_id)
        .outerjoin(drawn, drawn.c.lot_id == lot.c.id)
        .where(lot.c.granted - func.coalesce(drawn.c.points, 0) != lot.c.remaining)
    )
    return sorted(await session.scalars(union(balances, lots)))


async def prove(runtime: Runtime) -> int:
    """Nightly: say in the log of whom points do not add up; returns how many that are."""
    async with runtime.db.reading() as session:
        found = await differing(session)
    metrics.POINTS_DIFFERING.set(len(found))
    if found:
        log.error("points.differing", customers=len(found), first=found[:20])
    return len(found)
