"""The rank policy: good from the start, checked when it is changed."""

from typing import Any

import pytest
from pydantic import ValidationError

from crm.ranks.policy import MAX_TIERS, RankPolicy
from tests.crm.ranks.conftest import tiers

LADDER = tiers(("bronze", 0), ("silver", 100), ("gold", 1_000))


def test_the_policy_is_good_without_being_set() -> None:
    policy = RankPolicy()

    found = [(t.name, t.threshold, t.point_rate) for t in policy.tiers]
    assert found == [
        ("レギュラー", 0, 1),
        ("シルバー", 10_000, 1.5),
        ("ゴールド", 50_000, 2),
        ("プラチナ", 150_000, 3),
    ]
    assert RankPolicy.model_validate(policy.model_dump(mode="json")) == policy


EARNED = [(0, "bronze"), (99, "bronze"), (100, "silver"), (999, "silver"), (1_000, "gold"),
          (5_000_000, "gold")]  # fmt: skip


@pytest.mark.parametrize(("achieved", "key"), EARNED)
def test_an_amount_earns_the_highest_tier_that_it_reaches(achieved: int, key: str) -> None:
    policy = RankPolicy.model_validate({"tiers": LADDER})

    assert policy.tiers[policy.earned(achieved)].key == key


def test_points_of_an_unknown_or_no_rank_are_those_of_the_first_tier() -> None:
    policy = RankPolicy()

    rates = [policy.point_rate(key) for key in ("platinum", None, "diamond")]
    assert rates == [3, 1, 1]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"tiers": []}, "at least 1"),
    ({"tiers": tiers(("a", 100))}, "must be 0"),
    ({"tiers": tiers(("a", 0), ("b", 0))}, "higher threshold"),
    ({"tiers": tiers(("a", 0), ("b", 20), ("c", 10))}, "higher threshold"),
    ({"tiers": tiers(("a", 0), ("a", 10))}, "two tiers have the key a"),
    ({"tiers": tiers(*((f"t{n}", n) for n in range(MAX_TIERS + 1)))}, "at most 10"),
    ({"tiers": [{**LADDER[0], "point_rate": -1}]}, "point_rate"),
    ({"tiers": [{**LADDER[0], "point_rate": float("nan")}]}, "point_rate"),
    ({"tiers": [{**LADDER[0], "colour": "red"}]}, "colour"),
    ({"tiers": [{**LADDER[0], "key": "ゴールド"}]}, "key"),
    ({"window": {"months": 0}}, "months"),
    ({"window": {"calendar": "week"}}, "calendar"),
    ({"window": {"calendar": "year", "start_month": 13}}, "start_month"),
    ({"window": {"months": 3, "calendar": "year"}}, "window"),
    ({"keep_months": 0}, "keep_months"),
    ({"basis": "visits"}, "basis"),
    ({"grace": 3}, "grace"),
]


@pytest.mark.parametrize(("values", "said"), BAD)
def test_a_policy_that_makes_no_ladder_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RankPolicy.model_validate(values)
