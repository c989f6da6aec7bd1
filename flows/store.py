"""Flows as staff handle them: save a draft, publish a version, pause, resume."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from core.errors import Conflict, Fault, Invalid, NotFound, StaleVersion
from crm.customers import topics
from delivery import messages
from flows.definition import FlowDefinition
from flows.models import (
    ACTIVE,
    DRAFT,
    ON_HOLD,
    PAUSED,
    PUBLISHED,
    Enrolment,
    Flow,
    FlowVersion,
)


async def get(session: AsyncSession, key: str, *, lock: bool = False) -> Flow:
    """The flow with this key; raises `NotFound`."""
    query = select(Flow).where(table(Flow).c.key == key)
    flow = await session.scalar(query.with_for_update() if lock else query)
    if flow is None:
        raise NotFound("flow", key)
    return flow


async def save(
    session: AsyncSession,
    definition: FlowDefinition,
    *,
    now: datetime,
    version: int | None = None,
    as_new: bool = False,
) -> tuple[Flow, bool]:
    """Save the draft; returns the flow and whether anything changed.

    `version` is what the caller has read: another one now raises `StaleVersion`. `as_new` says that
    the caller saw none: one that somebody has made meanwhile raises `Conflict`. What is published
    stays as it is until `publish`.
    """
    await _what_it_names_exists(session, definition)
    written = to_json(definition)
    flow = await session.scalar(
        select(Flow).where(table(Flow).c.key == definition.key).with_for_update()
    )
    if flow is None:
        flow = Flow(
            key=definition.key, name=definition.name, definition=written, created_at=now,
            updated_at=now,
        )  # fmt: skip
        session.add(flow)
        await session.flush()
        return flow, True
    if as_new:
        raise Conflict(f"Somebody else has just made a flow {definition.key!r}; read it first.")
    if version is not None and version != flow.version:
        raise StaleVersion(current=flow.version)
    if flow.definition == written:
        return flow, False
    flow.definition, flow.name, flow.updated_at = written, definition.name, now
    flow.version += 1
    return flow, True


async def publish(session: AsyncSession, key: str, *, now: datetime) -> tuple[FlowVersion, bool]:
    """Publish the draft as a new version; returns it and whether it is new.

    Who is under way stays on the version on which they entered.
    """
    flow = await get(session, key, lock=True)
    current = await _published(session, flow)
    if current is not None and current.definition == flow.definition:
        if flow.state == PAUSED:
            await resume(session, key)
        return current, False
    await _what_it_names_exists(session, FlowDefinition.model_validate(flow.definition))
    number = await session.scalar(
        select(func.max(table(FlowVersion).c.number)).where(table(FlowVersion).c.flow_id == flow.id)
    )
    made = FlowVersion(
        flow_id=_id(flow), number=(number or 0) + 1, definition=flow.definition, published_at=now
    )
    session.add(made)
    await session.flush()
    if flow.state == PAUSED:
        await _hold(session, flow, ON_HOLD, ACTIVE)
    if flow.published_at is None:
        flow.published_at = now
    flow.published_version_id, flow.state = made.id, PUBLISHED
    flow.version += 1
    return made, True


async def pause(session: AsyncSession, key: str) -> Flow:
    """Nobody enters, and who is under way waits until `resume`; raises `Conflict` for a draft."""
    flow = await get(session, key, lock=True)
    if flow.state == DRAFT:
        raise Conflict(f"Flow {key!r} is not published, so there is nothing to pause.")
    if flow.state == PUBLISHED:
        flow.state = PAUSED
        flow.version += 1
        await _hold(session, flow, ACTIVE, ON_HOLD)
    return flow


async def resume(session: AsyncSession, key: str) -> Flow:
    """Go on after a pause; what fell due meanwhile is due now. Raises `Conflict` for a draft."""
    flow = await get(session, key, lock=True)
    if flow.state == DRAFT:
        raise Conflict(f"Flow {key!r} is not published yet; publish it first.")
    if flow.state == PAUSED:
        flow.state = PUBLISHED
        flow.version += 1
        await _hold(session, flow, ON_HOLD, ACTIVE)
    return flow


def to_json(definition: FlowDefinition) -> dict[str, Any]:
    """The definition as it is stored and exported: only what was said."""
    return definition.model_dump(mode="json", by_alias=True, exclude_unset=True)


async def _published(session: AsyncSession, flow: Flow) -> FlowVersion | None:
    return await session.get(FlowVersion, flow.published_version_id or 0)


async def _hold(session: AsyncSession, flow: Flow, before: str, after: str) -> None:
    enrolment = table(Enrolment)
    query = update(enrolment).where(enrolment.c.flow_id == flow.id, enrolment.c.state == before)
    await session.execute(query.values(state=after))


async def _what_it_names_exists(session: AsyncSession, definition: FlowDefinition) -> None:
    known = await messages.templates(session, definition.template_keys())
    faults = [
        Fault(
            f"steps[{index}].message",
            f"there is no message template {step.message!r}",
            f"メッセージ「{step.message}」がありません",
        )
        for index, step in enumerate(definition.steps)
        if step.message and step.message not in known
    ]
    listed = [topic.key for topic in await topics.all_topics(session)]
    if definition.refusable_topic not in {None, *listed}:
        faults.append(
            Fault(
                "topic",
                f"there is no topic {definition.topic!r}; known are {', '.join(listed)}",
                f"トピック「{definition.topic}」がありません。使えるもの: {', '.join(listed)}",
            )
        )
    if faults:
        raise Invalid(f"The flow has {len(faults)} fault(s).", faults)


def _id(flow: Flow) -> int:
    assert flow.id is not None
    return flow.id
