"""Coupons: define, issue, fill pools, report, and make LINE's own coupon objects."""

from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Query, Response
from pydantic import ValidationError
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.changes import Change
from admin.api.coupon_bodies import (
    CodesGiven,
    CodesTaken,
    CopyRead,
    CouponCreate,
    CouponDetail,
    CouponRead,
    CouponSave,
    IssueRead,
    IssueWanted,
    LineCouponClosed,
    LineCouponRead,
    LineCouponWanted,
    PoolRead,
    UsageRead,
    coupon_values,
    read_copy,
    read_coupon,
)
from admin.api.fields import IfMatch, PathKey, check_version, tag_version, version_read
from admin.api.handlers import fault_of
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Changing, Creating, Reading, Shared, least, router
from core.db import table
from core.errors import Conflict, Fault, Invalid, NotFound
from core.line.coupons import message
from crm.coupons import codes, definition, issuing, on_line, reports
from crm.coupons.definition import CouponDraft
from crm.coupons.held import pooled_of
from crm.coupons.issuing import Issued
from crm.coupons.models import POOL, Coupon, CouponCode, IssuedCoupon
from crm.customers import locking

routes = router("coupons")


@routes.get("/coupons", summary="List coupons", openapi_extra=least("viewer", "クーポンの一覧"))
async def list_coupons(
    asked: Annotated[PageQuery, Query()], session: Reading, api: Shared
) -> Page[CouponRead]:
    """All definitions, the newest first; get one for what its pool has left."""
    coupon = table(Coupon)
    return await page(
        session, api.cursors, asked, select(coupon), name="coupons", keys=[coupon.c.id],
        read=read_coupon,
    )  # fmt: skip


@routes.get(
    "/reports/coupons", summary="Report on coupons",
    openapi_extra=least("viewer", "クーポンの成果一覧"),
)  # fmt: skip
async def report_on_coupons(
    asked: Annotated[PageQuery, Query()], session: Reading, api: Shared
) -> Page[UsageRead]:
    """What became of every coupon's copies, and what was bought with them, the newest first."""
    coupon, now = table(Coupon), await api.runtime.clock.now()
    query = select(coupon.c.id, coupon.c.key, coupon.c.name)
    found: Page[Any] = await page(
        session, api.cursors, asked, query, name="coupon-reports", keys=[coupon.c.id],
        read=lambda row: row,
    )  # fmt: skip
    usage = await reports.usage(session, [row.id for row in found.items], now=now)
    items = [_usage(row, usage[row.id]) for row in found.items]
    return Page(items=items, next_cursor=found.next_cursor)


@routes.get(
    "/coupons/{key}", summary="Get a coupon", openapi_extra=least("viewer", "クーポンの表示")
)
async def get_coupon(key: PathKey, session: Reading, response: Response) -> CouponDetail:
    """One definition; the `ETag` is what a change of it wants as `If-Match`."""
    return await _told(session, key, response)


@routes.post(
    "/coupons", summary="Create a coupon", status_code=201,
    openapi_extra=least("marketer", "クーポンの作成"),
)  # fmt: skip
async def create_coupon(wanted: CouponCreate, change: Creating, response: Response) -> CouponDetail:
    """Define a new coupon. 409 where there is one of this key already."""
    draft = _draft(wanted, change)
    session = await change.begin()
    if await _version(session, wanted.key) is not None:
        raise Conflict(f"There is a coupon {wanted.key!r} already; save it with PUT instead.")
    return await _save(session, wanted.key, draft, change, response)


@routes.put(
    "/coupons/{key}", summary="Save a coupon",
    responses={201: {"model": CouponDetail, "description": "It is new"}},
    openapi_extra=least("marketer", "クーポンの保存"),
)  # fmt: skip
async def save_coupon(
    key: PathKey, wanted: CouponSave, change: Changing, response: Response, if_match: IfMatch = None
) -> CouponDetail:
    """Save a definition, new or in place of the last one, which needs `If-Match`.

    Copies that have been issued keep their dates and their number of uses.
    """
    draft = _draft(wanted, change)
    read = version_read(if_match)
    session = await change.begin()
    known = await _version(session, key, lock=True)
    if known is not None:
        check_version(known, if_match, needed=True)
    elif read is not None:
        raise NotFound("coupon", key)
    else:
        response.status_code = 201
    return await _save(session, key, draft, change, response)


