"""Linking in the chat: what is said to which word, and that LINE takes all of it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from bot import linking
from bot.handlers.linking import FAILED
from bot.linking import masked
from core.buttons import unpack
from core.clock import SimulatedClock
from core.line.messages import check_messages
from core.runtime import Runtime
from crm import policies
from crm.customers import records
from crm.customers.records import CustomerDraft
from crm.linking import links, nonces
from crm.linking.jobs import tidy_links
from crm.linking.links import Linked
from crm.linking.models import LinkAttempt, LinkNonce, MemberLink, PendingLink
from crm.linking.policy import LinkPolicy
from crm.linking.thanks import Thanks
from crm.models import Activity, Customer
from delivery.models import Delivery
from tests.bot.helpers import (
    HANA,
    KEN,
    Webhook,
    count,
    event,
    friend,
    handle,
    kinds,
    rows,
    said,
    text,
)

NUMBER = "M-000123"


@pytest.fixture
async def member(runtime: Runtime) -> int:
    """A membership that nobody has linked."""
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        made = await records.create(
            session, CustomerDraft(member_number=NUMBER), now=now, source="test"
        )
        return made.id or 0


async def linked(runtime: Runtime, webhook: Webhook, member: int) -> None:
    """Hana is the member already."""
    await webhook.bring_and_handle(text("こんにちは"))
    now = await runtime.clock.now()
    hana = await friend(runtime)
    async with runtime.db.transaction() as session:
        zone = runtime.settings.zone
        await links.link(session, hana.id, member, method="staff", now=now, zone=zone)


@pytest.mark.parametrize("word", ["連携", "会員連携", "ＬＩＮＫ", " LINE連携 "])
async def test_the_word_offers_the_ways_to_link(webhook: Webhook, word: str) -> None:
    await webhook.bring_and_handle(text(word))

    assert await said(webhook.runtime) == ["flex"]


async def test_a_shop_without_https_offers_no_pages(webhook: Webhook) -> None:
    settings = webhook.runtime.settings.model_copy(update={"allow_http_urls": False})
    object.__setattr__(webhook.runtime, "settings", settings)

    await webhook.bring_and_handle(text("連携"))

    [delivery] = await rows(webhook.runtime, Delivery)
    assert b'"uri"' not in delivery.messages
    assert "注文番号で連携".encode() in delivery.messages


async def test_who_is_linked_hears_with_whom_and_only_the_end_of_the_number(
    runtime: Runtime, webhook: Webhook, member: int
) -> None:
    await linked(runtime, webhook, member)

    await webhook.bring_and_handle(text("連携", at=5))

    answer = (await rows(runtime, Delivery))[-1]
    assert "＊＊＊＊0123".encode() in answer.messages
    assert NUMBER.encode() not in answer.messages


async def test_lines_word_links_and_what_is_said_around_it_is_the_members(
    runtime: Runtime, webhook: Webhook, member: int
) -> None:
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        nonce = await nonces.issue(session, member, now=now)

    await webhook.bring_and_handle(
        text("こんにちは"),
        event("accountLink", at=5, link={"result": "ok", "nonce": nonce}),
        text("ありがとう", at=10),
    )

    assert (await friend(runtime)).customer_id == member
    replied = [row for row in await rows(runtime, Activity) if row.kind == "replied"]
    assert [row.customer_id for row in replied] == [member, member]


@pytest.mark.parametrize(
    "link",
    [
        {"result": "ok", "nonce": "never-ours-0123456789"},
        {"result": "ok"},
        {"result": "ok", "nonce": 5},
        {},
        "ok",
        None,
    ],
)
async def test_a_word_of_lines_without_a_good_nonce_links_nobody(
    runtime: Runtime, webhook: Webhook, link: object
) -> None:
    await webhook.bring_and_handle(event("accountLink", link=link))

    assert await said(runtime) == [FAILED]
    assert await kinds(runtime) == ["link_failed"]
    assert await count(runtime, MemberLink) == 0


async def test_a_nonce_that_comes_back_twice_links_one(
    runtime: Runtime, webhook: Webhook, member: int
) -> None:
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        nonce = await nonces.issue(session, member, now=now)
    link = {"result": "ok", "nonce": nonce}

    await webhook.bring_and_handle(
        event("accountLink", HANA, link=link), event("accountLink", KEN, at=5, link=link)
    )

    assert (await friend(runtime, HANA)).customer_id == member
    assert (await friend(runtime, KEN)).customer_id != member
    assert await count(runtime, MemberLink) == 1


async def test_a_failed_link_without_a_source_burns_the_nonce_and_tells_its_friend(
    runtime: Runtime, webhook: Webhook, member: int
) -> None:
    await webhook.bring_and_handle(text("こんにちは"))
    now = await runtime.clock.now()
    hana = await friend(runtime)
    async with runtime.db.transaction() as session:
        nonce = await nonces.issue(session, member, now=now, friend_id=hana.id)
    failed = event("accountLink", None, link={"result": "failed", "nonce": nonce})
    del failed["replyToken"]

    await webhook.bring_and_handle(failed)

    async with runtime.db.transaction() as session:
        spent = await nonces.spend(session, nonce, now=now, friend_id=hana.id)
    assert spent.fault == "used"
    assert (await kinds(runtime))[-1] == "link_failed"
    last = (await rows(runtime, Delivery))[-1]
    assert (last.friend_id, last.purpose) == (hana.id, "transactional")


async def test_unlinking_who_is_not_linked_says_so(runtime: Runtime, webhook: Webhook) -> None:
    await webhook.bring_and_handle(text("連携解除"))

    assert await said(runtime) == ["このLINEは、まだ会員証と連携されていません。"]


@pytest.mark.parametrize("typed", ["20261122-0001", "12345 090-1234-5678", "abc"])
async def test_a_number_that_nobody_asked_for_is_no_order(
    runtime: Runtime, webhook: Webhook, typed: str
) -> None:
    await webhook.bring_and_handle(text(typed))

    assert await count(runtime, PendingLink) == 0
    assert (await kinds(runtime))[-1] == "replied"


@pytest.mark.parametrize("typed", ["注文番号", "注文番号:", "注文番号 A", "order 1"])
async def test_an_order_without_a_number_is_asked_for_again(
    runtime: Runtime, webhook: Webhook, typed: str
) -> None:
    await webhook.bring_and_handle(text(typed))

    assert (await said(runtime))[0].startswith("注文番号を続けて送ってください")


async def test_an_order_number_of_any_length_is_answered(
    runtime: Runtime, webhook: Webhook
) -> None:
    await webhook.bring_and_handle(text("注文番号 " + "9" * 900), text("注文番号 あ😀" * 3, at=5))

    assert len(await said(runtime)) == 2


async def test_what_serves_nobody_any_more_is_tidied_away(
    runtime: Runtime, webhook: Webhook, member: int
) -> None:
    await webhook.bring_and_handle(text("注文番号 ABC-123 090-1234-5678"))
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        await nonces.issue(session, member, now=now)
    assert await tidy_links(runtime) == 0

    assert isinstance(runtime.clock, SimulatedClock)
    await runtime.clock.move_to(now + timedelta(days=15))

    assert await tidy_links(runtime) == 3
    assert await count(runtime, LinkNonce) == await count(runtime, LinkAttempt) == 0
    [waited] = await rows(runtime, PendingLink)
    assert waited.state == "expired"


async def test_the_way_by_order_can_be_closed(runtime: Runtime, webhook: Webhook) -> None:
    now = await runtime.clock.now()
    async with runtime.db.transaction() as session:
        await policies.save(session, LinkPolicy(order=False), expected=None, now=now)

    await webhook.bring_and_handle(text("注文番号 ABC-123 090-1234-5678"))

    assert (await said(runtime))[0] == "注文番号での連携は受け付けていません。"


@pytest.mark.parametrize(
    ("number", "shown"),
    [("M-000123", "＊＊＊＊0123"), ("12345", "＊＊＊＊2345"), ("1234", "＊＊＊＊4"),
     (None, "（番号なし）"), ("", "（番号なし）")],
)  # fmt: skip
def test_of_a_member_number_only_the_end_is_shown(number: str | None, shown: str) -> None:
    assert masked(number) == shown


@given(
    number=st.none() | st.text(min_size=1, max_size=60),
    shop=st.text(max_size=100),
    points=st.integers(0, 10**9),
    coupon=st.none() | st.text(min_size=1, max_size=60),
)
def test_line_takes_every_message_whatever_names_and_numbers_are(
    number: str | None, shop: str, points: int, coupon: str | None
) -> None:
    thanks = Thanks(points, coupon) if points or coupon else None
    made = Linked(1, 2, number, new=True, thanks=thanks)
    messages = [
        linking.completed(made, shop),
        linking.already(number, "x" * 300, "y" * 300),
        linking.confirm_unlink(number, "x" * 300, "y" * 300),
    ]

    assert check_messages(messages) == []


async def test_the_buttons_hold_nothing_that_others_could_make(
    runtime: Runtime, webhook: Webhook
) -> None:
    message = linking.offer(
        runtime, LinkPolicy(), 12, datetime(2026, 11, 22, tzinfo=UTC), switching="＊＊＊＊0123"
    )

    assert check_messages([message], allow_http=True) == []
    actions = [b["action"] for b in message["contents"]["footer"]["contents"]]
    [data] = [a["data"] for a in actions if a["type"] == "postback"]
    now = await runtime.clock.now()
    assert unpack(data, [linking.AskOrder], runtime.buttons, now=now) == linking.AskOrder()
    assert await count(runtime, LinkNonce) == await count(runtime, Customer) == 0
    assert await handle(runtime) == 0
