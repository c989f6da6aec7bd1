"""Topics: what customers can choose to hear about."""

from datetime import datetime

from fastapi import Response
from pydantic import Field

from admin.api.fields import (
    Given,
    IfMatch,
    PathKey,
    Told,
    check_version,
    like,
    tag_version,
    version_read,
)
from admin.api.paging import Page
from admin.api.routing import Changing, Reading, least, router
from core.errors import NotFound
from crm.customers import topics
from crm.customers.models import Topic
from crm.customers.topics import TopicDraft

routes = router("topics")

_EXAMPLE = {
    "key": "sales", "name": "セール・キャンペーン", "description": "セールやキャンペーンのご案内",
    "position": 1, "version": 1, "created_at": "2026-11-22T01:00:00Z",
    "updated_at": "2026-11-22T01:00:00Z",
}  # fmt: skip


class TopicRead(Told):
    """A topic; version 0 is a default that the shop has not saved."""

    model_config = like(_EXAMPLE)

    key: str
    name: str
    description: str
    position: int
    version: int
    created_at: datetime | None
    updated_at: datetime | None


class TopicSave(Given):
    """A topic as customers read it."""

    model_config = like({n: _EXAMPLE[n] for n in ("name", "description", "position")})

    name: str = Field(min_length=1, max_length=40, pattern=r"\S")
    description: str = Field("", max_length=200)
    position: int = Field(0, ge=0, le=10_000, description="The lowest is shown first")


@routes.get("/topics", summary="List topics", openapi_extra=least("viewer", "トピックの一覧"))
async def list_topics(session: Reading) -> Page[TopicRead]:
    """All topics in the order in which customers see them; there are at most 20, on one page."""
    return Page(items=[_read(t) for t in await topics.all_topics(session)], next_cursor=None)


@routes.get("/topics/{key}", summary="Get a topic", openapi_extra=least("viewer", "トピックの表示"))
async def get_topic(key: PathKey, session: Reading, response: Response) -> TopicRead:
    """One topic; the `ETag` is what a change of it wants as `If-Match`."""
    found = next((t for t in await topics.all_topics(session) if t.key == key), None)
    if found is None:
        raise NotFound("topic", key)
    tag_version(response, found.version)
    return _read(found)


@routes.put(
    "/topics/{key}", summary="Save a topic",
    responses={201: {"model": TopicRead, "description": "It is new"}},
    openapi_extra=least("marketer", "トピックの保存"),
)  # fmt: skip
async def save_topic(
    key: PathKey, wanted: TopicSave, change: Changing, response: Response, if_match: IfMatch = None
) -> TopicRead:
    """Save a topic, new or in place of the last one, which needs `If-Match`."""
    read = version_read(if_match)
    session = await change.begin()
    before = next((t for t in await topics.all_topics(session) if t.key == key), None)
    if before is not None:
        check_version(before.version, if_match, needed=True)
    draft = TopicDraft(wanted.name.strip(), wanted.description.strip(), wanted.position)
    found, new = await topics.save(session, key, draft, expected=read, now=change.now)
    change.note("topic.save", f"topic:{key}", version=found.version)
    response.status_code = 201 if new else 200
    tag_version(response, found.version)
    return _read(found)


@routes.delete(
    "/topics/{key}", summary="Delete a topic", status_code=204,
    openapi_extra=least("marketer", "トピックの削除"),
)  # fmt: skip
async def delete_topic(key: PathKey, change: Changing, if_match: IfMatch = None) -> None:
    """Delete a topic and what customers have said of it; the last one stays (409)."""
    session = await change.begin()
    before = next((t for t in await topics.all_topics(session) if t.key == key), None)
    if before is None:
        raise NotFound("topic", key)
    check_version(before.version, if_match, needed=False)
    await topics.remove(session, key, now=change.now)
    change.note("topic.delete", f"topic:{key}")


def _read(topic: Topic) -> TopicRead:
    told = TopicRead.model_validate(topic)
    return told if topic.version else told.model_copy(update=dict.fromkeys(_MOMENTS))


_MOMENTS = ("created_at", "updated_at")
