"""The belts and the timetable's work of delivery."""

from core.jobs import Belt
from core.runtime import Runtime
from delivery import outbox, quota, reply_tokens
from delivery.dispatcher import dispatch

DISPATCH = Belt("dispatch", dispatch, outbox.due, width=3)


async def refresh_quota(runtime: Runtime) -> int:
    """Ask LINE for limits and usage; returns how many channels answered."""
    return await quota.refresh(runtime)


async def forget_reply_tokens(runtime: Runtime) -> int:
    """Delete reply tokens that can serve no more; returns how many."""
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        return await reply_tokens.forget_old(session, now=now)
