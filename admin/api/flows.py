"""Flows: save a draft, publish, pause, resume, enrol, report."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from fastapi.requests import Request
from pydantic import Field
from pydantic_core import PydanticSerializationError
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin import enrolling, flow_reports
from admin.api import flow_bodies
from admin.api.bodies import check_tree
from admin.api.changes import Change
from admin.api.fields import (
    Given,
    IfMatch,
    PathKey,
    RowId,
    Told,
    beside,
    check_version,
    like,
    tag_version,
    version_read,
)
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Changing, Creating, Reading, Shared, least, router
from core.db import table
from core.errors import Fault, Invalid, NotFound
from flows import store
from flows.definition import FlowDefinition
from flows.models import Flow, FlowVersion

routes = router("flows")

State = Literal["draft", "published", "paused"]
SCHEMA = {"$ref": "#/components/schemas/FlowDefinition"}
_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": SCHEMA, "example": flow_bodies.EXAMPLE},
        "application/yaml": {"schema": {"type": "string"}, "example": flow_bodies.EXAMPLE_YAML},
    },
}
_EXAMPLE = {
    "key": "welcome", "name": "友だち追加のごあいさつ", "state": "published", "version": 3,
    "published_number": 1, "published_at": "2026-11-22T01:00:00Z",
    "created_at": "2026-11-21T01:00:00Z", "updated_at": "2026-11-22T00:50:00Z",
}  # fmt: skip


class FlowSummary(Told):
    """A flow, without its definition."""

    model_config = like(_EXAMPLE)

    key: str
    name: str
    state: State
    version: int = Field(description="Of the draft; for If-Match")
    published_number: int | None = Field(description="Which published version is running")
    published_at: datetime | None = Field(description="When it was first published")
    created_at: datetime
    updated_at: datetime


class FlowRead(FlowSummary):
    """A flow with its draft."""

    model_config = like(_EXAMPLE | {"definition": flow_bodies.EXAMPLE})

    definition: dict[str, Any] = Field(description="The draft")


class StepRead(Told):
    """One step that sends, and its deliveries by state."""

    version: int
    step: int = Field(description="Its place among the steps, from 0")
    kind: str
    deliveries: dict[str, int]


class ReportRead(Told):
    """What became of the customers who entered, and of what was sent to them."""

    model_config = like(
        {
            "key": "welcome",
            "entered": 120,
            "under_way": 30,
            "finished": 85,
            "stopped": 0,
            "exited": {"blocked": 5},
            "steps": [
                {
                    "version": 1,
                    "step": 0,
                    "kind": "say",
                    "deliveries": {"sent": 118, "suppressed": 2},
                }
            ],
        }
    )

    key: str
    entered: int
    under_way: int
    finished: int
    stopped: int = Field(description="Whose step failed for good")
    exited: dict[str, int] = Field(description="By reason")
    steps: list[StepRead]


class EnrolOne(Given):
    """Who enters."""

    model_config = like({"customer_id": 9})

    customer_id: RowId


class EnrolmentRead(Told):
    """One customer's walk through the flow."""

    model_config = like(
        {
            "id": 501,
            "customer_id": 9,
            "friend_id": 12,
            "state": "active",
            "step": 0,
            "due_at": "2026-11-22T01:00:00Z",
            "entered_at": "2026-11-22T01:00:00Z",
        }
    )

    id: int
    customer_id: int
    friend_id: int
    state: str
    step: int
    due_at: datetime
    entered_at: datetime


class FlowFilter(PageQuery):
    """Which flows."""

    state: State | None = None


@routes.get("/flows", summary="List flows", openapi_extra=least("viewer", "シナリオの一覧"))
async def list_flows(
    asked: Annotated[FlowFilter, Query()], session: Reading, api: Shared
) -> Page[FlowSummary]:
    """All flows, the newest first; get one for its definition."""
    query = _select(*(table(Flow).c[name] for name in ("id", *_OWN)))
    if asked.state is not None:
        query = query.where(table(Flow).c.state == asked.state)
    return await page(
        session, api.cursors, asked, query, name="flows", keys=[table(Flow).c.id],
        read=FlowSummary.model_validate,
    )  # fmt: skip


