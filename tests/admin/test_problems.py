"""Every answer to bad input is a problem that says what, where and how to mend it."""

import asyncio
from typing import Any

import httpx2
import pytest
from sqlalchemy.exc import DBAPIError

from admin.api import me
from core import metrics
from tests.admin.conftest import Callers, paths, problem

JSON = {"Content-Type": "application/json"}


async def test_an_unknown_path_is_a_problem(viewer: httpx2.AsyncClient) -> None:
    assert problem(await viewer.get("/nothing"), 404)["type"].endswith("#not-found")
    problem(await viewer.get("/friends/"), 404)


async def test_a_wrong_method_is_a_problem_that_lists_the_right_ones(
    viewer: httpx2.AsyncClient,
) -> None:
    response = await viewer.delete("/friends")
    problem(response, 405)
    assert response.headers["allow"] == "GET"


async def test_broken_json_is_a_problem_with_line_and_column(owner: httpx2.AsyncClient) -> None:
    response = await owner.post("/tokens", content=b'{\n  "name": oops}', headers=JSON)
    (error,) = problem(response, 400)["errors"]
    assert (error["line"], error["column"]) == (2, 11)
    assert error["message_ja"]


ALMOST_JSON: list[bytes] = [
    b"\xff\xfe",
    b'{"name": "\\ud800", "role": "clerk"}',
    b'{"name": NaN}',
    b"[" * 100_000,
    b'{"name": "a"} x',
]


async def test_what_is_almost_json_is_refused(owner: httpx2.AsyncClient) -> None:
    for body in ALMOST_JSON:
        problem(await owner.post("/tokens", content=body, headers=JSON), 400)


@pytest.mark.parametrize(
    "data",
    [
        {"a": "nul \x00"},
        {"nul \x00": 1},
        {"n": 2**63},
        {"n": -(2**70)},
        {"n": 1e300},
        {"deep": [[[[]]]]},
    ],
)
async def test_what_no_database_holds_is_refused(
    clerk: httpx2.AsyncClient, data: dict[str, Any]
) -> None:
    if "deep" in data:
        nested: list[Any] = []
        for _ in range(90):
            nested = [nested]
        data = {"deep": nested}
    body = {"kind": "purchased", "customer_id": 1, "occurred_at": "2026-01-01T00:00:00Z"}
    problem(await clerk.post("/activities", json=body | {"data": data}), 422)


async def test_a_body_without_its_media_type_is_refused(owner: httpx2.AsyncClient) -> None:
    problem(await owner.post("/tokens", content=b"{}", headers={"Content-Type": "text/plain"}), 415)
    problem(await owner.post("/tokens", content=b"{}"), 415)


async def test_a_huge_body_is_refused(owner: httpx2.AsyncClient) -> None:
    body = b'{"name": "' + b"x" * (1 << 20) + b'"}'
    problem(await owner.post("/tokens", content=body, headers=JSON), 413)


async def test_invalid_fields_are_told_by_path_in_both_languages(
    clerk: httpx2.AsyncClient,
) -> None:
    one = {"kind": "purchased", "customer_id": 1, "occurred_at": "2026-01-01T00:00:00Z"}
    two = {"kind": "purchase", "customer_id": "x", "extra": 1, "occurred_at": "yesterday"}

    response = await clerk.post("/activities/batch", json={"activities": [one, two]})

    body = problem(response, 422)
    assert {e["path"] for e in body["errors"]} == {
        "activities[1].kind",
        "activities[1].customer_id",
        "activities[1].extra",
        "activities[1].occurred_at",
    }
    by_path = {e["path"]: e for e in body["errors"]}
    assert "purchased" in by_path["activities[1].kind"]["message"]
    assert by_path["activities[1].extra"]["message"] == "unknown field 'extra'"
    assert by_path["activities[1].extra"]["message_ja"] == "「extra」という項目はありません"
    assert "yesterday" not in response.text  # what was given is not told back


BAD_PARAMETERS: list[tuple[str, list[str]]] = [
    ("/friends?limit=0", ["limit"]),
    ("/friends?limit=201", ["limit"]),
    ("/friends?limit=many", ["limit"]),
    ("/friends?statsu=blocked", ["statsu"]),
    ("/friends?status=gone", ["status"]),
    ("/friends?customer_id=99999999999999999999", ["customer_id"]),
    ("/friends?q=%00", [""]),
    ("/friends/0", ["id"]),
    ("/friends/x", ["id"]),
    ("/me?verbose=1", ["verbose"]),
    ("/activities?since=2026-01-01", ["since"]),
    ("/activities?since=0001-01-01T00:00:00%2B09:00", ["since"]),
    ("/activities?kind=purchase", ["kind"]),
    ("/quota?month=2026", ["month"]),
    ("/flows/UPPER", ["key"]),
]


async def test_bad_parameters_are_told(viewer: httpx2.AsyncClient) -> None:
    for url, where in BAD_PARAMETERS:
        assert paths(await viewer.get(url)) == where


async def test_a_plus_sign_lost_in_the_query_is_mended(viewer: httpx2.AsyncClient) -> None:
    response = await viewer.get("/activities?since=2026-01-01T00:00:00+09:00")
    assert response.status_code == 200


async def test_what_nobody_expected_is_a_problem_without_insides(
    callers: Callers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_values: str) -> None:
        raise RuntimeError("the insides, with Hana's number")

    monkeypatch.setattr(me, "Me", fail)
    response = await callers["viewer"].get("/me")

    body = problem(response, 500)
    assert "insides" not in response.text
    logged = capsys.readouterr()
    assert body["request_id"] in logged.out + logged.err
    assert "Hana" not in logged.out + logged.err


async def test_a_database_that_cannot_be_reached_is_unavailable(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(callers.api.state.api.runtime.db, "reading", refuse)
    response = await callers["viewer"].get("/me")
    problem(response, 503)
    assert response.headers["retry-after"] == "2"


@pytest.mark.parametrize(("state", "status"), [("40P01", 503), ("42P01", 500)])
async def test_a_change_that_gave_way_to_another_one_may_be_tried_again(
    callers: Callers, monkeypatch: pytest.MonkeyPatch, state: str, status: int
) -> None:
    class GaveWay(Exception):
        sqlstate = state

    def give_way() -> None:
        raise DBAPIError("UPDATE customer", None, GaveWay())

    monkeypatch.setattr(callers.api.state.api.runtime.db, "reading", give_way)
    response = await callers["viewer"].get("/me")
    problem(response, status)
    assert "UPDATE" not in response.text


async def test_requests_are_counted_by_pattern_never_by_path(viewer: httpx2.AsyncClient) -> None:
    def count(route: str, status: str) -> float:
        labels = {"method": "GET", "route": route, "status": status}
        found = metrics.REGISTRY.get_sample_value("okaeri_http_requests_total", labels)
        return found or 0.0

    before = count("/friends/{id}", "404"), count("unmatched", "404")
    await viewer.get("/friends/4711")
    await viewer.get("/friends/U123/secret")
    assert (count("/friends/{id}", "404"), count("unmatched", "404")) == (
        before[0] + 1,
        before[1] + 1,
    )
    labels = str(list(metrics.HTTP_REQUESTS.collect()))
    assert "4711" not in labels
    assert "secret" not in labels


async def test_answers_are_not_to_be_stored_by_anybody(viewer: httpx2.AsyncClient) -> None:
    response = await viewer.get("/me")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert len(response.headers["x-request-id"]) == 32


async def test_many_at_once_all_get_their_answer(viewer: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(viewer.get("/friends") for _ in range(30)))
    assert {a.status_code for a in answers} == {200}
