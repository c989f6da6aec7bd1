"""The dispatcher: deliveries become calls to LINE, each kept byte for byte before it is made.

Three stages, each a transaction of its own, and the calls between the last two:

    form    deliveries that are due → dispatches (reply where a fresh token serves, push otherwise)
    claim   dispatches whose retry is due (a crash, a rate limit, a network fault)
    settle  what LINE answered → the state of dispatch and deliveries, several times a second

The dispatch's id is the `X-Line-Retry-Key`: LINE takes the same key once within 24 hours and
answers 409 to a repetition (https://developers.line.biz/en/docs/messaging-api/retrying-api-request/).
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from os import urandom
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import orjson
from sqlalchemy import ColumnElement, literal_column, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk, logs, metrics
from core.db import table
from core.line.client import Answer, SendKind
from core.pace import CHUNK
from core.runtime import Runtime
from crm import channels
from crm.channels import OpenChannel
from crm.customers.models import Consent
from crm.models import BLOCKED, Friend
from delivery import quota, reply_tokens
from delivery.models import (
    DONE,
    HELD,
    OPEN,
    SENDING,
    SENT,
    SUPPRESSED,
    WAITING,
    Delivery,
    Dispatch,
)
from delivery.outcomes import NOT_BEGUN, Settled, past_retrying, settle_one

log = logs.get(__name__)

BATCH = 500
IN_FLIGHT = 48
SETTLE_SECONDS = 0.2
MAX_MESSAGES = 5
LEASE = timedelta(seconds=25)
CALL_TAKES = timedelta(seconds=12)  # a call begun later than this before the lease's end is left

# Written into the statement: a planner sees only then that the index over these rows serves.
_WAITING: ColumnElement[str] = literal_column(f"'{WAITING}'")
_SENDING: ColumnElement[str] = literal_column(f"'{SENDING}'")
_OPEN: ColumnElement[str] = literal_column(f"'{OPEN}'")


@dataclass(frozen=True, slots=True)
class Call:
    """A claimed dispatch, as it goes out. `was_uncertain` is from before this attempt."""

    id: UUID
    channel_id: int
    endpoint: str
    body: bytes
    attempts: int
    was_uncertain: bool
    first_attempt_at: datetime
    reply_until: datetime | None
    recipients: int = 1


async def dispatch(runtime: Runtime) -> int:
    """Form, claim, send and settle one batch; returns how many dispatches or deliveries moved."""
    async with _TAKING.setdefault(runtime, asyncio.Lock()):
        now, wall = await runtime.clock.now(), runtime.clock.wall()
        calls, moved = await _take(runtime, now=now, wall=wall)
    if not calls:
        return moved
    return moved + await _send_and_settle(runtime, calls, now, wall + LEASE - CALL_TAKES)


# Batches that begin together wait for each other's locks, then all call LINE, then all write: each
# stage would lie idle in turn. One after another, they overlap.
_TAKING: WeakKeyDictionary[Runtime, asyncio.Lock] = WeakKeyDictionary()


async def _take(runtime: Runtime, *, now: datetime, wall: datetime) -> tuple[list[Call], int]:
    """The calls to make now, committed; and how many rows were moved besides."""
    async with runtime.db.transaction() as session:
        calls, moved = await _claim(session, now=now, wall=wall)
        if len(calls) < BATCH:
            formed, others = await _form(session, now=now, wall=wall)
            calls += formed
            moved += others
    return calls, moved


async def release_claims(runtime: Runtime) -> None:
    """Make every open dispatch due: for a start when no other process can be sending."""
    claimed = table(Dispatch)
    async with runtime.db.transaction() as session:
        query = update(claimed).where(claimed.c.state == OPEN)
        await session.execute(query.values(retry_at=runtime.clock.wall()))


async def _claim(session: AsyncSession, *, now: datetime, wall: datetime) -> tuple[list[Call], int]:
    d = table(Dispatch)
    due = (
        select(d)
        .where(d.c.state == _OPEN, d.c.retry_at <= wall)
        .order_by(d.c.retry_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    rows: list[Any] = list(await session.execute(due))
    if not rows:
        return [], 0
    dropped = await _drop_blocked(session, [row.id for row in rows if not row.uncertain], now)
    rows = [row for row in rows if row.id not in dropped]
    await session.execute(
        update(d)
        .where(d.c.id.in_([row.id for row in rows]))
        .values(retry_at=wall + LEASE, attempts=d.c.attempts + 1, uncertain=True)
    )
    calls = [_call_of(row) for row in rows]
    over = [verdict for call in calls if (verdict := past_retrying(call, now=now))]
    await _settle(session, over, now=now)
    gone = {verdict.call.id for verdict in over}
    return [call for call in calls if call.id not in gone], len(dropped) + len(over)


def _call_of(row: Any) -> Call:  # noqa: ANN401
    return Call(
        id=row.id,
        channel_id=row.channel_id,
        endpoint=row.endpoint,
        body=row.body,
        attempts=row.attempts + 1,
        was_uncertain=row.uncertain,
        first_attempt_at=row.first_attempt_at,
        reply_until=row.reply_until,
        recipients=row.recipients,
    )


async def _drop_blocked(session: AsyncSession, ids: Sequence[UUID], now: datetime) -> set[UUID]:
    """End calls that surely never reached LINE when the one person has blocked us meanwhile."""
    dispatch_, delivery, friend = table(Dispatch), table(Delivery), table(Friend)
    query = (
        select(delivery.c.dispatch_id)
        .join(friend, friend.c.id == delivery.c.friend_id)
        .where(delivery.c.dispatch_id.in_(ids), friend.c.status == BLOCKED)
    )
    blocked = set(await session.scalars(query)) if ids else set()
    if blocked:
        ended = update(dispatch_).where(dispatch_.c.id.in_(blocked), dispatch_.c.recipients == 1)
        ended = ended.values(state=DONE, outcome="blocked", done_at=now)
        d = dispatch_.c
        rows: list[Any] = list(
            await session.execute(
                ended.returning(d.id, d.channel_id, d.endpoint, d.recipients, d.first_attempt_at)
            )
        )
        await _give_back(session, rows)
        gone = {row.id for row in rows}
        await session.execute(
            update(delivery)
            .where(delivery.c.dispatch_id.in_(gone), delivery.c.state == SENDING)
            .values(state=SUPPRESSED, reason="blocked", done_at=now)
        )
        return gone
    return set()


async def _form(session: AsyncSession, *, now: datetime, wall: datetime) -> tuple[list[Call], int]:
    rows = await _due_deliveries(session, now)
    if not rows:
        return [], 0
    blocked = [row.id for row in rows if row.status == BLOCKED]
    if blocked:
        await _end(session, blocked, SUPPRESSED, "blocked", now)
    groups = [_first_five(group) for group in _by_friend(rows) if group[0].status != BLOCKED]
    tokens = await reply_tokens.take(session, [g[0].friend_id for g in groups], now=now)
    replies = [g for g in groups if g[0].friend_id in tokens]
    wanted, refused = await _without_refused(
        session, [g for g in groups if g[0].friend_id not in tokens]
    )
    if refused:
        await _end(session, refused, SUPPRESSED, "opted_out", now)
    pushes, held = await _within_quota(session, wanted, now)
    if held:
        await _end(session, [row.id for group in held for row in group], HELD, "quota", now)
    calls = [_reply(group, *tokens[group[0].friend_id], now) for group in replies]
    calls += [_push(group, now) for group in pushes]
    await _keep(session, calls, replies + pushes, now=now, wall=wall)
    return calls, len(blocked) + len(refused) + sum(len(group) for group in held)


async def _due_deliveries(session: AsyncSession, now: datetime) -> list[Any]:
    """Deliveries that are due and whose friend has none under way, friend locked, in order."""
    d, friend = table(Delivery), table(Friend)
    sending = d.alias("sending")
    # A list, not EXISTS: made once from what is under way, however much waits or is long done.
    at_rest = d.c.friend_id.not_in(select(sending.c.friend_id).where(sending.c.state == _SENDING))
    due = (d.c.state == _WAITING, d.c.due_at <= now, at_rest)
    query = (
        select(d.c.id, d.c.channel_id, d.c.friend_id, d.c.messages, d.c.message_count)
        .add_columns(d.c.topic, friend.c.user_id, friend.c.status, friend.c.customer_id)
        .join(friend, friend.c.id == d.c.friend_id)
        .where(*due)
        .order_by(d.c.due_at, d.c.id)
    )
    if session.get_bind().dialect.name == "sqlite":
        return list(await session.execute(query.limit(BATCH)))
    # First lock whom it is for, then look at all that waits for them: rows are locked one by one,
    # and of a friend who is let go of in between, the first would be left out and the second taken.
    # The friend alone: a delivery whose lock is about to be let go would be overtaken likewise.
    whose = select(friend.c.id).join(d, friend.c.id == d.c.friend_id).where(*due)
    first = whose.order_by(d.c.due_at, d.c.id).limit(BATCH)
    lock = first.with_for_update(skip_locked=True, key_share=True, of=friend)
    held = set(await session.scalars(lock))
    ours = bulk.is_one_of(session, d.c.friend_id, held)
    return list(await session.execute(query.where(ours))) if held else []


def _by_friend(rows: Iterable[Any]) -> list[list[Any]]:
    # By id, which is the order of queueing: the clocks of two workers may differ, and with them
    # what they wrote into `due_at`.
    in_order = sorted(rows, key=attrgetter("friend_id", "id"))
    return [list(group) for _friend, group in groupby(in_order, key=attrgetter("friend_id"))]


def _first_five(group: list[Any]) -> list[Any]:
    """As many deliveries as fit into one call: LINE counts people, not message objects."""
    chosen: list[Any] = []
    count = 0
    for row in group:
        count += row.message_count
        if chosen and count > MAX_MESSAGES:
            break
        chosen.append(row)
    return chosen


async def _without_refused(
    session: AsyncSession, groups: list[list[Any]]
) -> tuple[list[list[Any]], list[int]]:
    """The groups without what their customers do not want to hear of, and the ids of that.

    A reply is spared the question: the customer has just asked for something.
    """
    asked = {row.customer_id for group in groups for row in group if row.topic is not None}
    if not asked:
        return groups, []
    consent = table(Consent)
    whose = bulk.is_one_of(session, consent.c.customer_id, asked)
    query = select(consent.c.customer_id, consent.c.topic).where(whose, ~consent.c.granted)
    no = {(row.customer_id, row.topic) for row in await session.execute(query)}
    refused = [r.id for group in groups for r in group if (r.customer_id, r.topic) in no]
    left = [[r for r in group if (r.customer_id, r.topic) not in no] for group in groups]
    return [group for group in left if group], refused


async def _within_quota(
    session: AsyncSession, groups: list[list[Any]], now: datetime
) -> tuple[list[list[Any]], list[list[Any]]]:
    by_channel = sorted(groups, key=lambda group: group[0].channel_id)
    pushes: list[list[Any]] = []
    held: list[list[Any]] = []
    for channel_id, mine in groupby(by_channel, key=lambda group: group[0].channel_id):
        wanted = list(mine)
        granted = await quota.reserve(session, channel_id, len(wanted), now=now)
        pushes += wanted[:granted]
        held += wanted[granted:]
    return pushes, held


def _reply(group: list[Any], token: str, until: datetime, now: datetime) -> Call:
    return _call(group, "reply", b'{"replyToken":' + orjson.dumps(token), now, reply_until=until)


def _push(group: list[Any], now: datetime) -> Call:
    return _call(group, "push", b'{"to":' + orjson.dumps(group[0].user_id), now)


def _call(
    group: list[Any], endpoint: str, head: bytes, now: datetime, reply_until: datetime | None = None
) -> Call:
    messages = b",".join(row.messages[1:-1] for row in group)  # arrays without their brackets
    return Call(
        id=_new_id(now),
        channel_id=group[0].channel_id,
        endpoint=endpoint,
        body=head + b',"messages":[' + messages + b"]}",
        attempts=1,
        was_uncertain=False,
        first_attempt_at=now,
        reply_until=reply_until,
    )


def _new_id(now: datetime) -> UUID:
    """A UUID of version 4 that begins with the time and ends in 74 bits of chance.

    So new rows come to stand side by side in the indexes, not each on a page of its own.
    """
    milliseconds = int(now.timestamp() * 1000)
    return UUID(bytes=milliseconds.to_bytes(6, "big") + urandom(10), version=4)


async def _keep(
    session: AsyncSession,
    calls: list[Call],
    groups: list[list[Any]],
    *,
    now: datetime,
    wall: datetime,
) -> None:
    await bulk.insert_rows(session, table(Dispatch), [_row(call, now, wall) for call in calls])
    sending = [
        {"id": row.id, "dispatch_id": call.id, "state": SENDING}
        for call, group in zip(calls, groups, strict=True)
        for row in group
    ]
    await bulk.update_rows(session, table(Delivery), sending)


def _row(call: Call, now: datetime, wall: datetime) -> dict[str, Any]:
    return {
        "id": call.id,
        "channel_id": call.channel_id,
        "endpoint": call.endpoint,
        "body": call.body,
        "recipients": 1,
        "state": OPEN,
        "attempts": 1,
        "uncertain": True,  # until we know better: a crash from here on leaves us not knowing
        "retry_at": wall + LEASE,
        "created_at": now,
        "first_attempt_at": now,
        "reply_until": call.reply_until,
    }


async def _end(
    session: AsyncSession, ids: Sequence[int], state: str, reason: str, now: datetime
) -> None:
    delivery = table(Delivery)
    query = update(delivery).where(delivery.c.id.in_(ids))
    await session.execute(query.values(state=state, reason=reason, done_at=now))
    metrics.DELIVERIES.labels(state).inc(len(ids))


async def _send_and_settle(
    runtime: Runtime, calls: Sequence[Call], now: datetime, begin_until: datetime
) -> int:
    """Make the calls and write their answers down as they come; returns how many were settled.

    One slow call must not keep the answers of all others unwritten: a crash would forget them.
    """
    answered: list[Settled] = []
    sending = asyncio.create_task(_send_all(runtime, calls, now, begin_until, answered))
    settled = 0
    try:
        while answered or not sending.done():
            await asyncio.wait({sending}, timeout=SETTLE_SECONDS)
            try:
                settled += await _write_down(runtime, answered)
            except DBAPIError as error:
                if sending.done():
                    raise
                log.warning("dispatch.not_settled_yet", error=type(error.orig).__name__)
        await sending
    finally:
        sending.cancel()
    return settled


async def _write_down(runtime: Runtime, answered: list[Settled]) -> int:
    """Settle what is answered so far and take it off the list, once that is committed."""
    settled = answered.copy()
    if settled:
        now = await runtime.clock.now()
        async with runtime.db.transaction() as session:
            await _settle(session, settled, now=now)
        del answered[: len(settled)]
    return len(settled)


async def _send_all(
    runtime: Runtime,
    calls: Sequence[Call],
    now: datetime,
    begin_until: datetime,
    answered: list[Settled],
) -> None:
    known = await channels.of(runtime).by_ids({call.channel_id for call in calls})
    queue = iter(_paced(calls))

    async def sender() -> None:
        for leave_for, call in queue:
            if leave_for:
                await runtime.pace.leave(call.channel_id, call.endpoint, leave_for)
            if runtime.clock.wall() >= begin_until:
                answer = NOT_BEGUN  # the lease runs out: whoever claims it next sends it
            else:
                answer = await _send(runtime, call, known.get(call.channel_id))
            answered.append(settle_one(call, answer, now=now, wall=runtime.clock.wall()))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(IN_FLIGHT, len(calls))):
            group.create_task(sender())


def _paced(calls: Sequence[Call]) -> Iterable[tuple[int, Call]]:
    """Each call with how many calls to ask leave for first: one asking covers a chunk."""
    keyed = sorted(calls, key=lambda call: (call.channel_id, call.endpoint))
    for _key, mine in groupby(keyed, key=lambda call: (call.channel_id, call.endpoint)):
        run = list(mine)
        for index, call in enumerate(run):
            yield (min(CHUNK, len(run) - index) if index % CHUNK == 0 else 0), call


async def _send(runtime: Runtime, call: Call, channel: OpenChannel | None) -> Answer:
    token = channel.access_token if channel else ""
    retry_key = None if call.endpoint == "reply" else call.id
    return await runtime.line.send(SendKind(call.endpoint), token, call.body, retry_key=retry_key)


async def _settle(session: AsyncSession, settled: Sequence[Settled], *, now: datetime) -> None:
    settled = await _in_time(session, settled)
    for columns in (True, False):  # those that end, and those that go on
        mine = [s for s in settled if s.ends is columns]
        await bulk.update_rows(session, table(Dispatch), [s.dispatch_row(now) for s in mine])
    await _settle_deliveries(session, [s for s in settled if s.state], now)
    await _give_back(session, [s.call for s in settled if s.gives_back_quota])
    for s in settled:
        if s.state:
            metrics.DELIVERIES.labels(s.state).inc()


async def _settle_deliveries(
    session: AsyncSession, settled: Sequence[Settled], now: datetime
) -> None:
    await bulk.update_rows(
        session, table(Delivery), [s.delivery_row(now) for s in settled], key="dispatch_id"
    )


async def _in_time(session: AsyncSession, settled: Sequence[Settled]) -> list[Settled]:
    """The verdicts that still count: none but `sent` after another process has claimed the call."""
    others = [s.call.id for s in settled if s.state != SENT]
    if not others:
        return list(settled)
    d = table(Dispatch)
    query = select(d.c.id, d.c.state, d.c.attempts).where(bulk.is_one_of(session, d.c.id, others))
    rows: list[Any] = list(await session.execute(query.order_by(d.c.id).with_for_update()))
    mine = {(row.id, row.attempts) for row in rows if row.state == OPEN}
    return [s for s in settled if s.state == SENT or (s.call.id, s.call.attempts) in mine]


async def _give_back(session: AsyncSession, refused: Iterable[Any]) -> None:
    """Take pushes that surely were not counted off the months in which they were reserved."""
    counts: Counter[tuple[int, datetime]] = Counter()
    for call in refused:
        if call.endpoint != "reply":
            counts[call.channel_id, call.first_attempt_at] += call.recipients
    for (channel_id, reserved_at), count in sorted(counts.items()):
        await quota.give_back(session, channel_id, count, reserved_at=reserved_at)
