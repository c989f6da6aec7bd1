"""LINE's own coupon objects: make, find again, close.

They live in LINE: who acquires or uses one is not told to us, and nothing but closing changes one.
Source: https://developers.line.biz/en/reference/messaging-api/#coupon
"""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from core.line import endpoints
from core.line.answers import Outcome
from core.line.client import LineClient
from core.line.errors import LineError

TITLE, DESCRIPTION, USAGE = 60, 1_000, 100  # characters
MAX_PAGES = 60  # of 100; a channel has at most 5,000 valid coupons

# LINE tells back what it was given, with additions of its own.
_SAME = ("title", "description", "usageCondition", "startTimestamp", "endTimestamp",
         "maxUseCountPerTicket", "visibility", "reward")  # fmt: skip


def body(
    *,
    title: str,
    description: str,
    usage: str,
    reward: Mapping[str, Any],
    starts_at: datetime,
    ends_at: datetime,
    once: bool,
) -> dict[str, Any]:
    """The body of a create request, its texts cut to what LINE takes; times in whole seconds."""
    texts = {"description": description[:DESCRIPTION], "usageCondition": usage[:USAGE]}
    return {
        "title": title[:TITLE],
        **{name: text for name, text in texts.items() if text},
        "startTimestamp": int(starts_at.timestamp()),
        "endTimestamp": int(ends_at.timestamp()),
        "timezone": "ASIA_TOKYO",
        "visibility": "UNLISTED",
        "maxUseCountPerTicket": 1 if once else -1,
        "acquisitionCondition": {"type": "normal"},
        "reward": dict(reward),
    }


def discount_reward(*, yen: int | None = None, percent: int | None = None) -> dict[str, Any]:
    """A reward of yen or percent off; all of it off is free."""
    if percent is not None and percent > 99:  # noqa: PLR2004
        return {"type": "free"}
    if percent is not None:
        return {"type": "discount", "priceInfo": {"type": "percentage", "percentage": percent}}
    return {"type": "discount", "priceInfo": {"type": "fixed", "fixedAmount": yen}}


async def create(line: LineClient, token: str, wanted: Mapping[str, Any]) -> str:
    """Make a coupon that runs; returns its id. Raises `LineError`.

    LINE knows no retry key here: after an unknown outcome, look with `find` before a repeat.
    """
    reply = await line.call(endpoints.CREATE_COUPON, token, json=wanted)
    coupon_id = reply.json_object().get("couponId")
    if not isinstance(coupon_id, str) or not coupon_id:
        raise LineError(reply.status, "the answer holds no coupon id", Outcome.unknown)
    return coupon_id


async def find(line: LineClient, token: str, wanted: Mapping[str, Any]) -> str | None:
    """The id of a running coupon just as wanted, left by a call whose answer never came."""
    async for coupon_id in _titled(line, token, str(wanted["title"])):
        reply = await line.call(endpoints.GET_COUPON, token, coupon_id)
        found = reply.json_object()
        same = all(_says(found.get(name), wanted[name]) for name in _SAME if name in wanted)
        if same and found.get("status") == "RUNNING":
            return coupon_id
    return None


async def close(line: LineClient, token: str, coupon_id: str) -> bool:
    """End a coupon for good, acquired ones too; False where it was closed or gone already."""
    try:
        await line.call(endpoints.CLOSE_COUPON, token, coupon_id)
    except LineError as error:
        if error.status in {HTTPStatus.GONE, HTTPStatus.NOT_FOUND}:
            return False
        raise
    return True


def message(coupon_id: str) -> dict[str, str]:
    """The message object that sends a coupon."""
    return {"type": "coupon", "couponId": coupon_id}


def _says(found: object, wanted: object) -> bool:
    """Whether what LINE tells holds what was wanted."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(_says(found.get(name), value) for name, value in wanted.items())
    return found == wanted


async def _titled(line: LineClient, token: str, title: str) -> AsyncIterator[str]:
    start: str | None = None
    for _ in range(MAX_PAGES):
        params = {"limit": "100"} | ({"start": start} if start else {})
        answer = (await line.call(endpoints.LIST_COUPONS, token, params=params)).json_object()
        items = answer.get("items")
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict) and item.get("title") == title and item.get("couponId"):
                yield str(item["couponId"])
        following = answer.get("next")
        if not isinstance(following, str) or not following:
            return
        start = following
