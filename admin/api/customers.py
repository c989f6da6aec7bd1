"""Customers: the person, what the shop notes on them, and all that happened to them."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Path, Query, Response
from sqlalchemy import ColumnElement, Select, Text, exists, func, literal, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from admin import timeline
from admin.api.activities import ActivityRead
from admin.api.customer_bodies import (
    ConsentList,
    ConsentRead,
    ConsentSave,
    CustomerCreate,
    CustomerFilter,
    CustomerRead,
    CustomerUpdate,
    MergeCreate,
    MergeRead,
    TagsRead,
    TimelineEntry,
)
from admin.api.fields import IfMatch, PathId, PathKey, check_version, tag_version
from admin.api.merges import merge_told
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Changing, Creating, Reading, Shared, least, router
from core import bulk
from core.db import table
from core.errors import Fault, Invalid, NotFound
from crm.customers import attributes, contact, locking, records, tags, topics
from crm.customers.models import CustomerTag
from crm.linking.models import MemberLink
from crm.models import Activity, Customer, Friend
from crm.ranks import review
from delivery.models import Delivery

routes = router("customers")

PathTag = Annotated[str, Path(min_length=1, max_length=60, examples=["vip"])]
_OURS = frozenset({"attributes", "tags", "linked", "merged_from"})  # not columns of the table


@routes.get("/customers", summary="List customers", openapi_extra=least("viewer", "顧客の一覧"))
async def list_customers(
    asked: Annotated[CustomerFilter, Query()], session: Reading, api: Shared
) -> Page[CustomerRead]:
    """Customers, the newest first; records that were merged or erased are left out."""
    found = await page(
        session, api.cursors, asked, _narrowed(asked), name="customers",
        keys=[table(Customer).c.id], read=lambda row: row,
    )  # fmt: skip
    return Page(items=await _told(session, found.items), next_cursor=found.next_cursor)


@routes.get(
    "/customers/{id}", summary="Get a customer", openapi_extra=least("viewer", "顧客の表示")
)
async def get_customer(id_: PathId, session: Reading, response: Response) -> CustomerRead:
    """One customer. The id of a record that was merged leads to the one that it became."""
    told = await read_customer(session, id_)
    tag_version(response, told.version)
    return told


@routes.post(
    "/customers", summary="Add a customer", status_code=201,
    openapi_extra=least("clerk", "顧客の登録"),
)  # fmt: skip
async def create_customer(
    wanted: CustomerCreate, change: Creating, response: Response
) -> CustomerRead:
    """Add a customer. Who shares a phone or address with another is suspected to be a double."""
    session = await change.begin()
    made = await records.create(
        session, wanted.draft(), now=change.now, source=change.caller.actor
    )  # fmt: skip
    assert made.id is not None
    change.note("customer.create", f"customer:{made.id}", fields=sorted(wanted.model_fields_set))
    await review.promote(
        session, [made.id], now=change.now, zone=change.runtime.settings.zone
    )  # fmt: skip
    change.wake("reactions")
    told = await read_customer(session, made.id)
    tag_version(response, told.version)
    return told


@routes.patch(
    "/customers/{id}", summary="Change a customer", openapi_extra=least("clerk", "顧客の変更")
)
async def change_customer(
    id_: PathId, wanted: CustomerUpdate, change: Changing, response: Response,
    if_match: IfMatch = None,
) -> CustomerRead:  # fmt: skip
    """Change what is given, and nothing else. Needs `If-Match`."""
    session = await change.begin()
    found = await locked(session, id_)
    assert found.id is not None
    check_version(found.version, if_match, needed=True)
    before = found.member_number
    changed = await records.change(
        session, found, wanted.draft(), now=change.now, source=change.caller.actor
    )  # fmt: skip
    if changed:
        fields = sorted(wanted.model_fields_set)
        change.note("customer.change", f"customer:{found.id}", fields=fields)
        change.wake("reactions")
    if found.member_number != before:  # members have ranks
        zone = change.runtime.settings.zone
        await review.promote(session, [found.id], now=change.now, zone=zone)
    told = await read_customer(session, id_)
    tag_version(response, told.version)
    return told


@routes.get(
    "/customers/{id}/activities", summary="List a customer's activities",
    openapi_extra=least("viewer", "顧客の行動履歴"),
)  # fmt: skip
async def list_customer_activities(
    id_: PathId, asked: Annotated[PageQuery, Query()], session: Reading, api: Shared
) -> Page[ActivityRead]:
    """What the customer did and what happened to them, last happened first."""
    activity = table(Activity)
    query = select(*(activity.c[name] for name in ActivityRead.model_fields))
    query = query.where(activity.c.customer_id == await live_id(session, id_))
    return await page(
        session, api.cursors, asked, query, name="customer-activities",
        keys=[activity.c.occurred_at, activity.c.id], read=ActivityRead.model_validate,
    )  # fmt: skip


@routes.get(
    "/customers/{id}/timeline", summary="Get a customer's timeline",
    openapi_extra=least("viewer", "顧客のタイムライン"),
)  # fmt: skip
async def get_timeline(
    id_: PathId, asked: Annotated[PageQuery, Query()], session: Reading, api: Shared
) -> Page[TimelineEntry]:
    """Everything that happened and everything that was sent or not sent, with the reason."""
    both = _timeline(await live_id(session, id_))
    found = await page(
        session, api.cursors, asked, select(both), name="timeline",
        keys=[both.c.at, both.c.what, both.c.id], read=lambda row: row,
    )  # fmt: skip
    entries = await _entries(session, found.items)
    return Page(items=entries, next_cursor=found.next_cursor)


@routes.put(
    "/customers/{id}/tags/{tag}", summary="Tag a customer",
    openapi_extra=least("clerk", "タグの追加"),
)  # fmt: skip
async def add_tag(
    id_: PathId, tag: PathTag, change: Changing, if_match: IfMatch = None
) -> TagsRead:
    """Give a customer a tag; one that they have already changes nothing. Needs no `If-Match`."""
    return await _tag(change, id_, tag, tags.add, "customer.tag", if_match)


@routes.delete(
    "/customers/{id}/tags/{tag}", summary="Take a tag off a customer",
    openapi_extra=least("clerk", "タグの削除"),
)  # fmt: skip
async def remove_tag(id_: PathId, tag: PathTag, change: Changing) -> TagsRead:
    """Take a tag off a customer; one that they do not have changes nothing."""
    return await _tag(change, id_, tag, tags.remove, "customer.untag", None)


@routes.get(
    "/customers/{id}/consents", summary="List a customer's consents",
    openapi_extra=least("viewer", "通知設定の表示"),
)  # fmt: skip
async def list_consents(id_: PathId, session: Reading) -> ConsentList:
    """What the customer wants to hear of; who has said nothing hears of it, as friends do."""
    return await _consents(session, await live_id(session, id_))


@routes.put(
    "/customers/{id}/consents/{key}", summary="Note a customer's consent",
    openapi_extra=least("clerk", "通知設定の変更"),
)  # fmt: skip
async def save_consent(
    id_: PathId, key: PathKey, wanted: ConsentSave, change: Changing, if_match: IfMatch = None
) -> ConsentList:
    """Note what the customer told staff about a topic. Needs no `If-Match`."""
    session = await change.begin()
    found = await locked(session, id_)
    assert found.id is not None
    check_version(found.version, if_match, needed=False)
    changed = await topics.decide(
        session, found.id, key, wanted.granted, source=change.caller.actor, now=change.now
    )
    if changed:
        change.note("customer.consent", f"customer:{found.id}", topic=key, granted=wanted.granted)
        change.wake("reactions")
    return await _consents(session, found.id)


@routes.post(
    "/customers/{id}/merge", summary="Merge a customer into another",
    openapi_extra=least("clerk", "顧客の統合"),
)  # fmt: skip
async def merge_customer(id_: PathId, wanted: MergeCreate, change: Creating) -> MergeRead:
    """Make this record one with another, which stays; owners can undo it for 30 days."""
    session = await change.begin()
    return await merge_told(
        change, session, id_, wanted.into_customer_id, reason=wanted.reason, evidence={}
    )


async def live_id(session: AsyncSession, customer_id: int) -> int:
    """The id of the record that an id stands for today; raises `NotFound`."""
    found = await locking.resolve(session, [customer_id])
    if customer_id not in found:
        raise NotFound("customer", customer_id)
    return found[customer_id]


async def locked(session: AsyncSession, customer_id: int) -> Customer:
    """The record that an id stands for today, locked; an erased one is not to be changed."""
    found = await locking.locked(session, customer_id)
    if found.erased_at is not None:
        raise NotFound("customer", customer_id)
    return found


async def read_customer(session: AsyncSession, customer_id: int) -> CustomerRead:
    """The record that an id stands for today, as the API tells it; raises `NotFound`."""
    id_ = await live_id(session, customer_id)
    rows = list(await session.execute(_select().where(table(Customer).c.id == id_)))
    (told,) = await _told(session, rows)
    return told.model_copy(update={"merged_from": customer_id if id_ != customer_id else None})


def _select() -> Select[Any]:
    customer, link = table(Customer), table(MemberLink)
    own = [customer.c[name] for name in CustomerRead.model_fields if name not in _OURS]
    mine = (link.c.customer_id == customer.c.id) & link.c.unlinked_at.is_(None)
    return select(*own, exists().where(mine).label("linked"))


async def _told(session: AsyncSession, rows: Sequence[Any]) -> list[CustomerRead]:
    """Rows with their tags and attributes, in two statements for all of them."""
    ids = [row.id for row in rows]
    tagged, noted = await tags.of(session, ids), await attributes.of(session, ids)
    return [
        CustomerRead(
            **row._mapping, tags=tagged.get(row.id, []), attributes=noted.get(row.id, {}),  # noqa: SLF001 - the documented way to a row as a mapping
            merged_from=None,
        )
        for row in rows
    ]  # fmt: skip


def _narrowed(asked: CustomerFilter) -> Select[Any]:
    customer, tag, link = table(Customer), table(CustomerTag), table(MemberLink)
    query = _select().where(customer.c.merged_into_id.is_(None), customer.c.erased_at.is_(None))
    if asked.q is not None:
        query = query.where(_says(asked.q))
    if asked.rank is not None:
        query = query.where(customer.c.rank == asked.rank)
    if asked.tag is not None:
        mine = (tag.c.customer_id == customer.c.id) & (tag.c.tag == asked.tag)
        query = query.where(exists().where(mine))
    if asked.linked is not None:
        mine = (link.c.customer_id == customer.c.id) & link.c.unlinked_at.is_(None)
        query = query.where(exists().where(mine) if asked.linked else ~exists().where(mine))
    for name, normal in _NORMAL.items():
        if (wanted := getattr(asked, name)) is not None:
            query = query.where(customer.c[name] == _readable(name, normal, wanted))
    return query


_NORMAL: dict[str, Any] = {
    "phone": contact.phone, "email": contact.email, "member_number": contact.member_number,
}  # fmt: skip


def _readable(name: str, normal: Any, text: str) -> str:  # noqa: ANN401
    try:
        return str(normal(text))
    except ValueError as error:
        english, _, japanese = str(error).partition("／")
        raise Invalid("The filter cannot be read.", [Fault(name, english, japanese)]) from None


def _says(text: str) -> ColumnElement[bool]:
    """Name, kana or member number holds this text; kana in whatever script it was typed."""
    customer = table(Customer)
    ways = [customer.c[n].icontains(text, autoescape=True) for n in ("name", "member_number")]
    try:
        ways.append(customer.c.kana.contains(contact.kana(text), autoescape=True))
    except ValueError:
        ways.append(customer.c.kana.icontains(text, autoescape=True))
    return or_(*ways)


def _timeline(customer_id: int) -> Any:  # noqa: ANN401
    activity, delivery, friend = table(Activity), table(Delivery), table(Friend)
    happened = select(
        activity.c.occurred_at.label("at"), literal("activity", Text).label("what"), activity.c.id
    ).where(activity.c.customer_id == customer_id)
    sent = (
        select(
            func.coalesce(delivery.c.done_at, delivery.c.due_at),
            literal("delivery", Text),
            delivery.c.id,
        )
        .join(friend, friend.c.id == delivery.c.friend_id)
        .where(friend.c.customer_id == customer_id)
    )
    return union_all(happened, sent).subquery("both")


async def _entries(session: AsyncSession, rows: Sequence[Any]) -> list[TimelineEntry]:
    """Places of the timeline with what stands there, in two statements for all of them."""
    activity, delivery = table(Activity), table(Delivery)
    happened = {
        row.id: _happened(row) for row in await _of(session, activity, rows, "activity")
    }  # fmt: skip
    sent = {row.id: _sent(row) for row in await _of(session, delivery, rows, "delivery")}
    return [
        TimelineEntry(
            at=row.at, what=row.what, id=row.id,
            **(happened if row.what == "activity" else sent)[row.id],
        )
        for row in rows
    ]  # fmt: skip


async def _of(session: AsyncSession, source: Any, rows: Sequence[Any], what: str) -> list[Any]:  # noqa: ANN401
    ids = [row.id for row in rows if row.what == what]
    query = select(*(c for c in source.columns if c.name != "messages"))
    return list(await session.execute(query.where(bulk.is_one_of(session, source.c.id, ids))))


def _happened(row: Any) -> dict[str, Any]:  # noqa: ANN401
    japanese, english = timeline.title("activity", row.kind, row.data)
    return {
        "kind": row.kind, "title_ja": japanese, "title_en": english, "reason": None,
        "reason_ja": None, "reason_en": None, "friend_id": row.friend_id, "data": row.data,
    }  # fmt: skip


def _sent(row: Any) -> dict[str, Any]:  # noqa: ANN401
    data = {"source": row.source, "purpose": row.purpose, "message_count": row.message_count}
    japanese, english = timeline.title("delivery", row.state, data)
    why_ja, why_en = timeline.reason(row.reason)
    return {
        "kind": row.state, "title_ja": japanese, "title_en": english, "reason": row.reason,
        "reason_ja": why_ja, "reason_en": why_en, "friend_id": row.friend_id, "data": data,
    }  # fmt: skip


async def _tag(
    change: Changing, id_: int, tag: str, act: Any, action: str, if_match: str | None  # noqa: ANN401
) -> TagsRead:  # fmt: skip
    session = await change.begin()
    found = await locked(session, id_)
    assert found.id is not None
    check_version(found.version, if_match, needed=False)
    plain = _readable("tag", tags.clean, tag)
    if await act(session, [found.id], plain, source=change.caller.actor, now=change.now):
        found.version += 1
        found.updated_at = change.now
        change.note(action, f"customer:{found.id}", tag=plain)
        change.wake("reactions")
    held = await tags.of(session, [found.id])
    return TagsRead(customer_id=found.id, tags=held.get(found.id, []))


async def _consents(session: AsyncSession, customer_id: int) -> ConsentList:
    said = await topics.decisions(session, customer_id)
    told = [
        ConsentRead(topic=topic.key, name=topic.name, granted=said[topic.key])
        for topic in await topics.all_topics(session)
    ]
    return ConsentList(customer_id=customer_id, consents=told)
