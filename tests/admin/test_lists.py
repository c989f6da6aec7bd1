"""Lists: pages that neither repeat nor lose anything, cursors that cannot be made up."""

import re
from datetime import datetime, timedelta
from typing import Any

import httpx2
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import event

from core.db import table
from core.models import JobRun
from core.runtime import Runtime
from crm.models import Customer, Friend
from delivery.models import Quota
from tests.admin.conftest import Cast, paths


async def everything(client: httpx2.AsyncClient, url: str, **params: Any) -> list[dict[str, Any]]:
    """All items of a list, page by page."""
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        asked = params | ({"cursor": cursor} if cursor else {})
        body = (await client.get(url, params=asked)).json()
        items += body["items"]
        cursor = body["next_cursor"]
        if cursor is None:
            return items


async def add_friends(runtime: Runtime, count: int, now: datetime, start: int = 1000) -> None:
    async with runtime.db.transaction() as session:
        customer = Customer(created_at=now)
        session.add(customer)
        await session.flush()
        session.add_all(
            Friend(
                channel_id=1, user_id=f"U{start + n:032x}", customer_id=customer.id or 0,
                status_at=now, created_at=now, display_name=f"客{start + n}",
            )
            for n in range(count)
        )  # fmt: skip


async def test_pages_hold_everything_once_the_newest_first(
    viewer: httpx2.AsyncClient, cast: Cast
) -> None:
    for limit in [1, 2, 3, 5, 200]:
        items = await everything(viewer, "/friends", limit=limit)
        assert [i["id"] for i in items] == [
            f.id for f in (cast.yui, cast.ken_again, cast.ken, cast.hana)
        ]


async def test_what_is_added_meanwhile_neither_repeats_nor_hides_anything(
    viewer: httpx2.AsyncClient, cast: Cast, runtime: Runtime, now: datetime
) -> None:
    await add_friends(runtime, 10, now)
    first = (await viewer.get("/friends", params={"limit": 5})).json()
    await add_friends(runtime, 7, now, start=2000)

    rest = await everything(viewer, "/friends", limit=5, cursor=first["next_cursor"])
    second = (await viewer.get("/friends", params={"cursor": first["next_cursor"]})).json()

    seen = [i["id"] for i in first["items"] + second["items"]]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) == 14
    assert rest


async def test_a_page_is_one_query(
    viewer: httpx2.AsyncClient, cast: Cast, runtime: Runtime, now: datetime
) -> None:
    await add_friends(runtime, 30, now)
    await viewer.get("/me")  # the token is known from here on
    statements: list[str] = []
    engine = runtime.db._read_engine.sync_engine  # noqa: SLF001

    @event.listens_for(engine, "before_cursor_execute")
    def note(*arguments: Any) -> None:
        statements.append(arguments[2])

    await viewer.get("/friends", params={"limit": 30})
    event.remove(engine, "before_cursor_execute", note)

    assert len([s for s in statements if "friend" in s]) == 1


SEARCHES: list[tuple[dict[str, str], list[str]]] = [
    ({"status": "blocked"}, ["ゆい"]),
    ({"q": "けん"}, ["けん2", "けん"]),
    ({"q": "%"}, []),
    ({"q": "_"}, []),
    ({"user_id": f"U{1:032x}"}, ["はな"]),
    ({"channel_id": "1234567890", "status": "following"}, ["けん2", "けん", "はな"]),
    ({"channel_id": "999"}, []),
]


async def test_friends_are_found_by_what_is_known_of_them(
    viewer: httpx2.AsyncClient, cast: Cast
) -> None:
    for params, names in SEARCHES:
        found = (await viewer.get("/friends", params=params)).json()["items"]
        assert [f["display_name"] for f in found] == names


