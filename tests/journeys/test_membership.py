"""A member's life: link, buy, see points and rank, use a coupon, return something, unlink."""

from typing import Any

import aiohttp
import pytest

from admin import tokens
from crm import cards
from crm.models import Customer, Friend
from tests.bot.helpers import rows
from tests.bot.members import actions, parts, quick, words
from tests.shop import Person, Shop

NUMBER = "MN-000123"
COUPON: dict[str, Any] = {"name": "お誕生日クーポン", "discount": {"amount": 500}, "valid_days": 30}


class Till:
    """The shop's till: it speaks to the admin API and repeats whatever had no answer."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self._http, self._url = http, f"{url}/api/v1"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """Read something."""
        url, headers = f"{self._url}/{path}", self._headers
        async with self._http.get(url, params=query, headers=headers) as response:
            return {**await response.json(), "http": response.status}

    async def send(self, method: str, path: str, key: str = "", **body: Any) -> dict[str, Any]:
        """Change something; twice, as a till does that has lost the first answer."""
        headers = self._headers | ({"Idempotency-Key": key} if key else {})
        told: dict[str, Any] = {}
        for _ in range(2 if key else 1):
            async with self._http.request(
                method, f"{self._url}/{path}", json=body, headers=headers
            ) as response:
                told = {**await response.json(), "http": response.status}
        return told


@pytest.fixture
async def till(shop: Shop, shop_port: int) -> Till:
    """With an owner's token, for it also defines coupons here."""
    now = await shop.runtime.clock.now()
    async with shop.runtime.db.transaction() as session:
        token = await tokens.create(session, name="till", role="owner", now=now)
    return Till(shop.http, f"http://127.0.0.1:{shop_port}", token)


@pytest.fixture
async def ken(shop: Shop) -> Person:
    """Ken, who has just followed."""
    person = await shop.new_person("健")
    await person.follow()
    await shop.work()
    return person


async def says(shop: Shop, person: Person, word: str) -> dict[str, Any]:
    """Type a word; returns the last message of the answer, which was a free reply."""
    await person.say(word)
    return await answer(shop, person)


async def answer(shop: Shop, person: Person) -> dict[str, Any]:
    """What came last."""
    await shop.work()
    last = (await person.heard())[-1]
    assert last["via"] == "reply"
    message: dict[str, Any] = last["message"]
    return message


async def make_member(shop: Shop, till: Till) -> dict[str, Any]:
    """Ken's record at the shop, linked to his LINE account."""
    await till.send("POST", "customers", "c", member_number=NUMBER, name="鈴木 健")
    [friend] = await rows(shop.runtime, Friend)
    linked = await till.send("POST", "links", "l", friend_id=friend.id, member_number=NUMBER)
    assert linked["http"] in {200, 201}
    await shop.work()
    return linked


async def test_from_following_to_unlinking(shop: Shop, ken: Person, till: Till) -> None:
    invited = await says(shop, ken, "会員証")
    assert "会員連携する" in actions(invited)

    linked = await make_member(shop, till)
    customer = linked["customer_id"]
    card = await says(shop, ken, "会員証")
    assert {"鈴木 健 さま", NUMBER, "レギュラー", "0"} <= set(words(card))

    # At the till the barcode is scanned, and 60,000 yen are spent: points, and gold at once.
    looked_up = await till.get("customers/lookup", code=NUMBER)
    assert looked_up["customer_id"] == customer
    now = (await shop.runtime.clock.now()).isoformat()
    bought = await till.send(
        "POST", "purchases", "p1", source="till", order_id="1", member_number=NUMBER,
        purchased_at=now, total=60_000,
        lines=[{"sku": "BEAN", "name": "豆", "quantity": 1, "unit_price": 60_000}],
    )  # fmt: skip
    assert bought["http"] in {200, 201}
    points = words(await says(shop, ken, "ポイント"))
    assert "600" in points
    assert points.count("+600") == 1
    rank = await says(shop, ken, "ランク")
    assert "ゴールド" in words(rank)
    assert "あと90,000円でプラチナ" in words(rank)

    # A coupon comes, is used once, and refused the second time.
    await till.send("PUT", "coupons/birthday-500", **COUPON)
    issued = await till.send("POST", "coupons/birthday-500/issue", "i", customer_id=customer)
    held = await says(shop, ken, "クーポン")
    await ken.tap(actions(held)["使う"])
    shown = await answer(shop, ken)
    assert issued["code"] in words(shown)
    first = await till.send("POST", "coupons/redeem", "r1", code=issued["code"], total=2_000)
    second = await till.send("POST", "coupons/redeem", "r2", code=issued["code"], total=2_000)
    assert first["http"] in {200, 201}
    assert second["http"] == 409
    assert (await says(shop, ken, "クーポン"))["text"].startswith(
        "いまお持ちのクーポンはありません"
    )

    # A refund takes its points back; the rank stays for its term.
    await till.send("POST", f"purchases/{bought['id']}/refund", "f1", amount=30_000)
    assert {"300", "-300"} <= set(words(await says(shop, ken, "ポイント")))
    assert "ゴールド" in words(await says(shop, ken, "会員証"))

    # Unlinked, he sees nothing of it; linked again, everything.
    await says(shop, ken, "連携解除")
    confirm = (await ken.heard())[-1]["message"]
    data = next(a for a in _postbacks(confirm) if a["data"].startswith("unlink."))
    await ken.tap(data)
    await answer(shop, ken)
    assert "会員連携する" in actions(await says(shop, ken, "ポイント"))
    friend = (await rows(shop.runtime, Friend))[0]
    await till.send("POST", "links", "l2", friend_id=friend.id, member_number=NUMBER)
    assert "300" in words(await says(shop, ken, "ポイント"))


async def test_the_card_page_of_the_chat_is_read_at_the_till(
    shop: Shop, ken: Person, till: Till, shop_port: int
) -> None:
    linked = await make_member(shop, till)
    card = await says(shop, ken, "会員証")
    page = actions(card)["大きく表示（QR）"]["uri"].partition("/card/")[2]

    async with shop.http.get(f"http://127.0.0.1:{shop_port}/card/{page}") as response:
        assert response.status == 200
        assert NUMBER in await response.text()
    now = await shop.runtime.clock.now()
    code = cards.card_code(shop.runtime.seal, linked["customer_id"], now)
    assert (await till.get("customers/lookup", code=code))["member_number"] == NUMBER


async def test_settings_are_kept_when_a_friend_links(shop: Shop, ken: Person, till: Till) -> None:
    shown = await says(shop, ken, "通知設定")
    await ken.tap(actions(shown)["止める"])
    await answer(shop, ken)

    await make_member(shop, till)

    assert "オフ" in (await says(shop, ken, "通知設定"))["altText"]
    [live] = [row for row in await rows(shop.runtime, Customer) if row.merged_into_id is None]
    assert live.member_number == NUMBER


async def test_the_words_below_an_answer_lead_on(shop: Shop, ken: Person, till: Till) -> None:
    await make_member(shop, till)
    seen = []
    word = "会員証"
    for _ in range(5):
        shown = await says(shop, ken, word)
        seen.append(word)
        word = next((each for each in quick(shown) if each not in seen), word)

    assert sorted(seen) == sorted(["会員証", "ポイント", "ランク", "クーポン", "通知設定"])


def _postbacks(shown: Any) -> list[dict[str, Any]]:
    return [part for part in parts(shown) if part.get("type") == "postback"]
