"""Every kind of webhook body that LINE documents goes through from the door to the end."""

from pathlib import Path
from typing import Any

import orjson

from bot.intake import USER_ID
from bot.models import HANDLED, IGNORED, WebhookEvent
from core.runtime import Runtime
from crm.models import Activity
from tests.bot.helpers import Webhook, handle, rows

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "line" / "webhook-samples"
FILES = sorted(SAMPLES.glob("*.json"))


def test_the_samples_are_here() -> None:
    assert len(FILES) >= 50, f"no webhook samples in {SAMPLES.name}"


def events_of(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(file.read_bytes())["events"]
    return found


def is_of_a_person(event: dict[str, Any]) -> bool:
    source = event.get("source") or {}
    return source.get("type") == "user" and USER_ID.fullmatch(source["userId"]) is not None


async def test_all_samples_go_through_and_none_is_parked(
    webhook: Webhook, runtime: Runtime
) -> None:
    for file in FILES:
        assert (await webhook.post(file.read_bytes())).status_code == 200, file.name
        await handle(runtime)

    found = {row.webhook_event_id: row for row in await rows(runtime, WebhookEvent)}
    sent = {event["webhookEventId"]: event for file in FILES for event in events_of(file)}
    assert found.keys() == sent.keys()
    for id_, event in sent.items():
        assert found[id_].state == (HANDLED if is_of_a_person(event) else IGNORED), event
        assert found[id_].attempts == 1


async def test_the_samples_backwards_and_twice_act_once(webhook: Webhook, runtime: Runtime) -> None:
    for file in reversed(FILES):
        await webhook.bring(*reversed(events_of(file)))
    await handle(runtime)
    once = await rows(runtime, Activity)
    for file in FILES:
        assert (await webhook.post(file.read_bytes())).status_code == 200, file.name
    await handle(runtime)

    assert {row.state for row in await rows(runtime, WebhookEvent)} == {HANDLED, IGNORED}
    assert await rows(runtime, Activity) == once
