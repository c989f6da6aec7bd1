"""What became of a flow's customers and messages, counted by the database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Integer, String, cast, column, func, select, values
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from delivery.models import Delivery
from flows.definition import FlowDefinition
from flows.models import (
    ACTIVE,
    EXITED,
    FINISHED,
    ON_HOLD,
    STOPPED,
    Enrolment,
    Flow,
    FlowVersion,
)


@dataclass(slots=True)
class StepCount:
    """One step of one version, and its deliveries by state."""

    version: int
    step: int
    kind: str
    deliveries: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class FlowReport:
    """Customers by how their walk stands, and deliveries step by step."""

    entered: int
    under_way: int
    finished: int
    stopped: int
    exited: dict[str, int]
    steps: list[StepCount]


async def report(session: AsyncSession, flow: Flow) -> FlowReport:
    """Count a flow's enrolments and deliveries, over all its versions; three statements."""
    counts = await _enrolments(session, flow)
    exited = {reason or "": n for (state, reason), n in counts.items() if state == EXITED}
    return FlowReport(
        entered=sum(counts.values()),
        under_way=_sum(counts, (ACTIVE, ON_HOLD)),
        finished=_sum(counts, (FINISHED,)),
        stopped=_sum(counts, (STOPPED,)),
        exited=exited,
        steps=await _steps(session, flow),
    )


def _sum(counts: dict[tuple[str, str | None], int], states: Sequence[str]) -> int:
    return sum(n for (state, _reason), n in counts.items() if state in states)


async def _enrolments(session: AsyncSession, flow: Flow) -> dict[tuple[str, str | None], int]:
    e = table(Enrolment)
    query = select(e.c.state, e.c.reason, func.count()).where(e.c.flow_id == flow.id)
    rows = await session.execute(query.group_by(e.c.state, e.c.reason))
    return {(state, reason): count for state, reason, count in rows}


async def _steps(session: AsyncSession, flow: Flow) -> list[StepCount]:
    version = table(FlowVersion)
    query = select(version.c.id, version.c.number, version.c.definition).where(
        version.c.flow_id == flow.id
    )
    found: dict[tuple[int, int], StepCount] = {}
    for row in await session.execute(query.order_by(version.c.number)):
        for index, step in enumerate(FlowDefinition.model_validate(row.definition).steps):
            kind = next(iter(step.model_fields_set))
            if kind != "wait":
                found[row.id, index] = StepCount(row.number, index, kind)
    for version_id, index, state, count in await _deliveries(session, flow, sorted(found)):
        found[version_id, index].deliveries[state] = count
    return list(found.values())


async def _deliveries(
    session: AsyncSession, flow: Flow, steps: Sequence[tuple[int, int]]
) -> list[Any]:
    """Deliveries by version, step and state: found by their source, which has a unique index."""
    if not steps:
        return []
    e, d = table(Enrolment), table(Delivery)
    step = (
        values(column("version_id", Integer), column("n", Integer), name="step").data(steps).cte()
    )
    source = "enrolment:" + cast(e.c.id, String) + ":step:" + cast(step.c.n, String)
    query = (
        select(step.c.version_id, step.c.n, d.c.state, func.count())
        .select_from(e)
        .join(step, step.c.version_id == e.c.flow_version_id)
        .join(d, d.c.source == source)
        .where(e.c.flow_id == flow.id)
        .group_by(step.c.version_id, step.c.n, d.c.state)
    )
    return list(await session.execute(query))
