"""ランク: the rank, until when it is kept, the way to the next, and its perks."""

from zoneinfo import ZoneInfo

from bot import flex
from bot.flex import Part
from bot.handlers import membership
from bot.handlers.membership import RANK, ShowCard, ShowPoints, ShowRank
from bot.router import Router, text_is
from bot.turn import Replies, Turn
from crm.ranks import review
from crm.ranks.policy import Tier
from crm.ranks.review import Standing

router = Router("rank")

MAX_PERK = 60


@router.on(text_is("ランク", "会員ランク", "ステージ", "rank"), priority=10)
async def typed(turn: Turn) -> Replies:
    """By word."""
    return await show(turn)


@router.tap(ShowRank)
async def tapped(turn: Turn, button: ShowRank) -> Replies:
    """By button."""
    return await show(turn)


async def show(turn: Turn) -> Replies:
    """The rank of who asks."""
    membership.asked(turn, "rank")
    who = await membership.member(turn)
    if who is None:
        return membership.invitation(turn, RANK)
    zone = turn.runtime.settings.zone
    held = await review.standing(turn.session, who.customer_id, now=turn.now, zone=zone)
    return [message(turn, held)]


def message(turn: Turn, held: Standing) -> Part:
    """The rank as a message."""
    zone = turn.runtime.settings.zone
    colour = held.rank.colour if held.rank else flex.GREEN
    name = held.rank.name if held.rank else "—"
    body = flex.vertical(
        flex.text(name, size="xxl", weight="bold", align="center", color=flex.readable(colour)),
        flex.text(kept(held, zone), color=flex.SOFT, align="center", size="xs"),
        *_way(held, zone),
        *_perks(held.rank),
        spacing="md",
    )
    signer = turn.runtime.buttons
    footer = flex.beside(
        flex.button(flex.taps("会員証を出す", ShowCard(), signer), "primary"),
        flex.button(flex.taps("ポイント", ShowPoints(), signer)),
        spacing="sm",
    )
    header = flex.heading("会員ランク", "Rank", colour=colour, above=membership.shop_name(turn))
    alt = f"会員ランクは{name}です。{held.hint() or ''}"
    contents = flex.bubble(header=header, body=body, footer=footer)
    return flex.message(alt, contents, membership.others(RANK))


def kept(held: Standing, zone: ZoneInfo) -> str:
    """Until when the rank is kept."""
    if held.until is None:
        return "ありがとうございます。"
    return f"{flex.last_day(held.until, zone)}までこのランクです"


def _way(held: Standing, zone: ZoneInfo) -> list[Part]:
    if held.next is None:
        return [flex.text("最上位のランクです。いつもありがとうございます。", align="center")]
    share = held.achieved / held.next.threshold
    return [
        flex.separator(),
        flex.text(held.hint() or "", weight="bold", size="md", align="center"),
        flex.bar(share, flex.readable(held.next.colour)),
        flex.beside(
            flex.text(f"いま {_amount(held, held.achieved)}", size="xs", color=flex.SOFT),
            flex.text(
                f"{held.next.name} {_amount(held, held.next.threshold)}",
                size="xs", color=flex.SOFT, align="end",
            ),
        ),
        _by_when(held, zone),
    ]  # fmt: skip


def _by_when(held: Standing, zone: ZoneInfo) -> Part:
    if held.period_end is None:
        words = "お買い物のたびに、次のランクへ近づきます。"
    else:
        words = f"いまの実績は{flex.last_day(held.period_end, zone)}まで数えられます。"
    return flex.text(words, size="xs", color=flex.SOFT, align="center")


def _amount(held: Standing, amount: int) -> str:
    return f"{amount:,}円" if held.basis == "amount" else f"{amount:,}回"


def _perks(rank: Tier | None) -> list[Part]:
    if rank is None:
        return []
    rate = f"お買い物で{rank.point_rate:g}%のポイント"
    return [
        flex.separator(),
        flex.text("このランクの特典 Your perks", size="xs", color=flex.SOFT),
        *(
            flex.box(
                "baseline",
                flex.text("★", color=flex.readable(rank.colour), flex=0),
                flex.text(flex.cut(perk, MAX_PERK), margin="md"),
            )
            for perk in (rate, *rank.perks)
        ),
    ]
