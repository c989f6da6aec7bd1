"""Channels: secrets sealed in the database, changed by the settings, never printed."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from core.db import Database, table
from core.errors import StartError
from core.sealing import Seal
from core.settings import Settings, load
from crm import channels
from crm.channels import Channels, OpenChannel
from crm.models import Channel

NOW = datetime(2027, 1, 10, 3, tzinfo=UTC)
SEAL = Seal("a-secret-key-for-tests-only")


def settings(**more: Any) -> Settings:
    """Settings that name a first channel."""
    usual = {"line_channel_id": "1234567890", "line_channel_secret": "hunter2-secret",
             "line_channel_access_token": "hunter2-token", "clock": "simulated"}  # fmt: skip
    return load(_env_file=None, **(usual | more))


async def ensure(db: Database, wanted: Settings, seal: Seal = SEAL) -> bool:
    async with db.transaction() as session:
        return await channels.ensure_first(session, seal, wanted, now=NOW)


async def opened(db: Database, seal: Seal = SEAL) -> OpenChannel:
    found = await Channels(db, seal).find("1234567890")
    assert found is not None
    return found


async def test_the_first_channel_is_created_once_and_opens_again(db: Database) -> None:
    wrote = [await ensure(db, settings()) for _ in range(3)]

    channel = await opened(db)
    assert wrote == [True, False, False]
    assert (channel.secrets, channel.access_token) == (("hunter2-secret",), "hunter2-token")


async def test_without_a_channel_in_the_settings_nothing_is_created(db: Database) -> None:
    assert not await ensure(db, load(_env_file=None, clock="simulated"))
    assert await Channels(db, SEAL).all() == []


async def test_nothing_of_a_secret_can_be_read_in_the_database_or_in_print(db: Database) -> None:
    await ensure(db, settings())

    async with db.reading() as session:
        row = (await session.execute(select(table(Channel)))).one()
    assert "hunter2" not in str(row)
    assert "hunter2" not in repr(await opened(db))


async def test_a_new_secret_keeps_the_one_before_and_no_older_one(db: Database) -> None:
    for secret in ("hunter2-secret", "second", "third"):
        await ensure(db, settings(line_channel_secret=secret))

    assert (await opened(db)).secrets == ("third", "second")


async def test_a_new_token_replaces_the_old_one_and_none_leaves_it(db: Database) -> None:
    await ensure(db, settings())
    await ensure(db, settings(line_channel_access_token="second"))
    await ensure(db, settings(line_channel_access_token=""))

    assert (await opened(db)).access_token == "second"


async def test_a_channel_may_have_no_token_yet(db: Database) -> None:
    await ensure(db, settings(line_channel_access_token=""))

    assert (await opened(db)).access_token == ""


async def test_another_secret_key_is_told_in_a_sentence(db: Database) -> None:
    await ensure(db, settings())
    other = Seal("another-secret-key-for-tests")

    with pytest.raises(StartError, match="OKAERI_SECRET_KEY"):
        await Channels(db, other).all()
    with pytest.raises(StartError, match="OKAERI_SECRET_KEY"):
        await ensure(db, settings(), other)


async def test_channels_are_remembered_and_forgotten_when_told(db: Database) -> None:
    await ensure(db, settings())
    known = Channels(db, SEAL)
    first = await known.find("1234567890")
    await ensure(db, settings(line_channel_access_token="second"))

    assert await known.find("1234567890") is first
    assert first is not None
    assert (await known.by_ids({first.id}))[first.id] is first
    known.forget()
    changed = await known.find("1234567890")
    assert changed is not None
    assert changed.access_token == "second"


@pytest.mark.parametrize(
    "strange", ["", "hunter2", "1" * 33, "１２３", "12\x0034", "1234567890\n", "' OR 1=1 --"]
)
async def test_a_strange_id_is_no_channel_and_no_question_to_the_database(
    db: Database, strange: str
) -> None:
    assert await Channels(db, SEAL).find(strange) is None


async def test_ids_of_ours_that_are_unknown_are_left_out(db: Database) -> None:
    await ensure(db, settings())

    assert set(await Channels(db, SEAL).by_ids({1, 2, 3})) == {1}