@routes.delete(
    "/coupons/{key}", summary="Delete a coupon", status_code=204,
    openapi_extra=least("marketer", "クーポンの削除"),
)  # fmt: skip
async def delete_coupon(key: PathKey, change: Changing, if_match: IfMatch = None) -> None:
    """Delete a definition that was never issued; one that was can be archived by its `state`."""
    session = await change.begin()
    known = await _version(session, key, lock=True)
    if known is None:
        raise NotFound("coupon", key)
    check_version(known, if_match, needed=False)
    await definition.remove(session, key)
    change.note("coupon.delete", f"coupon:{key}")


@routes.post(
    "/coupons/{key}/issue", summary="Issue a coupon", status_code=201,
    responses={200: {"model": IssueRead, "description": "Nothing new was issued"}},
    openapi_extra=least("marketer", "クーポンの発行"),
)  # fmt: skip
async def issue_coupon(
    key: PathKey, wanted: IssueWanted, change: Creating, response: Response
) -> IssueRead:
    """Give customers a copy each. Who has as many as one may get, or has one for the same `reason`,
    gets none; where that is the one customer asked for, it is 409, unless the reason is the same.

    409 also for an archived coupon, and where the pool does not reach for all: nobody gets one.
    """
    session = await change.begin()
    customers = await _customers(session, wanted)
    await locking.lock(session, customers)
    done = await issuing.issue(
        session, key, customers, reason=f"api:{wanted.reason or uuid4().hex}", now=change.now,
        zone=change.runtime.settings.zone,
    )  # fmt: skip
    if wanted.customer_id is not None and done.full:
        raise Conflict(
            "このお客さまには発行上限までクーポンを発行済みです。"
            "／The customer has had as many of this coupon as one may get."
        )
    if done.new:
        change.note("coupon.issue", f"coupon:{key}", count=len(done.new))
        change.wake("reactions")
    else:
        response.status_code = 200
    return await _issued(session, done, single=wanted.customer_id is not None, now=change.now)


@routes.post(
    "/coupons/{key}/codes", summary="Fill a coupon's pool of codes",
    openapi_extra=least("marketer", "クーポンコードの追加"),
)  # fmt: skip
async def fill_pool(key: PathKey, wanted: CodesGiven, change: Creating) -> CodesTaken:
    """Add up to 5,000 codes that another system made; those that are there already are told.

    They are the same where they differ only in case, spaces, `-` and `_`.
    """
    session = await change.begin()
    coupon = await definition.find(session, key, lock=True)
    if coupon.code_source != POOL:
        raise Conflict("このクーポンのコードは自動生成です。／Its codes are generated, not pooled.")
    done = await codes.fill(session, coupon, wanted.codes)
    change.note("coupon.fill", f"coupon:{key}", count=done.added)
    change.afterwards(lambda: codes.note_level(coupon, done.free))
    low = codes.is_low(coupon, done.free)
    return CodesTaken(added=done.added, duplicates=list(done.duplicates), free=done.free, low=low)


@routes.get(
    "/coupons/{key}/report", summary="Report on a coupon",
    openapi_extra=least("viewer", "クーポンの成果"),
)  # fmt: skip
async def report_on_coupon(key: PathKey, session: Reading, api: Shared) -> UsageRead:
    """What became of its copies, what was bought with them, and what discount was given."""
    coupon = await definition.find(session, key)
    now, id_ = await api.runtime.clock.now(), coupon.id or 0
    return _usage(coupon, (await reports.usage(session, [id_], now=now))[id_])


@routes.post(
    "/coupons/{key}/line-coupon", summary="Make LINE's own coupon",
    openapi_extra=least("marketer", "LINEクーポンの作成"),
)  # fmt: skip
async def make_line_coupon(
    key: PathKey, wanted: LineCouponWanted, change: Creating
) -> LineCouponRead:
    """Have LINE make a coupon object of its own from this definition, once for each channel.

    Send it as the answer's `message`, in a flow or a message. LINE tells nobody who uses it: uses
    in LINE are not counted here, and it has no code of ours.
    """
    channel = await on_line.channel_of(change.runtime, wanted.channel_id)
    line_id, new = await on_line.make(
        change.runtime, key, channel, ends_at=wanted.ends_at, now=change.now
    )
    session = await change.begin()
    kept = await on_line.keep(session, key, channel, line_id)
    if new and kept == line_id:
        change.note("coupon.line-create", f"coupon:{key}", channel=channel.channel_id)
    return _on_line(key, channel.channel_id, kept, "running")


