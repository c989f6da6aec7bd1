"""Looking inside, and making crowds."""

import pytest
from httpx2 import ASGITransport, AsyncClient

from simulator.app import close, create_app
from simulator.ids import user_id_for
from simulator.settings import Settings
from tests.simulator.helpers import CHANNEL, HANA, HELLO, KEN, NOBODY, push, send


async def test_what_was_accepted_is_read_page_by_page(client: AsyncClient) -> None:
    for user_id in (HANA, KEN, HANA):
        await push(client, user_id)

    first = (await client.get("/simulator/accepted?limit=2")).json()
    rest = (await client.get(f"/simulator/accepted?since={first['next']}")).json()

    assert [item["n"] for item in first["items"] + rest["items"]] == [1, 2, 3]
    assert [item["delivered_to"] for item in rest["items"]] == [[HANA]]
    assert rest["next"] == 3
    assert {"at", "endpoint", "retry_key", "request_id", "to", "messages"} <= rest["items"][
        0
    ].keys()
    assert (await client.get("/simulator/accepted?since=x")).status_code == 400


async def test_a_crowd_are_friends_at_once(client: AsyncClient) -> None:
    crowd = (await client.post("/simulator/crowd", json={"count": 500, "seed": "a"})).json()

    assert crowd["user_ids"][0] == user_id_for("a:0")
    answer = await send(client, "multicast", {"to": crowd["user_ids"], "messages": [HELLO]})
    assert answer.status_code == 200
    accepted = (await client.get("/simulator/accepted")).json()["items"]
    assert accepted[0]["delivered_to"] == crowd["user_ids"]


@pytest.mark.parametrize("count", [0, -1, "many", None])
async def test_a_crowd_has_a_size(client: AsyncClient, count: object) -> None:
    assert (await client.post("/simulator/crowd", json={"count": count})).status_code == 400


async def test_for_load_tests_everyone_is_a_friend() -> None:
    app = create_app(Settings(channels=(CHANNEL,), everyone_is_a_friend=True))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://line.test") as client:
        pushed = await push(client, NOBODY)
        together = await send(client, "multicast", {"to": [NOBODY, HANA], "messages": [HELLO]})
        malformed = await send(client, "multicast", {"to": [NOBODY, "U1"], "messages": [HELLO]})
    await close(app)

    assert [a.status_code for a in (pushed, together, malformed)] == [200, 200, 400]
    reached = [one.delivered_to for one in app.state.platform.accepted]
    assert reached == [[NOBODY], [NOBODY, HANA]]
