"""The webhook inbox as staff see it: what was parked, and trying it once more."""

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from bot.models import PARKED, RECEIVED, WebhookEvent
from core.clock import AT_ONCE
from core.db import table
from core.errors import Conflict, NotFound


async def retry(session: AsyncSession, event_id: int) -> None:
    """Handle a parked event once more; raises `NotFound`, or `Conflict` in any other state."""
    event = await session.get(WebhookEvent, event_id, with_for_update=True)
    if event is None:
        raise NotFound("webhook event", event_id)
    if event.state != PARKED:
        raise Conflict(f"Event {event_id} is {event.state}; only parked ones can be tried again.")
    here = update(table(WebhookEvent)).where(table(WebhookEvent).c.id == event_id)
    await session.execute(here.values(state=RECEIVED, attempts=0, retry_at=AT_ONCE))
