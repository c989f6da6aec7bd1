"""What each of LINE's answers means for a dispatch and its deliveries.

Source: https://developers.line.biz/en/docs/messaging-api/retrying-api-request/ and, where it is
silent (401, 429, network faults), the reasoning beside each rule.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from core.line.client import Answer, Outcome
from core.line.limits import RETRY_KEY_STOP
from delivery.models import DONE, FAILED, HELD, OPEN, SENT, WAITING

REPLY_GRACE = timedelta(seconds=30)
TOKEN_PAUSE = timedelta(seconds=60)
MAX_PAUSE_SECONDS = 60.0
MAX_REPLY_PAUSE_SECONDS = 4.0
MAX_ASKED_SECONDS = 3_600.0  # of Retry-After: a proxy may ask for years
MAX_REQUEST_ID = 64
NOT_BEGUN = Answer(Outcome.not_sent, detail="not begun")


class Attempt(Protocol):
    """What is asked of a call that was made."""

    @property
    def id(self) -> UUID: ...
    @property
    def channel_id(self) -> int: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def attempts(self) -> int: ...
    @property
    def was_uncertain(self) -> bool: ...
    @property
    def first_attempt_at(self) -> datetime: ...
    @property
    def reply_until(self) -> datetime | None: ...
    @property
    def recipients(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Settled:
    """The verdict on one attempt.

    `state` is what the deliveries become, None while the dispatch goes on; `retry_at` is machine
    time; `uncertain` says whether any attempt so far may have been taken without our knowing.
    """

    call: Attempt
    answer: Answer
    state: str | None
    reason: str | None = None
    retry_at: datetime | None = None
    uncertain: bool = False

    @property
    def ends(self) -> bool:
        """Whether this was the last attempt."""
        return self.retry_at is None

    @property
    def gives_back_quota(self) -> bool:
        """Whether LINE surely counted nothing."""
        return self.ends and self.state != SENT and not self.uncertain

    @property
    def _request_id(self) -> str | None:
        """LINE's are UUIDs; a longer one must not keep a whole batch from being settled."""
        return self.answer.request_id[:MAX_REQUEST_ID] if self.answer.request_id else None

    def dispatch_row(self, now: datetime) -> dict[str, Any]:
        """The columns to set on the dispatch."""
        row: dict[str, Any] = {
            "id": self.call.id,
            "state": DONE if self.ends else OPEN,
            "outcome": self.answer.outcome.value,
            "status": self.answer.status,
            "detail": self.answer.detail or None,
            "request_id": self._request_id,
            "uncertain": self.uncertain,
        }
        return row | ({"done_at": now} if self.ends else {"retry_at": self.retry_at})

    def delivery_row(self, now: datetime) -> dict[str, Any]:
        """The columns to set on the deliveries of the dispatch."""
        return {
            "dispatch_id": self.call.id,
            "state": self.state,
            "reason": self.reason,
            "detail": self.answer.detail or None if self.state != SENT else None,
            "attempts": self.call.attempts,
            "request_id": self._request_id,
            "done_at": None if self.state == WAITING else now,
        }


def settle_one(call: Attempt, answer: Answer, *, now: datetime, wall: datetime) -> Settled:
    """Decide what becomes of a dispatch after one attempt.

    - taken (2xx, or 409: taken before): sent;
    - surely not taken, may work later (429, no connection, 401 until the token is mended): again;
    - may have been taken (5xx, cut, timeout): again with the same key or token, as long as that
      protects from doubling; after that it is held for staff, never sent blindly;
    - an invalid reply token: LINE refused, so a push may follow, unless an earlier attempt may have
      used that token up;
    - over the monthly limit: held; other 4xx: failed for good, unless an earlier attempt may have
      been taken: then staff must look before anybody sends it anew.
    """
    match answer.outcome:
        case Outcome.accepted | Outcome.already_accepted:
            return Settled(call, answer, SENT)
        case Outcome.unknown:
            return _again(call, answer, now=now, wall=wall, uncertain=True)
        case Outcome.not_sent | Outcome.rate_limited | Outcome.bad_token:
            return _again(call, answer, now=now, wall=wall, uncertain=call.was_uncertain)
        case Outcome.invalid_reply_token:
            return _refused(call, answer, WAITING, "reply_token_refused")
        case Outcome.over_quota:
            return _refused(call, answer, HELD, "quota")
        case _:
            return _refused(call, answer, FAILED, "refused")


def past_retrying(call: Attempt, *, now: datetime) -> Settled | None:
    """The verdict on a call whose retry key has run out while nobody could send; None before that.

    To LINE the key would be a new request, so what may have been taken must not go out again
    (https://developers.line.biz/en/docs/messaging-api/retrying-api-request/).
    """
    if call.reply_until is not None or not _too_late(call, now):
        return None
    return _again(call, NOT_BEGUN, now=now, wall=now, uncertain=call.was_uncertain)


def _refused(call: Attempt, answer: Answer, state: str, reason: str) -> Settled:
    """LINE took nothing this time; what an earlier attempt did may still be unknown."""
    if call.was_uncertain:
        return Settled(call, answer, HELD, "outcome_unknown", uncertain=True)
    return Settled(call, answer, state, reason)


def _again(
    call: Attempt,
    answer: Answer,
    *,
    now: datetime,
    wall: datetime,
    uncertain: bool,
) -> Settled:
    if _too_late(call, now):
        if uncertain:
            return Settled(call, answer, HELD, "outcome_unknown", uncertain=True)
        if call.endpoint == "reply":
            return Settled(call, answer, WAITING, "reply_token_expired")
        return Settled(call, answer, FAILED, answer.outcome.value)
    wait = TOKEN_PAUSE if answer.outcome is Outcome.bad_token else _back_off(call, answer)
    return Settled(call, answer, None, retry_at=wall + wait, uncertain=uncertain)


def _too_late(call: Attempt, now: datetime) -> bool:
    if call.reply_until is not None:
        return now > call.reply_until + REPLY_GRACE
    return now > call.first_attempt_at + RETRY_KEY_STOP


def _back_off(call: Attempt, answer: Answer) -> timedelta:
    """Twice as long each time, half of it by chance, so that many do not come back at once."""
    most = MAX_REPLY_PAUSE_SECONDS if call.endpoint == "reply" else MAX_PAUSE_SECONDS
    seconds = min(most, 0.5 * 2 ** min(call.attempts - 1, 12))
    seconds *= random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
    asked = min(answer.retry_after or 0.0, MAX_ASKED_SECONDS)
    return timedelta(seconds=max(seconds, asked))
