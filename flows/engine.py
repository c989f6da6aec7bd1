"""The engine: activities let customers into flows and out again; due steps become deliveries.

A step's outcome (delivery queued, next step due) is one transaction over up to 500 enrolments, so a
crash at any moment leaves each enrolment either before or after its step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk, logs
from core.db import insert_new, table
from core.errors import OkaeriError
from core.jobs import Due
from core.runtime import Runtime
from crm.models import BLOCKED, Activity, Channel, Friend
from delivery import messages, outbox
from flows.definition import FlowDefinition, Step
from flows.files import say_messages
from flows.models import (
    ACTIVE,
    EXITED,
    FINISHED,
    ON_HOLD,
    PUBLISHED,
    STOPPED,
    Enrolment,
    Flow,
    FlowVersion,
)

log = logs.get(__name__)

BATCH = 500
MAX_ATTEMPTS = 5
RETRY_AFTER = timedelta(minutes=1)
OPEN = (ACTIVE, ON_HOLD)
CLOCKS_DIFFER = timedelta(minutes=5)  # LINE stamps its events by its own clock


@dataclass(frozen=True, slots=True)
class _Published:
    flow_id: int
    version_id: int
    since: datetime
    definition: FlowDefinition


async def react(session: AsyncSession, activities: Sequence[Any], *, now: datetime) -> int:
    """Let customers out of and into flows by what they did; returns how many entered.

    `activities` are rows of the activity table, at most 500.
    """
    await _exit(session, activities, now)
    entered = 0
    for flow in await _published(session):
        matching = [a for a in activities if _starts(flow, a)]
        if matching:
            entered += await _enrol(session, flow, matching, now)
            await _exit_again(session, flow, activities, now)
    return entered


async def advance(runtime: Runtime) -> int:
    """Do the due steps of up to 500 enrolments; returns how many moved."""
    now, wall = await runtime.clock.now(), runtime.clock.wall()
    async with runtime.db.transaction() as session:
        rows = await _due_rows(session, now, wall)
        if not rows:
            return 0
        walks = await _walks(runtime, session, rows, now=now, wall=wall)
        parcels = [parcel for walk in walks for parcel in walk.parcels]
        await outbox.queue(session, parcels, now=now, allow_http=runtime.settings.allow_http_urls)
        await bulk.update_rows(session, table(Enrolment), [walk.row for walk in walks])
    if parcels:
        runtime.wakes.wake("dispatch")
    return len(rows)


async def due(session: AsyncSession, now: datetime) -> Due:
    """What steps are due, and when the next one is."""
    enrolment = table(Enrolment)
    active = enrolment.c.state == ACTIVE
    count = select(func.count(), func.min(enrolment.c.due_at)).select_from(enrolment)
    ready, oldest = (await session.execute(count.where(active, enrolment.c.due_at <= now))).one()
    later = select(func.min(enrolment.c.due_at)).where(active, enrolment.c.due_at > now)
    return Due(ready, oldest, await session.scalar(later))


@dataclass(frozen=True, slots=True)
class _Walk:
    row: dict[str, Any]
    parcels: Sequence[outbox.Parcel] = ()


async def _published(session: AsyncSession) -> list[_Published]:
    flow, version = table(Flow), table(FlowVersion)
    query = (
        select(flow.c.id, version.c.id.label("version_id"), flow.c.published_at)
        .add_columns(version.c.definition)
        .join(version, version.c.id == flow.c.published_version_id)
        .where(flow.c.state == PUBLISHED)
        .order_by(flow.c.id)
        .with_for_update(read=True, of=flow)  # a pause waits, and then holds who enters here
    )
    read = [(row, _definition(row)) for row in await session.execute(query)]
    return [_Published(row.id, row.version_id, row.published_at, d) for row, d in read if d]


def _definition(version: Any) -> FlowDefinition | None:  # noqa: ANN401
    """A stored definition; None where this release cannot read it, so that others go on."""
    try:
        return FlowDefinition.model_validate(version.definition)
    except ValidationError:
        log.exception("flow.unreadable", version=version.version_id)
        return None


def _starts(flow: _Published, activity: Any) -> bool:  # noqa: ANN401
    """Whether this activity lets its customer in; what happened before publishing does not."""
    trigger = flow.definition.trigger
    if activity.kind != trigger.on or activity.occurred_at < flow.since - CLOCKS_DIFFER:
        return False
    return all(c.holds(activity.data.get(name)) for name, c in trigger.where.items())


async def _enrol(
    session: AsyncSession, flow: _Published, activities: Sequence[Any], now: datetime
) -> int:
    first: dict[int, Any] = {}
    for activity in activities:
        if activity.id is not None and activity.friend_id is not None:
            first.setdefault(activity.customer_id, activity)
    if flow.definition.entry.once != "always":
        for customer_id in await _entered_already(session, flow, list(first), now):
            first.pop(customer_id, None)
    else:
        first = {a.id: a for a in activities if a.friend_id is not None}
    if not first:
        return 0
    enrolment = table(Enrolment)
    rows = [_new_enrolment(flow, activity, now) for activity in first.values()]
    query = insert_new(session, enrolment).on_conflict_do_nothing()
    made = await session.execute(query.values(rows).returning(enrolment.c.id))
    return len(made.all())


def _new_enrolment(flow: _Published, activity: Any, now: datetime) -> dict[str, Any]:  # noqa: ANN401
    return {
        "flow_id": flow.flow_id,
        "flow_version_id": flow.version_id,
        "customer_id": activity.customer_id,
        "friend_id": activity.friend_id,
        "activity_id": activity.id,
        "state": ACTIVE,
        "step": 0,
        "due_at": now,
        "attempts": 0,
        "entered_at": now,
    }


async def _entered_already(
    session: AsyncSession, flow: _Published, customers: list[int], now: datetime
) -> list[int]:
    enrolment = table(Enrolment)
    period = flow.definition.entry.period()
    query = select(enrolment.c.customer_id).distinct()
    query = query.where(enrolment.c.flow_id == flow.flow_id, enrolment.c.customer_id.in_(customers))
    if period is not None and period != timedelta.max:
        query = query.where(or_(enrolment.c.entered_at > now - period, enrolment.c.state.in_(OPEN)))
    return list(await session.scalars(query))


async def _exit(session: AsyncSession, activities: Sequence[Any], now: datetime) -> None:
    """End walks: who blocked us leaves every flow, who reached a flow's exit leaves that one."""
    blocked = [a.friend_id for a in activities if a.kind == "blocked" and a.friend_id is not None]
    enrolment = table(Enrolment)
    leave = update(enrolment).where(enrolment.c.state.in_(OPEN))
    if blocked:
        await session.execute(
            leave.where(enrolment.c.friend_id.in_(blocked)).values(
                state=EXITED, reason="blocked", done_at=now
            )
        )
    kinds = {a.kind for a in activities}
    customers = {a.customer_id for a in activities}
    for version_id, kind in await _exits(session, kinds, customers):
        ended = [a for a in activities if a.kind == kind]
        gone = await _begun_before(session, version_id, ended)
        mine = leave.where(enrolment.c.id.in_(gone))
        await session.execute(mine.values(state=EXITED, reason=f"exit:{kind}", done_at=now))


