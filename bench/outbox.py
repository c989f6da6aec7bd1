"""Friends and deliveries in the database, as if the shop had just decided on a message for each."""

from datetime import datetime
from secrets import token_hex
from typing import Any

import orjson
from sqlalchemy import func, select, text

from core import bulk
from core.db import table
from core.runtime import Runtime
from crm.models import FOLLOWING, Channel, Customer, Friend
from delivery.models import WAITING, Delivery

CHUNK = 2_000


def user_id(number: int) -> str:
    """An invented LINE user."""
    return f"U{number:032x}"


def ready_messages(number: int) -> bytes:
    """The message objects for one person, as they stand in the outbox."""
    said = (
        f"会員番号 {number:08d} さま、いつもありがとうございます。"
        f"現在のポイントは {number % 9_973:,} ポイントです。"
        "今週末はコーヒー豆が10%オフになります。ご来店をお待ちしております。"
    )
    return orjson.dumps([{"type": "text", "text": said}])


async def wait_in_outbox(runtime: Runtime, count: int) -> None:
    """Have one delivery with a text of its own wait for each of so many friends."""
    now, name = await runtime.clock.now(), token_hex(4)
    await _befriend(runtime, count, now)
    async with runtime.db.reading() as session:
        friend = table(Friend)
        query = select(friend.c.id, friend.c.channel_id).order_by(friend.c.id).limit(count)
        rows: list[Any] = list(await session.execute(query))
    await _insert(
        runtime,
        Delivery,
        [
            {
                "channel_id": row.channel_id,
                "friend_id": row.id,
                "source": f"bench:{name}:{number}",
                "purpose": "marketing",
                "topic": "news",
                "messages": ready_messages(number),
                "message_count": 1,
                "state": WAITING,
                "due_at": now,
                "attempts": 0,
                "created_at": now,
            }
            for number, row in enumerate(rows)
        ],
    )
    async with runtime.db.transaction() as session:
        await session.execute(text("ANALYZE"))  # as autovacuum would have done long ago


async def _befriend(runtime: Runtime, count: int, now: datetime) -> None:
    """Add friends until there are so many."""
    async with runtime.db.reading() as session:
        known = await session.scalar(select(func.count()).select_from(table(Friend))) or 0
        channel_id = await session.scalar(select(table(Channel).c.id))
    if known >= count:
        return
    new = range(known + 1, count + 1)
    await _insert(runtime, Customer, [{"id": n, "created_at": now} for n in new])
    await _insert(
        runtime,
        Friend,
        [
            {
                "id": n,
                "channel_id": channel_id,
                "user_id": user_id(n),
                "customer_id": n,
                "status": FOLLOWING,
                "status_at": now,
                "followed_at": now,
                "follow_count": 1,
                "profile_attempts": 0,
                "created_at": now,
            }
            for n in new
        ],
    )


async def _insert(runtime: Runtime, model: Any, rows: list[dict[str, Any]]) -> None:  # noqa: ANN401
    for start in range(0, len(rows), CHUNK):
        async with runtime.db.transaction() as session:
            await bulk.insert_rows(session, table(model), rows[start : start + CHUNK])
