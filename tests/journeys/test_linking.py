"""Becoming a member in LINE: by LINE's dialog, by our page, by an order; and leaving again."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from sqlalchemy import select

from bot.linking import page_url
from core.db import table
from core.runtime import Runtime
from crm import policies
from crm.customers import records
from crm.customers.records import CustomerDraft
from crm.linking import nonces
from crm.linking.models import LinkNonce, MemberLink
from crm.linking.policy import LinkPolicy
from crm.models import Activity, Customer, Friend
from crm.purchases import records as purchases
from crm.purchases.draft import PurchaseDraft
from delivery.models import Delivery
from tests.conftest import CHANNEL_ID
from tests.shop import Person, Shop

NUMBER, BIRTHDAY, PHONE = "M-000123", "19850228", "０９０ー１２３４ー５６７８"
OTHER = "M-000456"


@dataclass
class Answer:
    """What a page answered."""

    status: int
    text: str
    location: str


class Browser:
    """Opens pages of the shop as LINE's browser does, and follows no redirect by itself."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http, self.base = http, base

    async def open(self, url: str) -> Answer:
        """Look at a page."""
        return await self._ask("GET", self.here(url))

    async def send(self, url: str, **fields: str) -> Answer:
        """Send its form."""
        return await self._ask("POST", self.here(url), data=fields)

    async def go(self, url: str) -> Answer:
        """Go to another site."""
        return await self._ask("GET", url)

    def here(self, url: str) -> str:
        """The address of the server in this test."""
        return self.base + urlsplit(url).path

    async def _ask(self, method: str, url: str, **more: Any) -> Answer:
        async with self._http.request(method, url, allow_redirects=False, **more) as response:
            location = response.headers.get("location", "")
            return Answer(response.status, await response.text(), location)


@pytest.fixture
def browser(shop: Shop, shop_port: int) -> Browser:
    return Browser(shop.http, f"http://127.0.0.1:{shop_port}")


@pytest.fixture
async def members(shop: Shop) -> dict[str, int]:
    """Ken's and Mio's memberships, without LINE so far."""
    now = await shop.runtime.clock.now()
    drafts = [
        CustomerDraft(member_number=NUMBER, name="健", birthday="1985-02-28", phone=PHONE),
        CustomerDraft(member_number=OTHER, birthday="1990-04-01"),
    ]
    async with shop.runtime.db.transaction() as session:
        ids = await records.upsert(session, drafts, now=now, source="test")
    return dict(zip((NUMBER, OTHER), ids, strict=True))


@pytest.fixture
async def ken(shop: Shop, members: dict[str, int]) -> Person:
    """Ken, who follows the shop and is nobody's member yet."""
    person = await shop.new_person("健")
    await person.follow()
    await shop.work()
    return person


async def say(shop: Shop, person: Person, text: str) -> dict[str, Any]:
    """Type something and hear the answer, which costs nothing."""
    await person.say(text)
    await shop.work()
    answer = (await person.heard())[-1]
    assert answer["via"] == "reply"
    message: dict[str, Any] = answer["message"]
    return message


