"""What each answer of LINE's means: the published flow as a table, and never a message twice."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given, strategies as st

from core.line.client import Answer, Outcome
from delivery import outcomes
from delivery.models import DONE, FAILED, HELD, OPEN, SENT, WAITING
from delivery.outcomes import Settled, past_retrying, settle_one

NOW = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)
WALL = datetime(2026, 11, 3, 10, 0, 7, tzinfo=UTC)
FRESH, LATE = timedelta(seconds=1), timedelta(hours=23, seconds=1)
REPLY_LATE = timedelta(seconds=86)  # 55 s of the token, 30 s of grace, and one more
AGAIN = None  # the state of a delivery whose call goes on


@dataclass(frozen=True)
class Attempt:
    """A call that was made; a reply's token was good for 55 seconds from the first attempt."""

    endpoint: str = "push"
    was_uncertain: bool = False
    attempts: int = 1
    age: timedelta = FRESH
    recipients: int = 1
    channel_id: int = 1
    id: UUID = field(default_factory=uuid4)

    @property
    def first_attempt_at(self) -> datetime:
        return NOW - self.age

    @property
    def reply_until(self) -> datetime | None:
        if self.endpoint != "reply":
            return None
        return self.first_attempt_at + timedelta(seconds=55)


def settled(attempt: Attempt, outcome: Outcome, **more: object) -> Settled:
    answer = replace(Answer(outcome), **more)  # type: ignore[arg-type]
    return settle_one(attempt, answer, now=NOW, wall=WALL)


