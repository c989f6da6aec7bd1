"""Text rules: the shop's own answers to what customers type."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.fields import (
    IfMatch,
    PathKey,
    Told,
    beside,
    check_version,
    like,
    tag_version,
    version_read,
)
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Changing, Reading, Shared, least, router
from core.db import table
from core.errors import NotFound
from delivery import text_rules
from delivery.models import TextRule
from delivery.text_rules import How, RuleDraft

routes = router("text-rules")

_EXAMPLE = {
    "key": "hours",
    "match": "contains",
    "words": ["営業時間", "何時まで"],
    "priority": 10,
    "messages": [{"type": "text", "text": "10時から19時まで営業しています。"}],
    "enabled": True,
    "version": 1,
    "created_at": "2026-11-22T01:00:00Z",
    "updated_at": "2026-11-22T01:00:00Z",
}
_DRAFT = {
    "match": "contains",
    "words": ["営業時間", "何時まで"],
    "priority": 10,
    "say": "10時から19時まで営業しています。",
}


class RuleRead(Told):
    """A text rule."""

    model_config = like(_EXAMPLE)

    key: str
    match: How
    words: list[str]
    priority: int = Field(description="The highest that matches answers")
    messages: list[dict[str, Any]]
    enabled: bool
    version: int
    created_at: datetime
    updated_at: datetime


class OverlapRead(Told):
    """Another rule that matches some of the same words."""

    winner: str = Field(description="The rule that answers")
    other: str
    words: list[str]
    same_priority: bool


class RuleSaved(RuleRead):
    """A text rule, and the rules that it overlaps with."""

    model_config = like(
        _EXAMPLE
        | {
            "overlaps": [
                {"winner": "hours", "other": "open", "words": ["営業時間"], "same_priority": False}
            ]
        }
    )

    overlaps: list[OverlapRead]


class RuleSave(RuleDraft):
    """What a rule answers to which words; `say` is short for one text message."""

    model_config = like(_DRAFT)


@routes.get(
    "/text-rules", summary="List text rules", openapi_extra=least("viewer", "自動応答の一覧")
)
async def list_rules(
    asked: Annotated[PageQuery, Query()], session: Reading, api: Shared
) -> Page[RuleRead]:
    """All text rules, the newest first."""
    rule = table(TextRule)
    return await page(
        session, api.cursors, asked, select(rule), name="text-rules", keys=[rule.c.id],
        read=RuleRead.model_validate,
    )  # fmt: skip


@routes.get(
    "/text-rules/{key}", summary="Get a text rule", openapi_extra=least("viewer", "自動応答の表示")
)
async def get_rule(key: PathKey, session: Reading, response: Response) -> RuleRead:
    """One rule; the `ETag` is what a change of it wants as `If-Match`."""
    rule = await _find(session, key)
    if rule is None:
        raise NotFound("text rule", key)
    tag_version(response, rule.version)
    return RuleRead.model_validate(rule)


@routes.put(
    "/text-rules/{key}", summary="Save a text rule",
    responses={201: {"model": RuleSaved, "description": "It is new"}},
    openapi_extra=least("marketer", "自動応答の保存"),
)  # fmt: skip
async def save_rule(
    key: PathKey,
    wanted: RuleSave,
    change: Changing,
    response: Response,
    if_match: IfMatch = None,
) -> RuleSaved:
    """Save a rule, new or in place of the last one, and tell which other rules it overlaps with.

    Replacing one needs `If-Match`.
    """
    allow_http = change.runtime.settings.allow_http_urls
    await beside(text_rules.check, wanted, allow_http=allow_http)
    read = version_read(if_match)
    session = await change.begin()
    found = await _find(session, key, lock=True)
    if found is not None:
        check_version(found.version, if_match, needed=True)
    elif read is not None:
        raise NotFound("text rule", key)
    rule, new, overlaps = await text_rules.save(
        session, key, wanted, now=change.now, allow_http=allow_http
    )
    change.note("text-rule.save", f"text-rule:{key}", version=rule.version)
    response.status_code = 201 if new else 200
    tag_version(response, rule.version)
    told = RuleRead.model_validate(rule).model_dump()
    return RuleSaved(**told, overlaps=[OverlapRead.model_validate(o) for o in overlaps])


@routes.delete(
    "/text-rules/{key}", summary="Delete a text rule", status_code=204,
    openapi_extra=least("marketer", "自動応答の削除"),
)  # fmt: skip
async def delete_rule(key: PathKey, change: Changing, if_match: IfMatch = None) -> None:
    """Delete a rule; what customers type then falls to the next rule that matches."""
    session = await change.begin()
    found = await _find(session, key, lock=True)
    if found is None:
        raise NotFound("text rule", key)
    check_version(found.version, if_match, needed=False)
    await text_rules.remove(session, key)
    change.note("text-rule.delete", f"text-rule:{key}")


async def _find(session: AsyncSession, key: str, *, lock: bool = False) -> TextRule | None:
    query = select(TextRule).where(table(TextRule).c.key == key)
    found: TextRule | None = await session.scalar(query.with_for_update() if lock else query)
    return found
