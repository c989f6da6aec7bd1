"""`okaeri check` against a LINE stand-in: each thing is ok, or what to do is said."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from core.runtime import Runtime
from core.settings import PREFIX, Settings
from crm import channels
from delivery import text_rules
from delivery.text_rules import RuleDraft
from tests.conftest import CHANNEL_ID, CHANNEL_SECRET, CHANNEL_TOKEN, StandIn, free_port
from tests.shop import Shop

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


async def check(settings: Settings, **more: str) -> tuple[int, str]:
    """Run it with these settings; returns the exit code and all that was said."""
    given = settings.model_dump(mode="json", exclude_defaults=True)
    given |= {
        "secret_key": settings.secret_key.get_secret_value(),
        "line_channel_secret": CHANNEL_SECRET,
        "line_channel_access_token": CHANNEL_TOKEN,
        "allow_http_urls": "true",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    env = kept | {PREFIX + name.upper(): str(value) for name, value in (given | more).items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "check", env=env, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _nothing = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode is not None
    text = said.decode()
    for secret in (CHANNEL_SECRET, CHANNEL_TOKEN, given["secret_key"], "Traceback"):
        assert secret not in text
    return process.returncode, text


@pytest.fixture
def public_url(shop: Shop, shop_port: int) -> str:
    """Where LINE reaches the running shop."""
    return f"http://127.0.0.1:{shop_port}"


async def test_a_shop_that_is_well_is_told_so(
    shop: Shop, settings: Settings, public_url: str
) -> None:
    code, said = await check(settings, public_url=public_url)

    assert code == 0, said
    assert "NG" not in said
    assert f"channel {CHANNEL_ID}: LINE knows it as みなと珈琲" in said
    assert "tested by LINE" in said


async def test_a_wrong_webhook_url_is_told_with_the_right_one(
    shop: Shop, settings: Settings, public_url: str
) -> None:
    code, said = await check(settings, public_url="https://shop.example")

    assert code == 1
    assert f"LINE sends to {public_url}/webhook/{CHANNEL_ID}" in said
    assert f"Set the webhook URL to https://shop.example/webhook/{CHANNEL_ID}" in said


async def test_a_webhook_that_does_not_answer_is_told(
    runtime: Runtime, settings: Settings, shop_port: int
) -> None:
    code, said = await check(settings, public_url=f"http://127.0.0.1:{shop_port}")

    assert code == 1
    assert "LINE's test failed: COULD_NOT_CONNECT" in said
    assert "reachable from outside" in said


async def test_a_token_that_line_refuses_is_told(runtime: Runtime, settings: Settings) -> None:
    stranger = settings.model_copy(
        update={"line_channel_access_token": type(settings.secret_key)("hunter2")}
    )
    async with runtime.db.transaction() as session:
        await channels.ensure_first(session, runtime.seal, stranger, now=runtime.clock.wall())

    code, said = await check(settings)

    assert code == 1
    assert "LINE refuses the access token" in said
    assert "Issue an access token" in said
    assert "hunter2" not in said


async def test_line_out_of_reach_is_told(runtime: Runtime, settings: Settings) -> None:
    code, said = await check(settings, line_api_url=f"http://127.0.0.1:{free_port()}")

    assert code == 1
    assert "LINE cannot be reached" in said


async def test_trouble_on_lines_side_is_told(
    runtime: Runtime, settings: Settings, line: StandIn
) -> None:
    line.platform.faults.set({"rules": [{"kind": "502_html"}]})

    code, said = await check(settings)

    assert code == 1
    assert "LINE's status page" in said


async def test_another_secret_key_is_told(runtime: Runtime, settings: Settings) -> None:
    code, said = await check(settings, secret_key="another-secret-key-for-tests")

    assert code == 1
    assert "cannot be read with this OKAERI_SECRET_KEY" in said


async def test_redis_out_of_reach_is_told_and_the_rest_is_looked_at(
    runtime: Runtime, settings: Settings
) -> None:
    code, said = await check(settings, redis_url=f"redis://127.0.0.1:{free_port()}/0")

    assert code == 1
    assert "Redis: does not answer" in said
    assert "LINE knows it as" in said


async def test_text_rules_that_clash_are_told(runtime: Runtime, settings: Settings) -> None:
    now: Any = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        for key, words in (("hours", "営業時間"), ("open", "ｴｲｷﾞｮｳ時間"), ("same", "営業時間")):
            draft = RuleDraft(words=[words], say=key)
            await text_rules.save(session, key, draft, now=now)

    code, said = await check(settings)

    assert code == 1
    assert "hours and same both match 「営業時間」; hours answers" in said
