"""Events that name nobody, and what they tell us all the same.

A failed `accountLink` has no source: LINE says only that whoever opened the link was logged in as
somebody else. Its nonce is one of ours and knows for whom it was made.
Source: https://developers.line.biz/en/reference/messaging-api/#account-link-event
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bot.linking import LINK, say
from crm.activities import Fact
from crm.linking import nonces
from crm.models import Friend
from delivery.outbox import TRANSACTIONAL, Parcel

FAILED = (
    "会員連携を完了できませんでした。別のLINEアカウントで開かれたようです。\n"
    f"お心当たりがあれば、もう一度「{LINK}」とお送りください。"
)


async def heard(
    session: AsyncSession, row: Any, *, now: datetime  # noqa: ANN401
) -> tuple[list[Fact], list[Parcel]]:  # fmt: skip
    """Facts and messages that come of an event without a friend; mostly none."""
    payload: Mapping[str, Any] = row.payload
    told = payload.get("link")
    if payload.get("type") != "accountLink" or not isinstance(told, dict):
        return [], []
    nonce = str(told.get("nonce", ""))[: nonces.MAX_LENGTH]
    spent = await nonces.spend(session, nonce, now=now, friend_id=None)
    friend = None if spent.friend_id is None else await session.get(Friend, spent.friend_id)
    if spent.fault != "foreign" or friend is None:
        return [], []
    return [_fact(friend, row)], [_parcel(friend, row, now)]


def _fact(friend: Friend, row: Any) -> Fact:  # noqa: ANN401
    return Fact(
        customer_id=friend.customer_id,
        friend_id=friend.id,
        kind="link_failed",
        occurred_at=datetime.fromtimestamp(row.timestamp / 1000, UTC),
        data={"reason": "another_line_account", "method": "account_link"},
        source=f"link_failed:event:{row.id}",
    )


def _parcel(friend: Friend, row: Any, now: datetime) -> Parcel:  # noqa: ANN401
    assert friend.id is not None
    return Parcel(
        channel_id=friend.channel_id,
        friend_id=friend.id,
        source=f"event:{row.id}",
        messages=[say(FAILED, LINK)],
        due_at=now,
        purpose=TRANSACTIONAL,
    )