KNOWN, UNSURE = False, True
BAD_TOKEN = Outcome.invalid_reply_token
EXPIRED, REFUSED = "reply_token_expired", "reply_token_refused"
UNTAKEN = (Outcome.not_sent, Outcome.rate_limited, Outcome.bad_token)
# (endpoint, outcome, was it uncertain before, age) → (state, reason, uncertain now, quota back)
TABLE = [
    # 2xx, and 409 "taken before": sent, whatever was before
    *(
        (endpoint, outcome, before, age, SENT, None, False, False)
        for endpoint in ("push", "reply", "multicast")
        for outcome in (Outcome.accepted, Outcome.already_accepted)
        for before in (KNOWN, UNSURE)
        for age in (FRESH, LATE)
    ),
    # timeout, reset, 5xx: the same key again within 23 hours, then staff decide
    ("push", Outcome.unknown, KNOWN, FRESH, AGAIN, None, True, False),
    ("push", Outcome.unknown, UNSURE, FRESH, AGAIN, None, True, False),
    ("push", Outcome.unknown, KNOWN, LATE, HELD, "outcome_unknown", True, False),
    ("push", Outcome.unknown, UNSURE, LATE, HELD, "outcome_unknown", True, False),
    ("multicast", Outcome.unknown, KNOWN, LATE, HELD, "outcome_unknown", True, False),
    # a reply has no key: the same token again within its minute and the grace, then staff
    ("reply", Outcome.unknown, KNOWN, FRESH, AGAIN, None, True, False),
    ("reply", Outcome.unknown, KNOWN, timedelta(seconds=84), AGAIN, None, True, False),
    ("reply", Outcome.unknown, KNOWN, REPLY_LATE, HELD, "outcome_unknown", True, False),
    # surely not taken, may work later
    *(("push", outcome, KNOWN, FRESH, AGAIN, None, False, False) for outcome in UNTAKEN),
    *(("push", outcome, UNSURE, FRESH, AGAIN, None, True, False) for outcome in UNTAKEN),
    *(("push", outcome, KNOWN, LATE, FAILED, outcome.value, False, True) for outcome in UNTAKEN),
    *(("push", o, UNSURE, LATE, HELD, "outcome_unknown", True, False) for o in UNTAKEN),
    *(("reply", o, KNOWN, REPLY_LATE, WAITING, EXPIRED, False, True) for o in UNTAKEN),
    *(("reply", o, UNSURE, REPLY_LATE, HELD, "outcome_unknown", True, False) for o in UNTAKEN),
    # LINE refuses the reply token: a push follows, unless our own lost attempt may have used it up
    ("reply", BAD_TOKEN, KNOWN, FRESH, WAITING, REFUSED, False, True),
    ("reply", BAD_TOKEN, KNOWN, LATE, WAITING, REFUSED, False, True),
    ("reply", BAD_TOKEN, UNSURE, FRESH, HELD, "outcome_unknown", True, False),
    # the month is used up: held, nothing was counted
    ("push", Outcome.over_quota, KNOWN, FRESH, HELD, "quota", False, True),
    ("push", Outcome.over_quota, UNSURE, FRESH, HELD, "outcome_unknown", True, False),
    # other 4xx: never again; after a lost attempt staff must look before they send anew
    ("push", Outcome.refused, KNOWN, FRESH, FAILED, "refused", False, True),
    ("reply", Outcome.refused, KNOWN, FRESH, FAILED, "refused", False, True),
    ("push", Outcome.refused, UNSURE, FRESH, HELD, "outcome_unknown", True, False),
    ("reply", Outcome.refused, UNSURE, FRESH, HELD, "outcome_unknown", True, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("endpoint", "outcome", "before", "age", "state", "reason", "uncertain", "gives_back"), TABLE
)
def test_what_becomes_of_a_call_stands_in_this_table(
    endpoint: str,
    outcome: Outcome,
    before: bool,
    age: timedelta,
    state: str | None,
    reason: str | None,
    uncertain: bool,
    gives_back: bool,
) -> None:
    verdict = settled(Attempt(endpoint, before, age=age), outcome)

    assert (verdict.state, verdict.reason) == (state, reason)
    assert verdict.uncertain is uncertain
    assert verdict.ends is (state is not AGAIN)
    assert verdict.gives_back_quota is gives_back


def test_every_outcome_stands_in_the_table() -> None:
    assert {row[1] for row in TABLE} == set(Outcome)


def test_a_dispatch_that_goes_on_stays_open_and_one_that_ends_is_done() -> None:
    goes_on = settled(Attempt(), Outcome.unknown, status=500, detail="oops")
    ends = settled(Attempt(), Outcome.accepted, status=200, request_id="r-1")

    assert goes_on.dispatch_row(NOW)["state"] == OPEN
    assert goes_on.dispatch_row(NOW)["retry_at"] > WALL
    assert "done_at" not in goes_on.dispatch_row(NOW)
    assert ends.dispatch_row(NOW) | {"state": DONE, "done_at": NOW, "request_id": "r-1"} == (
        ends.dispatch_row(NOW)
    )


def test_staff_see_lines_own_words_on_a_delivery_that_failed() -> None:
    verdict = settled(Attempt(attempts=2), Outcome.refused, status=400, detail="text: too long")

    row = verdict.delivery_row(NOW)

    assert (row["state"], row["detail"], row["attempts"]) == (FAILED, "text: too long", 2)
    assert row["done_at"] == NOW


def test_a_request_id_longer_than_any_of_lines_still_fits_its_column() -> None:
    verdict = settled(Attempt(), Outcome.accepted, request_id="x" * 200)

    assert len(verdict.dispatch_row(NOW)["request_id"]) == 64
    assert len(verdict.delivery_row(NOW)["request_id"]) == 64


# (attempt, at least, at most) seconds: twice as long each time up to a minute, half of it by chance
@pytest.mark.parametrize(
    ("endpoint", "attempts", "least", "most"),
    [
        ("push", 1, 0.25, 0.5),
        ("push", 2, 0.5, 1.0),
        ("push", 3, 1.0, 2.0),
        ("push", 7, 16.0, 32.0),
        ("push", 8, 30.0, 60.0),
        ("push", 5_000, 30.0, 60.0),
        ("reply", 1, 0.25, 0.5),
        ("reply", 4, 2.0, 4.0),
        ("reply", 9, 2.0, 4.0),  # a token lives a minute
    ],
)
def test_pauses_grow_and_are_capped(
    endpoint: str, attempts: int, least: float, most: float
) -> None:
    for _ in range(50):
        pause = _pause(Attempt(endpoint, attempts=attempts), Outcome.unknown)

        assert least <= pause <= most


def test_many_that_failed_together_do_not_come_back_together() -> None:
    pauses = {_pause(Attempt(attempts=5), Outcome.rate_limited) for _ in range(100)}

    assert len(pauses) > 90


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (None, 0.25, 0.5),
        (0.0, 0.25, 0.5),
        (30.0, 30.0, 30.0),
        (1e300, 3_600.0, 3_600.0),  # a proxy's nonsense
    ],
)
def test_a_pause_is_at_least_what_line_asks_for_within_an_hour(
    asked: float | None, least: float, most: float
) -> None:
    assert least <= _pause(Attempt(), Outcome.rate_limited, retry_after=asked) <= most


