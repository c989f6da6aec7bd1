"""Members in the chat: friends who are linked, what they hold, and what the bot shows them."""

from collections.abc import Iterator
from typing import Any

import orjson
from sqlalchemy import update

from core.db import table
from core.line.messages import check_messages
from core.runtime import Runtime
from crm.coupons import definition, issuing
from crm.coupons.definition import CouponDraft
from crm.customers import locking
from crm.models import Customer
from crm.points import ledger
from crm.points.ledger import Grant
from delivery.models import Delivery
from tests.bot.helpers import HANA, Webhook, event, follow, friend, rows, text

NUMBER = "MN-000123"


async def make_member(webhook: Webhook, user: str = HANA, **values: Any) -> int:
    """A friend whose record is a member's; returns the customer's id."""
    await webhook.bring_and_handle(follow(user))
    customer_id = int((await friend(webhook.runtime, user)).customer_id)
    fields = {"member_number": NUMBER, "name": "鈴木 健", "rank": "gold"} | values
    async with webhook.runtime.db.transaction() as session:
        change = update(table(Customer)).where(table(Customer).c.id == customer_id)
        await session.execute(change.values(fields))
    return customer_id


async def give_points(
    runtime: Runtime, customer_id: int, points: int, *, source: str = "gift", **more: Any
) -> None:
    """Grant points."""
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        await locking.lock(session, [customer_id])
        grant = Grant(customer_id, points, source, more.pop("reason", "お誕生日"), **more)
        await ledger.grant(session, [grant], now=now)


async def give_coupon(
    runtime: Runtime, customer_id: int, key: str = "birthday-500", *, reason: str = "", **draft: Any
) -> int:
    """Define a coupon and issue it; returns the issued copy's id."""
    now, zone = await runtime.clock.now(), runtime.settings.zone
    values: dict[str, Any] = {
        "name": "お誕生日クーポン", "discount": {"amount": 500}, "valid_days": 30,
    } | draft  # fmt: skip
    async with runtime.db.transaction() as session:
        wanted = CouponDraft.model_validate(values)
        await definition.save(session, key, wanted, now=now, expected=None)
        await locking.lock(session, [customer_id])
        issued = await issuing.issue(
            session, key, [customer_id], reason=reason or key, now=now, zone=zone
        )
    return issued.new[customer_id]


async def replies(webhook: Webhook, made: dict[str, Any]) -> list[dict[str, Any]]:
    """What answers an event: the messages of its one reply, which LINE would take."""
    before = len(await rows(webhook.runtime, Delivery))
    await webhook.bring_and_handle(made)
    new = (await rows(webhook.runtime, Delivery))[before:]
    assert [row.purpose for row in new] == ["answer"]
    messages: list[dict[str, Any]] = orjson.loads(new[0].messages)
    assert check_messages(messages, thorough=True, allow_http=True) == []
    return messages


async def ask(webhook: Webhook, words: str, user: str = HANA) -> dict[str, Any]:
    """Type something; returns the last message of the answer."""
    return (await replies(webhook, text(words, user)))[-1]


async def tap(webhook: Webhook, action: dict[str, Any], user: str = HANA) -> list[dict[str, Any]]:
    """Tap a button that was shown; returns the answer's messages."""
    assert action["type"] == "postback"
    return await replies(webhook, event("postback", user, postback={"data": action["data"]}))


def parts(shown: Any) -> Iterator[dict[str, Any]]:
    """Every object inside a message."""
    if isinstance(shown, dict):
        yield shown
        for value in shown.values():
            yield from parts(value)
    elif isinstance(shown, list):
        for value in shown:
            yield from parts(value)


def words(shown: dict[str, Any]) -> list[str]:
    """Every text that a Flex message shows."""
    return [part["text"] for part in parts(shown["contents"]) if part.get("type") == "text"]


def actions(shown: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What can be tapped, by label."""
    return {
        part["action"]["label"]: part["action"]
        for part in parts(shown.get("contents", {}))
        if "action" in part
    }


def quick(shown: dict[str, Any]) -> list[str]:
    """The words of the quick replies."""
    return [item["action"]["text"] for item in shown.get("quickReply", {}).get("items", [])]
