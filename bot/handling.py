"""Handling: stored events become changes and answers, one friend's in order, friends in parallel.

A batch of up to 100 lanes is one transaction. When anything in it fails, the batch is rolled back
and each event is handled alone, so that one bad event is retried and parked by itself.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from bot import nameless
from bot.intake import user_id_of
from bot.models import HANDLED, IGNORED, PARKED, RECEIVED, WebhookEvent
from bot.received import Keeper
from bot.turn import Replies, Turn
from core import bulk, logs, metrics
from core.db import table
from core.errors import Invalid
from core.jobs import Belt, Due
from core.runtime import Runtime
from crm import activities, channels, friends
from crm.channels import OpenChannel
from crm.customers import locking
from crm.models import Friend
from delivery import outbox, reply_tokens, text_rules

log = logs.get(__name__)

LANES = 100
MOST = 500
MAX_ATTEMPTS = 6
FIRST_PAUSE = timedelta(seconds=1)
SPEAKS = frozenset({"message", "postback"})

Answerer = Callable[[Turn], Awaitable[Replies | None]]


@dataclass(slots=True)
class _Work:
    """What the turns of one batch have brought, to be written in few statements."""

    keeper: Keeper
    facts: list[activities.Fact] = field(default_factory=list)
    parcels: list[outbox.Parcel] = field(default_factory=list)
    tokens: list[tuple[str, int, datetime, datetime]] = field(default_factory=list)


def belt(answer: Answerer) -> Belt:
    """The belt that handles webhook events with this answerer."""

    async def work(runtime: Runtime) -> int:
        return await handle_batch(runtime, answer)

    return Belt("events", work, due)


async def handle_batch(runtime: Runtime, answer: Answerer) -> int:
    """Handle what is due of up to 100 lanes; returns how many events were dealt with."""
    now = await runtime.clock.now()
    try:
        async with runtime.db.transaction() as session:
            rows = await _claim(session, runtime.clock.wall())
            done = await _handle(runtime, session, rows, answer, now)
    except Exception as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise
        log.warning("events.batch_failed", error=type(error).__name__)
        done = await _one_by_one(runtime, answer)
    if done:
        runtime.wakes.wake("profiles", "reactions", "dispatch")
    return done


async def due(session: AsyncSession, now: datetime) -> Due:
    """What waits to be handled, also what backs off."""
    event = table(WebhookEvent)
    query = select(func.count(), func.min(event.c.received_at)).where(event.c.state == RECEIVED)
    count, oldest = (await session.execute(query)).one()
    return Due(count, oldest, None)


async def _claim(session: AsyncSession, wall: datetime) -> list[Any]:
    """All open events of the next lanes of which none backs off."""
    event = table(WebhookEvent)
    heads = (
        select(event.c.lane).where(_ready(wall)).order_by(event.c.retry_at, event.c.id).limit(LANES)
    )
    lanes = set(await session.scalars(heads))
    query = (
        select(event)
        .where(event.c.state == RECEIVED, event.c.lane.in_(lanes))
        .order_by(event.c.lane, event.c.timestamp, event.c.id)
        .limit(MOST)
        .with_for_update(skip_locked=True)
    )
    rows: list[Any] = list(await session.execute(query)) if lanes else []
    return _until_back_off(rows, wall)


def _ready(wall: datetime) -> ColumnElement[bool]:
    """Open events whose lane has none that backs off: else they would fill every batch in vain."""
    event = table(WebhookEvent)
    open_ = event.c.state == RECEIVED
    resting = select(event.c.lane).where(open_, event.c.retry_at > wall)
    return and_(open_, event.c.retry_at <= wall, event.c.lane.not_in(resting))


def _until_back_off(rows: Sequence[Any], wall: datetime) -> list[Any]:
    chosen, waiting = [], set()
    for row in rows:
        if row.retry_at > wall:
            waiting.add(row.lane)
        if row.lane not in waiting:
            chosen.append(row)
    return chosen


async def _handle(
    runtime: Runtime, session: AsyncSession, rows: Sequence[Any], answer: Answerer, now: datetime
) -> int:
    if not rows:
        return 0
    open_channels = await channels.of(runtime).by_ids({row.channel_id for row in rows})
    known = await _friends(session, rows, now)
    rows = await _in_lane_order(session, rows)
    shop_rules = await text_rules.enabled(session)
    ended: list[dict[str, Any]] = []
    work = _Work(Keeper(session))
    for row in sorted(rows, key=lambda row: (row.timestamp, row.id)):
        friend = known.get((row.channel_id, user_id_of(row.payload) or ""))
        turn = _turn(
            runtime, session, open_channels.get(row.channel_id), friend, row, now, shop_rules
        )
        state, reason = await _one(turn, row, answer, work)
        if turn is None:
            facts, parcels = await nameless.heard(session, row, now=now)
            work.facts += facts
            work.parcels += parcels
        ended.append(
            {"id": row.id, "state": state, "reason": reason, "attempts": row.attempts + 1,
             "handled_at": now}
        )  # fmt: skip
    await session.flush()
    await work.keeper.flush()
    await reply_tokens.keep(session, work.tokens, now=now)
    await activities.record(session, await _of_today(session, work.facts, known), now=now)
    await outbox.queue(session, work.parcels, now=now, allow_http=runtime.settings.allow_http_urls)
    await bulk.update_rows(session, table(WebhookEvent), ended)
    _count(rows, ended, now)
    return len(rows)


async def _friends(
    session: AsyncSession, rows: Sequence[Any], now: datetime
) -> dict[tuple[int, str], Friend]:
    wanted: dict[int, set[str]] = defaultdict(set)
    for row in rows:
        if user_id := user_id_of(row.payload):
            wanted[row.channel_id].add(user_id)
    known: dict[tuple[int, str], Friend] = {}
    for channel_id in sorted(wanted):
        found = await friends.recognise(session, channel_id, wanted[channel_id], now=now)
        known |= {(channel_id, user_id): friend for user_id, friend in found.items()}
    return known


async def _in_lane_order(session: AsyncSession, rows: Sequence[Any]) -> list[Any]:
    """Without what must wait for an earlier event of its lane that another worker holds.

    The friends are locked by now, so what we see of their lanes is settled.
    """
    event = table(WebhookEvent)
    earlier = event.alias("earlier")
    mine = [row.id for row in rows]
    late = (
        select(event.c.id)
        .join(earlier, earlier.c.lane == event.c.lane)
        .where(event.c.id.in_(mine), earlier.c.state == RECEIVED, earlier.c.id.not_in(mine))
        .where(
            or_(
                earlier.c.timestamp < event.c.timestamp,
                (earlier.c.timestamp == event.c.timestamp) & (earlier.c.id < event.c.id),
            )
        )
    )
    again = select(event.c.id).where(event.c.id.in_(mine), event.c.state != RECEIVED)
    waits = set(await session.scalars(late)) | set(await session.scalars(again))
    return [row for row in rows if row.id not in waits]


async def _of_today(
    session: AsyncSession,
    facts: Sequence[activities.Fact],
    known: Mapping[tuple[int, str], Friend],
) -> Sequence[activities.Fact]:
    """The facts, where a later event of the batch has merged their customer, of the one it became.

    Nothing is asked while nobody's customer has changed.
    """
    noted = {fact.customer_id for fact in facts}
    stale = noted - {friend.customer_id for friend in known.values()}
    if not stale:
        return facts
    today = await locking.resolve(session, stale)
    return [replace(f, customer_id=today.get(f.customer_id, f.customer_id)) for f in facts]


def _turn(
    runtime: Runtime,
    session: AsyncSession,
    channel: OpenChannel | None,
    friend: Friend | None,
    row: Any,  # noqa: ANN401
    now: datetime,
    shop_rules: Sequence[Any],
) -> Turn | None:
    if friend is None or channel is None:
        return None
    at = datetime.fromtimestamp(row.timestamp / 1000, UTC)
    return Turn(runtime, session, channel, friend, row.id, row.payload, at, now, shop_rules)


async def _one(
    turn: Turn | None,
    row: Any,  # noqa: ANN401
    answer: Answerer,
    work: _Work,
) -> tuple[str, str | None]:
    if turn is None:
        work.keeper.drop(row)
        return IGNORED, "no friend"
    standby = row.payload.get("mode") == "standby"
    if turn.type in SPEAKS:
        friends.seen(turn.friend, at=turn.at)
    await work.keeper.keep(turn, row)
    replies = await answer(turn)
    work.facts += turn.facts
    if standby:  # another module speaks in this chat
        return HANDLED, "standby"
    assert turn.friend.id is not None
    token = row.payload.get("replyToken")
    if isinstance(token, str) and 0 < len(token) <= 64:  # noqa: PLR2004 - the column's width
        work.tokens.append((token, turn.friend.id, turn.at, row.received_at))
    if replies:
        work.parcels.append(_parcel(turn, replies))
    return HANDLED, None


def _parcel(turn: Turn, replies: Replies) -> outbox.Parcel:
    assert turn.friend.id is not None
    return outbox.Parcel(
        channel_id=turn.channel.id,
        friend_id=turn.friend.id,
        source=f"event:{turn.event_id}",
        messages=list(replies),
        # Not `now`: of two workers the one that has looked at its clock first may answer last, and
        # the later answer would be due before the earlier one.
        due_at=min(turn.at, turn.now),
        purpose=outbox.ANSWER,
    )


def _count(rows: Sequence[Any], ended: Sequence[dict[str, Any]], now: datetime) -> None:
    for row in ended:
        metrics.EVENTS_HANDLED.labels(row["state"]).inc()
    for row in rows:
        metrics.EVENT_LAG.observe(max(0.0, (now - row.received_at).total_seconds()))


async def _one_by_one(runtime: Runtime, answer: Answerer) -> int:
    async with runtime.db.reading() as session:
        event = table(WebhookEvent)
        query = select(event.c.id, event.c.lane).where(_ready(runtime.clock.wall()))
        order = query.order_by(event.c.timestamp, event.c.id).limit(LANES)
        rows: list[Any] = list(await session.execute(order))
    stuck: set[str] = set()
    done = 0
    for row in rows:
        if row.lane not in stuck:
            handled = await _alone(runtime, row.id, answer)
            done += handled
            stuck |= set() if handled else {row.lane}
    return done


async def _alone(runtime: Runtime, event_id: int, answer: Answerer) -> int:
    """Handle one event in a transaction of its own; 0 when it failed and backs off."""
    event = table(WebhookEvent)
    query = select(event).where(event.c.id == event_id, event.c.state == RECEIVED)
    now = await runtime.clock.now()
    try:
        async with runtime.db.transaction() as session:
            rows: list[Any] = list(await session.execute(query.with_for_update(skip_locked=True)))
            return await _handle(runtime, session, rows, answer, now)
    except Exception as error:
        log.exception("event.failed", event_id=event_id)
        await _back_off(runtime, event_id, error)
        return 0


async def _back_off(runtime: Runtime, event_id: int, error: Exception) -> None:
    """Try again in 1, 2, 4, 8, 16 seconds; then park it, visible, so that it blocks nobody."""
    event = table(WebhookEvent)
    reason = str(error)[:200] if isinstance(error, Invalid) else type(error).__name__
    async with runtime.db.transaction() as session:
        attempts = await session.scalar(select(event.c.attempts).where(event.c.id == event_id)) or 0
        parked = attempts + 1 >= MAX_ATTEMPTS
        await session.execute(
            update(event)
            .where(event.c.id == event_id, event.c.state == RECEIVED)
            .values(
                attempts=attempts + 1,
                reason=reason,
                state=PARKED if parked else RECEIVED,
                retry_at=runtime.clock.wall() + FIRST_PAUSE * 2**attempts,
            )
        )
    if parked:
        metrics.EVENTS_HANDLED.labels(PARKED).inc()