def buttons(message: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The actions of a bubble's buttons by their label."""
    contents = message["contents"]["footer"]["contents"]
    return {button["action"]["label"]: button["action"] for button in contents}


async def way(shop: Shop, person: Person, label: str) -> str:
    """The address behind a button of the offer."""
    return str(buttons(await say(shop, person, "連携"))[label]["uri"])


async def rows(runtime: Runtime, model: Any) -> list[Any]:
    async with runtime.db.reading() as session:
        return list(await session.execute(select(table(model)).order_by(table(model).c.id)))


async def customer_of(shop: Shop, person: Person) -> Any:
    [friend] = [f for f in await rows(shop.runtime, Friend) if f.user_id == person.user_id]
    return next(c for c in await rows(shop.runtime, Customer) if c.id == friend.customer_id)


async def kinds(shop: Shop) -> list[str]:
    return [row.kind for row in await rows(shop.runtime, Activity)]


async def save(shop: Shop, **rules: Any) -> None:
    now = await shop.runtime.clock.now()
    async with shop.runtime.db.transaction() as session:
        await policies.save(session, LinkPolicy(**rules), expected=None, now=now)


async def through_the_dialog(shop: Shop, browser: Browser, person: Person) -> str:
    """Sign in on our page; returns the address of LINE's dialog."""
    url = await way(shop, person, "LINEで確認して連携")
    assert (await browser.open(url)).status == 200
    answer = await browser.send(url, member_number=NUMBER, birthday=BIRTHDAY)
    assert answer.status == 303
    return answer.location


async def test_lines_own_dialog_links_and_answers_with_a_free_reply(
    shop: Shop, browser: Browser, ken: Person, members: dict[str, int]
) -> None:
    dialog = await through_the_dialog(shop, browser, ken)
    await browser.go(dialog.replace("https://access.line.me", shop.line_url))
    await shop.work()

    heard = (await ken.heard())[-1]
    assert heard["via"] == "reply"
    assert heard["message"]["altText"].startswith("連携が完了しました")
    assert (await customer_of(shop, ken)).id == members[NUMBER]
    assert (await kinds(shop)).count("linked") == 1
    [link] = await rows(shop.runtime, MemberLink)
    assert link.method == "account_link"


async def test_a_nonce_serves_once_and_ten_minutes(
    shop: Shop, browser: Browser, ken: Person, members: dict[str, int]
) -> None:
    dialog = await through_the_dialog(shop, browser, ken)
    [nonce] = parse_qs(urlsplit(dialog).query)["nonce"]
    assert len(nonce) >= 32
    [kept] = await rows_of_nonces(shop.runtime)
    assert nonce not in kept.nonce_hash

    now = await shop.runtime.clock.now()
    async with shop.runtime.db.transaction() as session:
        late = now + timedelta(minutes=10, seconds=1)
        assert (await nonces.spend(session, nonce, now=late, friend_id=1)).fault == "expired"
        assert (await nonces.spend(session, nonce, now=now, friend_id=1)).fault is None
        assert (await nonces.spend(session, nonce, now=now, friend_id=1)).fault == "used"

    await browser.go(dialog.replace("https://access.line.me", shop.line_url))
    await shop.work()

    assert (await ken.texts())[-1].startswith("会員連携を完了できませんでした")
    assert (await customer_of(shop, ken)).member_number is None
    assert (await kinds(shop))[-1] == "link_failed"


async def rows_of_nonces(runtime: Runtime) -> list[Any]:
    async with runtime.db.reading() as session:
        return list(await session.execute(select(table(LinkNonce))))


async def test_a_link_opened_by_another_line_account_fails_and_burns_the_nonce(
    shop: Shop, browser: Browser, ken: Person
) -> None:
    hana = await shop.new_person("花")
    dialog = await through_the_dialog(shop, browser, ken)
    url = dialog.replace("https://access.line.me", shop.line_url)

    await browser.go(f"{url}&simulator_user={hana.user_id}")
    await shop.work()

    assert (await ken.texts())[-1].startswith("会員連携を完了できませんでした")
    assert (await customer_of(shop, ken)).member_number is None
    [kept] = await rows_of_nonces(shop.runtime)
    assert kept.used_at is not None
    assert (await kinds(shop))[-1] == "link_failed"


async def test_the_shops_own_sign_in_page_gets_the_link_token_and_a_nonce_from_the_api(
    shop: Shop, browser: Browser, ken: Person, members: dict[str, int]
) -> None:
    await save(shop, sign_in_url="https://shop.example/login?from=line")
    url = await way(shop, ken, "会員サイトでログイン")

    away = await browser.open(url)

    assert away.status == 303
    assert away.location.startswith("https://shop.example/login?from=line&linkToken=")
    [token] = parse_qs(urlsplit(away.location).query)["linkToken"]
    now = await shop.runtime.clock.now()
    async with shop.runtime.db.transaction() as session:
        nonce = await nonces.issue(session, members[NUMBER], now=now)
    await browser.go(f"{shop.line_url}/dialog/bot/accountLink?linkToken={token}&nonce={nonce}")
    await shop.work()
    assert (await customer_of(shop, ken)).member_number == NUMBER


@pytest.mark.parametrize("proof", [{"birthday": "1985/2/28"}, {"phone": "+81 90-1234-5678"}])
async def test_our_page_links_at_once(
    shop: Shop, browser: Browser, ken: Person, members: dict[str, int], proof: dict[str, str]
) -> None:
    url = await way(shop, ken, "会員番号で連携")
    page = await browser.open(url)
    assert "「健」</strong>さん" in page.text

    done = await browser.send(url, member_number=" Ｍ-000123 ", **proof)

    assert done.status == 200
    assert "連携が完了しました" in done.text
    assert "＊＊＊＊0123" in done.text
    assert (await customer_of(shop, ken)).id == members[NUMBER]


WRONG = [
    {"member_number": "M-999999", "birthday": BIRTHDAY},
    {"member_number": NUMBER, "birthday": "19850301"},
    {"member_number": NUMBER, "phone": "090-0000-0000"},
    {"member_number": NUMBER, "birthday": BIRTHDAY, "phone": "090-0000-0000"},
    {"member_number": NUMBER, "birthday": "99999999"},
]


async def test_every_wrong_combination_gets_the_same_answer_and_the_sixth_is_stopped(
    shop: Shop, browser: Browser, ken: Person
) -> None:
    url = await way(shop, ken, "会員番号で連携")

    answers = [await browser.send(url, **fields) for fields in WRONG]

    assert {answer.status for answer in answers} == {422}
    shown = {re.sub(r'value="[^"]*"', "", answer.text) for answer in answers}
    assert len(shown) == 1
    right = await browser.send(url, member_number=NUMBER, birthday=BIRTHDAY)
    assert right.status == 429
    assert (await customer_of(shop, ken)).member_number is None
    await shop.travel(timedelta(hours=1, minutes=1))
    [friend] = await rows(shop.runtime, Friend)
    now = await shop.runtime.clock.now()
    url = page_url(shop.runtime, "page", friend.id, now)
    assert (await browser.send(url, member_number=NUMBER, birthday=BIRTHDAY)).status == 200


async def test_guessing_at_one_member_from_many_line_accounts_is_stopped_too(
    shop: Shop, browser: Browser, ken: Person
) -> None:
    for number in range(5):
        other = await shop.new_person(f"客{number}")
        await other.follow()
        await shop.work()
        url = await way(shop, other, "会員番号で連携")
        await browser.send(url, member_number=NUMBER, birthday="19850301")

    url = await way(shop, ken, "会員番号で連携")
    assert (await browser.send(url, member_number=NUMBER, birthday=BIRTHDAY)).status == 429


async def buy(shop: Shop, order_id: str, number: str, members: dict[str, int]) -> None:
    now = await shop.runtime.clock.now()
    draft = PurchaseDraft(
        source="shop", order_id=order_id, purchased_at=now, total=3_000,
        customer_id=members[number],
    )  # fmt: skip
    async with shop.runtime.db.transaction() as session:
        await purchases.record(session, [draft], now=now, zone=shop.runtime.settings.zone)
    shop.runtime.wakes.wake("reactions")


async def test_an_order_and_its_telephone_number_link(
    shop: Shop, ken: Person, members: dict[str, int]
) -> None:
    await buy(shop, "ABC-123", NUMBER, members)

    answer = await say(shop, ken, "注文番号 ａｂｃ-123 090-1234-5678")

    assert answer["altText"].startswith("連携が完了しました")
    customer = await customer_of(shop, ken)
    assert (customer.id, customer.purchase_count) == (members[NUMBER], 1)


async def test_an_order_number_alone_opens_nobodys_membership(
    shop: Shop, ken: Person, members: dict[str, int]
) -> None:
    await buy(shop, "ABC-123", NUMBER, members)

    ask = await say(shop, ken, "注文番号 ABC-123")
    assert ask["text"].startswith("ご本人の確認のため")
    wrong = await say(shop, ken, "注文番号 ABC-123 090-0000-0000")
    unknown = await say(shop, ken, "注文番号 ZZZ-999 090-0000-0000")

    assert wrong["text"] == unknown["text"]
    assert (await customer_of(shop, ken)).member_number is None


async def test_a_link_waits_for_its_order_and_completes_with_a_message(
    shop: Shop, ken: Person, members: dict[str, int]
) -> None:
    await save(shop, thanks_points=100)
    waits = await say(shop, ken, "注文番号：#ABC-123 090-1234-5678")
    assert "確認でき次第" in waits["text"]

    await shop.travel(timedelta(days=13))
    await buy(shop, "ABC-123", NUMBER, members)
    await shop.work()

    heard = (await ken.heard())[-1]
    assert (heard["via"], heard["message"]["altText"][:9]) == ("push", "連携が完了しました")
    assert "100ポイント" in str(heard["message"])
    assert (await customer_of(shop, ken)).id == members[NUMBER]
    sent = [row for row in await rows(shop.runtime, Delivery) if row.source[:7] == "pending"]
    assert [row.purpose for row in sent] == ["transactional"]


async def test_an_order_that_comes_too_late_links_nobody(
    shop: Shop, ken: Person, members: dict[str, int]
) -> None:
    await say(shop, ken, "注文番号 ABC-123 090-1234-5678")

    await shop.travel(timedelta(days=15))
    await buy(shop, "ABC-123", NUMBER, members)
    await shop.work()

    assert (await customer_of(shop, ken)).member_number is None


async def test_the_number_alone_is_understood_after_the_button(
    shop: Shop, ken: Person, members: dict[str, int]
) -> None:
    await save(shop, order_link="order_only")
    await buy(shop, "20261122-0001", NUMBER, members)
    action = buttons(await say(shop, ken, "連携"))["注文番号で連携"]
    await ken.tap(action)
    await shop.work()

    answer = await say(shop, ken, "20261122-0001")

    assert answer["altText"].startswith("連携が完了しました")


async def test_an_order_of_somebody_who_has_line_already_links_nobody_else(
    shop: Shop, ken: Person, members: dict[str, int]
) -> None:
    await save(shop, order_link="order_only")
    await buy(shop, "ABC-123", NUMBER, members)
    await say(shop, ken, "注文番号 ABC-123")
    thief = await shop.new_person("泥棒")
    await thief.follow()
    await shop.work()

    answer = await say(shop, thief, "注文番号 ABC-123")

    assert "確認できていません" in answer["text"]
    assert (await customer_of(shop, thief)).member_number is None


async def test_the_order_page_does_the_same(
    shop: Shop, browser: Browser, ken: Person, members: dict[str, int]
) -> None:
    await buy(shop, "ABC-123", NUMBER, members)
    ask = await say(shop, ken, "注文番号 ABC-123")
    url = ask["quickReply"]["items"][-1]["action"]["uri"]

    assert (await browser.open(url)).status == 200
    assert (await browser.send(url, order="ABC-123", proof="")).status == 422
    assert (await browser.send(url, order="ABC-123", proof="a@example.jp")).status == 202
    done = await browser.send(url, order="ABC-123", proof="09012345678")

    assert done.status == 200
    assert (await customer_of(shop, ken)).id == members[NUMBER]


async def test_unlinking_asks_first_and_leaves_everything_with_the_member(
    shop: Shop, browser: Browser, ken: Person, members: dict[str, int]
) -> None:
    await buy(shop, "ABC-123", NUMBER, members)
    await say(shop, ken, "注文番号 ABC-123 090-1234-5678")

    linked = await say(shop, ken, "連携")
    assert "＊＊＊＊0123" in linked["altText"]
    ask = await say(shop, ken, "連携解除")
    assert (await customer_of(shop, ken)).member_number == NUMBER
    await ken.tap(buttons(ask)["やめる"])
    await shop.work()
    assert (await customer_of(shop, ken)).member_number == NUMBER
    yes = buttons(ask)["解除する"]
    await ken.tap(yes)
    await shop.work()

    assert (await ken.texts())[-1].startswith("連携を解除しました")
    fresh = await customer_of(shop, ken)
    assert (fresh.member_number, fresh.purchase_count) == (None, 0)
    await ken.tap(yes)
    await shop.work()
    assert "すでに解除" in (await ken.texts())[-1]


async def test_linking_thanks_once_whatever_is_linked_later(
    shop: Shop, browser: Browser, ken: Person, members: dict[str, int]
) -> None:
    await save(shop, thanks_points=100)
    url = await way(shop, ken, "会員番号で連携")
    first = await browser.send(url, member_number=NUMBER, birthday=BIRTHDAY)
    assert "100ポイント" in first.text

    ask = await say(shop, ken, "連携解除")
    await ken.tap(buttons(ask)["解除する"])
    await shop.work()
    url = await way(shop, ken, "会員番号で連携")
    again = await browser.send(url, member_number=NUMBER, birthday=BIRTHDAY)
    other = await browser.send(url, member_number=OTHER, birthday="19900401")

    assert "ポイントを差し上げ" not in again.text + other.text
    held = {c.member_number: c.points for c in await rows(shop.runtime, Customer)}
    assert (held[NUMBER], held[OTHER]) == (100, 0)


async def test_what_a_flow_began_for_a_member_ends_for_the_friend_who_left(
    shop: Shop, browser: Browser, ken: Person, members: dict[str, int]
) -> None:
    await shop.publish(
        "key: after-link\nname: 連携のあと\ntrigger: {on: linked}\nsteps:\n"
        "  - wait: {days: 1}\n  - say: 会員さまへ\n"
    )
    await shop.publish(
        "key: goodbye\nname: 解除のあと\ntrigger: {on: unlinked}\nsteps:\n  - say: またどうぞ\n"
    )
    url = await way(shop, ken, "会員番号で連携")
    await browser.send(url, member_number=NUMBER, birthday=BIRTHDAY)
    await shop.work()
    ask = await say(shop, ken, "連携解除")
    await ken.tap(buttons(ask)["解除する"])
    await shop.work()

    await shop.travel(timedelta(days=2))
    await shop.work()

    texts = await ken.texts()
    assert "会員さまへ" not in texts
    assert "またどうぞ" in texts


async def test_a_liff_page_links_whom_line_vouches_for(
    shop: Shop, browser: Browser, ken: Person, members: dict[str, int]
) -> None:
    await save(shop, login_channel_id=CHANNEL_ID)
    url = f"{shop.line_url}/simulator/people/{ken.user_id}/id-token"
    async with shop.http.post(url, json={}) as response:
        token = (await response.json())["id_token"]
    body = {"id_token": token, "member_number": NUMBER, "birthday": BIRTHDAY}

    async def ask(**changed: str) -> tuple[int, dict[str, Any]]:
        liff = f"{browser.base}/link/liff"
        async with shop.http.post(liff, json=body | changed) as response:
            return response.status, await response.json()

    forged = await ask(id_token=token[:-2] + "xx")
    wrong = await ask(birthday="19850301")
    done = await ask()

    assert (forged[0], forged[1]["error"]) == (401, "id_token")
    assert (wrong[0], wrong[1]["error"]) == (422, "wrong")
    assert done == (200, {"linked": True, "member_number": "＊＊＊＊0123", "thanks": ""})
    assert (await customer_of(shop, ken)).id == members[NUMBER]
    await save(shop, login_channel_id="9999999999")
    assert (await ask())[0] == 401
