"""Nonces of LINE's account link: who signed in to the membership, told to us through LINE.

A nonce is 192 random bits and the friend whose link it was (0 where the shop's own page asked for
it). Only its hash is kept, it serves once, and not longer than LINE's link token does.
Source: https://developers.line.biz/en/docs/messaging-api/linking-accounts/
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from crm.linking.models import LinkNonce

LIFE = timedelta(minutes=10)
MAX_LENGTH = 255  # LINE's limit


@dataclass(frozen=True, slots=True)
class Spent:
    """What a nonce stood for. `fault`: unknown, used, expired or foreign; None when it was good."""

    customer_id: int | None
    friend_id: int | None
    fault: str | None


async def issue(
    session: AsyncSession, customer_id: int, *, now: datetime, friend_id: int = 0
) -> str:
    """A new nonce for a member who has just signed in; safe to stand in a URL."""
    nonce = f"{secrets.token_urlsafe(24)}.{friend_id:x}"
    row = {
        "nonce_hash": _hash(nonce),
        "customer_id": customer_id,
        "created_at": now,
        "expires_at": now + LIFE,
    }
    await session.execute(insert(table(LinkNonce)).values(row))
    return nonce


async def spend(
    session: AsyncSession, nonce: str, *, now: datetime, friend_id: int | None
) -> Spent:
    """Use a nonce up, and say what it stood for; of two who come at once one gets it.

    `friend_id` is who came back with it; None where LINE says that it was somebody else.
    """
    kept = table(LinkNonce)
    mine = kept.c.nonce_hash == _hash(nonce)
    fresh = update(kept).where(mine, kept.c.used_at.is_(None), kept.c.expires_at > now)
    row: Any = (
        await session.execute(fresh.values(used_at=now).returning(kept.c.customer_id))
    ).first()
    if row is None:
        return await _why_not(session, nonce)
    meant = _friend_of(nonce)
    foreign = friend_id is None or meant not in {None, friend_id}
    return Spent(row.customer_id, meant, "foreign" if foreign else None)


async def _why_not(session: AsyncSession, nonce: str) -> Spent:
    kept = table(LinkNonce)
    query = select(kept.c.customer_id, kept.c.used_at).where(kept.c.nonce_hash == _hash(nonce))
    row: Any = (await session.execute(query)).first()
    if row is None:
        return Spent(None, None, "unknown")
    fault = "used" if row.used_at is not None else "expired"
    return Spent(row.customer_id, _friend_of(nonce), fault)


def _friend_of(nonce: str) -> int | None:
    """Whose link it was; to be trusted only for a nonce whose hash we know."""
    return int(nonce.rpartition(".")[2], 16) or None


def _hash(nonce: str) -> str:
    return hashlib.sha256(nonce.encode("utf-8", "replace")).hexdigest()
