"""The five-minute tour of the README, in a real browser against the real demo."""

import re

import aiohttp
from playwright.async_api import Page, expect

from tests.browser.demo_process import Demo, past_is_told, resident_mib
from tests.browser.windows import PATIENCE_MS, from_shop, hears, open_phone
from tests.shop import Person

YEAR = 365 * 24 * 3600


async def test_a_stranger_follows_taps_and_hears_from_the_shop_three_days_later(
    desk: Page, demo: Demo
) -> None:
    await desk.goto(demo.url)
    await desk.get_by_role("link", name="スマホを開く").click()
    await expect(desk.locator("#playing")).to_have_text("花 さんの画面", timeout=PATIENCE_MS)

    await desk.locator("#friend-add").click()
    greeting = await hears(desk, "花さん、はじめまして。")
    buttons = await hears(desk, "何をお探しですか？")
    await buttons.get_by_role("button", name="営業時間").click()
    answer = await hears(desk, "営業時間は 8:00〜20:00")
    await desk.locator("#guide").get_by_role("button", name="3日後の夜へ").click()
    evening = await hears(desk, "花さん、こんばんは。")

    await expect(greeting).to_contain_text("みなと珈琲です。")
    await expect(buttons).to_contain_text("返信・無料")
    await expect(answer).to_contain_text("返信・無料")
    await expect(evening).to_contain_text("プッシュ・1通")
    await expect(desk.locator("#clock-time")).to_have_text("19:00")
    await expect(desk.locator("#ran li").last).to_have_text(
        re.compile(r"19:00.*メッセージの送信.*\d件")
    )
    await expect(desk.locator("#guide")).to_contain_text("できました")


async def test_each_of_the_three_buttons_is_answered(
    desk: Page, demo: Demo, sakura: Person
) -> None:
    await sakura.follow()
    await open_phone(desk, demo, sakura.user_id)
    buttons = await hears(desk, "何をお探しですか？")

    await buttons.get_by_role("button", name="営業時間").click()
    await hears(desk, "水曜日はお休み")
    await buttons.get_by_role("button", name="お店の場所").click()
    await hears(desk, "みなと珈琲 馬車道店")
    await buttons.get_by_role("button", name="今月のおすすめ").click()
    carousel = await hears(desk, "港ブレンド")
    await carousel.get_by_role("button", name="淹れ方を聞く").click()
    await hears(desk, "おいしい淹れ方は")


async def test_words_are_understood_however_they_are_typed(
    desk: Page, demo: Demo, sakura: Person
) -> None:
    await sakura.follow()
    await open_phone(desk, demo, sakura.user_id)
    await hears(desk, "何をお探しですか？")

    for nth, typed in enumerate(("ﾒﾆｭｰ", "めにゅー", "ＭＥＮＵを見せて"), start=1):
        await desk.locator("#field").fill(typed)
        await desk.keyboard.press("Enter")
        answers = from_shop(desk).filter(has_text="港ブレンド")
        await expect(answers).to_have_count(nth, timeout=PATIENCE_MS)


async def test_a_sticker_a_photo_and_a_place_can_be_sent_and_a_text_taken_back(
    hand: Page, demo: Demo, sakura: Person
) -> None:
    await sakura.follow()
    await open_phone(hand, demo, sakura.user_id)
    mine = hand.locator("#messages .row-person")

    for what, nth in (("スタンプ", 1), ("写真", 2), ("位置情報", 3)):
        await hand.locator("#more").click()
        await hand.locator("dialog[open] .sheet-choice", has_text=what).click()
        if what != "写真":
            await hand.locator("dialog[open] .sheet-body button").first.click()
        await expect(mine).to_have_count(nth, timeout=PATIENCE_MS)
    await hand.locator("#field").fill("まちがえました")
    await hand.locator("#send").click()
    await mine.get_by_text("まちがえました").click(button="right")
    await hand.get_by_role("button", name="送信取消").click()

    await expect(hand.locator("#messages")).to_contain_text("送信を取り消しました")
    await expect(mine.get_by_text("まちがえました")).to_have_count(0)


async def test_who_blocks_and_comes_back_is_welcomed_back_and_not_greeted_anew(
    hand: Page, demo: Demo, sakura: Person
) -> None:
    await sakura.follow()
    await open_phone(hand, demo, sakura.user_id)
    await hears(hand, "さくらさん、はじめまして。")

    await hand.locator("#header-menu").click()
    await hand.get_by_role("button", name="ブロック").click()
    await hand.locator("#unblock").click()
    await hears(hand, "さくらさん、おかえりなさい。")

    await expect(from_shop(hand).filter(has_text="はじめまして")).to_have_count(1)


async def test_a_new_person_is_greeted_by_the_name_that_was_typed(hand: Page, demo: Demo) -> None:
    await open_phone(hand, demo)

    await hand.locator("#header-people").click()
    await hand.locator("#people-new").click()
    await hand.get_by_label("お名前").fill("もみじ")
    await hand.get_by_role("button", name="この人になる").click()
    await hand.locator("#friend-add").click()

    await hears(hand, "もみじさん、はじめまして。")


async def test_the_server_of_the_demo_stays_under_200_mib(
    demo: Demo, sakura: Person, http: aiohttp.ClientSession
) -> None:
    await past_is_told(demo)
    await sakura.follow()
    for _ in range(50):
        await sakura.say("おすすめ")
    async with http.post(f"{demo.phone_url}/simulator/clock", json={"advance_seconds": YEAR}):
        pass

    assert resident_mib(demo.children()["server"]) < 200