@routes.post(
    "/coupons/{key}/line-coupon/close", summary="Close LINE's own coupon",
    openapi_extra=least("marketer", "LINEクーポンの終了"),
)  # fmt: skip
async def close_line_coupon(
    key: PathKey, wanted: LineCouponClosed, change: Creating
) -> LineCouponRead:
    """Close LINE's coupon object for good, also for those who have acquired it."""
    channel = await on_line.channel_of(change.runtime, wanted.channel_id)
    async with change.runtime.db.reading() as reading:
        line_id = await on_line.line_id_of(reading, key, channel)
    await on_line.close(change.runtime, line_id, channel)
    session = await change.begin()
    await on_line.forget(session, key, channel, line_id)
    change.note("coupon.line-close", f"coupon:{key}", channel=channel.channel_id)
    return _on_line(key, channel.channel_id, line_id, "closed")


def copies() -> Select[Any]:
    """Copies with what tells them: their coupon, and the code as the pool gave it."""
    copy, coupon, pooled = table(IssuedCoupon), table(Coupon), table(CouponCode)
    of_coupon = (coupon.c.key, coupon.c.name, coupon.c.discount)
    query = select(copy, *of_coupon, pooled.c.code.label("given"))
    return query.join(coupon, coupon.c.id == copy.c.coupon_id).outerjoin(
        pooled, pooled_of(copy, pooled)
    )


def _draft(wanted: CouponSave, change: Change) -> CouponDraft:
    try:
        return wanted.draft(change.runtime.settings.zone)
    except ValidationError as error:
        faults = [fault_of({**item, "loc": ("body", *item["loc"])}) for item in error.errors()]
        raise Invalid(f"The coupon has {len(faults)} fault(s).", faults) from None


async def _version(session: AsyncSession, key: str, *, lock: bool = False) -> int | None:
    coupon = table(Coupon)
    query = select(coupon.c.version).where(coupon.c.key == key)
    found: int | None = await session.scalar(query.with_for_update() if lock else query)
    return found


async def _save(
    session: AsyncSession, key: str, draft: CouponDraft, change: Change, response: Response
) -> CouponDetail:
    saved, _new = await definition.save(session, key, draft, now=change.now, expected=None)
    change.note("coupon.save", f"coupon:{key}", version=saved.version)
    return await _told(session, key, response)


async def _told(session: AsyncSession, key: str, response: Response) -> CouponDetail:
    coupon = await definition.find(session, key)
    pool = None
    if coupon.code_source == POOL:
        left = await codes.free(session, coupon.id)
        pool = PoolRead(free=left, low=codes.is_low(coupon, left))
    tag_version(response, coupon.version)
    return CouponDetail(**coupon_values(coupon), pool=pool)


async def _customers(session: AsyncSession, wanted: IssueWanted) -> list[int]:
    """The records that the given ids stand for today. Raises `Invalid`, or `NotFound` for one."""
    today = await locking.resolve(session, wanted.ids())
    faults = [
        Fault(f"customer_ids[{index}]", f"there is no customer {id_}",
              f"顧客 {id_} は登録されていません")
        for index, id_ in enumerate(wanted.ids())
        if id_ not in today
    ]  # fmt: skip
    if faults and wanted.customer_id is not None:
        raise NotFound("customer", wanted.customer_id)
    if faults:
        raise Invalid(f"Nothing was issued: there are {len(faults)} fault(s).", faults)
    return sorted(set(today.values()))


async def _issued(session: AsyncSession, done: Issued, *, single: bool, now: datetime) -> IssueRead:
    ids = [*done.new.values(), *done.same.values()]
    query = copies().where(table(IssuedCoupon).c.id.in_(ids)).order_by(table(IssuedCoupon).c.id)
    rows: list[CopyRead] = [read_copy(row, now=now) for row in await session.execute(query)]
    new = set(done.new.values())
    one = rows[0] if single and rows else None
    pool = None
    if done.pool_free is not None:
        pool = PoolRead(free=done.pool_free, low=done.pool_low)
    return IssueRead(
        issued=[row for row in rows if row.id in new],
        already=[row for row in rows if row.id not in new],
        full=sorted(done.full),
        pool=pool,
        id=one.id if one else None,
        code=one.code if one else None,
        expires_at=one.expires_at if one else None,
    )


def _usage(coupon: Any, usage: reports.Usage) -> UsageRead:  # noqa: ANN401
    names = [name for name in UsageRead.model_fields if name not in {"key", "name"}]
    figures = {name: getattr(usage, name) for name in names}
    return UsageRead(key=coupon.key, name=coupon.name, **figures)


def _on_line(key: str, channel_id: str, line_id: str, state: str) -> LineCouponRead:
    return LineCouponRead(
        coupon=key, channel_id=channel_id, line_coupon_id=line_id, state=state,
        message=message(line_id),
    )  # fmt: skip
