"""Flows over the API: drafts with versions, publishing, enrolling by hand, reports."""

import asyncio
from datetime import datetime
from typing import Any

import httpx2
import jsonschema  # type: ignore[import-untyped]
import pytest

from core.runtime import Runtime
from delivery.models import Delivery
from flows import engine
from flows.models import EXITED, FINISHED, Enrolment
from tests.admin.conftest import Cast, paths, problem

WELCOME = {
    "key": "welcome",
    "name": "ごあいさつ",
    "trigger": {"on": "followed"},
    "steps": [
        {"say": "ようこそ"},
        {"wait": {"days": 3, "at": "19:00"}},
        {"say": "その後いかがですか"},
    ],
}
WELCOME_YAML = """\
key: welcome
name: ごあいさつ
trigger: {on: followed}
steps:
  - say: ようこそ
  - wait: {days: 3, at: "19:00"}
  - say: その後いかがですか
"""
YAML = {"Content-Type": "application/yaml; charset=utf-8"}


def changed(**values: Any) -> dict[str, Any]:
    return {**WELCOME, **values}


@pytest.fixture
async def published(marketer: httpx2.AsyncClient) -> dict[str, Any]:
    await marketer.put("/flows/welcome", json=WELCOME)
    response = await marketer.post("/flows/welcome/publish")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_a_flow_is_saved_as_a_draft_and_read_back(
    marketer: httpx2.AsyncClient, viewer: httpx2.AsyncClient
) -> None:
    saved = await marketer.put("/flows/welcome", json=WELCOME)

    assert saved.status_code == 201
    assert saved.headers["etag"] == '"1"'
    told = await viewer.get("/flows/welcome")
    assert told.json() == saved.json()
    assert told.headers["etag"] == '"1"'
    assert told.json()["definition"] == WELCOME
    assert (told.json()["state"], told.json()["published_number"]) == ("draft", None)
    (listed,) = (await viewer.get("/flows")).json()["items"]
    assert listed == {k: v for k, v in told.json().items() if k != "definition"}


async def test_yaml_and_json_say_the_same(marketer: httpx2.AsyncClient) -> None:
    made = await marketer.post("/flows", content=WELCOME_YAML.encode(), headers=YAML)
    assert made.status_code == 201
    assert made.json()["definition"] == WELCOME


async def test_a_definition_may_come_in_a_wrapper_or_without_its_key(
    marketer: httpx2.AsyncClient,
) -> None:
    inner = {k: v for k, v in WELCOME.items() if k not in {"key", "name"}}
    wrapped = {"key": "welcome", "name": "ごあいさつ", "definition": inner}
    assert (await marketer.post("/flows", json=wrapped)).json()["definition"] == WELCOME
    keyless = {k: v for k, v in changed(name="別").items() if k != "key"}
    saved = await marketer.put("/flows/other", json=keyless)
    assert saved.json()["key"] == "other"

    bad = {"definition": {**inner, "name": "x", "steps": [{"sya": "x"}]}}
    where = paths(await marketer.put("/flows/third", json=bad))
    assert all(path.startswith("definition.steps[0]") for path in where)
    assert paths(await marketer.put("/flows/third", json={**wrapped, "stats": 1})) == ["stats"]


async def test_faults_in_yaml_have_line_and_column(marketer: httpx2.AsyncClient) -> None:
    broken = WELCOME_YAML.replace("days: 3", "dyas: 3")
    response = await marketer.put("/flows/welcome", content=broken.encode(), headers=YAML)
    errors = problem(response, 422)["errors"]
    assert {"path": "steps[1].wait.dyas", "line": 6, "column": 12}.items() <= errors[0].items()
    assert "days" in errors[0]["message"]
    assert "days" in errors[0]["message_ja"]


NO_FLOWS: list[str] = [
    "key: [unclosed",
    "\tkey: x",
    "- a\n- b",
    "",
    "42",
    "a: &a [x]\nb: *a",
    "a: &a {b: *a}",
    "[" * 500,
    "key: !!python/object:os.system x",
    "key: welcome\nname: !!binary /w==\ntrigger: {on: followed}\nsteps: [{say: x}]",
    "key: welcome\nname: x\ntrigger: {on: followed, where: {n: {eq: !!binary /w==}}}\n"
    "steps: [{say: x}]",
    "key: welcome\nname: x\ntrigger: {on: followed, where: {n: {eq: 99999999999999999999}}}\n"
    "steps: [{say: x}]",
    'key: welcome\nname: "a\\0b"\ntrigger: {on: followed}\nsteps: [{say: x}]',
    "a: 1\na: 2",
    "%YAML 9.9\n---\na: 1",
    "? {a: 1}\n: 2",
    "&x : 1",
    "--- a\n--- b",
]


async def test_yaml_that_is_no_flow_is_refused_kindly(marketer: httpx2.AsyncClient) -> None:
    for text in NO_FLOWS:
        response = await marketer.put("/flows/welcome", content=text.encode(), headers=YAML)
        assert paths(response)


