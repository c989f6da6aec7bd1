"""Triggers, conditions and how often one may enter: the parts of a definition."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from flows.definition import Condition, Entry, FlowDefinition, Trigger


# (condition, the activity's value) → does it hold? What is missing meets only `exists: false`.
@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        ({"eq": "web"}, "web", True),
        ({"eq": "web"}, "till", False),
        ({"eq": False}, False, True),
        ({"eq": 0}, None, False),
        ({"ne": "web"}, "till", True),
        ({"ne": "web"}, "web", False),
        ({"ne": "web"}, None, False),
        ({"gte": 3000}, 3000, True),
        ({"gte": 3000}, 2999, False),
        ({"gt": 3000}, 3000, False),
        ({"lt": 10}, 9.5, True),
        ({"lte": 10}, 10, True),
        ({"gte": 3000, "lt": 5000}, 4999, True),
        ({"gte": 3000, "lt": 5000}, 5000, False),
        ({"gte": 3000}, "9999", False),  # text is no amount
        ({"gte": 3000}, None, False),
        ({"in": ["gold", "platinum"]}, "gold", True),
        ({"in": ["gold", "platinum"]}, "silver", False),
        ({"in": []}, "gold", False),
        ({"contains": "豆"}, "コーヒー豆", True),
        ({"contains": "豆"}, ["豆", "茶"], True),
        ({"contains": "豆"}, "紅茶", False),
        ({"contains": "1"}, None, False),
        ({"exists": True}, 0, True),
        ({"exists": True}, None, False),
        ({"exists": False}, None, True),
        ({"exists": False}, "x", False),
    ],
)
def test_what_a_condition_asks(condition: dict[str, Any], value: Any, holds: bool) -> None:
    assert Condition.model_validate(condition).holds(value) is holds


@pytest.mark.parametrize(
    "condition",
    [
        {},  # asks nothing
        {"gte": None},  # would fail on every activity, once published
        {"eq": None},
        {"exists": None},
        {"gte": float("nan")},
        {"lt": float("inf")},
        {"gte": "many"},
        {"in": "gold"},
        {"contains": 3},
        {"like": "x"},
    ],
)
def test_a_condition_that_asks_nothing_or_nonsense_is_refused(condition: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(condition)


@pytest.mark.parametrize(
    ("once", "period"),
    [
        ("ever", timedelta.max),
        ("always", None),
        ("per 1d", timedelta(days=1)),
        ("per 365d", timedelta(days=365)),
        ("per 9999d", timedelta(days=9999)),
    ],
)
def test_how_often_one_may_enter(once: str, period: timedelta | None) -> None:
    assert Entry(once=once).period() == period


@pytest.mark.parametrize(
    "once",
    ["", "never", "per 0d", "per 10000d", "per 1 d", "per １d", "per 1d\n", ["ever"], 1, None],
)
def test_other_words_for_how_often_are_refused(once: Any) -> None:
    with pytest.raises(ValidationError, match="per 365d"):
        Entry(once=once)


def test_an_unknown_activity_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ValidationError, match="did you mean 'followed'"):
        Trigger(on="folowed")
    with pytest.raises(ValidationError, match="known are answered, attribute_changed"):
        Trigger(on="qqq")


def test_a_definition_cannot_be_changed_behind_its_back() -> None:
    flow = FlowDefinition.model_validate(
        {"key": "a", "name": "あ", "trigger": {"on": "followed"}, "steps": [{"say": "はい"}]}
    )

    with pytest.raises(ValidationError):
        setattr(flow, "key", "b")  # noqa: B010 - mypy refuses it already
