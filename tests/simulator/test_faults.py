"""Faults over a real connection: what a client sees when things break."""

from typing import Any

import pytest
from httpx2 import AsyncClient, HTTPError

from simulator.app import Simulator
from tests.simulator.helpers import HANA, KEY, push

Live = tuple[Simulator, AsyncClient]


async def set_faults(client: AsyncClient, *rules: dict[str, Any], seed: int = 1) -> None:
    answer = await client.put("/simulator/faults", json={"rules": list(rules), "seed": seed})
    assert answer.status_code == 200


@pytest.mark.parametrize(("kind", "accepted"), [("cut_before", 0), ("cut_after", 1)])
async def test_a_cut_connection_is_an_error_for_the_client(
    live: Live, kind: str, accepted: int
) -> None:
    app, client = live
    await set_faults(client, {"endpoint": "push", "kind": kind, "times": 1})

    with pytest.raises(HTTPError):
        await push(client, HANA, key=KEY)

    assert len(app.state.platform.accepted) == accepted
    again = await push(client, HANA, key=KEY)
    assert again.status_code == (409 if accepted else 200)
    assert len(app.state.platform.accepted) == 1


async def test_500_comes_in_both_flavours(live: Live) -> None:
    app, client = live
    await set_faults(client, {"endpoint": "push", "kind": "500"})

    statuses = {(await push(client, HANA)).status_code for _ in range(40)}

    assert statuses == {500}
    assert 5 < len(app.state.platform.accepted) < 35


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("429", 429, "The API rate limit has been exceeded"),
        ("quota", 429, "You have reached your monthly limit."),
        ("401", 401, "Authentication failed"),
        ("502_html", 502, "<html>"),
    ],
)
async def test_refusals_accept_nothing(live: Live, kind: str, status: int, words: str) -> None:
    app, client = live
    await set_faults(client, {"endpoint": "*", "kind": kind})

    answer = await push(client, HANA)

    assert answer.status_code == status
    assert words in answer.text
    assert app.state.platform.accepted == []


async def test_slow_answers_come_late_but_right(live: Live) -> None:
    _, client = live
    await set_faults(client, {"endpoint": "push", "kind": "slow", "delay_seconds": 0.05})

    assert (await push(client, HANA)).status_code == 200


async def test_a_rule_strikes_its_endpoint_its_times_and_by_its_seed(live: Live) -> None:
    _, client = live
    rule = {"endpoint": "push", "kind": "429", "probability": 0.5}

    async def strikes() -> list[int]:
        await set_faults(client, rule, {"endpoint": "reply", "kind": "401"}, seed=3)
        return [(await push(client, HANA)).status_code for _ in range(20)]

    first = await strikes()

    assert first == await strikes()
    assert set(first) == {200, 429}
    rules = (await client.get("/simulator/faults")).json()["rules"]
    assert [rule["struck"] for rule in rules] == [first.count(429), 0]
    await client.delete("/simulator/faults")
    assert (await push(client, HANA)).status_code == 200


async def test_requests_are_counted_by_status(live: Live) -> None:
    _, client = live
    await set_faults(client, {"endpoint": "push", "kind": "429", "times": 1})
    await push(client, HANA)
    await push(client, HANA)

    counts = (await client.get("/simulator/requests")).json()["requests"]

    assert counts["push"] == {"200": 1, "429": 1}


@pytest.mark.parametrize(
    "body", [{}, {"rules": [{"kind": "fire"}]}, {"rules": [{"kind": "429", "a": 1}]}]
)
async def test_unknown_rules_are_refused(live: Live, body: object) -> None:
    _, client = live

    assert (await client.put("/simulator/faults", json=body)).status_code == 400