async def test_a_yaml_bomb_is_refused_before_it_unfolds(marketer: httpx2.AsyncClient) -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    response = await marketer.put("/flows/welcome", content="\n".join(lines).encode(), headers=YAML)
    (error,) = problem(response, 422)["errors"]
    assert error["line"] == 2


async def test_bytes_that_are_not_utf8_are_refused(marketer: httpx2.AsyncClient) -> None:
    content = WELCOME_YAML.encode("cp932")
    response = await marketer.put("/flows/welcome", content=content, headers=YAML)
    assert "UTF-8" in problem(response, 422)["errors"][0]["message"]
    problem(
        await marketer.put("/flows/welcome", content=b"x", headers={"Content-Type": "x/y"}), 415
    )
    problem(await marketer.put("/flows/welcome"), 415)


async def test_the_key_in_path_and_definition_must_agree(marketer: httpx2.AsyncClient) -> None:
    assert paths(await marketer.put("/flows/other", json=WELCOME)) == ["key"]


async def test_a_message_that_is_not_there_is_told(marketer: httpx2.AsyncClient) -> None:
    response = await marketer.put("/flows/welcome", json=changed(steps=[{"message": "absent"}]))
    assert paths(response) == ["steps[0].message"]


async def test_replacing_a_draft_needs_the_version_that_was_read(
    marketer: httpx2.AsyncClient,
) -> None:
    await marketer.put("/flows/welcome", json=WELCOME)
    other = changed(name="別のごあいさつ")

    without = problem(await marketer.put("/flows/welcome", json=other), 428)
    assert without["current_version"] == 1
    right = await marketer.put("/flows/welcome", json=other, headers={"If-Match": '"1"'})
    assert right.status_code == 200
    assert right.headers["etag"] == '"2"'
    stale = await marketer.put("/flows/welcome", json=WELCOME, headers={"If-Match": '"1"'})
    assert problem(stale, 412)["current_version"] == 2
    assert stale.headers["etag"] == '"2"'
    problem(await marketer.post("/flows", json=WELCOME), 409)
    gone = await marketer.put("/flows/none", json=changed(key="none"), headers={"If-Match": '"1"'})
    problem(gone, 404)


NO_ETAGS: list[str] = ["1", "*", 'W/"1"', '"x"', '"1", "2"', '""', '"99999999999"']


async def test_an_etag_that_is_none_of_ours_is_refused(marketer: httpx2.AsyncClient) -> None:
    for value in NO_ETAGS:
        response = await marketer.put("/flows/welcome", json=WELCOME, headers={"If-Match": value})
        assert paths(response) == ["If-Match"]


async def test_of_many_who_save_at_once_one_wins_and_nobody_is_lost(
    marketer: httpx2.AsyncClient,
) -> None:
    await marketer.put("/flows/welcome", json=WELCOME)
    answers = await asyncio.gather(
        *(
            marketer.put("/flows/welcome", json=changed(name=f"{n}"), headers={"If-Match": '"1"'})
            for n in range(10)
        )
    )
    assert sorted(a.status_code for a in answers) == [200] + [412] * 9


async def test_of_many_who_create_at_once_one_creates(marketer: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(marketer.put("/flows/welcome", json=changed(name=f"{n}")) for n in range(8))
    )
    codes = sorted(a.status_code for a in answers)
    assert codes[0] == 201
    assert set(codes[1:]) <= {409, 428}


async def test_publishing_runs_a_version_and_an_unchanged_draft_is_not_published_twice(
    marketer: httpx2.AsyncClient, published: dict[str, Any]
) -> None:
    assert (published["state"], published["published_number"]) == ("published", 1)
    again = (await marketer.post("/flows/welcome/publish")).json()
    assert (again["published_number"], again["version"]) == (1, published["version"])

    etag = {"If-Match": f'"{published["version"]}"'}
    saved = await marketer.put("/flows/welcome", json=changed(name="新しい"), headers=etag)
    assert saved.json()["published_number"] == 1
    problem(await marketer.post("/flows/welcome/publish", headers=etag), 412)
    newer = {"If-Match": saved.headers["etag"]}
    assert (await marketer.post("/flows/welcome/publish", headers=newer)).json()[
        "published_number"
    ] == 2


async def test_pause_and_resume(marketer: httpx2.AsyncClient, published: dict[str, Any]) -> None:
    assert (await marketer.post("/flows/welcome/pause")).json()["state"] == "paused"
    assert (await marketer.post("/flows/welcome/resume")).json()["state"] == "published"
    await marketer.put("/flows/draft", json=changed(key="draft"))
    problem(await marketer.post("/flows/draft/pause"), 409)
    problem(await marketer.post("/flows/draft/resume"), 409)
    problem(await marketer.post("/flows/absent/publish"), 404)


async def test_staff_enrol_a_customer_whose_first_step_is_due_at_once(
    marketer: httpx2.AsyncClient,
    published: dict[str, Any],
    cast: Cast,
    runtime: Runtime,
    now: datetime,
) -> None:
    made = await marketer.post("/flows/welcome/enrol", json={"customer_id": cast.ken.customer_id})

    assert made.status_code == 201
    assert made.json()["friend_id"] == cast.ken_again.id
    assert await engine.advance(runtime) == 1
    (sent,) = (await marketer.get("/deliveries")).json()["items"]
    assert sent["source"] == f"enrolment:{made.json()['id']}:step:0"


