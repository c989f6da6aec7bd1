"""Channel access tokens, ID tokens, a person's own profile."""

import base64
from datetime import timedelta

import orjson
import pytest
from httpx2 import AsyncClient, Response

from simulator.platform import Platform
from tests.simulator.helpers import CHANNEL, HANA, KEN

CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": CHANNEL.id,
    "client_secret": CHANNEL.secret,
}


def jwt(claims: object) -> str:
    parts = (orjson.dumps({"alg": "RS256"}), orjson.dumps(claims), b"signature")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


async def info(client: AsyncClient, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return (await client.get("/v2/bot/info", headers=headers)).status_code


async def test_a_short_lived_token_works_for_30_days(
    client: AsyncClient, platform: Platform
) -> None:
    issued = (await client.post("/v2/oauth/accessToken", data=CREDENTIALS)).json()
    token = issued["access_token"]

    assert (issued["expires_in"], issued["token_type"]) == (30 * 86_400, "Bearer")
    assert await info(client, token) == 200
    verified = await client.post("/v2/oauth/verify", data={"access_token": token})
    assert verified.json()["client_id"] == CHANNEL.id
    platform.clock.advance(timedelta(days=30))
    assert await info(client, token) == 401


async def test_the_31st_short_lived_token_revokes_the_first(client: AsyncClient) -> None:
    tokens = [
        (await client.post("/v2/oauth/accessToken", data=CREDENTIALS)).json()["access_token"]
        for _ in range(31)
    ]

    assert [await info(client, tokens[0]), await info(client, tokens[1])] == [401, 200]


async def test_a_revoked_token_is_refused(client: AsyncClient) -> None:
    issued = (await client.post("/oauth2/v3/token", data=CREDENTIALS)).json()

    assert issued["expires_in"] == 900
    await client.post("/v2/oauth/revoke", data={"access_token": issued["access_token"]})
    assert await info(client, issued["access_token"]) == 401


async def test_an_assertion_opens_v21(client: AsyncClient, platform: Platform) -> None:
    soon = platform.clock.ms() // 1_000 + 1_800
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt({"iss": CHANNEL.id, "sub": CHANNEL.id, "exp": soon}),
    }
    issued = (await client.post("/oauth2/v2.1/token", data=form)).json()

    assert await info(client, issued["access_token"]) == 200
    path = f"/oauth2/v2.1/tokens/kid?client_assertion={form['client_assertion']}"
    assert (await client.get(path)).json() == {"kids": [issued["key_id"]]}
    verify = f"/oauth2/v2.1/verify?access_token={issued['access_token']}"
    assert (await client.get(verify)).json()["client_id"] == CHANNEL.id


@pytest.mark.parametrize(
    "change", [{"client_secret": "wrong"}, {"client_id": "1"}, {"grant_type": "password"}]
)
async def test_wrong_credentials_are_refused(client: AsyncClient, change: dict[str, str]) -> None:
    answer = await client.post("/v2/oauth/accessToken", data={**CREDENTIALS, **change})

    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "error_description"}


async def verify(client: AsyncClient, token: str, **change: str) -> Response:
    form = {"id_token": token, "client_id": CHANNEL.id, **change}
    return await client.post("/oauth2/v2.1/verify", data=form)


async def test_an_id_token_tells_who_it_is(client: AsyncClient, platform: Platform) -> None:
    path = f"/simulator/people/{HANA}/id-token"
    issued = (await client.post(path, json={"nonce": "n-1"})).json()
    token = issued["id_token"]

    good = await verify(client, token, nonce="n-1", user_id=HANA)

    assert good.json()["sub"] == HANA
    assert good.json()["name"] == "花"
    for change, reason in (
        ({"client_id": "1"}, "Invalid IdToken Audience."),
        ({"nonce": "n-2"}, "Invalid IdToken Nonce."),
        ({"user_id": KEN}, "Invalid IdToken Subject Identifier."),
        ({"id_token": token[:-3] + "abc"}, "Invalid IdToken."),
    ):
        bad = await verify(client, token, **change)
        assert (bad.status_code, bad.json()["error_description"]) == (400, reason)
    platform.clock.advance(timedelta(hours=1, seconds=1))
    assert (await verify(client, token)).json()["error_description"] == "IdToken expired."


async def test_a_persons_access_token_opens_their_profile_only(client: AsyncClient) -> None:
    issued = (await client.post(f"/simulator/people/{HANA}/id-token")).json()
    headers = {"Authorization": f"Bearer {issued['access_token']}"}

    assert (await client.get("/v2/profile", headers=headers)).json()["userId"] == HANA
    friendship = await client.get("/friendship/v1/status", headers=headers)
    assert friendship.json() == {"friendFlag": True}
    assert await info(client, issued["access_token"]) == 401
    own = {"Authorization": f"Bearer {CHANNEL.token}"}
    assert (await client.get("/v2/profile", headers=own)).status_code == 401
