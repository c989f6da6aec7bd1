"""What friends write is kept, in its newest form, until they take it back: then nowhere."""

import itertools

from bot.models import HANDLED, WebhookEvent
from core.runtime import Runtime
from tests.bot.helpers import (
    HANA,
    KEN,
    Webhook,
    edited,
    event,
    handle,
    rows,
    states,
    text,
    texts_of,
    unsend,
    written,
)


async def everything(runtime: Runtime) -> str:
    """All that is stored of events and messages, to look for words in."""
    events = await rows(runtime, WebhookEvent)
    return str([row.payload for row in events] + [row.content for row in await written(runtime)])


async def test_messages_are_kept_with_what_we_need_of_them(
    webhook: Webhook, runtime: Runtime
) -> None:
    sticker = {"type": "sticker", "id": "2", "packageId": "446", "stickerId": "1988"}
    place = {
        "type": "location",
        "id": "3",
        "title": "みなと珈琲",
        "latitude": 35.45,
        "longitude": 1,
    }
    file = {"type": "file", "id": "4", "fileName": "メニュー.pdf", "fileSize": 2138}

    await webhook.bring_and_handle(
        text("こんにちは"),
        *(event("message", message=m, at=n) for n, m in enumerate([sticker, place, file], 1)),
    )

    found = await written(runtime)
    assert [row.type for row in found] == ["text", "sticker", "location", "file"]
    assert [row.content for row in found] == [
        {"text": "こんにちは"}, {"packageId": "446", "stickerId": "1988"},
        {"title": "みなと珈琲", "latitude": 35.45, "longitude": 1}, {"fileName": "メニュー.pdf"},
    ]  # fmt: skip


async def test_a_message_taken_back_is_gone_from_both_tables(
    webhook: Webhook, runtime: Runtime
) -> None:
    secret = text("ひみつ")
    await webhook.bring_and_handle(secret, text("ふつう", at=1))

    await webhook.bring_and_handle(unsend(secret["message"]["id"], at=2))

    stored = await everything(runtime)
    assert "ひみつ" not in stored
    assert "ふつう" in stored
    [gone, kept] = await written(runtime)
    assert (gone.content, gone.unsent_at is not None) == ({}, True)
    assert kept.unsent_at is None


async def test_however_message_edits_and_unsend_arrive_nothing_is_left(
    webhook: Webhook, runtime: Runtime
) -> None:
    for number, order in enumerate(itertools.permutations(range(4))):
        user = f"U{number:032x}"
        first = text("ひみつ 0", user, at=0)
        id_ = first["message"]["id"]
        events = [first, edited(id_, "ひみつ 1", user, at=1), edited(id_, "ひみつ 2", user, at=2),
                  unsend(id_, user, at=3)]  # fmt: skip
        for n in order:
            await webhook.bring_and_handle(events[n])

        assert "ひみつ" not in await everything(runtime), order

    assert set((await states(runtime)).values()) == {HANDLED}
    assert {row.unsent_at is not None for row in await written(runtime)} == {True}


async def test_the_same_in_one_batch_leaves_nothing(webhook: Webhook, runtime: Runtime) -> None:
    first = text("ひみつ 0", at=0)
    id_ = first["message"]["id"]

    await webhook.bring_and_handle(
        unsend(id_, at=3), edited(id_, "ひみつ 2", at=2), first, edited(id_, "ひみつ 1", at=1)
    )

    assert "ひみつ" not in await everything(runtime)


async def test_of_several_edits_the_latest_by_time_stays_however_they_arrive(
    webhook: Webhook, runtime: Runtime
) -> None:
    for number, order in enumerate(itertools.permutations(range(3))):
        user = f"U{number:032x}"
        first = text("版 0", user, at=0)
        id_ = first["message"]["id"]
        events = [first, edited(id_, "版 1", user, at=1), edited(id_, "版 2", user, at=2)]
        for n in order:
            await webhook.bring_and_handle(events[n])

        found = (await written(runtime))[-1]
        assert found.content == {"text": "版 2"}, order
        assert found.edited_at is not None

    stored = await everything(runtime)
    assert "版 2" in stored
    assert "版 0" not in stored
    assert "版 1" not in stored


async def test_an_unsend_of_something_unknown_is_remembered(
    webhook: Webhook, runtime: Runtime
) -> None:
    message = text("ひみつ", at=1)
    await webhook.bring_and_handle(unsend(message["message"]["id"], at=2))

    await webhook.bring_and_handle(message)

    assert "ひみつ" not in await everything(runtime)
    assert len(await written(runtime)) == 1


async def test_messages_of_others_stay_when_one_is_taken_back(
    webhook: Webhook, runtime: Runtime
) -> None:
    mine, other = text("わたし"), text("けん", KEN)

    await webhook.bring(mine, other)
    await handle(runtime)
    await webhook.bring_and_handle(unsend(mine["message"]["id"], HANA, at=1))

    assert texts_of(await written(runtime)) == [None, "けん"]
    assert "けん" in await everything(runtime)
