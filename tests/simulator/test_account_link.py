"""Account linking: a token that is used once, a page, an event."""

from datetime import timedelta
from typing import Any

import pytest
from httpx2 import AsyncClient

from simulator.platform import Platform
from tests.simulator.helpers import HANA, KEN, YUI, ask

NONCE = "CngAlZFyLMhIJcqV7n_6UkKAR-0SyQdg"
PAGE = "/dialog/bot/accountLink"


async def link_token(client: AsyncClient) -> str:
    answer = await ask(client, "POST", f"/v2/bot/user/{HANA}/linkToken")
    return str(answer.json()["linkToken"])


def events(platform: Platform) -> list[dict[str, Any]]:
    return [e for e in platform.webhooks.queued() if e["type"] == "accountLink"]


async def test_linking_shows_a_page_and_tells_the_shop(
    client: AsyncClient, platform: Platform
) -> None:
    token = await link_token(client)

    page = await client.get(PAGE, params={"linkToken": token, "nonce": NONCE})

    assert page.status_code == 200
    assert "連携が完了しました" in page.text
    assert f'href="/phone?user={HANA}"' in page.text
    [event] = events(platform)
    assert event["link"] == {"result": "ok", "nonce": NONCE}
    assert event["source"] == {"type": "user", "userId": HANA}
    assert "replyToken" in event


async def test_a_used_token_tells_nobody_anything(client: AsyncClient, platform: Platform) -> None:
    token = await link_token(client)
    await client.get(PAGE, params={"linkToken": token, "nonce": NONCE})

    again = await client.get(PAGE, params={"linkToken": token, "nonce": NONCE})

    assert again.status_code == 400
    assert "連携できませんでした" in again.text
    assert len(events(platform)) == 1


async def test_a_token_lives_ten_minutes(client: AsyncClient, platform: Platform) -> None:
    token = await link_token(client)
    platform.clock.advance(timedelta(minutes=10, seconds=1))

    page = await client.get(PAGE, params={"linkToken": token, "nonce": NONCE})

    assert (page.status_code, events(platform)) == (400, [])


@pytest.mark.parametrize("nonce", ["", "a" * 9, "a" * 256])
async def test_a_nonce_has_10_to_255_characters(
    client: AsyncClient, platform: Platform, nonce: str
) -> None:
    token = await link_token(client)

    page = await client.get(PAGE, params={"linkToken": token, "nonce": nonce})

    assert (page.status_code, events(platform)) == (400, [])
    good = await client.get(PAGE, params={"linkToken": token, "nonce": NONCE})
    assert good.status_code == 200


async def test_a_head_request_spends_nothing(client: AsyncClient, platform: Platform) -> None:
    token = await link_token(client)

    await client.head(PAGE, params={"linkToken": token, "nonce": NONCE})

    assert events(platform) == []
    page = await client.get(PAGE, params={"linkToken": token, "nonce": NONCE})
    assert page.status_code == 200


async def test_another_persons_browser_fails_without_a_source(
    client: AsyncClient, platform: Platform
) -> None:
    token = await link_token(client)

    page = await client.get(
        PAGE, params={"linkToken": token, "nonce": NONCE, "simulator_user": KEN}
    )

    assert page.status_code == 400
    [event] = events(platform)
    assert event["link"] == {"result": "failed", "nonce": NONCE}
    assert "source" not in event
    assert "replyToken" not in event


async def test_only_friends_get_a_link_token(client: AsyncClient) -> None:
    assert (await ask(client, "POST", f"/v2/bot/user/{YUI}/linkToken")).status_code == 400
    assert (await ask(client, "POST", "/v2/bot/user/U1/linkToken")).status_code == 400
