"""What LINE tells about an account and its friends, read tolerantly.

LINE adds properties and values without notice, so whatever is not needed is ignored, and an
optional property that is missing or strange is None (a profile's name is empty). What we cannot do
without raises LineError.
"""

from dataclasses import dataclass

from core.line.answers import Outcome, Reply
from core.line.errors import LineError


@dataclass(frozen=True, slots=True)
class BotInfo:
    """The official account; `user_id` is the `destination` of its webhooks."""

    user_id: str
    basic_id: str | None
    premium_id: str | None
    display_name: str | None
    picture_url: str | None
    chat_mode: str | None
    mark_as_read_mode: str | None


@dataclass(frozen=True, slots=True)
class Profile:
    """A user as this account sees them; `language` only where they agreed to share it."""

    user_id: str
    display_name: str
    picture_url: str | None
    status_message: str | None
    language: str | None


@dataclass(frozen=True, slots=True)
class FollowerPage:
    """Some friends; `next` (valid 24 hours) asks for more, and may come with a short page."""

    user_ids: tuple[str, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Quota:
    """Messages a month; None when the account has no cap."""

    limit: int | None


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """`active` can be switched in LINE's console only."""

    url: str | None
    active: bool


@dataclass(frozen=True, slots=True)
class WebhookTest:
    """How our webhook answered LINE's empty one; `reason` is `OK`, `REQUEST_TIMEOUT` and so on."""

    success: bool
    status: int | None
    reason: str | None
    detail: str | None


def read_bot_info(reply: Reply) -> BotInfo:
    return BotInfo(
        user_id=_needed(reply, "userId"),
        basic_id=_text(reply, "basicId"),
        premium_id=_text(reply, "premiumId"),
        display_name=_text(reply, "displayName"),
        picture_url=_text(reply, "pictureUrl"),
        chat_mode=_text(reply, "chatMode"),
        mark_as_read_mode=_text(reply, "markAsReadMode"),
    )


def read_profile(reply: Reply) -> Profile:
    return Profile(
        user_id=_needed(reply, "userId"),
        display_name=_text(reply, "displayName") or "",
        picture_url=_text(reply, "pictureUrl"),
        status_message=_text(reply, "statusMessage"),
        language=_text(reply, "language"),
    )


def read_followers(reply: Reply) -> FollowerPage:
    ids = reply.json_object().get("userIds")
    if not isinstance(ids, list):
        raise _unusable(reply, "userIds")
    return FollowerPage(
        tuple(item for item in ids if isinstance(item, str)), _text(reply, "next") or None
    )


def read_quota(reply: Reply) -> Quota:
    """A cap that cannot be read is an error: taking it for "no cap" would cost the shop money."""
    if _text(reply, "type") == "none":
        return Quota(limit=None)
    return Quota(limit=_number(reply, "value"))


def read_usage(reply: Reply) -> int:
    return _number(reply, "totalUsage")


def read_webhook_endpoint(reply: Reply) -> WebhookEndpoint:
    return WebhookEndpoint(
        url=_text(reply, "endpoint"), active=reply.json_object().get("active") is True
    )


def read_webhook_test(reply: Reply) -> WebhookTest:
    body = reply.json_object()
    status = body.get("statusCode")
    return WebhookTest(
        success=body.get("success") is True,
        status=status if isinstance(status, int) else None,
        reason=_text(reply, "reason"),
        detail=_text(reply, "detail"),
    )


def _text(reply: Reply, name: str) -> str | None:
    value = reply.json_object().get(name)
    return value if isinstance(value, str) else None


def _needed(reply: Reply, name: str) -> str:
    value = _text(reply, name)
    if not value:
        raise _unusable(reply, name)
    return value


def _number(reply: Reply, name: str) -> int:
    value = reply.json_object().get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unusable(reply, name)
    return int(value)


def _unusable(reply: Reply, name: str) -> LineError:
    return LineError(reply.status, f"the answer holds no usable {name}", Outcome.unknown)