async def _begun_before(
    session: AsyncSession, version_id: int, activities: Sequence[Any]
) -> list[int]:
    """Walks through a version that had begun when one of these happened to whoever walks.

    A walk begins with the activity that let its customer in. What is told late, as an old purchase
    from a file is, ends no walk that began since.
    """
    last: dict[int, datetime] = {}
    for activity in activities:
        at = last.get(activity.customer_id, activity.occurred_at)
        last[activity.customer_id] = max(at, activity.occurred_at)
    enrolment, trigger = table(Enrolment), table(Activity)
    began_at = func.coalesce(trigger.c.occurred_at, enrolment.c.entered_at).label("began_at")
    query = (
        select(enrolment.c.id, enrolment.c.customer_id, began_at)
        .outerjoin(trigger, trigger.c.id == enrolment.c.activity_id)
        .where(enrolment.c.flow_version_id == version_id, enrolment.c.state.in_(OPEN))
        .where(enrolment.c.customer_id.in_(last))
    )
    rows = await session.execute(query)
    return [row.id for row in rows if row.began_at - CLOCKS_DIFFER <= last[row.customer_id]]


async def _exit_again(
    session: AsyncSession, flow: _Published, activities: Sequence[Any], now: datetime
) -> None:
    """End walks that began with one of these activities and whose exit is another, later one."""
    if flow.definition.exit is None:
        return
    kind = flow.definition.exit.when.activity
    ends: dict[int, list[Any]] = {}
    for activity in activities:
        if activity.kind == kind:
            ends.setdefault(activity.customer_id, []).append(activity)
    over = [a.id for a in activities if any(_ends(a, e) for e in ends.get(a.customer_id, ()))]
    enrolment = table(Enrolment)
    leave = update(enrolment).where(
        enrolment.c.flow_id == flow.flow_id,
        enrolment.c.activity_id.in_(over),
        enrolment.c.state.in_(OPEN),
    )
    await session.execute(leave.values(state=EXITED, reason=f"exit:{kind}", done_at=now))


def _ends(begin: Any, end: Any) -> bool:  # noqa: ANN401
    """Whether a walk that began with one activity is over by another; ids go up."""
    return bool(begin.id < end.id and begin.occurred_at - CLOCKS_DIFFER <= end.occurred_at)


async def _exits(
    session: AsyncSession, kinds: set[str], customers: set[int]
) -> list[tuple[int, str]]:
    """Versions with some of these people under way that one of these activities ends."""
    version, enrolment = table(FlowVersion), table(Enrolment)
    walked = select(enrolment.c.flow_version_id).where(
        enrolment.c.customer_id.in_(customers), enrolment.c.state.in_(OPEN)
    )
    query = select(version.c.id, version.c.definition).where(version.c.id.in_(walked))
    found = []
    for row in await session.execute(query):
        kind = ((row.definition.get("exit") or {}).get("when") or {}).get("activity")
        if kind in kinds:
            found.append((row.id, kind))
    return found


