"""The demo's pages in themselves: at phone width, in both languages, from one to the other."""

import re

from playwright.async_api import Page, expect

from tests.browser.demo_process import Demo
from tests.browser.windows import assert_usable_by_thumb, hears, open_phone
from tests.shop import Person

JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


async def test_the_start_page_fits_a_phone_and_counts_who_follows(hand: Page, demo: Demo) -> None:
    await hand.goto(demo.url)

    await assert_usable_by_thumb(hand)
    await expect(hand.locator("dl")).to_contain_text(
        re.compile(r"みなと珈琲.*ブロック中 \d+", re.S)
    )


async def test_the_phone_and_all_its_sheets_are_usable_by_thumb(
    hand: Page, demo: Demo, sakura: Person
) -> None:
    await open_phone(hand, demo, sakura.user_id)
    await assert_usable_by_thumb(hand)
    await hand.locator("#friend-add").click()
    buttons = await hears(hand, "何をお探しですか？")
    await buttons.get_by_role("button", name="今月のおすすめ").click()
    await hears(hand, "港ブレンド")
    await assert_usable_by_thumb(hand)

    for opener in ("#more", "#header-menu", "#header-people", "#header-clock"):
        await hand.locator(opener).click()
        await expect(hand.locator("dialog[open]")).to_be_visible()
        await assert_usable_by_thumb(hand)
        await hand.keyboard.press("Escape")
        await expect(hand.locator("dialog[open]")).to_have_count(0)


async def test_the_page_speaks_english_when_asked_and_remembers_it(desk: Page, demo: Demo) -> None:
    await open_phone(desk, demo)

    await desk.locator("#language").click()
    await desk.reload()

    await expect(desk.locator("html")).to_have_attribute("lang", "en")
    await expect(desk.locator("#playing")).to_have_text(re.compile("As .+"))
    words = await desk.locator("[data-t]:not(#language), #guide, #clock-kind, #ran-empty").all()
    seen = [await node.text_content() or "" for node in words]
    assert [text for text in seen if JAPANESE.search(text)] == []
    assert len(seen) > 20


async def test_the_phone_leads_to_the_start_page_and_the_docs_of_the_api(
    desk: Page, demo: Demo
) -> None:
    await open_phone(desk, demo)

    start = await desk.locator("#link-start").get_attribute("href")
    docs = await desk.locator("#link-docs").get_attribute("href")
    await desk.goto(str(docs))

    assert str(start).rstrip("/") == demo.url
    await expect(desk.locator("h1")).to_contain_text("管理API")
