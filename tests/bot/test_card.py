"""会員証, ポイント, ランク, クーポン, 通知設定 in the chat, for members and who is not linked."""

from datetime import timedelta

import pytest

from bot.handlers.membership import SetTopic, UseCoupon
from core.runtime import Runtime
from crm import cards
from crm.customers import topics
from crm.models import Activity
from crm.points import ledger
from tests.bot.helpers import HANA, KEN, Webhook, event, follow, friend, rows
from tests.bot.members import (
    NUMBER,
    actions,
    ask,
    give_coupon,
    give_points,
    make_member,
    quick,
    replies,
    tap,
    words,
)


@pytest.mark.parametrize("typed", ["会員証", "かいいんしょう", "ＣＡＲＤ", " Card "])
async def test_a_member_sees_their_card_by_word(webhook: Webhook, typed: str) -> None:
    customer_id = await make_member(webhook)
    await give_points(webhook.runtime, customer_id, 1234)

    card = await ask(webhook, typed)

    shown = words(card)
    assert {"鈴木 健 さま", NUMBER, "ゴールド", "1,234"} <= set(shown)
    assert card["altText"].endswith(f"会員番号は{NUMBER}、1,234ポイントお持ちです。")
    assert quick(card) == ["ポイント", "ランク", "クーポン", "通知設定"]


async def test_the_cards_links_open_this_friends_page_and_barcode(webhook: Webhook) -> None:
    await make_member(webhook)
    runtime, now = webhook.runtime, await webhook.runtime.clock.now()

    card = await ask(webhook, "会員証")

    page = actions(card)["大きく表示（QR）"]["uri"].rpartition("/card/")[2]
    [url] = [part["url"] for part in [card["contents"]["body"]["contents"][2]["contents"][0]]]
    picture = url.rpartition("/images/card/")[2].removesuffix(".png")
    me = (await friend(runtime)).id
    assert cards.open_link(runtime.seal, page, now=now).friend_id == me
    assert cards.open_link(runtime.seal, picture, now=now, what=cards.PICTURE).friend_id == me


async def test_a_name_that_the_shop_does_not_know_is_the_one_on_line(webhook: Webhook) -> None:
    await make_member(webhook, name=None, rank=None)

    assert "お客 さま" in words(await ask(webhook, "会員証"))


@pytest.mark.parametrize("word", ["会員証", "ポイント", "ランク", "クーポン"])
async def test_who_is_not_linked_is_invited_and_hears_what_it_gives(
    webhook: Webhook, word: str
) -> None:
    await webhook.bring_and_handle(follow())

    answer = await ask(webhook, word)

    assert words(answer)[3].startswith(f"「{word}」をご覧いただくには")
    link = actions(answer)["会員連携する"]
    assert (link["type"], link["text"]) == ("message", "連携")
    assert quick(answer) == ["連携", "通知設定"]


async def test_points_show_balance_expiry_what_waits_and_the_last_five_entries(
    webhook: Webhook,
) -> None:
    runtime = webhook.runtime
    now = await runtime.clock.now()
    customer_id = await make_member(webhook)
    for number in range(6):
        soon = now + timedelta(days=10 + number)
        await give_points(
            runtime, customer_id, 100 + number, source=f"gift:{number}", expires_at=soon,
            reason=f"贈り物{number}",
        )  # fmt: skip
    await give_points(runtime, customer_id, 7, source="later", available_at=now + timedelta(days=3))

    answer = await ask(webhook, "ポイント")

    shown = words(answer)
    assert "615" in shown  # 100 + 101 + … + 105
    assert {"100pt", "7pt"} <= set(shown)
    assert [each for each in shown if each.startswith("+")] == [
        "+105", "+104", "+103", "+102", "+101",
    ]  # fmt: skip
    until = (now + timedelta(days=10)).astimezone(runtime.settings.zone)
    assert f"{until.year}年{until.month}月{until.day}日まで" in shown
    assert "贈り物5" in shown


async def test_what_staff_wrote_of_a_correction_is_not_shown(webhook: Webhook) -> None:
    customer_id = await make_member(webhook)
    now = await webhook.runtime.clock.now()
    async with webhook.runtime.db.transaction() as session:
        await ledger.correct(
            session, customer_id, 50, reason="クレーム対応", actor="clerk", now=now, source="c:1"
        )

    shown = words(await ask(webhook, "ポイント"))

    assert "ポイント調整" in shown
    assert not any("クレーム" in each for each in shown)


async def test_points_without_any_history_are_friendly(webhook: Webhook) -> None:
    await make_member(webhook)

    shown = words(await ask(webhook, "ぽいんと"))

    assert "0" in shown
    assert any("まだ履歴がありません" in each for each in shown)


async def test_a_rank_shows_the_way_to_the_next_and_its_perks(webhook: Webhook) -> None:
    await make_member(webhook, rank="silver")

    answer = await ask(webhook, "ランク")

    shown = words(answer)
    assert "シルバー" in shown
    assert "あと50,000円でゴールド" in shown
    assert "お買い物で1.5%のポイント" in shown
    assert answer["altText"] == "会員ランクはシルバーです。あと50,000円でゴールド"


async def test_the_highest_rank_has_no_next(webhook: Webhook) -> None:
    await make_member(webhook, rank="platinum")

    assert any("最上位" in each for each in words(await ask(webhook, "ランク")))


