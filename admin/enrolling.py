"""Staff enrol one customer in a flow by hand, by the flow's own rule of how often."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from core.errors import Conflict, Fault, Invalid
from crm.models import FOLLOWING, Customer, Friend
from flows import store
from flows.definition import FlowDefinition
from flows.models import ACTIVE, ON_HOLD, PUBLISHED, Enrolment, Flow, FlowVersion


async def enrol(session: AsyncSession, key: str, customer_id: int, *, now: datetime) -> Enrolment:
    """Let the customer into the published version, as its trigger would; the first step is due now.

    Raises `NotFound`, `Invalid` for an unknown customer, and `Conflict` where the flow is not
    running, nobody of this customer follows, or the customer may not enter (again).
    """
    flow = await store.get(session, key, lock=True)  # one enrolment by hand at a time
    if flow.state != PUBLISHED or flow.published_version_id is None:
        raise Conflict(f"Flow {key!r} is {flow.state}; customers can enter published flows only.")
    await _lock_customer(session, customer_id)
    friend_id = await _friend(session, customer_id)
    await _may_enter(session, flow, customer_id, now)
    enrolment = Enrolment(
        flow_id=flow.id or 0, flow_version_id=flow.published_version_id, customer_id=customer_id,
        friend_id=friend_id, state=ACTIVE, due_at=now, entered_at=now,
    )  # fmt: skip
    session.add(enrolment)
    await session.flush()
    return enrolment


async def _lock_customer(session: AsyncSession, customer_id: int) -> None:
    customer = table(Customer)
    query = select(customer.c.id).where(customer.c.id == customer_id).with_for_update()
    if await session.scalar(query) is None:
        raise Invalid("There is no such customer.", [
            Fault("customer_id", f"there is no customer {customer_id}",
                  f"顧客 {customer_id} は登録されていません")])  # fmt: skip


async def _friend(session: AsyncSession, customer_id: int) -> int:
    friend = table(Friend)
    query = (
        select(friend.c.id)
        .where(friend.c.customer_id == customer_id, friend.c.status == FOLLOWING)
        .order_by(friend.c.followed_at.is_(None), friend.c.followed_at.desc(), friend.c.id.desc())
        .limit(1)
    )
    found: int | None = await session.scalar(query)
    if found is None:
        raise Conflict(f"Customer {customer_id} has no friend who follows; nothing can reach them.")
    return found


async def _may_enter(session: AsyncSession, flow: Flow, customer_id: int, now: datetime) -> None:
    version = await session.get_one(FlowVersion, flow.published_version_id)
    period = FlowDefinition.model_validate(version.definition).entry.period()
    if period is None:
        return
    e: Any = table(Enrolment)
    query = select(e.c.id).where(e.c.flow_id == flow.id, e.c.customer_id == customer_id).limit(1)
    if period != timedelta.max:
        under_way = e.c.state.in_((ACTIVE, ON_HOLD))
        query = query.where(or_(e.c.entered_at > now - period, under_way))
    if await session.scalar(query) is not None:
        raise Conflict(
            f"Customer {customer_id} has entered flow {flow.key!r} before; its entry rule lets "
            "nobody in again so soon."
        )