@routes.get(
    "/flows/schema.json", summary="Get the definition's JSON Schema",
    openapi_extra=least("viewer", "シナリオ定義のJSON Schema"),
)  # fmt: skip
async def get_schema() -> dict[str, Any]:
    """The JSON Schema of a flow definition, for editors that check and complete flow files."""
    return FlowDefinition.model_json_schema()


@routes.get("/flows/{key}", summary="Get a flow", openapi_extra=least("viewer", "シナリオの表示"))
async def get_flow(key: PathKey, session: Reading, response: Response) -> FlowRead:
    """One flow with its draft; the `ETag` is what a change of it wants as `If-Match`."""
    return await _told(session, key, response)


@routes.post(
    "/flows", summary="Create a flow", status_code=201,
    openapi_extra=least("marketer", "シナリオの作成", requestBody=_BODY),
)  # fmt: skip
async def create_flow(request: Request, change: Creating, response: Response) -> FlowRead:
    """Save a new flow as a draft; its key is in the definition. 409 where there is one already.

    The definition comes as JSON, or as YAML with `Content-Type: application/yaml`; every field is
    checked, and each fault told with its path, in YAML also with line and column.
    """
    definition = await _definition(request, change, None)
    session = await change.begin()
    if await _exists(session, definition.key):
        raise flow_bodies.exists_already(definition.key)
    return await _save(session, definition, change, response, as_new=True)


@routes.put(
    "/flows/{key}", summary="Save a flow",
    responses={201: {"model": FlowRead, "description": "It is new"}},
    openapi_extra=least("marketer", "シナリオの保存", requestBody=_BODY),
)  # fmt: skip
async def save_flow(
    key: PathKey, request: Request, change: Changing, response: Response, if_match: IfMatch = None
) -> FlowRead:
    """Save the draft, new or in place of the last one. What is published stays until `publish`.

    The definition comes as JSON, or as YAML with `Content-Type: application/yaml`; every field is
    checked, and each fault told with its path, in YAML also with line and column. Replacing a draft
    needs `If-Match`.
    """
    definition = await _definition(request, change, key)
    read = version_read(if_match)
    session = await change.begin()
    known = await _exists(session, key)
    if known:
        flow = await store.get(session, key, lock=True)
        check_version(flow.version, if_match, needed=True)
    elif read is not None:
        raise NotFound("flow", key)
    else:
        response.status_code = 201
    return await _save(session, definition, change, response, as_new=not known)


@routes.post(
    "/flows/{key}/publish", summary="Publish a flow",
    openapi_extra=least("marketer", "シナリオの公開"),
)  # fmt: skip
async def publish_flow(
    key: PathKey, change: Creating, response: Response, if_match: IfMatch = None
) -> FlowRead:
    """Publish the draft as a new version; who is under way stays on the version they entered.

    A draft that is published already is not published again, but a paused flow goes on.
    """
    session = await _at_version(change, key, if_match)
    version, _new = await store.publish(session, key, now=change.now)
    change.note("flow.publish", f"flow:{key}", number=version.number)
    change.wake("steps")
    return await _told(session, key, response)


@routes.post(
    "/flows/{key}/pause", summary="Pause a flow",
    openapi_extra=least("marketer", "シナリオの一時停止"),
)  # fmt: skip
async def pause_flow(
    key: PathKey, change: Creating, response: Response, if_match: IfMatch = None
) -> FlowRead:
    """Nobody enters, and who is under way waits, until `resume`."""
    session = await _at_version(change, key, if_match)
    await store.pause(session, key)
    change.note("flow.pause", f"flow:{key}")
    return await _told(session, key, response)


