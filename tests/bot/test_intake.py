"""Intake: a 200 means stored; whoever cannot sign changes nothing; no body hurts us."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from sqlalchemy import event as sqlalchemy_event, func, select, text as sql

from bot.intake import MAX_BODY
from bot.models import HANDLED, RECEIVED, WebhookEvent
from core.db import Database, table
from core.line.signature import sign
from core.runtime import Runtime
from crm import channels
from tests.bot.helpers import (
    HANA,
    KEN,
    Webhook,
    body,
    count,
    follow,
    handle,
    intake_of,
    kinds,
    rows,
    said,
    states,
    text,
)
from tests.conftest import CHANNEL_ID, CHANNEL_SECRET, free_port, serving
from tests.shop import Shop


@asynccontextmanager
async def a_full_disk(runtime: Runtime) -> AsyncIterator[None]:
    """What the database cannot commit while this lasts: a real refusal on each kind."""
    if runtime.db.is_sqlite:
        async with _sqlite_without_room(runtime):
            yield
        return
    await _admin(
        runtime,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$",
        "CREATE CONSTRAINT TRIGGER full_disk AFTER INSERT ON webhook_event "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    yield
    await _admin(runtime, "DROP TRIGGER full_disk ON webhook_event", "DROP FUNCTION refuse()")


@asynccontextmanager
async def _sqlite_without_room(runtime: Runtime) -> AsyncIterator[None]:
    async def limit(pages: str) -> None:
        async with runtime.db.engine.connect() as connection:
            await connection.execute(sql(f"PRAGMA max_page_count = {pages}"))

    await limit("1")  # SQLite takes the present size for the least
    yield
    await limit("1073741823")


async def _admin(runtime: Runtime, *statements: str) -> None:
    async with runtime.db.engine.begin() as connection:
        for statement in statements:
            await connection.execute(sql(statement))


def big(words: str) -> dict[str, Any]:
    """A text so long that it needs room in the file."""
    return text(words, message={"quoteToken": "q" * 20_000})


async def test_the_200_comes_only_after_another_connection_can_see_the_rows(
    runtime: Runtime,
) -> None:
    raw = body(text("こんにちは"), text("はい", KEN))
    onlooker = Database(runtime.settings)
    seen: list[tuple[int, int]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": raw}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            async with onlooker.reading() as session:
                found = await session.scalar(select(func.count()).select_from(table(WebhookEvent)))
            seen.append((message["status"], found or 0))

    headers = [(b"X-Line-Signature", sign(CHANNEL_SECRET, raw).encode())]
    scope = {"type": "http", "method": "POST", "path": f"/webhook/{CHANNEL_ID}", "headers": headers}
    await intake_of(runtime)(scope, receive, send)

    await onlooker.close()
    assert seen == [(200, 2)]


async def test_what_cannot_be_committed_gets_503_and_comes_again(
    webhook: Webhook, runtime: Runtime
) -> None:
    raw = body(big("こんにちは"))

    async with a_full_disk(runtime):
        refused = await webhook.post(raw)
    kept = await count(runtime, WebhookEvent)
    taken = await webhook.post(raw)

    assert (refused.status_code, kept) == (503, 0)
    assert taken.status_code == 200
    assert await count(runtime, WebhookEvent) == 1


async def test_line_brings_again_what_we_could_not_store_and_it_acts_once(
    shop: Shop, runtime: Runtime
) -> None:
    hana = await shop.new_person("花")

    async with a_full_disk(runtime):
        for words in ("ひとつ", "ふたつ"):
            await hana.say(words + "。" * 4_000)
        await asyncio.sleep(0.3)
        missing = await count(runtime, WebhookEvent)
    async with asyncio.timeout(30):
        while await count(runtime, WebhookEvent) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await shop.work()

    assert missing == 0
    assert set((await states(runtime)).values()) == {HANDLED}
    assert (await kinds(runtime)).count("replied") == 2
    assert len(await hana.heard()) == 2


async def test_a_connection_cut_before_the_commit_is_no_loss(
    webhook: Webhook, runtime: Runtime
) -> None:
    if runtime.db.is_sqlite:
        return
    await webhook.bring(text("まえ"))
    pid = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    await _admin(runtime, f"{pid} AND datname = current_database()")
    raw = body(text("あと"))

    answers = [(await webhook.post(raw)).status_code for _ in range(2)]

    assert answers[0] in {200, 503}
    assert answers[1] == 200
    assert await count(runtime, WebhookEvent) == 2


@pytest.mark.parametrize(
    "header",
    [{}, {"x-line-signature": ""}, {"x-line-signature": "hunter2"},
     {"x-line-signature": sign("another-secret", body(text("x")))},
     {"x-line-signature": sign("", b"")}, {"x-line-signature": "é" * 44}],
    ids=["missing", "empty", "wrong", "other secret", "empty secret", "not ascii"],
)  # fmt: skip
async def test_whoever_cannot_sign_is_refused_and_changes_nothing(
    webhook: Webhook, runtime: Runtime, header: dict[str, str]
) -> None:
    encoded = [(name.encode(), value.encode()) for name, value in header.items()]

    refused = await webhook.http.post(
        f"/webhook/{CHANNEL_ID}", content=body(text("x")), headers=encoded
    )

    assert refused.status_code == 401
    assert await count(runtime, WebhookEvent) == 0


async def test_a_signature_of_other_bytes_is_refused(webhook: Webhook, runtime: Runtime) -> None:
    raw = body(text("x"))

    for changed in (raw + b" ", raw.replace(b'"x"', b'"y"'), orjson.dumps(orjson.loads(raw),
                    option=orjson.OPT_INDENT_2)):  # fmt: skip
        headers = {"x-line-signature": sign(CHANNEL_SECRET, raw)}
        refused = await webhook.post(changed, headers=headers)
        assert refused.status_code == 401

    assert await count(runtime, WebhookEvent) == 0


@pytest.mark.parametrize(
    "raw",
    [
        b'{ "events" : [ ], "destination":"U8e742f61d673b39c7fff3cecb7536ef0" }',
        b'{"events":[],"destination":"\\u0055","x":1.0e2}\n',
        '{"events":[],"x":"\u2028か\u3099"}'.encode(),
        b"\xef\xbb\xbf" + b'{"events":[]}',
    ],
)
async def test_the_signature_is_over_the_bytes_as_they_came(webhook: Webhook, raw: bytes) -> None:
    assert (await webhook.post(raw)).status_code == 200


async def test_lines_own_test_vector_is_accepted(runtime: Runtime) -> None:
    raw = b'{"destination":"U8e742f61d673b39c7fff3cecb7536ef0","events":[]}'
    secret = "8c570fa6dd201bb328f1c1eac23a96d8"

    assert sign(secret, raw) == "GhRKmvmHys4Pi8DxkF4+EayaH0OqtJtaZxgTD9fMDLs="


async def test_the_signature_is_checked_before_the_body_is_looked_at(webhook: Webhook) -> None:
    for raw in (b"", b"not json", b"[" * 100_000):
        headers = {"x-line-signature": "hunter2"}
        assert (await webhook.post(raw, headers=headers)).status_code == 401


async def test_while_the_secret_changes_the_previous_one_still_passes(
    webhook: Webhook, runtime: Runtime
) -> None:
    changed = runtime.settings.model_copy(
        update={"line_channel_secret": type(runtime.settings.line_channel_secret)("new-secret")}
    )
    async with runtime.db.transaction() as session:
        now = await runtime.clock.now()
        assert await channels.ensure_first(session, runtime.seal, changed, now=now)
    channels.of(runtime).forget()

    answers = [
        (await webhook.post(body(text("x")), secret=secret)).status_code
        for secret in (CHANNEL_SECRET, "new-secret", "an-older-secret")
    ]

    assert answers == [200, 200, 401]


@pytest.mark.parametrize(
    "channel",
    ["9999999999", "", "1234567890/", "１２３４５６７８９０", "1234567890%00", "x" * 5_000],
)
async def test_an_unknown_channel_gets_404(webhook: Webhook, channel: str) -> None:
    assert (await webhook.post(body(), channel=channel)).status_code == 404


async def test_asking_for_many_unknown_channels_keeps_ours_known(
    webhook: Webhook, runtime: Runtime
) -> None:
    for number in range(1_100):
        assert await channels.of(runtime).find(str(number)) is None

    assert (await webhook.post(body(text("x")))).status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
async def test_only_post_is_taken(webhook: Webhook, method: str) -> None:
    answer = await webhook.http.request(method, f"/webhook/{CHANNEL_ID}")

    assert answer.status_code == 405


async def test_an_empty_list_of_events_is_lines_own_check_and_stores_nothing(
    webhook: Webhook, runtime: Runtime
) -> None:
    assert (await webhook.post(body())).status_code == 200
    assert (await webhook.post(b"{}")).status_code == 200
    assert await count(runtime, WebhookEvent) == 0


@pytest.mark.parametrize(
    "raw",
    [b"", b"not json", b"[]", b"1", b'"events"', b"null", b'{"events":', b'{"events":{}}',
     b'{"events":null}', b'{"events":"x"}', b"\xff\xfe", b'{"events":[' + b"[" * 100_000,
     b'{"events":[],"n":' + b"9" * 5_000 + b"}", b"[" * 1_000_000],
    ids=range(14),
)  # fmt: skip
async def test_what_is_no_webhook_body_gets_400(webhook: Webhook, raw: bytes) -> None:
    answer = await webhook.post(raw)

    assert answer.status_code == 400
    assert answer.json()["message"]


async def test_lines_old_connectivity_events_are_never_stored(
    webhook: Webhook, runtime: Runtime
) -> None:
    dummies = [
        {"replyToken": "0" * 32, "type": "message", "timestamp": 1513669370317,
         "source": {"type": "user", "userId": "Udeadbeefdeadbeefdeadbeefdeadbeef"},
         "message": {"id": "100001", "type": "text", "text": "Hello, world"}},
        {"replyToken": "f" * 32, "type": "message", "timestamp": 1513669370317,
         "source": {"type": "user", "userId": "Udeadbeefdeadbeefdeadbeefdeadbeef"},
         "message": {"id": "100002", "type": "sticker", "packageId": "1", "stickerId": "1"}},
    ]  # fmt: skip

    answer = await webhook.post(orjson.dumps({"events": dummies}))

    assert answer.status_code == 200
    assert await count(runtime, WebhookEvent) == 0


async def test_one_event_is_stored_and_acts_once_however_often_it_comes(
    webhook: Webhook, runtime: Runtime
) -> None:
    once = text("こんにちは")
    redelivered = once | {"deliveryContext": {"isRedelivery": True}}

    await webhook.bring(once, once)
    await webhook.bring(redelivered, text("はい", KEN))
    await handle(runtime)
    await webhook.bring_and_handle(redelivered)

    assert await count(runtime, WebhookEvent) == 2
    assert (await kinds(runtime)).count("replied") == 2
    assert len(await said(runtime)) == 2


async def test_events_without_an_id_are_told_apart_by_their_content(
    webhook: Webhook, runtime: Runtime
) -> None:
    one, other = text("ひとつ"), text("ふたつ")
    for nameless in (one, other):
        del nameless["webhookEventId"]

    await webhook.bring(one, other)
    await webhook.bring(one)

    assert await count(runtime, WebhookEvent) == 2


def padded(size: int) -> bytes:
    raw = body(text("x"))
    return raw[:-1] + b',"pad":"' + b"x" * (size - len(raw) - 9) + b'"}'


async def chunks(raw: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(raw), 65_536):
        yield raw[start : start + 65_536]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(MAX_BODY, 200), (MAX_BODY + 1, 413)])
async def test_a_body_may_have_one_mebibyte_and_no_more(
    runtime: Runtime, size: int, status: int, chunked: bool
) -> None:
    raw = padded(size)
    assert len(raw) == size
    headers = {"x-line-signature": sign(CHANNEL_SECRET, raw)}

    async with (
        serving(intake_of(runtime), free_port(), lifespan="off") as url,
        aiohttp.ClientSession() as http,
        http.post(
            f"{url}/webhook/{CHANNEL_ID}",
            data=chunks(raw) if chunked else io.BytesIO(raw),
            headers=headers,
        ) as answer,
    ):
        assert answer.status == status

    assert await count(runtime, WebhookEvent) == (1 if status == 200 else 0)


async def test_ten_times_the_size_is_answered_too(runtime: Runtime) -> None:
    async with (
        serving(intake_of(runtime), free_port(), lifespan="off") as url,
        aiohttp.ClientSession() as http,
    ):
        try:
            async with http.post(
                f"{url}/webhook/{CHANNEL_ID}", data=chunks(b"x" * (10 * MAX_BODY))
            ) as answer:
                assert answer.status == 413
        except aiohttp.ClientConnectionError:
            pass  # the server may hang up on somebody who goes on sending
        async with http.post(f"{url}/webhook/{CHANNEL_ID}", data=b"x") as answer:
            assert answer.status == 401


async def test_a_client_that_goes_away_in_the_middle_leaves_nothing(runtime: Runtime) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'{"events":', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": f"/webhook/{CHANNEL_ID}", "headers": []}
    await intake_of(runtime)(scope, receive, send)

    assert await count(runtime, WebhookEvent) == 0


async def test_requests_that_come_together_share_their_commits(
    webhook: Webhook, runtime: Runtime
) -> None:
    groups: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if "INSERT INTO webhook_event" in statement:
            groups.append(statement)

    async def one(number: int) -> int:
        return (await webhook.post(body(text(str(number))))).status_code

    engine = runtime.db.engine.sync_engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    answers = await asyncio.gather(*(one(number) for number in range(200)))
    sqlalchemy_event.remove(engine, "before_cursor_execute", note)

    assert set(answers) == {200}
    assert await count(runtime, WebhookEvent) == 200
    assert 1 <= len(groups) <= 150


async def test_one_requests_fault_is_not_the_others(webhook: Webhook, runtime: Runtime) -> None:
    bodies = [body(text(str(number))) for number in range(20)]
    bad = b'{"events":[%s]}' % body_of_depth(990)

    answers = await asyncio.gather(
        *(webhook.post(raw) for raw in [*bodies[:10], bad, *bodies[10:]])
    )

    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) >= 20
    assert statuses[10] in {200, 400}
    assert await count(runtime, WebhookEvent) >= 20


def body_of_depth(depth: int) -> bytes:
    """An event so deep that it can hardly be written again."""
    return b'{"webhookEventId":"deep","type":"x","x":' + b"[" * depth + b"]" * depth + b"}"


async def test_what_arrives_is_stored_as_it_came(webhook: Webhook, runtime: Runtime) -> None:
    sent = follow(future={"unknown": [1, None, {"ö": "🎁"}]})

    await webhook.bring(sent)

    [row] = await rows(runtime, WebhookEvent)
    assert row.payload == sent
    assert (row.type, row.timestamp, row.state) == ("follow", sent["timestamp"], RECEIVED)
    assert row.lane.endswith(HANA)
