"""Every kind of webhook body that LINE documents goes through from the door to the end."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from bot.models import HANDLED, IGNORED, WebhookEvent
from core.runtime import Runtime
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
    return source.get("type") == "user" and "userId" in source


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


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_a_sample_alone_and_again_and_backwards_goes_through(
    webhook: Webhook, runtime: Runtime, file: Path
) -> None:
    events = events_of(file)

    await webhook.bring(*reversed(events))
    await handle(runtime)
    assert (await webhook.post(file.read_bytes())).status_code == 200
    await handle(runtime)

    found = await rows(runtime, WebhookEvent)
    assert len(found) == len({event["webhookEventId"] for event in events})
    assert {row.state for row in found} <= {HANDLED, IGNORED}