async def test_a_coupon_is_shown_and_used_by_its_code(webhook: Webhook) -> None:
    runtime = webhook.runtime
    customer_id = await make_member(webhook)
    issued = await give_coupon(runtime, customer_id, conditions={"minimum_total": 1000})

    held = await ask(webhook, "クーポン")
    [shown] = await tap(webhook, actions(held)["使う"])

    assert {"500円引き", "お誕生日クーポン", "1,000円（税込）以上のお買い物"} <= set(words(held))
    assert held["altText"] == "お持ちのクーポン：お誕生日クーポン"
    token = actions(shown)["QRコードを表示"]["uri"].rpartition("/card/coupon/")[2]
    link = cards.open_link(runtime.seal, token, now=await runtime.clock.now())
    assert link.issued_id == issued
    code = next(each for each in words(shown) if each.count("-") == 2)
    assert code in shown["altText"]


async def test_no_coupon_is_a_friendly_word(webhook: Webhook) -> None:
    await make_member(webhook)

    answer = await ask(webhook, "クーポン")

    assert answer["text"].startswith("いまお持ちのクーポンはありません")
    assert "クーポン" not in quick(answer)


async def test_a_friend_who_is_not_linked_sees_the_coupons_that_they_hold(webhook: Webhook) -> None:
    await webhook.bring_and_handle(follow())
    await give_coupon(webhook.runtime, (await friend(webhook.runtime)).customer_id)

    assert "お誕生日クーポン" in words(await ask(webhook, "coupon"))


async def test_more_than_twelve_coupons_have_a_next_button(webhook: Webhook) -> None:
    customer_id = await make_member(webhook)
    for number in range(14):
        await give_coupon(
            webhook.runtime, customer_id, "many", reason=f"r{number}", per_customer=20,
            name="たくさん",
        )  # fmt: skip

    first = await ask(webhook, "クーポン")
    [rest] = await tap(webhook, actions(first)["次のクーポンを見る"])

    assert len(first["contents"]["contents"]) == 12
    assert "ほかに3枚あります" in words(first)
    assert len(rest["contents"]["contents"]) == 3
    assert "次のクーポンを見る" not in actions(rest)


async def test_a_coupon_of_somebody_else_is_not_shown(webhook: Webhook) -> None:
    ken = await make_member(webhook, KEN)
    issued = await give_coupon(webhook.runtime, ken)
    await webhook.bring_and_handle(follow(HANA))
    data = UseCoupon(issued_id=issued).pack(webhook.runtime.buttons)

    [answer] = await replies(webhook, event("postback", HANA, postback={"data": data}))

    assert answer["text"] == "このクーポンは、すでに使われたか、有効期限が切れています。"


async def test_a_coupon_that_is_not_good_yet_says_from_when(webhook: Webhook) -> None:
    customer_id = await make_member(webhook)
    runtime = webhook.runtime
    start = (await runtime.clock.now()) + timedelta(days=3)
    await give_coupon(runtime, customer_id, valid_from=start)

    [answer] = await tap(webhook, actions(await ask(webhook, "クーポン"))["使う"])

    local = start.astimezone(runtime.settings.zone)
    day = f"{local.year}年{local.month}月{local.day}日"
    assert answer["text"] == f"このクーポンは{day}からお使いいただけます。"


async def test_topics_are_switched_off_and_on_without_linking(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring_and_handle(follow())
    customer_id = (await friend(runtime)).customer_id

    off = await ask(webhook, "通知設定")
    first = next(action for label, action in actions(off).items() if label == "止める")
    said, changed = await tap(webhook, first)

    assert said["text"].endswith("のお届けを止めました。")
    assert "オフ" in changed["altText"]
    async with runtime.db.reading() as session:
        decisions = await topics.decisions(session, customer_id)
    assert sum(not on for on in decisions.values()) == 1
    assert "consent_changed" in [row.kind for row in await rows(runtime, Activity)]

    said, changed = await tap(webhook, actions(changed)["受け取る"])
    assert said["text"].endswith("をお届けします。")
    assert "オフ" not in changed["altText"]


async def test_a_topic_that_is_gone_says_so_and_shows_what_there_is(
    webhook: Webhook, runtime: Runtime
) -> None:
    await webhook.bring_and_handle(follow())
    data = SetTopic(topic="gone", on=False).pack(runtime.buttons)

    said, shown = await replies(webhook, event("postback", postback={"data": data}))

    assert "なくなりました" in said["text"]
    assert shown["type"] == "flex"


@pytest.mark.parametrize(
    ("typed", "about"),
    [("会員証", "card"), ("ポイント", "points"), ("ランク", "rank"), ("クーポン", "coupons"),
     ("通知設定", "topics")],
)  # fmt: skip
async def test_what_was_asked_is_an_activity(
    webhook: Webhook, runtime: Runtime, typed: str, about: str
) -> None:
    await make_member(webhook)

    await ask(webhook, typed)

    [activity] = [row for row in await rows(runtime, Activity) if row.kind == "replied"]
    assert activity.data == {"type": "text", "about": about}


async def test_the_buttons_of_the_card_lead_on(webhook: Webhook, runtime: Runtime) -> None:
    await make_member(webhook)
    card = await ask(webhook, "会員証")

    [points] = await tap(webhook, actions(card)["ポイント"])
    [again] = await tap(webhook, actions(points)["会員証を出す"])
    [rank] = await tap(webhook, actions(points)["ランク"])

    assert again["altText"] == card["altText"]
    assert rank["altText"].startswith("会員ランクは")
    tapped = [row.data["value"] for row in await rows(runtime, Activity) if row.kind == "tapped"]
    assert tapped == ["points", "card", "rank"]
