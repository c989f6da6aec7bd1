"""クーポン: what is held, as cards side by side, and the code of the one to be used now."""

from collections.abc import Sequence
from itertools import accumulate

from bot import flex
from bot.flex import Part
from bot.handlers import membership
from bot.handlers.membership import COUPONS, ShowCoupons, UseCoupon
from bot.router import Router, text_is
from bot.turn import Replies, Turn
from core.line.flex import CAROUSEL_BUBBLES, CAROUSEL_BYTES, compact_bytes
from crm import cards
from crm.coupons.held import HeldCoupon, held, until_said

router = Router("coupons")

PER_PAGE = CAROUSEL_BUBBLES - 1  # the last place is for the way to more
ROOM_BYTES = CAROUSEL_BYTES - 4_000  # which the way to more may take
MAX_CONDITION = 60
RED = "#B5302A"


@router.on(text_is("クーポン", "coupon", "coupons", "マイクーポン"), priority=10)
async def typed(turn: Turn) -> Replies:
    """By word."""
    return await show(turn)


@router.tap(ShowCoupons)
async def tapped(turn: Turn, button: ShowCoupons) -> Replies:
    """By button; further ones by `skip`."""
    return await show(turn, skip=button.skip)


async def show(turn: Turn, *, skip: int = 0) -> Replies:
    """The coupons of who asks. Friends who are not linked may hold some, too."""
    membership.asked(turn, "coupons")
    every = await held(turn.session, turn.friend.customer_id, now=turn.now)
    if every:
        return [message(turn, every, skip=skip if 0 <= skip < len(every) else 0)]
    if await membership.member(turn) is None:
        return membership.invitation(turn, COUPONS)
    words = "いまお持ちのクーポンはありません。届いたら、このトークでお知らせします。"
    return membership.plain(words, membership.others(COUPONS))


@router.tap(UseCoupon)
async def use(turn: Turn, button: UseCoupon) -> Replies:
    """The code of one coupon, for the till."""
    membership.asked(turn, "coupon")
    every = await held(turn.session, turn.friend.customer_id, now=turn.now)
    coupon = next((each for each in every if each.id == button.issued_id), None)
    if coupon is None:
        words = "このクーポンは、すでに使われたか、有効期限が切れています。"
        return membership.plain(words, [COUPONS, *membership.others(COUPONS)])
    if coupon.valid_from > turn.now:
        start = flex.day(coupon.valid_from, turn.runtime.settings.zone)
        words = f"このクーポンは{start}からお使いいただけます。"
        return membership.plain(words, [COUPONS, *membership.others(COUPONS)])
    return [shown(turn, coupon)]


def message(turn: Turn, every: Sequence[HeldCoupon], *, skip: int = 0) -> Part:
    """Up to twelve cards, or as many as have room and the way to more."""
    rest = every[skip:]
    bubbles = _that_fit([_bubble(turn, coupon) for coupon in rest[:CAROUSEL_BUBBLES]])
    if len(bubbles) < len(rest):
        bubbles = bubbles[:PER_PAGE]
        bubbles.append(_more(turn, skip + len(bubbles), len(rest) - len(bubbles)))
    return flex.message(_alt(every), flex.carousel(bubbles), membership.others(COUPONS))


def _that_fit(bubbles: Sequence[Part]) -> list[Part]:
    """As many of them, from the first, as LINE takes in one carousel."""
    sizes = accumulate((compact_bytes(bubble) or 0) + 1 for bubble in bubbles)
    return [bubble for bubble, size in zip(bubbles, sizes, strict=True) if size <= ROOM_BYTES]


def _alt(every: Sequence[HeldCoupon]) -> str:
    names = "、".join(flex.cut(each.name, 20) for each in every[:3])
    more = f"など{len(every)}枚" if len(every) > 3 else ""  # noqa: PLR2004
    return f"お持ちのクーポン：{names}{more}"


def _bubble(turn: Turn, coupon: HeldCoupon) -> Part:
    zone = turn.runtime.settings.zone
    header = flex.vertical(
        flex.text(membership.shop_name(turn), color="#FFFFFFDD", size="xxs", maxLines=1),
        flex.text(coupon.discount, color=flex.WHITE, size="lg", weight="bold", maxLines=3),
        flex.text(coupon.discount_en, color="#FFFFFFDD", size="xxs", maxLines=2),
        backgroundColor=RED, paddingAll="16px", spacing="xs",
    )  # fmt: skip
    body = flex.vertical(
        flex.text(coupon.name, weight="bold", size="md", maxLines=3),
        *(
            flex.text(flex.cut(line, MAX_CONDITION), size="xs", color=flex.SOFT, maxLines=3)
            for line in coupon.conditions[:3]
        ),
        flex.separator("md"),
        flex.text(until_said(coupon.expires_at, zone), size="sm", color=flex.WARM),
        flex.text(f"あと{coupon.uses_left:,}回使えます", size="xs", color=flex.SOFT)
        if coupon.uses_left > 1
        else None,
        spacing="sm",
    )
    action = flex.taps(
        "使う", UseCoupon(issued_id=coupon.id), turn.runtime.buttons,
        shown=f"「{flex.cut(coupon.name)}」を使う",
    )  # fmt: skip
    footer = flex.vertical(flex.button(action, "primary"))
    return flex.bubble(header=header, body=body, footer=footer, size="kilo")


def _more(turn: Turn, skip: int, left: int) -> Part:
    action = flex.taps("次のクーポンを見る", ShowCoupons(skip=skip), turn.runtime.buttons)
    body = flex.vertical(
        flex.text(f"ほかに{left}枚あります", weight="bold", align="center"),
        flex.button(action, "link"),
        justifyContent="center", spacing="md",
    )  # fmt: skip
    return flex.bubble(body=body, size="kilo")


def shown(turn: Turn, coupon: HeldCoupon) -> Part:
    """One coupon with its code, and the page whose QR code changes."""
    assert turn.friend.id is not None
    settings, zone = turn.runtime.settings, turn.runtime.settings.zone
    token = cards.link(turn.runtime.seal, turn.friend.id, now=turn.now, issued_id=coupon.id)
    until = until_said(coupon.expires_at, zone)
    body = flex.vertical(
        flex.text(coupon.name, weight="bold", size="lg", align="center", maxLines=3),
        flex.text(coupon.discount, align="center", color=RED, weight="bold"),
        flex.vertical(
            flex.text("クーポンコード Code", size="xxs", color=flex.SOFT, align="center"),
            flex.number(coupon.code, size="xl", align="center"),
            backgroundColor=flex.PALE, cornerRadius="10px", paddingAll="14px", spacing="xs",
        ),
        flex.text(until, size="sm", color=flex.WARM, align="center"),
        *(
            flex.text(flex.cut(line, MAX_CONDITION), size="xs", color=flex.SOFT, align="center")
            for line in coupon.conditions[:3]
        ),
        flex.text(
            "お会計のときに、QRコードかこのコードをお見せください。", size="xs", color=flex.SOFT,
            align="center",
        ),
        spacing="md",
    )  # fmt: skip
    page = f"{settings.public_url}/card/coupon/{token}"
    footer = flex.vertical(flex.button(flex.opens("QRコードを表示", page), "primary"))
    header = flex.heading("クーポン", "Coupon", colour=RED, above=membership.shop_name(turn))
    alt = f"{coupon.name}のコードは {coupon.code} です。{until}"
    contents = flex.bubble(header=header, body=body, footer=footer)
    return flex.message(alt, contents, [COUPONS, *membership.others(COUPONS)])
