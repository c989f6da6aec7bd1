"""API tokens: made once, shown once, kept as a hash; who calls, and what they may do."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from admin.models import ROLES, ApiToken
from core import logs
from core.db import Database, table
from core.errors import Conflict, Fault, Invalid, NotFound
from core.sealing import new_token, token_hash

log = logs.get(__name__)

OWNER = "owner"
MAX_NAME = 100
CACHE_SECONDS = 5.0
NOTE_USE_EVERY_SECONDS = 60.0
MAX_CACHED = 1_000
HINT_ENDS = 4


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose token a request carries."""

    token_id: int
    name: str
    role: str
    expires_at: datetime | None

    @property
    def actor(self) -> str:
        """How the audit log speaks of them."""
        return f"token:{self.name}"

    def may(self, least: str) -> bool:
        """Whether their role is at least this one."""
        return ROLES.index(self.role) >= ROLES.index(least)


async def create(
    session: AsyncSession,
    *,
    name: str,
    role: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> str:
    """Store a new token's hash and return its text, which nobody can read again afterwards.

    Raises `Invalid` for an unknown role, an empty or long name, or an expiry that has passed.
    """
    _, token = await add(session, name=name, role=role, now=now, expires_at=expires_at)
    return token


async def add(
    session: AsyncSession,
    *,
    name: str,
    role: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """The same, also returning the row."""
    _check(name, role, now, expires_at)
    token = new_token()
    row = ApiToken(
        name=name, role=role, token_hash=token_hash(token), hint=hint_of(token), created_at=now,
        expires_at=expires_at,
    )  # fmt: skip
    session.add(row)
    await session.flush()
    return row, token


async def revoke(session: AsyncSession, token_id: int, *, now: datetime) -> ApiToken:
    """End a token for good; a repeat changes nothing.

    Raises `NotFound`, and `Conflict` for the last owner's token: nobody could make another then.
    """
    owners = await _usable_owners(session, now)
    row = await session.get(ApiToken, token_id, with_for_update=True)
    if row is None:
        raise NotFound("token", token_id)
    if row.revoked_at is not None:
        return row
    if owners == [token_id]:
        raise Conflict("This is the last owner token; create another one before revoking it.")
    row.revoked_at = now
    return row


def hint_of(token: str) -> str:
    """The ends of a token, by which people tell theirs apart."""
    return f"{token[:7]}…{token[-HINT_ENDS:]}"


def _check(name: str, role: str, now: datetime, expires_at: datetime | None) -> None:
    faults = []
    if not 1 <= len(name.strip()) <= MAX_NAME:
        faults.append(Fault("name", f"give a name of 1 to {MAX_NAME} characters",
                            f"名前は1〜{MAX_NAME}文字で入力してください"))  # fmt: skip
    if role not in ROLES:
        faults.append(Fault("role", f"must be one of {', '.join(ROLES)}",
                            f"役割は {'、'.join(ROLES)} のどれかにしてください"))  # fmt: skip
    if expires_at is not None and expires_at <= now:
        faults.append(Fault("expires_at", "has passed already", "有効期限が過去の日時です"))
    if faults:
        raise Invalid("The token cannot be created like this.", faults)


async def _usable_owners(session: AsyncSession, now: datetime) -> list[int]:
    """Owner tokens that work, locked, so that two revocations cannot end the last two at once."""
    token = table(ApiToken)
    alive = or_(token.c.expires_at.is_(None), token.c.expires_at > now)
    query = select(token.c.id).where(token.c.role == OWNER, token.c.revoked_at.is_(None), alive)
    return list(await session.scalars(query.order_by(token.c.id).with_for_update()))


class Tokens:
    """Looks callers up by their token, and notes now and then that a token was used."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[str, tuple[float, Caller]] = {}
        self._generation = 0
        self._noted: dict[int, float] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def find(self, token: str, *, now: datetime) -> Caller | None:
        """Whose token this is; None when it is unknown, revoked or expired."""
        caller = await self._look_up(token_hash(token))
        if caller is None or (caller.expires_at is not None and caller.expires_at <= now):
            return None
        return caller

    def forget(self) -> None:
        """Look all tokens up anew: one was revoked here."""
        self._generation += 1
        self._known.clear()

    def note_use(self, caller: Caller, *, now: datetime) -> None:
        """Write `last_used_at` beside the request, at most once a minute for each token."""
        tick = time.monotonic()
        if tick < self._noted.get(caller.token_id, 0.0):
            return
        self._noted[caller.token_id] = tick + NOTE_USE_EVERY_SECONDS
        task = asyncio.create_task(self._write_use(caller.token_id, now))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def settled(self) -> None:
        """Wait until no such write is under way."""
        while self._writing:
            await asyncio.gather(*self._writing)

    async def _look_up(self, hashed: str) -> Caller | None:
        known = self._known.get(hashed)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        generation = self._generation
        caller = await self._read(hashed)
        if caller is not None and generation == self._generation:
            if len(self._known) >= MAX_CACHED:
                self._known.clear()
            self._known[hashed] = (time.monotonic() + CACHE_SECONDS, caller)
        return caller

    async def _read(self, hashed: str) -> Caller | None:
        token = table(ApiToken)
        query = select(token.c.id, token.c.name, token.c.role, token.c.expires_at).where(
            token.c.token_hash == hashed, token.c.revoked_at.is_(None)
        )
        async with self._db.reading() as session:
            row = (await session.execute(query)).first()
        return None if row is None else Caller(row.id, row.name, row.role, row.expires_at)

    async def _write_use(self, token_id: int, now: datetime) -> None:
        token = table(ApiToken)
        try:
            async with self._db.transaction() as session:
                query = update(token).where(token.c.id == token_id).values(last_used_at=now)
                await session.execute(query)
        except Exception as error:  # noqa: BLE001 - a note that fails must not fail anything else
            log.warning("token.use_not_noted", id=token_id, error=type(error).__name__)