async def test_a_friend_is_told_as_the_contract_says(
    viewer: httpx2.AsyncClient, cast: Cast
) -> None:
    friend = (await viewer.get(f"/friends/{cast.hana.id}")).json()
    assert friend["user_id"] == cast.hana.user_id
    assert friend["channel_id"] == "1234567890"
    assert friend["customer_id"] == cast.hana.customer_id
    assert (friend["status"], friend["display_name"]) == ("following", "はな")
    assert friend["followed_at"].endswith("Z")


async def test_a_cursor_serves_only_the_list_that_gave_it(
    viewer: httpx2.AsyncClient, cast: Cast
) -> None:
    cursor = (await viewer.get("/friends?limit=1")).json()["next_cursor"]
    assert re.fullmatch(r"[\w-]+\.[\w-]{14}", cursor)

    assert paths(await viewer.get("/deliveries", params={"cursor": cursor})) == ["cursor"]
    assert paths(await viewer.get("/friends", params={"cursor": cursor + "x"})) == ["cursor"]
    text, _, signature = cursor.partition(".")
    assert paths(await viewer.get("/friends", params={"cursor": f"Wzk5XQ.{signature}"})) == [
        "cursor"
    ]
    assert text


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(cursor=st.text(max_size=450))
async def test_whatever_is_given_as_a_cursor_is_refused(
    viewer: httpx2.AsyncClient, cursor: str
) -> None:
    try:
        params = httpx2.QueryParams({"cursor": cursor})
    except UnicodeEncodeError:
        return  # no client can send half a character
    response = await viewer.get("/friends", params=params)
    assert response.status_code == 422


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    value=st.binary(max_size=300).filter(lambda b: not set(b) & set(b"\r\n\0")),
    name=st.sampled_from(
        [b"If-Match", b"Idempotency-Key", b"Authorization", b"Content-Type", b"Cookie", b"Host"]
    ),
)
async def test_whatever_comes_as_a_header_never_breaks_anything(
    marketer: httpx2.AsyncClient, value: bytes, name: bytes
) -> None:
    body = {"name": "x", "messages": []}
    headers = [*marketer.headers.raw, (b"Content-Type", b"application/json")]
    headers = [pair for pair in headers if pair[0].lower() != name.lower()] + [(name, value)]
    response = await marketer.put("/messages/fuzz", json=body, headers=headers)
    assert response.status_code < 500


async def test_runs_of_jobs_page_by_slot_and_name(
    viewer: httpx2.AsyncClient, runtime: Runtime, now: datetime
) -> None:
    async with runtime.db.transaction() as session:
        session.add_all(
            JobRun(job=job, slot_at=now + timedelta(minutes=n), retry_at=now, error="Bearer abcdef")
            for n in range(3)
            for job in ("quota", "profiles")
        )

    found = await everything(viewer, "/jobs", limit=2)

    assert [(j["slot_at"], j["job"]) for j in found] == sorted(
        ((j["slot_at"], j["job"]) for j in found), reverse=True
    )
    assert len(found) == 6
    assert found[0]["error"] == "[hidden]"
    assert len((await viewer.get("/jobs?job=quota")).json()["items"]) == 3


async def test_quota_says_what_is_left(
    viewer: httpx2.AsyncClient, cast: Cast, runtime: Runtime
) -> None:
    rows = [
        {"month": "2026-10", "limited": True, "limit_value": 200, "line_usage": 250, "counted": 10},
        {"month": "2026-11", "limited": True, "limit_value": 200, "line_usage": 50, "counted": 60},
        {"month": "2026-12", "limited": False, "limit_value": 0, "line_usage": 5, "counted": 6},
    ]
    async with runtime.db.transaction() as session:
        await session.execute(table(Quota).insert(), [{"channel_id": 1, **row} for row in rows])

    found = await everything(viewer, "/quota", limit=1)

    assert [(q["month"], q["limit"], q["room"]) for q in found] == [
        ("2026-12", None, None),
        ("2026-11", 200, 140),
        ("2026-10", 200, 0),
    ]
    assert found[0]["channel_id"] == "1234567890"
    assert (await viewer.get("/quota?channel_id=1")).json()["items"] == []
