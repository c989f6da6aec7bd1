"""Text rules: the shop's own answers to what customers type, from the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from core.errors import Fault, Invalid, NotFound, StaleVersion
from core.text_match import Overlap, TextMatch, check_pattern, overlaps
from delivery import messages
from delivery.models import TextRule

How = Literal["exact", "starts", "contains", "regex"]


class RuleDraft(BaseModel):
    """A text rule as staff write it; `say` is short for one text message."""

    model_config = ConfigDict(extra="forbid")
    match: How = "exact"
    words: list[str] = Field(min_length=1, max_length=50)
    priority: int = Field(0, ge=-1000, le=1000)
    say: str | None = None
    messages: list[dict[str, Any]] | None = None
    enabled: bool = True

    @field_validator("words")
    @classmethod
    def _no_empty_words(cls, words: list[str]) -> list[str]:
        if any(not word.strip() or len(word) > 200 for word in words):  # noqa: PLR2004
            msg = "words have 1 to 200 characters"
            raise ValueError(msg)
        return words

    @model_validator(mode="after")
    def _one_answer(self) -> "RuleDraft":
        if (self.say is None) == (self.messages is None):
            msg = "give either say or messages"
            raise ValueError(msg)
        return self

    def content(self) -> list[dict[str, Any]]:
        """The messages that it answers with."""
        return messages.say(self.say) if self.say is not None else self.messages or []


async def enabled(session: AsyncSession) -> Sequence[Any]:
    """The rules in force, as they are asked: rows of the table."""
    rule = table(TextRule)
    query = select(rule).where(rule.c.enabled.is_(True)).order_by(rule.c.priority.desc(), rule.c.id)
    return list(await session.execute(query))


def find(rules: Sequence[Any], folded: str) -> Any | None:  # noqa: ANN401
    """The first rule that a folded text meets."""
    return next((r for r in rules if TextMatch(r.match, tuple(r.words)).matches(folded)), None)


async def save(
    session: AsyncSession,
    key: str,
    draft: RuleDraft,
    *,
    now: datetime,
    version: int | None = None,
    allow_http: bool = False,
) -> tuple[TextRule, bool, list[Overlap]]:
    """Create or replace a rule; returns it, whether it is new, and the rules it overlaps with."""
    check(draft, allow_http=allow_http)
    query = select(TextRule).where(table(TextRule).c.key == key).with_for_update()
    rule = await session.scalar(query)
    new = rule is None
    if rule is None:
        rule = TextRule(key=key, match="", words=[], messages=[], created_at=now, updated_at=now)
        session.add(rule)
    else:
        if version is not None and version != rule.version:
            raise StaleVersion(current=rule.version)
        rule.version += 1
    rule.match, rule.words, rule.priority = draft.match, draft.words, draft.priority
    rule.messages, rule.enabled, rule.updated_at = draft.content(), draft.enabled, now
    await session.flush()
    return rule, new, [o for o in await conflicts(session) if key in (o.winner, o.other)]


async def remove(session: AsyncSession, key: str) -> None:
    """Delete a rule; raises `NotFound`."""
    rule = table(TextRule)
    gone = await session.execute(delete(rule).where(rule.c.key == key).returning(rule.c.id))
    if gone.first() is None:
        raise NotFound("text rule", key)


async def conflicts(session: AsyncSession) -> list[Overlap]:
    """All pairs of enabled rules that match the same words."""
    rows = await enabled(session)
    return overlaps([(r.key, TextMatch(r.match, tuple(r.words)), r.priority) for r in rows])


def check(draft: RuleDraft, *, allow_http: bool = False) -> None:
    """Raise `Invalid` when a pattern cannot be read or LINE would not take an answer."""
    faults: list[Fault] = []
    if draft.match == "regex":
        for index, word in enumerate(draft.words):
            try:
                check_pattern(word)
            except Invalid as error:
                faults.append(
                    Fault(f"words[{index}]", str(error), f"正規表現「{word}」が正しくありません")
                )
    faults += messages.check_draft(draft.content(), allow_http=allow_http)
    messages.refuse(faults, "The text rule")