@routes.post(
    "/flows/{key}/resume", summary="Resume a flow",
    openapi_extra=least("marketer", "シナリオの再開"),
)  # fmt: skip
async def resume_flow(
    key: PathKey, change: Creating, response: Response, if_match: IfMatch = None
) -> FlowRead:
    """Go on after a pause; what fell due meanwhile is due now."""
    session = await _at_version(change, key, if_match)
    await store.resume(session, key)
    change.note("flow.resume", f"flow:{key}")
    change.wake("steps")
    return await _told(session, key, response)


@routes.post(
    "/flows/{key}/enrol", summary="Enrol a customer", status_code=201,
    openapi_extra=least("marketer", "顧客をシナリオに登録"),
)  # fmt: skip
async def enrol_customer(key: PathKey, wanted: EnrolOne, change: Creating) -> EnrolmentRead:
    """Let one customer into the running version, as its trigger would.

    409 where the flow is not running, none of the customer's friends follows, or the entry rule
    (`entry.once`) does not let them in again.
    """
    session = await change.begin()
    enrolment = await enrolling.enrol(session, key, wanted.customer_id, now=change.now)
    change.note("flow.enrol", f"flow:{key}", customer=wanted.customer_id)
    change.wake("steps")
    return EnrolmentRead.model_validate(enrolment)


@routes.get(
    "/flows/{key}/report", summary="Report on a flow",
    openapi_extra=least("viewer", "シナリオの成果"),
)  # fmt: skip
async def report_on_flow(key: PathKey, session: Reading) -> ReportRead:
    """How many entered, are under way, finished or left, and each step's deliveries by state."""
    flow = await store.get(session, key)
    found = await flow_reports.report(session, flow)
    steps = [StepRead.model_validate(step) for step in found.steps]
    return ReportRead(
        key=key, entered=found.entered, under_way=found.under_way, finished=found.finished,
        stopped=found.stopped, exited=found.exited, steps=steps,
    )  # fmt: skip


_OWN = ("key", "name", "state", "version", "published_at", "created_at", "updated_at")


def _select(*columns: ColumnElement[Any]) -> Select[Any]:
    flow, version = table(Flow), table(FlowVersion)
    number = version.c.number.label("published_number")
    joined = version.c.id == flow.c.published_version_id
    return select(*columns, number).select_from(flow).outerjoin(version, joined)


async def _exists(session: AsyncSession, key: str) -> bool:
    flow = table(Flow)
    return await session.scalar(select(flow.c.id).where(flow.c.key == key)) is not None


async def _definition(request: Request, change: Change, key: str | None) -> FlowDefinition:
    """The definition that a request carries, checked beside the event loop."""
    allow_http = change.runtime.settings.allow_http_urls
    body = await request.body()
    media_type = request.headers.get("content-type", "")
    definition = await beside(flow_bodies.read, body, media_type, key=key, allow_http=allow_http)
    try:
        check_tree(store.to_json(definition))
    except (PydanticSerializationError, ValueError):
        raise Invalid("The flow has 1 fault.", [
            Fault("", "holds a value that JSON cannot say", "JSONで表せない値が含まれています"),
        ]) from None  # fmt: skip
    return definition


async def _save(
    session: AsyncSession,
    definition: FlowDefinition,
    change: Change,
    response: Response,
    *,
    as_new: bool,
) -> FlowRead:
    flow, changed = await store.save(session, definition, now=change.now, as_new=as_new)
    if changed:
        change.note("flow.save", f"flow:{flow.key}", version=flow.version)
    return await _told(session, flow.key, response)


async def _at_version(change: Change, key: str, if_match: str | None) -> AsyncSession:
    session = await change.begin()
    flow = await store.get(session, key, lock=True)
    check_version(flow.version, if_match, needed=False)
    return session


async def _told(session: AsyncSession, key: str, response: Response) -> FlowRead:
    await session.flush()
    flow = table(Flow)
    query = _select(*(flow.c[name] for name in (*_OWN, "definition"))).where(flow.c.key == key)
    row = (await session.execute(query)).first()
    if row is None:
        raise NotFound("flow", key)
    tag_version(response, row.version)
    return FlowRead.model_validate(row)