async def _due_rows(session: AsyncSession, now: datetime, wall: datetime) -> list[Any]:
    e, friend, channel = table(Enrolment), table(Friend), table(Channel)
    query = (
        select(e, friend.c.status, friend.c.display_name, friend.c.channel_id)
        .add_columns(channel.c.name.label("shop_name"))
        .join(friend, friend.c.id == e.c.friend_id)
        .join(channel, channel.c.id == friend.c.channel_id)
        .where(e.c.state == ACTIVE, e.c.due_at <= now)
        .where(or_(e.c.retry_at.is_(None), e.c.retry_at <= wall))
        # A greeting by name needs the profile; one try to fetch it comes first.
        .where(or_(friend.c.profile_fetched_at.is_not(None), friend.c.profile_attempts > 0))
        .order_by(e.c.due_at, e.c.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True, of=e)
    )
    return list(await session.execute(query))


async def _walks(
    runtime: Runtime, session: AsyncSession, rows: Sequence[Any], *, now: datetime, wall: datetime
) -> list[_Walk]:
    definitions = await _definitions(session, {row.flow_version_id for row in rows})
    keys = {key for d in definitions.values() for key in d.template_keys()}
    templates = await messages.templates(session, sorted(keys))
    walks = []
    for row in rows:
        try:
            walk = _walk(runtime, row, definitions.get(row.flow_version_id), templates, now)
        except OkaeriError as error:
            walk = _failed(row, str(error), wall, now)
        except Exception as error:  # whatever it is, the other 499 go on
            log.exception("flow.step_crashed", enrolment=row.id, step=row.step)
            walk = _failed(row, type(error).__name__, wall, now)
        walks.append(walk)
    return walks


async def _definitions(session: AsyncSession, ids: set[int]) -> dict[int, FlowDefinition]:
    version = table(FlowVersion)
    query = select(version.c.id.label("version_id"), version.c.definition)
    rows = await session.execute(query.where(version.c.id.in_(ids)))
    read = [(row.version_id, _definition(row)) for row in rows]
    return {version_id: definition for version_id, definition in read if definition}


def _walk(
    runtime: Runtime,
    row: Any,  # noqa: ANN401
    flow: FlowDefinition | None,
    templates: Mapping[str, messages.Messages],
    now: datetime,
) -> _Walk:
    """Go on from the row's step until a wait or the end."""
    if flow is None:
        raise OkaeriError("this release cannot read the flow's version")
    if row.status == BLOCKED:
        return _Walk(_moved(row, row.step, EXITED, "blocked", now, now))
    parcels: list[outbox.Parcel] = []
    for index in range(row.step, len(flow.steps)):
        step = flow.steps[index]
        if step.wait is not None:
            until = step.wait.until(now, runtime.settings.zone)
            return _Walk(_moved(row, index + 1, ACTIVE, None, until, None), parcels)
        parcels.append(_parcel(runtime, row, flow, step, index, templates, now))
    return _Walk(_moved(row, len(flow.steps), FINISHED, None, now, now), parcels)


def _parcel(
    runtime: Runtime,
    row: Any,  # noqa: ANN401
    flow: FlowDefinition,
    step: Step,
    index: int,
    templates: Mapping[str, messages.Messages],
    now: datetime,
) -> outbox.Parcel:
    written = say_messages(step)
    if written is None:
        written = templates.get(step.message or "")
    if written is None:
        raise OkaeriError(f"message template {step.message!r} is gone")
    values = messages.values_for(display_name=row.display_name, shop_name=row.shop_name)
    parcel = outbox.Parcel(
        channel_id=row.channel_id,
        friend_id=row.friend_id,
        source=f"enrolment:{row.id}:step:{index}",
        messages=messages.fill(written, values, runtime.buttons),
        due_at=now,
        purpose=flow.caps,
        topic=flow.refusable_topic,
    )
    outbox.check(parcel, allow_http=runtime.settings.allow_http_urls)
    return parcel


def _moved(
    row: Any,  # noqa: ANN401
    step: int,
    state: str,
    reason: str | None,
    due_at: datetime,
    done_at: datetime | None,
) -> dict[str, Any]:
    return {
        "id": row.id,
        "step": step,
        "state": state,
        "reason": reason,
        "due_at": due_at,
        "done_at": done_at,
        "attempts": 0,
        "retry_at": None,
    }


def _failed(row: Any, error: str, wall: datetime, now: datetime) -> _Walk:  # noqa: ANN401
    """A step that fails for one person is tried again, then stops that person alone."""
    log.warning("flow.step_failed", enrolment=row.id, step=row.step, error=error)
    if row.attempts + 1 >= MAX_ATTEMPTS:
        return _Walk(_moved(row, row.step, STOPPED, error[:60], row.due_at, now))
    again = _moved(row, row.step, ACTIVE, None, row.due_at, None)
    return _Walk(again | {"attempts": row.attempts + 1, "retry_at": wall + RETRY_AFTER})
