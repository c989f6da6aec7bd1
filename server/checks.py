"""`okaeri check`: settings, database, queue, LINE credentials, webhook; each ok or what to do."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from sqlalchemy import func, select

from bot.conversation import built_in_overlaps
from core import logs
from core.clock import wall
from core.db import Database, table
from core.errors import OkaeriError, SettingsError
from core.line.client import LineError
from core.runtime import Runtime, running
from core.settings import Settings, load
from crm import channels
from crm.channels import OpenChannel
from delivery import quota, text_rules
from delivery.models import Quota
from server import migrations

UNAUTHORISED = 401
ISSUE_ONE = (
    "Issue an access token in the LINE Developers console (Messaging API tab) and set it as "
    "OKAERI_LINE_CHANNEL_ACCESS_TOKEN"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `cure` says what to do where it is not ok."""

    what: str
    ok: bool
    detail: str
    cure: str = ""


def _ok(what: str, detail: str) -> Finding:
    return Finding(what, ok=True, detail=detail)


def _bad(what: str, detail: str, cure: str) -> Finding:
    return Finding(what, ok=False, detail=detail, cure=cure)


async def report(out: Console) -> bool:
    """Print every finding as it comes; returns whether all is well."""
    all_ok = True
    async for finding in examine():
        mark = "[green]ok [/]" if finding.ok else "[bold red]NG [/]"
        out.print(f"{mark} {finding.what}: {finding.detail}", highlight=False, soft_wrap=True)
        if finding.cure and not finding.ok:
            out.print(f"     → {finding.cure}", highlight=False, soft_wrap=True)
        all_ok = all_ok and finding.ok
    return all_ok


async def examine() -> AsyncIterator[Finding]:
    """Look at one thing after the other; stops where the next cannot be looked at."""
    try:
        settings = load()
    except SettingsError as error:
        for problem in error.problems:
            yield _bad("設定 settings", problem, "Set it in .env")
        return
    logs.set_up(settings)
    yield _ok("設定 settings", _summary(settings))
    database = await _database(settings)
    yield database
    async with running(settings) as runtime:
        yield await _queue(runtime)
        yield await _clock(runtime)
        if not database.ok:
            return
        async for finding in _texts(runtime):
            yield finding
        async for finding in _channels(runtime):
            yield finding


def _summary(settings: Settings) -> str:
    kind = "SQLite" if settings.is_sqlite else "PostgreSQL"
    return f"{kind}, {settings.time_zone}, {settings.public_url}, clock {settings.clock}"


async def _database(settings: Settings) -> Finding:
    what = "データベース database"
    db = Database(settings)
    try:
        at, head = await migrations.current(db), migrations.head()
    except OkaeriError as error:
        return _bad(what, "cannot be used", str(error))
    finally:
        await db.close()
    if at == head:
        return _ok(what, f"version {at}")
    return _bad(what, f"at version {at or 'none'}, wanted {head}", "okaeri migrate")


async def _queue(runtime: Runtime) -> Finding:
    what = "Redis"
    if not runtime.settings.redis_url:
        return _ok(what, "not used; everything in one process")
    if await runtime.wakes.answers():
        return _ok(what, "answers")
    cure = "Start Redis, or check OKAERI_REDIS_URL; nothing is lost meanwhile"
    return _bad(what, "does not answer", cure)


async def _clock(runtime: Runtime) -> Finding:
    what = "時計 clock"
    if runtime.settings.clock == "simulated":
        return _ok(what, "simulated; moves only when told")
    if runtime.settings.is_sqlite:
        return _ok(what, "the machine's own")
    async with runtime.db.reading() as session:
        other = await session.scalar(select(func.now()))
    apart = abs((wall() - other).total_seconds()) if other else 0.0
    if apart < 5:  # noqa: PLR2004 - seconds; retry keys and tokens bear that
        return _ok(what, "agrees with the database's")
    return _bad(what, f"{apart:.0f} s apart from the database's", "Switch on NTP on both machines")


