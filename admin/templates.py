"""Message templates as staff handle them: save a version, delete what no flow needs."""

from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from core.errors import Conflict, NotFound
from delivery.models import MessageTemplate
from flows.models import ACTIVE, DRAFT, ON_HOLD, Enrolment, Flow, FlowVersion


async def get(session: AsyncSession, key: str, *, lock: bool = False) -> MessageTemplate:
    """The template with this key; raises `NotFound`."""
    found = await find(session, key, lock=lock)
    if found is None:
        raise NotFound("message", key)
    return found


async def find(session: AsyncSession, key: str, *, lock: bool = False) -> MessageTemplate | None:
    """The template with this key, or None."""
    query = select(MessageTemplate).where(table(MessageTemplate).c.key == key)
    found: MessageTemplate | None = await session.scalar(query.with_for_update() if lock else query)
    return found


async def add(
    session: AsyncSession, *, key: str, name: str, messages: list[Any], now: datetime
) -> MessageTemplate:
    """Store a new template whose messages were checked; `Conflict` where the key is taken."""
    if await find(session, key) is not None:
        raise Conflict(f"There is a message {key!r} already; change that one, or take another key.")
    made = MessageTemplate(key=key, name=name, messages=messages, created_at=now, updated_at=now)
    session.add(made)
    await session.flush()
    return made


def replace(template: MessageTemplate, *, name: str, messages: list[Any], now: datetime) -> bool:
    """Put other messages in place; returns whether anything changed."""
    if (template.name, template.messages) == (name, messages):
        return False
    template.name, template.messages, template.updated_at = name, messages, now
    template.version += 1
    return True


async def delete(session: AsyncSession, template: MessageTemplate) -> None:
    """Delete a template; raises `Conflict` naming the flows that still need it."""
    flows = await used_by(session, template.key)
    if flows:
        raise Conflict(f"Message {template.key!r} is used by: {', '.join(flows)}.")
    await session.delete(template)


async def used_by(session: AsyncSession, key: str) -> list[str]:
    """Keys of the flows that need the template.

    Those are flows whose draft names it, whose running or paused version does, or in which
    somebody is still under way on an older version that does.
    """
    flow, version, walk = table(Flow), table(FlowVersion), table(Enrolment)
    under_way = select(walk.c.flow_version_id).where(walk.c.state.in_((ACTIVE, ON_HOLD)))
    live = (flow.c.published_version_id == version.c.id) & (flow.c.state != DRAFT)
    versions = (
        select(flow.c.key, version.c.definition)
        .join(flow, flow.c.id == version.c.flow_id)
        .where(or_(live, version.c.id.in_(under_way)))
    )
    drafts = select(flow.c.key, flow.c.definition)
    rows = [*await session.execute(drafts), *await session.execute(versions)]
    return sorted({row.key for row in rows if _names(row.definition, key)})


def _names(definition: dict[str, Any], key: str) -> bool:
    return any(step.get("message") == key for step in definition["steps"])
