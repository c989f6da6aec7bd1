"""Points: what a customer holds and how it came about, corrections by staff, policy, liability."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import Query, Response
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.fields import (
    Given,
    IfMatch,
    Moment,
    PathId,
    Told,
    check_version,
    like,
    tag_version,
    version_read,
)
from admin.api.paging import Page, PageQuery, page
from admin.api.routing import Changing, Creating, Reading, Shared, least, router
from core.db import table
from core.errors import NotFound
from crm import policies
from crm.customers import locking
from crm.points import ledger, liability
from crm.points.models import PointEntry
from crm.points.policy import MAX_POINTS, PointsPolicy

routes = router("points")

EntryKind = Literal[
    "grant", "spend", "expire", "take_back", "give_back", "correct", "settle", "transfer"
]
Reason = Annotated[str, Field(min_length=1, max_length=200, description="Why; staff read it")]

_ENTRY = {
    "id": 501,
    "customer_id": 9,
    "kind": "spend",
    "delta": -100,
    "reason": "お買い物でのご利用",
    "actor": "token:till-2",
    "purchase_id": 31,
    "occurred_at": "2026-11-22T01:00:00Z",
}
_BALANCE = {
    "customer_id": 9,
    "points": 1250,
    "pending": 80,
    "owed": 0,
    "next_expires_at": "2027-03-31T15:00:00Z",
    "next_expiring_points": 300,
}
_POLICY: dict[str, Any] = {
    "base_rate": 1.0,
    "yen_per_point": 1,
    "campaigns": [
        {"name": "毎月5日はポイント2倍", "multiplier": 2.0, "days_of_month": [5, 15, 25]},
    ],
    "return_window_days": 7,
    "expiry": {"months": 12, "end_of": "month"},
    "expiry_notice_days": [30, 7],
    "overdraw": "settle",
    "staff_daily_limit": 10000,
}


class EntryRead(Told):
    """One line of the ledger."""

    model_config = like(_ENTRY)

    id: int
    customer_id: int
    kind: EntryKind
    delta: int
    reason: str
    actor: str | None = Field(description="Who of the staff; null where nobody did it by hand")
    purchase_id: int | None
    occurred_at: datetime


class BalanceTold(Told):
    """What a customer holds."""

    customer_id: int
    points: int = Field(description="Usable now")
    pending: int = Field(description="Granted, until the return window is over")
    owed: int = Field(description="Taken back by a refund when it was spent already")
    next_expires_at: datetime | None
    next_expiring_points: int


class PointsRead(BalanceTold):
    """What a customer holds, and a page of the ledger, the newest entries first."""

    model_config = like(_BALANCE | {"balance_at": None, "items": [_ENTRY], "next_cursor": None})

    balance_at: int | None = Field(description="The balance at the moment asked for as `at`")
    items: list[EntryRead]
    next_cursor: str | None = Field(description="For the next page; null on the last one")


class PointsQuery(PageQuery):
    """Which page of the ledger; the balance of which past moment."""

    at: Moment | None = Field(None, description="Tell the balance at this moment, too")


class Correction(Given):
    """Points to be added (or, below zero, taken) by hand."""

    model_config = like({"delta": 100, "reason": "レジの打ち間違い", "expires_on": "2027-03-31"})

    delta: int = Field(ge=-MAX_POINTS, le=MAX_POINTS, description="Not 0")
    reason: Reason
    expires_on: date | None = Field(
        None, description="The last day on which added points are good; else the policy decides"
    )


class PointsChanged(BalanceTold):
    """The entry that was written, and what the customer holds now."""

    model_config = like(_BALANCE | {"entry": _ENTRY})

    entry: EntryRead


class OwedDecision(Given):
    """What becomes of owed points: `collect` takes them from the balance, `waive` forgives them."""

    model_config = like({"decision": "waive", "points": 70, "reason": "長年のお客さまのため"})

    decision: Literal["collect", "waive"]
    points: int = Field(ge=1, le=MAX_POINTS)
    reason: Reason


class PointsPolicySave(PointsPolicy):
    """How points are earned, become usable and expire, and what staff may do."""

    model_config = like(_POLICY)


class PointsPolicyRead(PointsPolicy):
    """The policy in force; version 0 is the one that holds until a policy is saved."""

    model_config = like(_POLICY | {"version": 3})

    version: int


class MonthRead(Told):
    """Points that expire when days of this month end."""

    month: str | None = Field(description="YYYY-MM in the shop's time; null: they never expire")
    points: int
    yen: int


class LiabilityRead(Told):
    """What the shop owes its customers in points."""

    model_config = like(
        {
            "months": [{"month": "2027-03", "points": 12000, "yen": 12000}],
            "points": 12000,
            "yen": 12000,
            "pending_points": 800,
            "pending_yen": 800,
            "owed_points": 70,
        }
    )

    months: list[MonthRead]
    points: int
    yen: int
    pending_points: int = Field(description="Not usable yet, not in `points`")
    pending_yen: int
    owed_points: int = Field(description="What customers owe, not taken off `points`")


@routes.get(
    "/customers/{id}/points", summary="Get a customer's points",
    openapi_extra=least("viewer", "顧客のポイントの表示"),
)  # fmt: skip
async def get_points(
    id_: PathId, asked: Annotated[PointsQuery, Query()], session: Reading, api: Shared
) -> PointsRead:
    """The balance and the ledger that it is the sum of, the newest entries first.

    A merged record's id tells of the record that it became.
    """
    now = await api.runtime.clock.now()
    today = (await locking.resolve(session, [id_])).get(id_)
    if today is None:
        raise NotFound("customer", id_)
    entry = table(PointEntry)
    query = select(entry).where(entry.c.customer_id == today)
    found: Page[EntryRead] = await page(
        session, api.cursors, asked, query, name=f"points:{today}",
        keys=[entry.c.occurred_at, entry.c.id], read=EntryRead.model_validate,
    )  # fmt: skip
    then = await ledger.balance_at(session, today, asked.at) if asked.at is not None else None
    held = await _balance(session, today, now)
    return PointsRead(**held, balance_at=then, items=found.items, next_cursor=found.next_cursor)


@routes.post(
    "/customers/{id}/points", summary="Correct a customer's points", status_code=201,
    openapi_extra=least("clerk", "ポイントの修正"),
)  # fmt: skip
async def correct_points(id_: PathId, wanted: Correction, change: Creating) -> PointsChanged:
    """Add or take points by hand, with a reason, within the policy's daily limit for one person.

    More than there is cannot be taken. A till pays with points through a purchase's `points_used`.
    """
    session = await change.begin()
    customer = await locking.locked(session, id_)
    entry = await ledger.correct(
        session, _id(customer.id), wanted.delta, reason=wanted.reason, actor=change.caller.actor,
        now=change.now, expires_on=wanted.expires_on, source=f"correct:{uuid4().hex}",
        zone=change.runtime.settings.zone,
    )  # fmt: skip
    change.note("points.correct", f"customer:{customer.id}", delta=wanted.delta, entry=entry.id)
    change.wake("reactions")
    return await _changed(session, entry, change.now)


@routes.post(
    "/customers/{id}/points/owed", summary="Decide on owed points", status_code=201,
    openapi_extra=least("marketer", "不足ポイントの処理"),
)  # fmt: skip
async def decide_owed(id_: PathId, wanted: OwedDecision, change: Creating) -> PointsChanged:
    """Take owed points out of the balance, or forgive them.

    Points are owed when a refund takes back what was spent already. Under the policy's `settle`
    later grants pay them by themselves; under `staff` this is how it is decided.
    """
    session = await change.begin()
    customer = await locking.locked(session, id_)
    decide = ledger.collect_owed if wanted.decision == "collect" else ledger.waive_owed
    entry = await decide(
        session, _id(customer.id), wanted.points, actor=change.caller.actor, reason=wanted.reason,
        source=f"owed:{uuid4().hex}", now=change.now,
    )  # fmt: skip
    change.note(f"points.{wanted.decision}", f"customer:{customer.id}", points=wanted.points)
    change.wake("reactions")
    return await _changed(session, entry, change.now)


@routes.get(
    "/points-policy", summary="Get the points policy",
    openapi_extra=least("viewer", "ポイント制度の表示"),
)  # fmt: skip
async def get_points_policy(session: Reading, response: Response) -> PointsPolicyRead:
    """Rates, campaigns, return window, expiry; the `ETag` is what a change wants as `If-Match`."""
    policy, version = await policies.read(session, PointsPolicy)
    tag_version(response, version)
    return PointsPolicyRead(**policy.model_dump(), version=version)


@routes.put(
    "/points-policy", summary="Save the points policy",
    openapi_extra=least("marketer", "ポイント制度の保存"),
)  # fmt: skip
async def save_points_policy(
    wanted: PointsPolicySave, change: Changing, response: Response, if_match: IfMatch = None
) -> PointsPolicyRead:
    """Save the policy. It holds for what is granted from now on: nobody's points are changed.

    Points that are there keep their expiry; what a purchase earns was decided when it was paid.
    """
    session = await change.begin()
    _, current = await policies.read(session, PointsPolicy)
    check_version(current, if_match, needed=current > 0)
    version = await policies.save(session, wanted, expected=version_read(if_match), now=change.now)
    change.note("points-policy.save", "policy:points", version=version)
    tag_version(response, version)
    return PointsPolicyRead(**wanted.model_dump(), version=version)


@routes.get(
    "/reports/point-liability", summary="Point liability",
    openapi_extra=least("viewer", "ポイント残高の引当（失効月別）"),
)  # fmt: skip
async def get_point_liability(session: Reading, api: Shared) -> LiabilityRead:
    """Yen owed in points, by the month in which they expire; pending ones stand apart."""
    now, zone = await api.runtime.clock.now(), api.runtime.settings.zone
    return LiabilityRead.model_validate(await liability.report(session, now=now, zone=zone))


async def _changed(session: AsyncSession, entry: PointEntry, now: datetime) -> PointsChanged:
    held = await _balance(session, entry.customer_id, now)
    return PointsChanged(**held, entry=EntryRead.model_validate(entry))


async def _balance(session: AsyncSession, customer_id: int, now: datetime) -> dict[str, Any]:
    found = await ledger.standing(session, customer_id, now=now)
    moment, points = found.next_expiry or (None, 0)
    return {
        "customer_id": customer_id, "points": found.points, "pending": found.pending,
        "owed": found.owed, "next_expires_at": moment, "next_expiring_points": points,
    }  # fmt: skip


def _id(value: int | None) -> int:
    assert value is not None, "it was read from the database"
    return value
