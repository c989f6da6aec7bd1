"""Topics: what customers can choose to hear about, and their own word on each."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk
from core.clock import AT_ONCE
from core.db import insert_new, table
from core.errors import Conflict, Fault, Invalid, NotFound, StaleVersion
from crm.customers.models import Consent, Topic
from crm.customers.news import News, tell

DEFAULTS = (
    ("news", "お知らせ", "新商品や営業時間など、お店からのお知らせ"),
    ("sales", "セール・キャンペーン", "セールやキャンペーンのご案内"),
    ("coupons", "クーポン", "クーポンの配布と期限のお知らせ"),
    ("points", "ポイント", "ポイントの有効期限や残高のお知らせ"),
)
MAX_TOPICS = 20


@dataclass(frozen=True, slots=True)
class TopicDraft:
    """A topic as the shop words it."""

    name: str
    description: str = ""
    position: int = 0


async def all_topics(session: AsyncSession) -> list[Topic]:
    """The shop's topics in order; the defaults, at version 0, until it saves its own."""
    topic = table(Topic)
    found = list(await session.scalars(select(Topic).order_by(topic.c.position, topic.c.key)))
    return found or _defaults()


async def save(
    session: AsyncSession, key: str, draft: TopicDraft, *, expected: int | None, now: datetime
) -> tuple[Topic, bool]:
    """Save one topic, and say whether it is new; the first save keeps the defaults beside it.

    Raises `StaleVersion` when it is not at the `expected` version, and `Conflict` beyond 20 topics.
    """
    await _keep_defaults(session, now)
    found = await session.get(Topic, key, with_for_update=True)
    if found is None:
        if expected is not None:
            raise NotFound("topic", key)
        return await _add(session, key, draft, now), True
    if expected is not None and found.version != max(expected, 1):  # 0: a default
        raise StaleVersion(current=found.version)
    found.name, found.description = draft.name, draft.description
    found.position, found.updated_at = draft.position, now
    found.version += 1
    await session.flush()
    return found, False


async def remove(session: AsyncSession, key: str, *, now: datetime) -> None:
    """Remove a topic and what customers said of it; the last one stays (`Conflict`)."""
    await _keep_defaults(session, now)
    found = await session.get(Topic, key, with_for_update=True)
    if found is None:
        raise NotFound("topic", key)
    if await _count(session) == 1:
        raise Conflict("最後のトピックは削除できません。 The last topic cannot be deleted.")
    await session.execute(delete(table(Consent)).where(table(Consent).c.topic == key))
    await session.delete(found)
    await session.flush()


async def decide(
    session: AsyncSession,
    customer_id: int,
    topic: str,
    granted: bool,  # noqa: FBT001
    *,
    source: str,
    now: datetime,
) -> bool:
    """Note a customer's word on a topic; an activity where it is news. Returns whether it is.

    Raises `Invalid` for a topic that there is not.
    """
    if topic not in {each.key for each in await all_topics(session)}:
        what = Fault("topic", "there is no topic with this key", "このトピックはありません")
        raise Invalid("There is no such topic.", [what])
    before = (await decisions(session, customer_id))[topic]
    row = {
        "customer_id": customer_id, "topic": topic, "granted": granted, "source": source[:60],
        "decided_at": now,
    }  # fmt: skip
    kept = insert_new(session, table(Consent)).values(row)
    keys = ["customer_id", "topic"]
    change = {name: kept.excluded[name] for name in row if name not in keys}
    await session.execute(kept.on_conflict_do_update(index_elements=keys, set_=change))
    if before == granted:
        return False
    data = {"topic": topic, "granted": granted, "source": source}
    await tell(session, [News(customer_id, "consent_changed", data)], now=now)
    return True


async def refused(session: AsyncSession, customer_ids: Collection[int], topic: str) -> set[int]:
    """Those of the customers who do not want to hear of a topic."""
    if not customer_ids:
        return set()
    consent = table(Consent)
    mine = bulk.is_one_of(session, consent.c.customer_id, sorted(set(customer_ids)))
    query = select(consent.c.customer_id).where(consent.c.topic == topic, ~consent.c.granted, mine)
    return set(await session.scalars(query))


async def decisions(session: AsyncSession, customer_id: int) -> dict[str, bool]:
    """A customer's word on each topic; who has said nothing hears of it, as friends do."""
    consent = table(Consent)
    query = select(consent.c.topic, consent.c.granted).where(consent.c.customer_id == customer_id)
    said = {row.topic: row.granted for row in await session.execute(query)}
    return {topic.key: said.get(topic.key, True) for topic in await all_topics(session)}


def _defaults() -> list[Topic]:
    return [
        Topic(
            key=key, name=name, description=text, position=place, version=0,
            created_at=AT_ONCE, updated_at=AT_ONCE,
        )
        for place, (key, name, text) in enumerate(DEFAULTS)
    ]  # fmt: skip


async def _keep_defaults(session: AsyncSession, now: datetime) -> None:
    if await _count(session):
        return
    fresh = {"version": 1, "created_at": now, "updated_at": now}
    rows = [topic.model_dump() | fresh for topic in _defaults()]
    await session.execute(insert_new(session, table(Topic)).values(rows).on_conflict_do_nothing())


async def _add(session: AsyncSession, key: str, draft: TopicDraft, now: datetime) -> Topic:
    if await _count(session) >= MAX_TOPICS:
        raise Conflict(
            f"トピックは{MAX_TOPICS}個までです。 There may be {MAX_TOPICS} topics at most."
        )
    made = Topic(
        key=key, name=draft.name, description=draft.description, position=draft.position,
        created_at=now, updated_at=now,
    )  # fmt: skip
    session.add(made)
    await session.flush()
    return made


async def _count(session: AsyncSession) -> int:
    return int(await session.scalar(select(func.count()).select_from(table(Topic))) or 0)
