"""Erasing a person on all floors; it stands on the roof, where all of them can be seen."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.models import IGNORED, RECEIVED, ReceivedMessage, WebhookEvent
from core import bulk
from core.db import table
from crm.customers import locking, privacy
from crm.customers.privacy import ERASED
from crm.models import Customer
from delivery.models import (
    DONE,
    FAILED,
    HELD,
    SENDING,
    SUPPRESSED,
    WAITING,
    Delivery,
    Dispatch,
    ReplyToken,
)
from flows.engine import OPEN
from flows.models import EXITED, Enrolment

NOTHING = orjson.dumps([])


async def erase(session: AsyncSession, customer: Customer, *, now: datetime) -> dict[str, int]:
    """Take away who a customer is, everywhere; returns how much, for the audit log.

    The caller has locked the record. What is on its way to LINE at this moment is not called back.
    """
    assert customer.id is not None
    ids = await privacy.records_of(session, customer.id)
    await locking.lock(session, ids)
    friends = await privacy.erase(session, ids, now=now)
    friend_ids = [row.id for row in friends]
    counts = {"records": len(ids), "friends": len(friends)}
    counts["messages"] = await _forget_messages(session, friend_ids)
    counts["events"] = await _forget_events(session, friends, now)
    counts["deliveries"] = await _forget_deliveries(session, friend_ids, now)
    await _stop_walks(session, ids, now)
    await session.refresh(customer)
    return counts


async def _forget_messages(session: AsyncSession, friend_ids: Sequence[int]) -> int:
    message, token = table(ReceivedMessage), table(ReplyToken)
    mine = bulk.is_one_of(session, token.c.friend_id, friend_ids)
    await session.execute(delete(token).where(mine))
    theirs = bulk.is_one_of(session, message.c.friend_id, friend_ids)
    query = update(message).where(theirs).values(content={}).returning(message.c.id)
    return len((await session.execute(query)).all())


async def _forget_events(session: AsyncSession, friends: Sequence[Any], now: datetime) -> int:
    """What LINE sent of them, unhandled events as well: there is nobody left to tell it of."""
    event = table(WebhookEvent)
    lanes = [f"{row.channel_id}:{row.user_id}" for row in friends]
    mine = bulk.is_one_of(session, event.c.lane, lanes)
    unread = update(event).where(mine, event.c.state == RECEIVED)
    await session.execute(unread.values(state=IGNORED, reason=ERASED, handled_at=now))
    blank = update(event).where(mine).values(payload={}, lane=ERASED)
    return len((await session.execute(blank.returning(event.c.id))).all())


async def _forget_deliveries(
    session: AsyncSession, friend_ids: Sequence[int], now: datetime
) -> int:
    delivery, call = table(Delivery), table(Dispatch)
    mine = bulk.is_one_of(session, delivery.c.friend_id, friend_ids)
    unsent = update(delivery).where(mine, delivery.c.state.in_([WAITING, HELD, FAILED]))
    await session.execute(unsent.values(state=SUPPRESSED, reason=ERASED, done_at=now))
    over = mine & (delivery.c.state != SENDING)
    blank = update(delivery).where(over).values(messages=NOTHING, detail=None)
    count = len((await session.execute(blank.returning(delivery.c.id))).all())
    alone = (call.c.state == DONE) & (call.c.recipients == 1)
    carried = select(delivery.c.dispatch_id).where(over, delivery.c.dispatch_id.is_not(None))
    await session.execute(
        update(call).where(alone, call.c.id.in_(carried)).values(body=NOTHING, detail=None)
    )
    return count


async def _stop_walks(session: AsyncSession, ids: Sequence[int], now: datetime) -> None:
    walk = table(Enrolment)
    mine = bulk.is_one_of(session, walk.c.customer_id, ids)
    stop = update(walk).where(mine, walk.c.state.in_(OPEN))
    await session.execute(stop.values(state=EXITED, reason=ERASED, done_at=now))
