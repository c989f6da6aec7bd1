"""A customer's timeline in plain words: what happened, what was sent, what was not and why."""

from collections.abc import Mapping
from typing import Any

Words = tuple[str, str]  # Japanese, English

ACTIVITIES: Mapping[str, Words] = {
    "followed": ("友だちになりました", "Became a friend"),
    "blocked": ("ブロックしました", "Blocked the account"),
    "linked": ("会員連携しました", "Linked the membership"),
    "unlinked": ("会員連携を解除しました", "Unlinked the membership"),
    "link_failed": ("会員連携ができませんでした", "Could not link the membership"),
    "purchased": ("購入しました", "Bought something"),
    "refunded": ("返金しました", "Was refunded"),
    "order_placed": ("注文しました", "Placed an order"),
    "order_cancelled": ("注文が取り消されました", "An order was cancelled"),
    "shipped": ("発送しました", "An order was shipped"),
    "delivered": ("お届けしました", "An order was delivered"),
    "tag_added": ("タグがつきました", "Was given a tag"),
    "tag_removed": ("タグが外れました", "A tag was taken off"),
    "attribute_changed": ("属性が変わりました", "An attribute changed"),
    "consent_changed": ("通知設定が変わりました", "Changed what to hear of"),
    "customers_merged": ("顧客情報が統合されました", "Records were merged"),
    "merge_undone": ("統合が取り消されました", "A merge was undone"),
    "rank_changed": ("会員ランクが変わりました", "The rank changed"),
    "points_granted": ("ポイントがつきました", "Was granted points"),
    "points_spent": ("ポイントを使いました", "Spent points"),
    "points_expired": ("ポイントが失効しました", "Points expired"),
    "points_expiring": ("ポイントの期限が近づきました", "Points expire soon"),
    "points_taken_back": ("ポイントが取り消されました", "Points were taken back"),
    "points_given_back": ("使ったポイントが戻りました", "Spent points came back"),
    "coupon_issued": ("クーポンを受け取りました", "Was issued a coupon"),
    "coupon_redeemed": ("クーポンを使いました", "Used a coupon"),
    "coupon_undone": ("クーポンの利用が取り消されました", "The use of a coupon was undone"),
    "coupon_expiring": ("クーポンの期限が近づきました", "A coupon expires soon"),
    "link_clicked": ("リンクを開きました", "Opened a link"),
    "message_sent": ("メッセージを送りました", "Was sent a message"),
    "replied": ("メッセージが届きました", "Wrote to the shop"),
    "tapped": ("ボタンを押しました", "Tapped a button"),
    "answered": ("質問に答えました", "Answered a question"),
    "cart_updated": ("カートが変わりました", "Changed the cart"),
    "product_viewed": ("商品を見ました", "Looked at a product"),
    "restocked": ("商品が再入荷しました", "A product is back in stock"),
    "price_dropped": ("商品が値下げされました", "A product became cheaper"),
    "subscription_upcoming": ("定期購入の予定です", "A subscription is due"),
    "subscription_cancelled": ("定期購入をやめました", "Cancelled a subscription"),
    "birthday": ("お誕生日です", "Has a birthday"),
    "beacon_entered": ("お店の近くに来ました", "Came near the shop"),
    "video_watched": ("動画を見終わりました", "Watched a video"),
    "membership_changed": ("LINEの有料メンバーシップが変わりました", "A LINE membership changed"),
}
DELIVERIES: Mapping[str, Words] = {
    "waiting": ("配信を予定しています", "Will be sent"),
    "sending": ("配信しています", "Is being sent"),
    "sent": ("配信しました", "Was sent"),
    "suppressed": ("配信しませんでした", "Not sent"),
    "failed": ("配信できませんでした", "Could not be sent"),
    "held": ("配信を保留しています", "Held"),
}
REASONS: Mapping[str, Words] = {
    "blocked": ("ブロックされているため", "The friend has blocked the account"),
    "erased": ("個人情報を消去したため", "The person was erased"),
    "refused": ("LINEが受け付けなかったため", "LINE refused it"),
    "quota": ("今月の配信上限に達したため", "This month's limit at LINE is used up"),
    "outcome_unknown": (
        "届いたかどうか確認できないため",
        "It may have arrived; staff should look first",
    ),
    "reply_token_refused": ("返信の期限が切れたため", "The time for a free reply was over"),
    "reply_token_expired": ("返信の期限が切れたため", "The time for a free reply was over"),
    "opted_out": ("お客様が受け取らない設定のため", "The customer does not want this topic"),
    "topic_refused": ("お客様が受け取らない設定のため", "The customer does not want this topic"),
    "quiet_hours": ("配信しない時間帯のため", "Quiet hours"),
    "frequency_cap": ("配信回数の上限のため", "The limit of messages per person"),
    "too_late": ("期限を過ぎたため", "It was too late"),
}


def title(what: str, kind: str, data: Mapping[str, Any]) -> Words:
    """What an entry is, with the one detail that matters most."""
    if what == "delivery":
        return DELIVERIES.get(kind, (kind, kind))
    japanese, english = ACTIVITIES.get(kind, (kind, kind))
    detail = _detail(kind, data)
    return (f"{japanese}（{detail}）", f"{english} ({detail})") if detail else (japanese, english)


def reason(key: str | None) -> tuple[str, str] | tuple[None, None]:
    """Why a message was not sent; a reason without words of its own is told as it is."""
    if key is None:
        return None, None
    return REASONS.get(key, (key, key))


def _detail(kind: str, data: Mapping[str, Any]) -> str:
    if kind in {"tag_added", "tag_removed"}:
        return str(data.get("tag", ""))[:60]
    amount = data.get("total") if kind in {"purchased", "order_placed"} else data.get("amount")
    if kind in {"purchased", "order_placed", "refunded"} and isinstance(amount, int):
        return f"¥{amount:,}"
    points = data.get("points")
    if kind.startswith("points_") and isinstance(points, int):
        return f"{points:,}pt"
    return ""
