"""The demo's members on the phone: Ken's card, points, rank and coupons, and Hana's way to hers."""

from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.demo_process import Demo, everything, get, past_is_told
from tests.browser.windows import PATIENCE_MS, hears, open_phone

KEN = "MN-000002"


async def person(demo: Demo, name: str) -> str:
    """The user id of one of the featured people."""
    people = await get(f"{demo.phone_url}/simulator/people?limit=400")
    found: str = next(p["user_id"] for p in people["items"] if p["name"] == name)
    return found


async def asks(page: Page, word: str, hears_: str) -> Locator:
    """Type a word; gives the bubble of the answer."""
    await page.locator("#composer textarea, #composer input[type=text]").first.fill(word)
    await page.keyboard.press("Enter")
    return await hears(page, hears_)


@pytest.fixture
async def ken(demo: Demo, hand: Page) -> Page:
    """Ken's phone, once the shop knows of his past."""
    await past_is_told(demo)
    await open_phone(hand, demo, await person(demo, "健"))
    return hand


async def test_ken_sees_his_card_and_everything_beside_it(demo: Demo, ken: Page) -> None:
    card = await asks(ken, "会員証", "Member card")
    await expect(card).to_contain_text("鈴木 健 さま")
    await expect(card).to_contain_text("ゴールド")
    await expect(card).to_contain_text(KEN)
    barcode = card.locator("img[src*='/images/card/']")
    await expect(barcode).to_be_visible()
    assert await barcode.evaluate("picture => picture.naturalWidth") == 960

    await expect(await asks(ken, "ポイント", "次の有効期限")).to_contain_text("最近の履歴")
    await expect(await asks(ken, "ランク", "会員ランク")).to_contain_text("でプラチナ")
    coupons = await asks(ken, "クーポン", "コーヒー豆 10%引き")
    await coupons.get_by_role("button", name="使う").first.click()
    await hears(ken, "クーポンコード")
    topics = await asks(ken, "通知設定", "受け取りたいお知らせだけ")
    await topics.get_by_role("button", name="止める").first.click()
    await hears(ken, "のお届けを止めました。")


async def test_the_card_page_opens_and_its_code_is_read_at_the_till(
    demo: Demo, ken: Page, http: aiohttp.ClientSession
) -> None:
    await asks(ken, "会員証", "Member card")
    user = await person(demo, "健")
    chat = await get(f"{demo.phone_url}/simulator/people/{user}/chat")
    found = _addresses(chat["messages"], f"{demo.url}/card/")
    [*_, address] = [each for each in found if "/card/coupon/" not in each]

    await ken.goto(address)

    await expect(ken.get_by_role("heading", name="会員証")).to_be_visible(timeout=PATIENCE_MS)
    await expect(ken.locator("#live svg")).to_be_visible()
    await ken.evaluate("live.querySelector('svg').remove(); renew()")
    await expect(ken.locator("#live svg")).to_be_visible()
    await expect(ken.locator("img.barcode")).to_be_visible()
    assert await ken.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    told = await get(f"{demo.url}/api/v1/customers/lookup?code={KEN}", token=demo.token)
    assert (told["name"], told["rank"]["key"]) == ("鈴木 健", "gold")


async def test_the_sample_shops_members_add_up(demo: Demo) -> None:
    await past_is_told(demo)

    members = [c for c in await everything(demo, "customers") if c["member_number"]]
    linked = await everything(demo, "customers?linked=true")

    assert len(members) > 250
    assert len(linked) > 140
    assert {"gold", "silver", "regular"} <= {member["rank"] for member in members}
    assert all(member["points"] >= 0 for member in members)


async def test_hana_is_told_how_to_link(demo: Demo, desk: Page) -> None:
    await open_phone(desk, demo, await person(demo, "花"))

    line = desk.locator(".person-about", has_text="会員番号 MN-000001 誕生日 1998-04-12")

    await expect(line).to_be_visible()


def _addresses(shown: Any, begin: str) -> Iterator[str]:
    if isinstance(shown, dict):
        if str(shown.get("uri", "")).startswith(begin):
            yield shown["uri"]
        for value in shown.values():
            yield from _addresses(value, begin)
    elif isinstance(shown, list):
        for value in shown:
            yield from _addresses(value, begin)
