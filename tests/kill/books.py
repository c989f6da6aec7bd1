"""What must be true in the end, from the shop's database and from what LINE has accepted."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import func, select

from bot.models import WebhookEvent
from core.clock import wall
from core.db import Database, table
from core.models import JobRun
from crm.models import Activity, Friend
from delivery.models import Delivery, Dispatch, Quota
from server.worker import BELTS
from tests.kill.town import ENDPOINTS, FAULTS, GREETING, THANKS, WORDS, Town, answer_to

PATIENCE_SECONDS = 240.0
LOOK_SECONDS = 0.5
FLOW_OF_NEWS = ("events", "reactions", "steps", "dispatch")
UNCLEAR = ("500", "502_html", "cut_before", "cut_after", "slow")  # faults that leave us not knowing
ANSWERS = tuple(answer_to(word) for word in WORDS)

Said = tuple[str, str]  # user id, text


@dataclass(frozen=True)
class Sent:
    """One delivery as the shop's database has it, and the call that carried it."""

    call: UUID
    user_id: str
    texts: tuple[str, ...]
    state: str
    reason: str | None
    endpoint: str
    attempts: int
    begun_at: datetime
    done_at: datetime
    reply_until: datetime | None


async def come_to_rest(town: Town, db: Database) -> None:
    """Return when LINE has no event left and the shop nothing to do; fails when it never ends."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while left := await _left(town, db):
        assert time.monotonic() < give_up_at, f"still to do: {left}"
        await asyncio.sleep(LOOK_SECONDS)


async def _left(town: Town, db: Database) -> dict[str, int]:
    webhooks = await town.line("GET", "/simulator/webhooks")
    assert not webhooks["lost"]
    left = {"webhooks": webhooks["pending"]}
    belts = {belt.name: belt for belt in BELTS}
    async with db.reading() as session:
        for name in FLOW_OF_NEWS:
            left[name] = (await belts[name].due(session, wall())).count
    return {name: count for name, count in left.items() if count}


class Books:
    """Both sides of the day, read once everything is at rest."""

    def __init__(
        self,
        events: Counter[tuple[str, str]],
        activities: Counter[str],
        deliveries: list[Sent],
        accepted: list[dict[str, Any]],
        said: dict[str, list[str]],
        counted: int,
        stored: dict[str, list[str]],
    ) -> None:
        self.events, self.activities, self.deliveries = events, activities, deliveries
        self.accepted, self.said, self.counted = accepted, said, counted
        self.stored = stored

    @property
    def held(self) -> list[Sent]:
        """Deliveries of which nobody can know whether they have arrived."""
        return [sent for sent in self.deliveries if sent.state == "held"]

    def told(self) -> Counter[Said]:
        """What has arrived on phones."""
        return Counter(
            (user_id, message["text"])
            for call in self.accepted
            for user_id in call["delivered_to"]
            for message in call["messages"]
        )

    def every_event_was_acted_on_once(self) -> None:
        """Each is stored once, handled, and has its one activity."""
        questions = sum(map(len, self.said.values()))
        assert self.events == {
            ("follow", "handled"): len(self.said),
            ("message", "handled"): questions,
        }, self.events
        wanted = {"followed": len(self.said), "replied": questions}
        assert self.activities == wanted, self.activities

    def every_message_was_queued_once(
        self, old_friends: Sequence[str], texts: Sequence[str]
    ) -> None:
        """Greetings, answers, thanks, and what staff wrote: as many deliveries as there must be."""
        wanted = Counter((user_id, text) for user_id in old_friends for text in texts)
        for user_id, questions in self.said.items():
            wanted[user_id, GREETING] += 1
            wanted.update((user_id, answer_to(question)) for question in questions)
            wanted[user_id, THANKS] += questions.count(WORDS[-1])
        queued = Counter((sent.user_id, text) for sent in self.deliveries for text in sent.texts)
        assert queued == wanted, (queued - wanted, wanted - queued)

    def every_message_arrived_once(self) -> None:
        """Pushes exactly once; of replies only those may be missing that are shown to staff."""
        assert {(d.state, d.reason) for d in self.deliveries} <= {
            ("sent", None),
            ("held", "outcome_unknown"),
        }
        assert {sent.endpoint for sent in self.held} <= {"reply"}
        queued = Counter((sent.user_id, text) for sent in self.deliveries for text in sent.texts)
        held = Counter((sent.user_id, text) for sent in self.held for text in sent.texts)
        told = self.told()
        assert told <= queued, f"doubled: {told - queued}"
        assert queued - held <= told, f"lost: {queued - held - told}"

    def every_held_one_has_its_reason(
        self, struck: Counter[tuple[str, str]], killed_at: Sequence[datetime]
    ) -> None:
        """Some attempt had no clear end: a process was killed in its midst, or LINE stumbled.

        One that has not arrived was tried until its token's minute was over. All in all few are.
        """
        told = self.told()
        for sent in self.held:
            assert sent.attempts > 1
            assert sent.reply_until is not None
            arrived = all(told[sent.user_id, text] for text in sent.texts)
            assert arrived or sent.done_at > sent.reply_until
        by_line = {
            sent.call
            for sent in self.held
            if not any(sent.begun_at <= moment <= sent.done_at for moment in killed_at)
        }
        assert len(by_line) <= sum(struck["reply", kind] for kind in UNCLEAR)
        answers = {sent.call for sent in self.deliveries if sent.endpoint == "reply"}
        assert len({sent.call for sent in self.held}) < len(answers) / 2

    def answers_came_in_order(self) -> None:
        """Each guest asked the questions in order, and was answered so.

        A question may only be answered after a later one when it also came in after it: LINE sends
        an event again when its 200 was lost or late, and meanwhile goes on with newer ones.
        """
        heard: dict[str, list[str]] = {user_id: [] for user_id in self.said}
        for call in self.accepted:
            for user_id in call["delivered_to"]:
                if user_id in heard:
                    heard[user_id] += [message["text"] for message in call["messages"]]
        for user_id, texts in heard.items():
            answers = [text for text in texts if text in ANSWERS]
            came_in = [answer_to(question) for question in self.stored[user_id]]
            overtaken = [
                (first, then)
                for first, then in combinations(answers, 2)
                if then < first and came_in.index(then) < came_in.index(first)
            ]
            assert not overtaken, (overtaken, answers, came_in)

    def every_push_was_counted(self) -> None:
        """Each has a key of its own, and stands on the month's bill once."""
        pushes = [call for call in self.accepted if call["endpoint"] == "push"]
        assert len({call["retry_key"] for call in pushes}) == len(pushes)
        assert self.counted == len(pushes)


