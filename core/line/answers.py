"""What LINE answered, and what that means for the message."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

import orjson
import regex

from core.line.endpoints import SendKind

DETAIL_CHARACTERS = 500

_USER_ID = regex.compile("([UCR])[0-9A-Fa-f]{32}")
_REQUEST_ID = regex.compile("[!-~]{1,200}")


class Outcome(StrEnum):
    """What became of a call, in the words that decide whether to try again.

    `accepted` and `already_accepted` are done; `refused`, `invalid_reply_token` are final;
    `bad_token`, `rate_limited`, `over_quota` and `not_sent` took nothing and may go again;
    `unknown` may have been accepted: only the same retry key makes a repeat safe.
    """

    accepted = "accepted"
    already_accepted = "already_accepted"
    bad_token = "bad_token"  # noqa: S105
    rate_limited = "rate_limited"
    over_quota = "over_quota"
    invalid_reply_token = "invalid_reply_token"  # noqa: S105
    refused = "refused"
    not_sent = "not_sent"
    unknown = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """One attempt to send.

    `request_id` is the id under which LINE knows the message: for `already_accepted` that of the
    request it had taken, never of the repeat. `detail` holds no user ids. `retry_after` is in
    seconds, when LINE said so.
    """

    outcome: Outcome
    status: int | None = None
    request_id: str | None = None
    detail: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer as far as it could be read; `headers` are looked up in any letter case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """The body, or None when it is not JSON (a proxy's error page, or an answer cut short)."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def json_object(self) -> dict[str, object]:
        """The body if it is an object, else an empty one."""
        body = self.json()
        return body if isinstance(body, dict) else {}

    def detail(self) -> str:
        """LINE's message and details on one line, at most 500 characters, user ids masked."""
        body = self.json_object()
        words = [_line(body.get("message")), *_details(body.get("details"))]
        said = "; ".join(word for word in words if word)
        return shorten(said or f"({len(self.body)} bytes that are not an answer of LINE's)")


def read_answer(kind: SendKind, reply: Reply, *, repeatable: bool) -> Answer:
    """What an HTTP answer to a send means. `repeatable`: the request carried a retry key."""
    outcome = outcome_of(reply)
    if outcome is Outcome.accepted:
        return Answer(outcome, reply.status, _request_id(reply, outcome))
    if outcome is Outcome.already_accepted and not repeatable:
        outcome = Outcome.refused
    if kind is SendKind.reply and outcome is Outcome.refused and _is_reply_token(reply):
        outcome = Outcome.invalid_reply_token
    return Answer(
        outcome=outcome,
        status=reply.status,
        request_id=_request_id(reply, outcome),
        detail=reply.detail(),
        retry_after=_retry_after(reply.headers.get("Retry-After")),
    )


def outcome_of(reply: Reply) -> Outcome:
    """The outcome by status; the one thing read from the text is which limit a 429 means.

    Source: https://developers.line.biz/en/docs/messaging-api/retrying-api-request/ and
    https://developers.line.biz/en/reference/messaging-api/#error-messages
    """
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        over = "monthly limit" in reply.detail().lower()
        return Outcome.over_quota if over else Outcome.rate_limited
    by_class = _BY_CLASS.get(reply.status // 100, Outcome.unknown)
    return _BY_STATUS.get(reply.status, by_class)


_BY_CLASS = {2: Outcome.accepted, 4: Outcome.refused}
_BY_STATUS: Mapping[int, Outcome] = {
    HTTPStatus.UNAUTHORIZED: Outcome.bad_token,
    HTTPStatus.CONFLICT: Outcome.already_accepted,
}


def mask_user_ids(text: str) -> str:
    """The text with the ids of users, groups and rooms made unreadable."""
    return _USER_ID.sub(r"\1***", text)


def shorten(text: str) -> str:
    """One masked line of at most 500 characters, fit for a log or a console."""
    return " ".join(mask_user_ids(text).split())[:DETAIL_CHARACTERS]


def _line(value: object) -> str:
    return value if isinstance(value, str) else ""


def _details(value: object) -> list[str]:
    details = value if isinstance(value, list) else []
    return [
        ": ".join(filter(None, (_line(detail.get("property")), _line(detail.get("message")))))
        for detail in details
        if isinstance(detail, dict)
    ]


def _is_reply_token(reply: Reply) -> bool:
    said = _line(reply.json_object().get("message")).lower()
    return reply.status == HTTPStatus.BAD_REQUEST and "invalid reply token" in said


def _request_id(reply: Reply, outcome: Outcome) -> str | None:
    accepted = outcome is Outcome.already_accepted
    name = "X-Line-Accepted-Request-Id" if accepted else "X-Line-Request-Id"
    value = reply.headers.get(name)
    return value if value is not None and _REQUEST_ID.fullmatch(value) else None


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait. LINE documents no such header, and a date in it is not understood."""
    try:
        seconds = float(value) if value is not None else -1.0
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
