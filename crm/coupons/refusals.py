"""Why a coupon is not taken: each reason by name, in words for the till, Japanese first."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from core.errors import Conflict


class Refused(Conflict):
    """The coupon cannot be used; `reason` is its name, `ja` and `en` are for people to read."""

    def __init__(self, reason: str, ja: str, en: str) -> None:
        super().__init__(f"{ja}／{en}")
        self.reason, self.ja, self.en = reason, ja, en


def mistyped() -> Refused:
    """The check character does not fit."""
    return Refused(
        "mistyped",
        "クーポンコードに誤りがあります。もう一度ご確認ください。",
        "The code is mistyped; please check it.",
    )


def unknown() -> Refused:
    """No copy of this shop has this code."""
    return Refused(
        "unknown",
        "このコードのクーポンは当店にありません。コードをご確認ください。",
        "This shop has no coupon with this code.",
    )


def stale_token() -> Refused:
    """The shown picture is too old, or not ours."""
    return Refused(
        "stale_token",
        "表示されたコードの有効時間が過ぎています。お客さまの画面を開き直してください。",
        "The shown code is no longer valid; ask the customer to open it again.",
    )


def foreign() -> Refused:
    """The copy is somebody else's."""
    return Refused(
        "foreign",
        "このクーポンは別の会員さまのものです。ご本人さまのみご利用いただけます。",
        "This coupon belongs to another member.",
    )


def revoked() -> Refused:
    """The copy was taken back."""
    return Refused("revoked", "このクーポンは取り消されています。", "This coupon was revoked.")


def used(at: datetime | None, zone: ZoneInfo) -> Refused:
    """All its uses are used up; the last at this moment."""
    when = "" if at is None else f"（{_moment(at, zone)}）"
    return Refused(
        "used",
        f"このクーポンは使用済みです{when}。",
        "This coupon has been used already" + (f" ({_iso(at, zone)})." if at else "."),
    )


def sold_out() -> Refused:
    """All copies together have been used as often as the shop allows."""
    return Refused(
        "sold_out",
        "このクーポンは先着の利用回数に達したため、ご利用いただけません。",
        "This coupon has reached its number of uses in all.",
    )


def expired(expires_at: datetime, zone: ZoneInfo) -> Refused:
    """Its time is over."""
    last = expires_at - timedelta(seconds=1)
    return Refused(
        "expired",
        f"このクーポンの有効期限（{_moment(last, zone)}）は過ぎています。",
        f"This coupon expired on {_iso(last, zone)}.",
    )


def not_yet(valid_from: datetime, zone: ZoneInfo) -> Refused:
    """Its time has not come."""
    return Refused(
        "not_yet",
        f"このクーポンは{_moment(valid_from, zone)}からご利用いただけます。",
        f"This coupon is valid from {_iso(valid_from, zone)}.",
    )


def wrong_store(stores: list[str], store: str | None) -> Refused:
    """It is for other stores."""
    here = "" if store is None else f"「{store}」ではご利用いただけません。"
    return Refused(
        "wrong_store",
        f"{here}このクーポンの対象店舗は{'、'.join(stores)}です。",
        f"This coupon is for the stores {', '.join(stores)}; say which one this is."
        if store is None
        else f"This coupon cannot be used at {store}; it is for {', '.join(stores)}.",
    )


def wrong_rank(ranks: list[str]) -> Refused:
    """It is for members of other ranks."""
    return Refused(
        "wrong_rank",
        f"このクーポンは対象ランク（{'、'.join(ranks)}）の会員さま限定です。",
        f"This coupon is for members of the ranks {', '.join(ranks)}.",
    )


def below_minimum(minimum: int, total: int | None) -> Refused:
    """The order is too small, or its total was not said."""
    if total is None:
        return Refused(
            "needs_total",
            f"このクーポンは{minimum:,}円以上で使えます。お会計金額（total）を入力してください。",
            f"This coupon needs an order of ¥{minimum:,} or more; say its total.",
        )
    return Refused(
        "below_minimum",
        f"このクーポンは{minimum:,}円以上のお買い物で使えます（あと{minimum - total:,}円）。",
        f"This coupon needs an order of ¥{minimum:,} or more; ¥{minimum - total:,} are missing.",
    )


def wrong_products(*, told: bool) -> Refused:
    """None of the products is one that the coupon is for, or they were not said."""
    if not told:
        return Refused(
            "needs_lines",
            "このクーポンは対象商品のみに使えます。お買い上げの商品（lines）を入力してください。",
            "This coupon is for certain products; say the lines of the order.",
        )
    return Refused(
        "wrong_products",
        "お買い上げの商品はこのクーポンの対象ではありません。",
        "None of these products is one that this coupon is for.",
    )


def _moment(at: datetime, zone: ZoneInfo) -> str:
    here = at.astimezone(zone)
    return f"{here.year}年{here.month}月{here.day}日 {here:%H:%M}"


def _iso(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