async def read(town: Town, db: Database) -> Books:
    """The books of both sides."""
    event, activity, quota = table(WebhookEvent), table(Activity), table(Quota)
    async with db.reading() as session:
        kinds = select(event.c.type, event.c.state, func.count()).group_by(
            event.c.type, event.c.state
        )
        events = Counter({(row[0], row[1]): row[2] for row in await session.execute(kinds)})
        kinds_ = select(activity.c.kind, func.count()).group_by(activity.c.kind)
        activities = Counter({row[0]: row[1] for row in await session.execute(kinds_)})
        counted = await session.scalar(select(func.sum(quota.c.counted))) or 0
    return Books(
        events,
        activities,
        await _deliveries(db),
        await town.accepted(),
        await town.said(),
        counted,
        await _questions(db),
    )


async def _questions(db: Database) -> dict[str, list[str]]:
    """What each guest asked, by user id, in the order in which the shop has stored it."""
    event = table(WebhookEvent)
    query = select(event.c.payload).where(event.c.type == "message").order_by(event.c.id)
    found: defaultdict[str, list[str]] = defaultdict(list)
    async with db.reading() as session:
        for payload in await session.scalars(query):
            found[payload["source"]["userId"]].append(payload["message"]["text"])
    return found


async def _deliveries(db: Database) -> list[Sent]:
    d, friend, call = table(Delivery), table(Friend), table(Dispatch)
    query = (
        select(d.c.dispatch_id, friend.c.user_id, d.c.messages, d.c.state, d.c.reason)
        .add_columns(call.c.endpoint, call.c.attempts, call.c.reply_until)
        .add_columns(call.c.created_at, call.c.done_at)
        .join(friend, friend.c.id == d.c.friend_id)
        .join(call, call.c.id == d.c.dispatch_id)
        .order_by(d.c.id)
    )
    async with db.reading() as session:
        return [
            Sent(
                row.dispatch_id,
                row.user_id,
                tuple(message["text"] for message in orjson.loads(row.messages)),
                row.state,
                row.reason,
                row.endpoint,
                row.attempts,
                row.created_at,
                row.done_at,
                row.reply_until,
            )
            for row in await session.execute(query)
        ]


async def runs(db: Database) -> dict[tuple[str, datetime], int]:
    """How often each slot of the timetable was begun."""
    run = table(JobRun)
    async with db.reading() as session:
        rows = await session.execute(select(run.c.job, run.c.slot_at, run.c.attempts))
        return {(row.job, row.slot_at): row.attempts for row in rows}


def was_stormy(struck: Counter[tuple[str, str]]) -> None:
    """Each kind of fault has struck pushes and replies; else the day has proved nothing."""
    calm = [(e, k) for e in ENDPOINTS[:2] for k in FAULTS if not struck[e, k]]
    assert not calm, f"never struck: {calm}"
