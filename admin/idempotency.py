"""Answers kept for repeated requests: the same Idempotency-Key changes things once.

The key's row is written first, in the transaction of the change itself: of two requests at once the
second waits for the first one's commit, and then finds its answer. Answers are encrypted, since
they may hold a new token or personal data.
Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin.models import IdempotentAnswer
from core.db import insert_new, table
from core.errors import Conflict, Fault, Invalid
from core.sealing import Seal

KEY_PATTERN = r"^[ -~]{1,255}$"
KEPT_HEADERS = ("etag", "location")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was given."""

    status: int
    body: bytes
    headers: dict[str, str]


class KeyReused(Invalid):
    """The key came with another request before."""

    def __init__(self) -> None:
        what = "this key was used for another request before; use a new key for a new request"
        what_ja = "このキーは別の内容のリクエストで使用済みです。新しいキーを使ってください"
        super().__init__(
            "The Idempotency-Key was used for another request.",
            [Fault("Idempotency-Key", what, what_ja)],
        )


async def claim(
    session: AsyncSession, seal: Seal, *, actor: str, key: str, request_hash: str, now: datetime
) -> Answer | None:
    """Take the key for this request, or return what the same request was answered before.

    Raises `KeyReused` when the key came with another request.
    """
    answer = table(IdempotentAnswer)
    row = {
        "actor": actor, "key": key, "request_hash": request_hash, "status": 0, "body": "",
        "created_at": now,
    }  # fmt: skip
    new = insert_new(session, answer).values(row).on_conflict_do_nothing()
    made = await session.execute(new.returning(answer.c.key))
    if made.first() is not None:
        return None
    return await _earlier(session, seal, actor=actor, key=key, request_hash=request_hash)


async def keep(session: AsyncSession, seal: Seal, given: Answer, *, actor: str, key: str) -> None:
    """Store the answer beside the key taken by `claim`."""
    kept = orjson.dumps({"body": given.body.decode(), "headers": given.headers}).decode()
    answer = table(IdempotentAnswer)
    mine = update(answer).where(answer.c.actor == actor, answer.c.key == key)
    await session.execute(mine.values(status=given.status, body=seal.encrypt(kept)))


async def _earlier(
    session: AsyncSession, seal: Seal, *, actor: str, key: str, request_hash: str
) -> Answer:
    answer = table(IdempotentAnswer)
    mine = select(answer).where(answer.c.actor == actor, answer.c.key == key)
    row = (await session.execute(mine)).first()
    if row is None:
        raise Conflict("The first request with this Idempotency-Key is still at work; try again.")
    if row.request_hash != request_hash:
        raise KeyReused
    kept = orjson.loads(seal.decrypt(row.body))
    return Answer(row.status, kept["body"].encode(), kept["headers"])
