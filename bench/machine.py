"""The machine that the figures were taken on."""

import asyncio
import os
import platform
import sqlite3
from pathlib import Path

from redis import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from bench.places import Bench


def describe(bench: Bench) -> dict[str, str]:
    """Processor, cores, and the versions of what was measured with."""
    return {
        "cpu": _cpu_model(),
        "cores": f"{os.cpu_count()}" + (", pinned" if bench.pinned else ", NOT pinned"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "postgresql": asyncio.run(_postgres_version(bench)),
        "redis": _redis_version(bench),
        "load": "{:.2f} {:.2f} {:.2f} at the start".format(*os.getloadavg()),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return platform.processor()
    names = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


async def _postgres_version(bench: Bench) -> str:
    engine = create_async_engine(bench.postgres.url)
    async with engine.connect() as connection:
        version = await connection.scalar(text("SHOW server_version"))
    await engine.dispose()
    return str(version)


def _redis_version(bench: Bench) -> str:
    with Redis.from_url(bench.redis.url) as redis:
        return str(redis.info("server")["redis_version"])
