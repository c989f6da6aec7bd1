"""Profiles: names and pictures are fetched from LINE off the hot path, with back-off."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core import logs
from core.clock import wall
from core.jobs import Belt, Due
from core.line.client import LineError, Profile
from core.runtime import Runtime
from crm import channels, friends

log = logs.get(__name__)

BATCH = 50
LEASE = timedelta(seconds=20)
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=6)


async def fetch(runtime: Runtime) -> int:
    """Fetch up to 50 profiles that are due; returns how many were tried."""
    async with runtime.db.transaction() as session:
        rows = await friends.claim_profiles(
            session, wall=runtime.clock.wall(), lease=LEASE, limit=BATCH
        )
    if not rows:
        return 0
    known = await channels.of(runtime).by_ids({row.channel_id for row in rows})
    await runtime.pace.leave(rows[0].channel_id, "profile", len(rows))
    found = await asyncio.gather(
        *(_ask(runtime, row, known[row.channel_id].access_token) for row in rows)
    )
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        await friends.lock(session, [row.id for row in rows])
        told = {r.id: profile for r, (ok, profile) in zip(rows, found, strict=True) if ok}
        await friends.keep_profiles(session, told, now=now)
        later = {row.id: _next_try(runtime, row) for row in rows if row.id not in told}
        await friends.put_off_profiles(session, later)
    runtime.wakes.wake("steps")
    return len(rows)


async def due(session: AsyncSession, now: datetime) -> Due:
    """How many profiles are to be fetched."""
    return Due(await friends.profiles_due(session, wall()), None, None)


PROFILES = Belt("profiles", fetch, due)


async def _ask(runtime: Runtime, row: Any, token: str) -> tuple[bool, Profile | None]:  # noqa: ANN401
    try:
        return True, await runtime.line.profile(token, row.user_id)
    except LineError as error:
        log.warning("profile.not_fetched", friend=row.id, status=error.status)
        return False, None


def _next_try(runtime: Runtime, row: Any) -> datetime:  # noqa: ANN401
    pause: timedelta = FIRST_PAUSE * 2 ** min(row.profile_attempts, 12)
    return runtime.clock.wall() + min(LONGEST_PAUSE, pause)