async def test_the_entry_rule_holds_for_staff_too(
    marketer: httpx2.AsyncClient, published: dict[str, Any], cast: Cast
) -> None:
    body = {"customer_id": cast.hana.customer_id}
    answers = await asyncio.gather(
        *(marketer.post("/flows/welcome/enrol", json=body) for _ in range(6))
    )
    assert sorted(a.status_code for a in answers) == [201] + [409] * 5

    await marketer.put("/flows/often", json=changed(key="often", entry={"once": "always"}))
    problem(await marketer.post("/flows/often/enrol", json=body), 409)  # still a draft
    await marketer.post("/flows/often/publish")
    for _ in range(2):
        assert (await marketer.post("/flows/often/enrol", json=body)).status_code == 201


async def test_who_cannot_be_reached_cannot_be_enrolled(
    marketer: httpx2.AsyncClient, published: dict[str, Any], cast: Cast
) -> None:
    for customer_id in (cast.yui.customer_id, cast.nobody.id):
        body = {"customer_id": customer_id}
        problem(await marketer.post("/flows/welcome/enrol", json=body), 409)
    assert paths(await marketer.post("/flows/welcome/enrol", json={"customer_id": 4711})) == [
        "customer_id"
    ]
    await marketer.post("/flows/welcome/pause")
    body = {"customer_id": cast.hana.customer_id}
    problem(await marketer.post("/flows/welcome/enrol", json=body), 409)


async def test_the_report_counts_customers_and_deliveries_by_version_and_step(
    marketer: httpx2.AsyncClient,
    viewer: httpx2.AsyncClient,
    published: dict[str, Any],
    cast: Cast,
    runtime: Runtime,
    now: datetime,
) -> None:
    async with runtime.db.transaction() as session:
        walks = [
            Enrolment(
                flow_id=1, flow_version_id=1, customer_id=friend.customer_id,
                friend_id=friend.id or 0, state=state, reason=reason, step=1, due_at=now,
                entered_at=now,
            )
            for friend, state, reason in (
                (cast.hana, "active", None),
                (cast.ken, "on_hold", None),
                (cast.ken, FINISHED, None),
                (cast.yui, EXITED, "blocked"),
                (cast.yui, EXITED, "exit:purchased"),
                (cast.yui, "stopped", "template gone"),
            )
        ]  # fmt: skip
        session.add_all(walks)
        await session.flush()
        session.add_all(
            Delivery(
                channel_id=1, friend_id=walk.friend_id, messages=b"[]", due_at=now, created_at=now,
                source=f"enrolment:{walk.id}:step:{step}", state=state,
            )
            for walk, step, state in (
                (walks[0], 0, "sent"),
                (walks[1], 0, "sent"),
                (walks[3], 0, "suppressed"),
                (walks[2], 2, "failed"),
            )
        )  # fmt: skip

    report = (await viewer.get("/flows/welcome/report")).json()

    assert report == {
        "key": "welcome",
        "entered": 6,
        "under_way": 2,
        "finished": 1,
        "stopped": 1,
        "exited": {"blocked": 1, "exit:purchased": 1},
        "steps": [
            {"version": 1, "step": 0, "kind": "say", "deliveries": {"sent": 2, "suppressed": 1}},
            {"version": 1, "step": 2, "kind": "say", "deliveries": {"failed": 1}},
        ],
    }


async def test_a_draft_has_an_empty_report(marketer: httpx2.AsyncClient) -> None:
    await marketer.put("/flows/welcome", json=WELCOME)
    report = (await marketer.get("/flows/welcome/report")).json()
    assert (report["entered"], report["exited"], report["steps"]) == (0, {}, [])
    problem(await marketer.get("/flows/absent/report"), 404)


async def test_the_schema_takes_what_the_api_takes(viewer: httpx2.AsyncClient) -> None:
    schema = (await viewer.get("/flows/schema.json")).json()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(WELCOME, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed(stpes=[]), schema)


async def test_changes_are_audited_and_looks_are_not(
    marketer: httpx2.AsyncClient, owner: httpx2.AsyncClient, published: dict[str, Any]
) -> None:
    await marketer.get("/flows/welcome")
    etag = {"If-Match": f'"{published["version"]}"'}
    await marketer.put("/flows/welcome", json=WELCOME, headers=etag)  # nothing new in it
    problem(await marketer.put("/flows/welcome", json=WELCOME), 428)

    entries = (await owner.get("/audit-log?subject=flow:welcome")).json()["items"]

    assert [(e["action"], e["data"]) for e in entries] == [
        ("flow.publish", {"number": 1}),
        ("flow.save", {"version": 1}),
    ]
    assert {e["actor"] for e in entries} == {"token:marketer"}
    assert (await owner.get("/audit-log?action=flow.pause")).json()["items"] == []
