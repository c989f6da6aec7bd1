"""Errors as `application/problem+json`.

Source: https://www.rfc-editor.org/rfc/rfc9457
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from fastapi.requests import Request
from fastapi.responses import Response

from core import logs
from core.errors import Fault

log = logs.get(__name__)

MEDIA_TYPE = "application/problem+json"
DOCS = "/api/v1/docs"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem; `name` ends its `type`, where the docs explain it."""

    name: str
    status: int
    title: str
    title_ja: str
    explanation: str

    @property
    def type(self) -> str:
        """The stable reference by which programs tell kinds apart."""
        return f"{DOCS}#{self.name}"


MALFORMED = Kind(
    "malformed",
    400,
    "The body cannot be read",
    "本文を読み取れません",
    "The body is not valid JSON; `errors` says where, counted from 1.",
)
UNAUTHORIZED = Kind(
    "unauthorized",
    401,
    "A valid token is needed",
    "有効なトークンが必要です",
    "Send `Authorization: Bearer TOKEN`. Unknown, expired and revoked tokens look the same.",
)
FORBIDDEN = Kind(
    "forbidden",
    403,
    "The token's role is too low",
    "この操作の権限がありません",
    "`required_role` says which role is needed at least.",
)
NOT_FOUND = Kind(
    "not-found",
    404,
    "There is no such thing",
    "見つかりません",
    "Neither is there for you to see; check the id or key, and the path.",
)
METHOD = Kind(
    "method-not-allowed",
    405,
    "This path has no such method",
    "このメソッドは使えません",
    "The header `Allow` lists what the path takes.",
)
CONFLICT = Kind(
    "conflict",
    409,
    "Not possible in this state",
    "いまの状態ではできません",
    "Nothing was changed; `detail` says what stands in the way.",
)
STALE = Kind(
    "stale-version",
    412,
    "Somebody changed it meanwhile",
    "ほかの人が先に変更しました",
    "Read it again and repeat your change; `current_version` is what it is at now.",
)
TOO_LARGE = Kind(
    "too-large",
    413,
    "The body is too large",
    "本文が大きすぎます",
    "A request takes at most 1 MiB.",
)
MEDIA = Kind(
    "media-type",
    415,
    "The body has the wrong media type",
    "本文の形式が違います",
    "Send JSON with `Content-Type: application/json`.",
)
INVALID = Kind(
    "invalid",
    422,
    "What was given breaks a rule",
    "入力内容に誤りがあります",
    "Nothing was changed; `errors` lists each fault with its path and how to mend it.",
)
PRECONDITION = Kind(
    "version-required",
    428,
    "Say which version you have read",
    "バージョンの指定が必要です",
    "Send the `ETag` that you have read as `If-Match`, so that nobody's change is lost.",
)
INTERNAL = Kind(
    "internal",
    500,
    "Something went wrong on our side",
    "サーバーで問題が起きました",
    "Quote `request_id` to whoever runs the server; its log says more.",
)
UNAVAILABLE = Kind(
    "unavailable",
    503,
    "Not available right now",
    "いまは利用できません",
    "Try again in a moment; the same Idempotency-Key keeps it from happening twice.",
)
KINDS = (
    MALFORMED, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, METHOD, CONFLICT, STALE, TOO_LARGE, MEDIA,
    INVALID, PRECONDITION, INTERNAL, UNAVAILABLE,
)  # fmt: skip


@dataclass(eq=False)
class Refusal(Exception):
    """A request that the door itself turns down."""

    kind: Kind
    detail: str
    faults: Sequence[Fault] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


def respond(
    request: Request,
    kind: Kind,
    detail: str,
    *,
    faults: Sequence[Fault] = (),
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer for one problem."""
    body: dict[str, Any] = {
        "type": kind.type,
        "title": kind.title,
        "title_ja": kind.title_ja,
        "status": kind.status,
        "detail": detail,
        "request_id": getattr(request.state, "request_id", None),
        **(extra or {}),
    }
    if faults:
        body["errors"] = [_told(fault) for fault in faults]
    return Response(
        orjson.dumps(body), kind.status, {**HEADERS, **(headers or {})}, media_type=MEDIA_TYPE
    )


def _told(fault: Fault) -> dict[str, Any]:
    return {name: value for name, value in asdict(fault).items() if value is not None}
