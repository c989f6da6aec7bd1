"""Every kind of webhook body that LINE documents goes through from the door to the end."""

from typing import Any

import orjson
from linebot.v3.webhooks import Event as SdkEvent

from bot.intake import USER_ID
from bot.models import HANDLED, IGNORED, WebhookEvent
from core.runtime import Runtime
from crm.models import Activity
from tests.bot.bodies import EVENTS, SAMPLES, bodies
from tests.bot.helpers import Webhook, handle, rows

BODIES = bodies()


def events_of(raw: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(raw)["events"]
    return found


def is_of_a_person(event: dict[str, Any]) -> bool:
    source = event.get("source") or {}
    return source.get("type") == "user" and USER_ID.fullmatch(source["userId"]) is not None


def test_each_type_that_the_sdk_knows_is_among_them() -> None:
    known = SdkEvent._Event__discriminator_value_class_map  # noqa: SLF001 - its only list

    assert set(known) <= {event["type"] for event in EVENTS.values()}


def test_the_samples_of_line_are_read_where_their_folder_is() -> None:
    samples = [name for name in BODIES if name.endswith(".json")]

    assert len(samples) >= 50 or not SAMPLES.exists()


async def test_all_bodies_go_through_and_none_is_parked(webhook: Webhook, runtime: Runtime) -> None:
    for name, raw in BODIES.items():
        assert (await webhook.post(raw)).status_code == 200, name
        await handle(runtime)

    found = {row.webhook_event_id: row for row in await rows(runtime, WebhookEvent)}
    sent = {event["webhookEventId"]: event for raw in BODIES.values() for event in events_of(raw)}
    assert found.keys() == sent.keys()
    for id_, event in sent.items():
        assert found[id_].state == (HANDLED if is_of_a_person(event) else IGNORED), event
        assert found[id_].attempts == 1


async def test_the_bodies_backwards_and_twice_act_once(webhook: Webhook, runtime: Runtime) -> None:
    for raw in reversed(BODIES.values()):
        await webhook.bring(*reversed(events_of(raw)))
    await handle(runtime)
    once = await rows(runtime, Activity)
    for name, raw in BODIES.items():
        assert (await webhook.post(raw)).status_code == 200, name
    await handle(runtime)

    assert {row.state for row in await rows(runtime, WebhookEvent)} == {HANDLED, IGNORED}
    assert await rows(runtime, Activity) == once
