"""Promotion at once, demotion at the end of the term, and nobody by accident."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import pytest

from core.clock import SimulatedClock
from core.db import Database
from core.errors import NotFound
from core.runtime import Runtime, running
from core.settings import load
from crm.ranks import dry_run as trial, review
from crm.ranks.policy import RankPolicy
from tests.crm.ranks.conftest import TOKYO, Members, at, tiers

Make = Callable[..., RankPolicy]
JULY = at("2042-07-01", "00:00")


@pytest.fixture
async def shop(database_url: str, db: Database) -> AsyncIterator[Runtime]:
    """A runtime over the same database, without LINE."""
    settings = load(_env_file=None, database_url=database_url, redis_url="", secret_key="k" * 32,
                    clock="simulated")  # fmt: skip
    async with running(settings) as made:
        yield made


async def travel(shop: Runtime, moment: datetime) -> None:
    assert isinstance(shop.clock, SimulatedClock)
    await shop.clock.move_to(moment)


async def test_a_purchase_promotes_at_once_and_is_told_once(members: Members, policy: Make) -> None:
    await members.save(policy())
    [hana] = await members.join("1")
    await members.buy(hana, "2041-06-14", 60)
    assert await members.promote(at("2041-06-14"), hana) == 1
    assert await members.rank(hana) == ("bronze", None)

    await members.buy(hana, "2041-06-15", 40)
    first = await members.promote(at("2041-06-15"), hana)
    again = await members.promote(at("2041-06-15", "13:00"), hana)

    assert (first, again) == (1, 0)
    assert await members.rank(hana) == ("silver", JULY)
    assert await members.told() == [(hana, "bronze", "silver", "up")]


COUNTING: list[tuple[str, dict[str, Any], str]] = [
    ("amount", {}, "silver"),
    ("amount", {"refunded": 1}, "bronze"),
    ("amount", {"paid_at": None}, "bronze"),
    ("amount", {"cancelled_at": at("2041-06-15")}, "bronze"),
    ("count", {}, "silver"),
    ("count", {"refunded": 99}, "silver"),
    ("count", {"refunded": 100}, "bronze"),
    ("count", {"total": 0}, "bronze"),
]


@pytest.mark.parametrize(("basis", "values", "rank"), COUNTING)
async def test_what_counts(
    members: Members, policy: Make, basis: str, values: dict[str, Any], rank: str
) -> None:
    ladder = tiers(("bronze", 0), ("silver", 100 if basis == "amount" else 1))
    await members.save(policy(basis=basis, tiers=ladder))
    [hana] = await members.join("1")
    await members.buy(hana, "2041-06-15", **{"total": 100} | values)
    await members.promote(at("2041-06-15"), hana)

    assert (await members.rank(hana))[0] == rank


async def test_a_refund_takes_no_rank_before_the_end_of_its_term(
    members: Members, policy: Make, shop: Runtime
) -> None:
    await members.save(policy())
    [ken] = await members.join("1")
    order = await members.buy(ken, "2041-06-15", 1_000)
    await members.promote(at("2041-06-15"), ken)

    await members.change(order, refunded=1_000)
    await members.promote(at("2041-06-16"), ken)
    await travel(shop, at("2042-06-30", "23:59"))
    early = await review.review_due(shop)
    kept = await members.rank(ken)
    await travel(shop, at("2042-07-01", "00:05"))
    due = await review.review_due(shop)

    assert (early, kept) == (0, ("gold", JULY))
    assert due == 1
    assert await members.rank(ken) == ("bronze", None)
    assert (await members.told())[1:] == [(ken, "gold", "bronze", "down")]
    assert await review.review_due(shop) == 0


async def test_a_rank_that_is_earned_again_goes_into_a_new_term_without_a_word(
    members: Members, policy: Make, shop: Runtime
) -> None:
    await members.save(policy())
    [ken] = await members.join("1")
    await members.buy(ken, "2041-06-15", 1_000)
    await members.promote(at("2041-06-15"), ken)
    await members.buy(ken, "2042-02-15", 1_000)

    await travel(shop, JULY)
    changed = await review.review_due(shop)

    assert changed == 0
    assert await members.rank(ken) == ("gold", at("2043-07-01", "00:00"))
    assert len(await members.told()) == 1


async def test_a_review_that_comes_years_late_ends_where_it_would_have(
    members: Members, policy: Make, shop: Runtime
) -> None:
    await members.save(policy())
    [ken] = await members.join("1")
    await members.buy(ken, "2041-06-15", 1_000)
    await members.promote(at("2041-06-15"), ken)
    await members.buy(ken, "2041-08-01", 150)  # silver in July 2042, bronze the year after

    await travel(shop, at("2044-02-29"))
    await review.review_due(shop)

    assert await members.rank(ken) == ("bronze", None)
    steps = [told[1:] for told in await members.told()]
    assert steps == [
        ("bronze", "gold", "up"),
        ("gold", "silver", "down"),
        ("silver", "bronze", "down"),
    ]


async def test_a_purchase_of_last_year_that_is_told_late_counts_as_if_it_had_come_in_time(
    members: Members, policy: Make
) -> None:
    await members.save(policy(window={"calendar": "year"}))
    in_time, late = await members.join("1", "2")
    await members.buy(in_time, "2041-12-30", 100)
    await members.promote(at("2041-12-30"), in_time)
    await members.buy(late, "2041-12-30", 100)
    await members.promote(at("2042-01-05"), late)

    assert await members.rank(late) == await members.rank(in_time)
    assert await members.rank(late) == ("silver", at("2043-01-01", "00:00"))


async def test_only_members_have_ranks(members: Members, policy: Make, shop: Runtime) -> None:
    await members.save(policy())
    erased = at("2041-06-15")
    anonymous, hana = await members.join(None, "1")
    [gone] = await members.join("2", erased_at=erased)
    [merged] = await members.join("3", merged_into_id=hana)
    everybody = (anonymous, hana, gone, merged)
    for one in everybody:
        await members.buy(one, "2041-06-15", 100)

    await members.promote(at("2041-06-15"), *everybody)
    await travel(shop, at("2041-06-16"))
    await review.review_due(shop)

    ranks = [(await members.rank(one))[0] for one in everybody]
    assert ranks == [None, "silver", None, None]


async def test_members_get_their_first_rank_without_a_purchase(
    members: Members, shop: Runtime
) -> None:
    [hana] = await members.join("1")
    await travel(shop, at("2041-06-16"))

    assert await review.review_due(shop) == 1
    assert await members.rank(hana) == ("regular", None)
    assert await members.told() == []


async def test_a_changed_policy_promotes_at_the_next_review_and_demotes_at_the_terms_end(
    members: Members, policy: Make, shop: Runtime
) -> None:
    await members.save(policy())
    low, high = await members.join("1", "2")
    await members.buy(low, "2041-06-15", 100)
    await members.buy(high, "2041-06-15", 1_000)
    await members.promote(at("2041-06-15"), low, high)
    await travel(shop, at("2041-06-16"))
    await review.review_due(shop)

    await members.save(policy(tiers=tiers(("bronze", 0), ("platinum", 100), ("gold", 2_000))))
    await review.review_due(shop)

    assert (await members.rank(low))[0] == "platinum"  # silver is no more
    assert (await members.rank(high))[0] == "gold"
    assert (await members.told())[2:] == [(low, "silver", "platinum", "moved")]
    await travel(shop, JULY)
    await members.buy(high, "2042-06-30", 1_000)
    await review.review_due(shop)
    assert (await members.rank(high))[0] == "platinum"


async def test_many_are_reviewed_in_batches(
    members: Members, policy: Make, shop: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "BATCH", 3)
    await members.save(policy())
    crowd = await members.join(*(str(n) for n in range(10)))
    for one in crowd:
        await members.set(one, rank="silver", rank_until=JULY)
    await travel(shop, JULY)

    found = await asyncio.gather(review.review_due(shop), review.review_due(shop))

    assert sum(found) == 10
    assert {(await members.rank(one))[0] for one in crowd} == {"bronze"}
    assert len(await members.told()) == 10


async def test_a_dry_run_says_who_would_move_and_moves_nobody(
    members: Members, policy: Make, db: Database
) -> None:
    up, down, stays, _anonymous = await members.join("1", "2", "3", None)
    await members.set(up, rank="bronze")
    await members.set(down, rank="gold", rank_until=JULY)
    await members.set(stays, rank="silver", rank_until=JULY)
    await members.buy(up, "2041-06-15", 1_000)
    await members.buy(stays, "2041-06-15", 100)
    now = at("2041-06-16")

    for window in ({"months": 12}, {"calendar": "year"}):
        async with db.reading() as session:
            found = await trial.dry_run(session, policy(window=window), now=now, zone=TOKYO)

        assert found.members == 3
        assert [(m.before, m.after, m.direction, m.customers) for m in found.moves] == [
            ("bronze", "gold", "up", 1),
            ("gold", "bronze", "down", 1),
        ]
        assert [(m.customer_id, m.achieved, m.at) for m in found.sample] == [
            (up, 1_000, now),
            (down, 0, JULY),
        ]
    assert await members.told() == []


async def test_the_standing_says_how_far_it_is(members: Members, db: Database) -> None:
    hana, anonymous, top = await members.join("1", None, "2")
    await members.buy(hana, "2041-06-15", 48_800)
    await members.buy(hana, "2041-08-15", 50)
    await members.buy(top, "2041-08-15", 200_000)
    await members.promote(at("2041-08-15"), hana, top)

    async with db.reading() as session:
        now = at("2041-08-16")
        of_hana, of_nobody, of_top = [
            await review.standing(session, id_, now=now, zone=TOKYO)
            for id_ in (hana, anonymous, top)
        ]
        with pytest.raises(NotFound):
            await review.standing(session, 999, now=now, zone=TOKYO)

    assert of_hana.rank is not None
    assert (of_hana.rank.key, of_hana.achieved, of_hana.missing) == ("silver", 48_850, 1_150)
    assert (of_hana.hint(), of_hana.hint_en()) == (
        "あと1,150円でゴールド",
        "¥1,150 more for ゴールド",
    )
    assert of_hana.period_end == at("2042-06-15", "00:00")
    assert (of_nobody.rank, of_nobody.hint(), of_nobody.achieved) == (None, None, 0)
    assert (of_top.next, of_top.missing, of_top.hint()) == (None, 0, None)