async def _texts(runtime: Runtime) -> AsyncIterator[Finding]:
    async with runtime.db.reading() as session:
        found = [*built_in_overlaps(), *await text_rules.conflicts(session)]
    if not found:
        yield _ok("自動応答 text rules", "no two match the same words")
    for overlap in found:
        words = "、".join(overlap.words)
        yield Finding(
            "自動応答 text rules",
            ok=not overlap.same_priority,
            detail=f"{overlap.winner} and {overlap.other} both match 「{words}」; "
            f"{overlap.winner} answers",
            cure="Give them different priorities, or other words",
        )


async def _channels(runtime: Runtime) -> AsyncIterator[Finding]:
    found = await channels.of(runtime).all()
    if not found:
        cure = (
            "Set OKAERI_LINE_CHANNEL_ID, OKAERI_LINE_CHANNEL_SECRET and "
            "OKAERI_LINE_CHANNEL_ACCESS_TOKEN from the LINE Developers console, then start "
            "the server once (the README shows where they stand)"
        )
        yield _bad("アカウント channel", "none is registered", cure)
    for channel in found:
        async for finding in _channel(runtime, channel):
            yield finding


async def _channel(runtime: Runtime, channel: OpenChannel) -> AsyncIterator[Finding]:
    name = f"アカウント channel {channel.channel_id}"
    if not channel.access_token:
        yield _bad(name, "has no access token", ISSUE_ONE)
        return
    try:
        bot = await runtime.line.bot_info(channel.access_token)
    except LineError as error:
        yield _refused(name, error)
        return
    yield _ok(name, f"LINE knows it as {bot.display_name} ({bot.basic_id})")
    yield await _webhook(runtime, channel, f"{name}: webhook")
    yield await _quota(runtime, channel, f"{name}: quota")


def _refused(name: str, error: LineError) -> Finding:
    if error.status == UNAUTHORISED:
        return _bad(name, "LINE refuses the access token", f"{ISSUE_ONE}; what waits goes out then")
    if error.status is None:
        cure = "Check this machine's way to the internet, and OKAERI_LINE_API_URL"
        return _bad(name, "LINE cannot be reached", cure)
    cure = "Look at LINE's status page, and try again"
    return _bad(name, f"LINE answered {error.status}: {error.detail}", cure)


async def _webhook(runtime: Runtime, channel: OpenChannel, what: str) -> Finding:
    wanted = f"{runtime.settings.public_url}/webhook/{channel.channel_id}"
    try:
        at = await runtime.line.webhook_endpoint(channel.access_token)
        if at is None or at.url != wanted:
            cure = (
                f"Set the webhook URL to {wanted} in the LINE Developers console "
                "(it must begin with https://, see OKAERI_PUBLIC_URL)"
            )
            return _bad(what, f"LINE sends to {at.url if at else 'nowhere'}", cure)
        if not at.active:
            cure = "Switch on 'Use webhook' in the LINE Developers console"
            return _bad(what, "is set, but switched off", cure)
        test = await runtime.line.test_webhook_endpoint(channel.access_token)
    except LineError as error:
        return _refused(what, error)
    if test.success:
        return _ok(what, f"{wanted}, tested by LINE")
    cure = "Is the server running, and reachable from outside under this address?"
    return _bad(what, f"LINE's test failed: {test.reason} {test.detail}", cure)


async def _quota(runtime: Runtime, channel: OpenChannel, what: str) -> Finding:
    try:
        limit = (await runtime.line.quota(channel.access_token)).limit
        used = await runtime.line.quota_consumption(channel.access_token)
    except LineError as error:
        return _refused(what, error)
    used = max(used, await _counted(runtime, channel))
    if limit is None:
        return _ok(what, f"{used} sent this month, no limit set")
    if used < limit:
        return _ok(what, f"{used} of {limit} used this month")
    cure = "Change the plan or its cap in LINE Official Account Manager; what is held goes out then"
    return _bad(what, f"{used} of {limit} used this month", cure)


async def _counted(runtime: Runtime, channel: OpenChannel) -> int:
    now = await runtime.clock.now()
    kept: Any = table(Quota)
    query = select(kept.c.counted).where(
        kept.c.channel_id == channel.id, kept.c.month == quota.month_of(now)
    )
    async with runtime.db.reading() as session:
        return int(await session.scalar(query) or 0)
