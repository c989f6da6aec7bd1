"""Reply tokens: one use, one minute, free of charge."""

from datetime import timedelta

from httpx2 import AsyncClient, Response

from simulator import acting
from simulator.platform import Platform
from tests.simulator.helpers import HANA, HELLO, YUI, ask, send


def token_of_a_message(platform: Platform, user_id: str = HANA) -> str:
    """What the newest message event of a person carried."""
    acting.say(platform, platform.first_channel, user_id, {"type": "text", "text": "ねえ"})
    return str(platform.webhooks.queued()[-1]["replyToken"])


async def reply(client: AsyncClient, token: str) -> Response:
    return await send(client, "reply", {"replyToken": token, "messages": [HELLO]})


async def test_a_reply_goes_once_and_costs_nothing(client: AsyncClient, platform: Platform) -> None:
    token = token_of_a_message(platform)

    first, second = await reply(client, token), await reply(client, token)

    assert first.status_code == 200
    assert len(first.json()["sentMessages"]) == 1
    assert (second.status_code, second.json()) == (400, {"message": "Invalid reply token"})
    assert platform.accepted[0].delivered_to == [HANA]
    usage = (await ask(client, "GET", "/v2/bot/message/quota/consumption")).json()
    assert usage == {"totalUsage": 0}


async def test_a_token_lives_a_minute(client: AsyncClient, platform: Platform) -> None:
    early, late = token_of_a_message(platform), token_of_a_message(platform)

    platform.clock.advance(timedelta(seconds=59))
    assert (await reply(client, early)).status_code == 200
    platform.clock.advance(timedelta(seconds=2))
    assert (await reply(client, late)).status_code == 400


async def test_a_redelivery_gives_another_minute_within_20(
    client: AsyncClient, platform: Platform
) -> None:
    tokens = [token_of_a_message(platform) for _ in range(2)]

    platform.clock.advance(timedelta(minutes=15))
    platform.reply_tokens.sent(tokens[0])
    assert (await reply(client, tokens[0])).status_code == 200

    platform.clock.advance(timedelta(minutes=6))
    platform.reply_tokens.sent(tokens[1])
    assert (await reply(client, tokens[1])).status_code == 400


async def test_a_malformed_reply_does_not_spend_the_token(
    client: AsyncClient, platform: Platform
) -> None:
    token = token_of_a_message(platform)

    bad = await send(client, "reply", {"replyToken": token, "messages": [{"type": "text"}]})
    good = await reply(client, token)

    assert (bad.status_code, good.status_code) == (400, 200)


async def test_unknown_tokens_are_refused(client: AsyncClient) -> None:
    assert (await reply(client, "0" * 32)).status_code == 400


async def test_a_reply_to_who_has_just_blocked_us_is_taken_but_not_shown(
    client: AsyncClient, platform: Platform
) -> None:
    token = token_of_a_message(platform)
    acting.block(platform, platform.first_channel, HANA)

    assert (await reply(client, token)).status_code == 200
    assert platform.accepted[0].delivered_to == []
    assert YUI not in platform.accepted[0].to