def test_a_refused_token_waits_a_minute_for_somebody_to_mend_it() -> None:
    assert _pause(Attempt(), Outcome.bad_token) == 60


@pytest.mark.parametrize(
    ("endpoint", "before", "age", "state", "reason"),
    [
        ("push", UNSURE, FRESH, None, None),
        ("push", UNSURE, timedelta(hours=23), None, None),
        ("push", UNSURE, LATE, HELD, "outcome_unknown"),
        ("push", KNOWN, LATE, FAILED, "not_sent"),
        ("multicast", UNSURE, LATE, HELD, "outcome_unknown"),
        ("reply", UNSURE, LATE, None, None),  # a token serves once: trying it doubles nothing
    ],
)
def test_a_call_found_after_its_keys_lifetime_is_not_made(
    endpoint: str, before: bool, age: timedelta, state: str | None, reason: str | None
) -> None:
    verdict = past_retrying(Attempt(endpoint, before, age=age), now=NOW)

    assert (verdict and verdict.state, verdict and verdict.reason) == (state, reason)


def _pause(attempt: Attempt, outcome: Outcome, **more: object) -> float:
    verdict = settled(attempt, outcome, **more)
    assert verdict.retry_at is not None
    return (verdict.retry_at - WALL).total_seconds()


MAY_HAVE_BEEN_TAKEN = {Outcome.unknown, Outcome.accepted, Outcome.already_accepted}


@given(
    endpoint=st.sampled_from(["push", "reply", "multicast"]),
    story=st.lists(
        st.tuples(st.sampled_from(list(Outcome)), st.integers(0, 40_000)), min_size=1, max_size=40
    ),
)
def test_whatever_line_answers_nothing_that_may_be_out_is_sent_anew(
    endpoint: str, story: list[tuple[Outcome, int]]
) -> None:
    now, unsure, may_be_out = NOW, False, False
    first = Attempt(endpoint)
    for number, (outcome, seconds) in enumerate(story, 1):
        now += timedelta(seconds=seconds)
        attempt = replace(first, was_uncertain=unsure, attempts=number)
        if past_retrying(attempt, now=now) is not None:
            return
        verdict = settle_one(attempt, Answer(outcome), now=now, wall=now)
        may_be_out = may_be_out or outcome in MAY_HAVE_BEEN_TAKEN
        unsure = verdict.uncertain

        assert unsure or not may_be_out or verdict.state == SENT
        assert not (verdict.state == WAITING and may_be_out)
        assert not (verdict.gives_back_quota and may_be_out)
        if verdict.ends:
            return


@given(
    endpoint=st.sampled_from(["push", "reply"]),
    story=st.lists(st.sampled_from(list(Outcome)), min_size=1),
)
def test_whatever_line_answers_every_call_ends(endpoint: str, story: list[Outcome]) -> None:
    """At the longest pause there is, a call ends within a day and an hour of Retry-After."""
    now, unsure = NOW, False
    answers = [Answer(o, retry_after=9e9) for o in story]
    attempt = Attempt(endpoint)
    for number in range(100):
        now += timedelta(seconds=outcomes.MAX_ASKED_SECONDS)
        attempt = replace(attempt, was_uncertain=unsure, attempts=number + 1)
        verdict = past_retrying(attempt, now=now) or settle_one(
            attempt, answers[number % len(answers)], now=now, wall=now
        )
        unsure = verdict.uncertain
        if verdict.ends:
            return
    raise AssertionError("the call goes on for ever")
