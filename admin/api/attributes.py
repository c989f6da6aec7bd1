"""Attributes: what the shop notes on its customers, and of what type."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import Field
from sqlalchemy import select

from admin.api.fields import (
    Given,
    IfMatch,
    Name,
    PathKey,
    Told,
    check_version,
    like,
    tag_version,
    version_read,
)
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Changing, Reading, Shared, least, router
from core.db import table
from core.errors import NotFound
from crm.customers import attributes
from crm.customers.attributes import MAX_CHOICE, MAX_CHOICES, DefinitionDraft
from crm.customers.models import AttributeDefinition

routes = router("attributes")

Type = Literal["text", "number", "date", "choice", "yes_no"]
_EXAMPLE: dict[str, Any] = {
    "key": "skin_type", "name": "肌質", "type": "choice", "choices": ["dry", "oily"], "position": 1,
    "version": 1, "created_at": "2026-11-22T01:00:00Z", "updated_at": "2026-11-22T01:00:00Z",
}  # fmt: skip


class AttributeRead(Told):
    """An attribute of the shop's customers."""

    model_config = like(_EXAMPLE)

    key: str
    name: str
    type: Type
    choices: list[str]
    position: int
    version: int
    created_at: datetime
    updated_at: datetime


class AttributeSave(Given):
    """What the shop notes, and of what type."""

    model_config = like({n: _EXAMPLE[n] for n in ("name", "type", "choices", "position")})

    name: Name
    type: Type
    choices: list[Annotated[str, Field(max_length=MAX_CHOICE)]] = Field(
        default_factory=list, max_length=MAX_CHOICES, description="For the type choice alone"
    )
    position: int = Field(0, ge=0, le=10_000, description="The lowest is shown first")


class AttributeDelete(Given):
    """What goes with it."""

    with_values: bool = Field(default=False, description="Delete what is noted on customers too")


@routes.get(
    "/attributes", summary="List attributes", openapi_extra=least("viewer", "顧客属性の一覧")
)
async def list_attributes(
    asked: Annotated[PageQuery, Query()], session: Reading, api: Shared
) -> Page[AttributeRead]:
    """All attributes, by descending key; `position` says in which order to show them."""
    definition = table(AttributeDefinition)
    return await page(
        session, api.cursors, asked, select(definition), name="attributes",
        keys=[definition.c.key], read=AttributeRead.model_validate,
    )  # fmt: skip


@routes.get(
    "/attributes/{key}", summary="Get an attribute", openapi_extra=least("viewer", "顧客属性の表示")
)
async def get_attribute(key: PathKey, session: Reading, response: Response) -> AttributeRead:
    """One attribute; the `ETag` is what a change of it wants as `If-Match`."""
    found = await session.get(AttributeDefinition, key)
    if found is None:
        raise NotFound("attribute", key)
    tag_version(response, found.version)
    return AttributeRead.model_validate(found)


@routes.put(
    "/attributes/{key}", summary="Save an attribute",
    responses={201: {"model": AttributeRead, "description": "It is new"}},
    openapi_extra=least("marketer", "顧客属性の保存"),
)  # fmt: skip
async def save_attribute(
    key: PathKey, wanted: AttributeSave, change: Changing, response: Response,
    if_match: IfMatch = None,
) -> AttributeRead:  # fmt: skip
    """Define an attribute, new or in place of the last one, which needs `If-Match`.

    409 where customers hold values that would not fit the new type or choices.
    """
    read = version_read(if_match)
    session = await change.begin()
    before = await session.get(AttributeDefinition, key, with_for_update=True)
    if before is not None:
        check_version(before.version, if_match, needed=True)
    draft = DefinitionDraft(wanted.name, wanted.type, wanted.choices, wanted.position)
    found, new = await attributes.save(session, key, draft, expected=read, now=change.now)
    change.note("attribute.save", f"attribute:{key}", version=found.version)
    response.status_code = 201 if new else 200
    tag_version(response, found.version)
    return AttributeRead.model_validate(found)


@routes.delete(
    "/attributes/{key}", summary="Delete an attribute", status_code=204,
    openapi_extra=least("marketer", "顧客属性の削除"),
)  # fmt: skip
async def delete_attribute(
    key: PathKey,
    asked: Annotated[AttributeDelete, Query()],
    change: Changing,
    if_match: IfMatch = None,
) -> None:
    """Delete an attribute; 409 where customers hold values, unless those are to go too."""
    session = await change.begin()
    found = await session.get(AttributeDefinition, key, with_for_update=True)
    if found is None:
        raise NotFound("attribute", key)
    check_version(found.version, if_match, needed=False)
    gone = await attributes.remove(session, key, with_values=asked.with_values)
    change.note("attribute.delete", f"attribute:{key}", values=gone)
