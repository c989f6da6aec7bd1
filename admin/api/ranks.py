"""Ranks: the policy, how many customers have which, and where one customer stands."""

from datetime import datetime
from typing import Any

from fastapi import Response
from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from admin.api.fields import (
    IfMatch,
    PathId,
    Told,
    check_version,
    like,
    tag_version,
    version_read,
)
from admin.api.paging import Page
from admin.api.routing import Changing, Reading, Shared, least, router
from core.db import table
from core.errors import NotFound
from crm import policies
from crm.customers import locking
from crm.models import Customer
from crm.ranks import achieved, dry_run as trial, review
from crm.ranks.policy import Basis, RankPolicy, Tier

routes = router("ranks")

_DRAFT: dict[str, Any] = {
    "basis": "amount",
    "window": {"months": 12},
    "keep_months": 12,
    "tiers": [
        {"key": "regular", "name": "レギュラー", "threshold": 0, "point_rate": 1.0,
         "perks": [], "colour": "#6B7280"},
        {"key": "gold", "name": "ゴールド", "threshold": 50000, "point_rate": 2.0,
         "perks": ["ポイント2倍"], "colour": "#B8860B"},
    ],
}  # fmt: skip
_TIERS = _DRAFT["tiers"]
_MOVE = {"from": "regular", "to": "gold", "direction": "up"}


class RankPolicySave(RankPolicy):
    """How ranks are earned and kept."""

    model_config = like(_DRAFT)


class RankPolicyRead(RankPolicy):
    """The policy in force; version 0 is the one that holds until a policy is saved."""

    model_config = like(_DRAFT | {"version": 3})

    version: int


class MoveCount(Told):
    """So many would move from one rank to another."""

    before: str | None = Field(serialization_alias="from", description="null: none yet")
    after: str = Field(serialization_alias="to")
    direction: str = Field(description="up at once; down when the term ends; moved: no such tier")
    customers: int


class MoveExample(Told):
    """One who would move, and when: now, or when the term of the present rank ends."""

    customer_id: int
    member_number: str
    before: str | None = Field(serialization_alias="from")
    after: str = Field(serialization_alias="to")
    direction: str
    achieved: int = Field(description="Yen or purchases within the window")
    at: datetime


class DryRunRead(Told):
    """Who would move under a policy."""

    model_config = like(
        {
            "members": 1200,
            "moves": [_MOVE | {"customers": 34}],
            "sample": [
                _MOVE
                | {
                    "customer_id": 9,
                    "member_number": "10000009",
                    "achieved": 51200,
                    "at": "2026-11-22T01:00:00Z",
                }
            ],
        }
    )

    members: int
    moves: list[MoveCount]
    sample: list[MoveExample]


class RankRead(Tier):
    """A tier, and how many customers have it."""

    model_config = like(_TIERS[1] | {"customers": 87})

    customers: int


class StandingRead(Told):
    """Where a customer stands; `rank` is null for those who are no members."""

    model_config = like(
        {
            "rank": _TIERS[0],
            "since": "2026-06-14T15:00:00Z",
            "until": None,
            "basis": "amount",
            "achieved": 48800,
            "next": _TIERS[1],
            "missing": 1200,
            "period_end": "2027-03-31T15:00:00Z",
            "hint": "あと1,200円でゴールド",
        }
    )

    rank: Tier | None
    since: datetime | None
    until: datetime | None = Field(description="Kept until this moment; null: for good")
    basis: Basis
    achieved: int = Field(description="Yen or purchases within the window")
    next: Tier | None
    missing: int = Field(description="Yen or purchases up to the next rank")
    period_end: datetime | None = Field(description="`missing` holds until then if nothing is done")
    hint: str | None


@routes.get(
    "/rank-policy", summary="Get the rank policy", openapi_extra=least("viewer", "ランク制度の表示")
)
async def get_rank_policy(session: Reading, response: Response) -> RankPolicyRead:
    """Tiers, window and term; the `ETag` is what a change wants as `If-Match`."""
    policy, version = await policies.read(session, RankPolicy)
    tag_version(response, version)
    return RankPolicyRead(**policy.model_dump(), version=version)


@routes.put(
    "/rank-policy", summary="Save the rank policy",
    openapi_extra=least("marketer", "ランク制度の保存"),
)  # fmt: skip
async def save_rank_policy(
    wanted: RankPolicySave, change: Changing, response: Response, if_match: IfMatch = None
) -> RankPolicyRead:
    """Save the policy. Nobody is moved by the saving itself.

    Who has earned a higher rank under it gets that with the next purchase or the next nightly
    review; a lower rank comes when the term ends. Try it with a dry run first.
    """
    session = await change.begin()
    _, current = await policies.read(session, RankPolicy)
    check_version(current, if_match, needed=current > 0)
    version = await policies.save(session, wanted, expected=version_read(if_match), now=change.now)
    change.note("rank-policy.save", "policy:ranks", version=version)
    tag_version(response, version)
    return RankPolicyRead(**wanted.model_dump(), version=version)


@routes.post(
    "/rank-policy/dry-run", summary="Try a rank policy",
    openapi_extra=least("marketer", "ランク制度の試算"),
)  # fmt: skip
async def try_rank_policy(wanted: RankPolicySave, session: Reading, api: Shared) -> DryRunRead:
    """Tell who would move under a policy, in numbers and with some examples; nobody is moved."""
    now, zone = await api.runtime.clock.now(), api.runtime.settings.zone
    return DryRunRead.model_validate(await trial.dry_run(session, wanted, now=now, zone=zone))


@routes.get("/ranks", summary="List ranks", openapi_extra=least("viewer", "会員ランクの一覧"))
async def list_ranks(session: Reading) -> Page[RankRead]:
    """The tiers of the policy, the lowest first, with how many members have each."""
    policy, _ = await policies.read(session, RankPolicy)
    have = await _counts(session, policy)
    tiers = [
        RankRead(**tier.model_dump(), customers=have.get(tier.key, 0)) for tier in policy.tiers
    ]
    return Page(items=tiers, next_cursor=None)


@routes.get(
    "/customers/{id}/rank", summary="Get a customer's rank",
    openapi_extra=least("viewer", "顧客のランクの表示"),
)  # fmt: skip
async def get_customer_rank(id_: PathId, session: Reading, api: Shared) -> StandingRead:
    """The rank, until when it is kept, and what is missing to the next."""
    now, zone = await api.runtime.clock.now(), api.runtime.settings.zone
    today = (await locking.resolve(session, [id_])).get(id_)
    if today is None:
        raise NotFound("customer", id_)
    found = await review.standing(session, today, now=now, zone=zone)
    return StandingRead.model_validate({**_fields(found), "hint": found.hint()})


def _fields(found: review.Standing) -> dict[str, Any]:
    return {name: getattr(found, name) for name in StandingRead.model_fields if name != "hint"}


async def _counts(session: AsyncSession, policy: RankPolicy) -> dict[str, int]:
    """Members by tier; who has no rank yet, or one that is no more, stands on the first."""
    rank = table(Customer).c.rank
    query = select(rank, func.count().label("many")).where(achieved.is_member()).group_by(rank)
    first, have = policy.tiers[0].key, dict[str, int]()
    for row in await session.execute(query):
        key = row.rank if policy.tier(row.rank) else first
        have[key] = have.get(key, 0) + row.many
    return have
