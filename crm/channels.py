"""Channels: LINE official accounts, their secrets sealed in the database, opened in memory."""

import asyncio
import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import logs
from core.db import Database, table
from core.line.client import LineError
from core.runtime import Runtime
from core.sealing import Seal
from core.settings import Settings
from crm.models import Channel

log = logs.get(__name__)

CACHE_SECONDS = 5.0
MAX_UNKNOWN = 1_000
LINE_ID = re.compile("[0-9]{1,32}")


@dataclass(frozen=True, slots=True)
class OpenChannel:
    """A channel with its secrets in the clear; lives in memory only and never prints them."""

    id: int
    channel_id: str
    name: str
    bot_user_id: str | None
    secrets: tuple[str, ...] = field(repr=False)
    access_token: str = field(repr=False)


class Channels:
    """Channels by LINE's id and by ours, read from the database every few seconds."""

    def __init__(self, db: Database, seal: Seal) -> None:
        self._db, self._seal = db, seal
        self._by_line_id: dict[str, tuple[float, OpenChannel | None]] = {}
        self._looking: dict[str, asyncio.Task[OpenChannel | None]] = {}

    async def find(self, channel_id: str) -> OpenChannel | None:
        """The channel with LINE's id; None when there is none."""
        known = self._by_line_id.get(channel_id)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        if not LINE_ID.fullmatch(channel_id):  # whatever strangers put there never gets further
            return None
        # One look serves all who ask meanwhile: each would decrypt the secrets anew.
        if channel_id not in self._looking:
            self._looking[channel_id] = asyncio.create_task(self._look(channel_id))
        return await asyncio.shield(self._looking[channel_id])

    async def _look(self, channel_id: str) -> OpenChannel | None:
        try:
            rows = await self._read(table(Channel).c.channel_id == channel_id)
        finally:
            del self._looking[channel_id]
        found = rows[0] if rows else None
        self._remember(channel_id, found)
        return found

    async def all(self) -> list[OpenChannel]:
        """Every channel."""
        return await self._read(table(Channel).c.id.is_not(None))

    async def by_ids(self, ids: set[int]) -> dict[int, OpenChannel]:
        """Channels by our id."""
        fresh = {
            channel.id: channel
            for until, channel in self._by_line_id.values()
            if channel is not None and until > time.monotonic()
        }
        if not ids <= fresh.keys():
            for channel in await self._read(table(Channel).c.id.in_(ids)):
                self._remember(channel.channel_id, channel)
                fresh[channel.id] = channel
        return {id_: fresh[id_] for id_ in ids if id_ in fresh}

    def forget(self) -> None:
        """Read anew at the next look: a channel was changed here."""
        self._by_line_id.clear()

    def _remember(self, channel_id: str, channel: OpenChannel | None) -> None:
        if len(self._by_line_id) > MAX_UNKNOWN:  # somebody asks for random ids
            self._by_line_id.clear()
        self._by_line_id[channel_id] = (time.monotonic() + CACHE_SECONDS, channel)

    async def _read(self, condition: Any) -> list[OpenChannel]:  # noqa: ANN401
        async with self._db.reading() as session:
            rows = await session.execute(select(table(Channel)).where(condition))
            return [self._open(row) for row in rows]

    def _open(self, row: Any) -> OpenChannel:  # noqa: ANN401
        sealed = [s for s in (row.sealed_secret, row.sealed_previous_secret) if s]
        return OpenChannel(
            id=row.id,
            channel_id=row.channel_id,
            name=row.name,
            bot_user_id=row.bot_user_id,
            secrets=tuple(self._seal.decrypt(secret) for secret in sealed),
            access_token=self._seal.decrypt(row.sealed_access_token)
            if row.sealed_access_token
            else "",
        )


async def introduce(runtime: Runtime) -> int:
    """Ask LINE who those channels are of which we know too little; returns how many answered."""
    channel = table(Channel)
    unknown = [c for c in await of(runtime).all() if c.access_token and not c.bot_user_id]
    answered = 0
    for one in unknown:
        try:
            bot = await runtime.line.bot_info(one.access_token)
        except LineError as error:
            log.warning("channel.not_introduced", channel=one.channel_id, status=error.status)
            continue
        values = {"bot_user_id": bot.user_id, "basic_id": bot.basic_id}
        values |= {} if one.name else {"name": (bot.display_name or "")[:100]}
        async with runtime.db.transaction() as session:
            await session.execute(update(channel).where(channel.c.id == one.id).values(values))
        answered += 1
    of(runtime).forget()
    return answered


_OF_RUNTIME: WeakKeyDictionary[Runtime, Channels] = WeakKeyDictionary()


def of(runtime: Runtime) -> Channels:
    """The channels of this process."""
    if runtime not in _OF_RUNTIME:
        _OF_RUNTIME[runtime] = Channels(runtime.db, runtime.seal)
    return _OF_RUNTIME[runtime]


async def add(
    session: AsyncSession,
    seal: Seal,
    *,
    channel_id: str,
    name: str,
    secret: str,
    access_token: str,
    now: datetime,
) -> int:
    """Store a channel, its secrets encrypted; returns our id."""
    values = {
        "channel_id": channel_id,
        "name": name,
        "sealed_secret": seal.encrypt(secret),
        "sealed_access_token": seal.encrypt(access_token) if access_token else "",
        "version": 1,
        "created_at": now,
    }
    made = await session.execute(
        insert(table(Channel)).values(values).returning(table(Channel).c.id)
    )
    return int(made.scalar_one())


async def ensure_first(
    session: AsyncSession, seal: Seal, settings: Settings, *, now: datetime
) -> bool:
    """Create the channel that the settings name, or take over its changed secret or token.

    A changed secret keeps the previous one for webhooks that LINE signed before the change.
    Returns whether anything was written.
    """
    if not settings.line_channel_id:
        return False
    channel = table(Channel)
    secret = settings.line_channel_secret.get_secret_value()
    token = settings.line_channel_access_token.get_secret_value()
    query = select(channel).where(channel.c.channel_id == settings.line_channel_id)
    row = (await session.execute(query)).first()
    if row is None:
        await add(
            session,
            seal,
            channel_id=settings.line_channel_id,
            name="",
            secret=secret,
            access_token=token,
            now=now,
        )
        return True
    changes: dict[str, Any] = {}
    if seal.decrypt(row.sealed_secret) != secret:
        changes |= {
            "sealed_secret": seal.encrypt(secret),
            "sealed_previous_secret": row.sealed_secret,
        }
    if token and (not row.sealed_access_token or seal.decrypt(row.sealed_access_token) != token):
        changes["sealed_access_token"] = seal.encrypt(token)
    if changes:
        await session.execute(update(channel).where(channel.c.id == row.id).values(changes))
    return bool(changes)
