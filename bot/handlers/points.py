"""ポイント: the balance, what expires next, and the last entries."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from bot import flex
from bot.flex import Part
from bot.handlers import membership
from bot.handlers.membership import POINTS, ShowCard, ShowPoints, ShowRank
from bot.router import Router, text_is
from bot.turn import Replies, Turn
from crm.points import ledger
from crm.points.ledger import Balance
from crm.points.models import (
    CORRECT,
    EXPIRE,
    GIVE_BACK,
    GRANT,
    SETTLE,
    SPEND,
    TAKE_BACK,
    TRANSFER,
    PointEntry,
)

router = Router("points")

ENTRIES = 5
MAX_REASON = 24
# What staff wrote as the reason of a correction is theirs; customers see that it is one.
NAMES = {
    GRANT: "ポイント付与",
    SPEND: "ポイント利用",
    EXPIRE: "有効期限切れ",
    TAKE_BACK: "返品による取り消し",
    GIVE_BACK: "ご利用分の返還",
    CORRECT: "ポイント調整",
    SETTLE: "不足分の精算",
    TRANSFER: "会員情報の統合",
}


@router.on(
    text_is("ポイント", "point", "points", "ポイント残高", "残高", "ポイント照会"), priority=10
)
async def typed(turn: Turn) -> Replies:
    """By word."""
    return await show(turn)


@router.tap(ShowPoints)
async def tapped(turn: Turn, button: ShowPoints) -> Replies:
    """By button."""
    return await show(turn)


async def show(turn: Turn) -> Replies:
    """The points of who asks."""
    membership.asked(turn, "points")
    who = await membership.member(turn)
    if who is None:
        return membership.invitation(turn, POINTS)
    held = await ledger.standing(turn.session, who.customer_id, now=turn.now)
    last = await ledger.entries(turn.session, who.customer_id, ENTRIES)
    return [message(turn, held, last)]


def message(turn: Turn, held: Balance, last: Sequence[PointEntry]) -> Part:
    """Balance and entries as a message."""
    zone = turn.runtime.settings.zone
    body = flex.vertical(
        _balance(held),
        *_facts(held, zone),
        flex.separator(),
        *_history(last, zone),
        spacing="md",
    )
    signer = turn.runtime.buttons
    footer = flex.beside(
        flex.button(flex.taps("会員証を出す", ShowCard(), signer), "primary"),
        flex.button(flex.taps("ランク", ShowRank(), signer)),
        spacing="sm",
    )
    header = flex.heading("ポイント", "Points", above=membership.shop_name(turn))
    contents = flex.bubble(header=header, body=body, footer=footer)
    return flex.message(_alt(held, zone), contents, membership.others(POINTS))


def _alt(held: Balance, zone: ZoneInfo) -> str:
    alt = f"{held.points:,}ポイントお持ちです。"
    if held.next_expiry:
        end, points = held.next_expiry
        alt += f"{points:,}ポイントは{flex.last_day(end, zone)}まで使えます。"
    return alt


def _balance(held: Balance) -> Part:
    return flex.vertical(
        flex.text("ご利用いただけるポイント", color=flex.SOFT, align="center"),
        flex.box(
            "baseline",
            flex.number(f"{held.points:,}", size="3xl", align="end", color=flex.GREEN),
            flex.text("ポイント", color=flex.SOFT, margin="sm", gravity="bottom"),
        ),
        spacing="xs",
    )


def _facts(held: Balance, zone: ZoneInfo) -> list[Part]:
    parts: list[Part] = []
    if held.next_expiry:
        end, points = held.next_expiry
        when = f"{flex.last_day(end, zone)}まで"
        parts.append(flex.pair("次の有効期限", f"{points:,}pt", weight="bold"))
        parts.append(flex.text(when, size="xs", color=flex.WARM, align="end", margin="none"))
    if held.pending:
        parts.append(flex.pair("確定待ち", f"{held.pending:,}pt"))
    if held.owed:
        parts.append(flex.pair("不足分", f"{held.owed:,}pt", color=flex.WARM))
        parts.append(
            flex.text(
                "返品などで差し引ききれなかったポイントです。次に付くポイントから差し引かれます。",
                size="xs", color=flex.SOFT,
            )
        )  # fmt: skip
    return parts


def _history(last: Sequence[PointEntry], zone: ZoneInfo) -> list[Part]:
    if not last:
        words = "まだ履歴がありません。お買い物でポイントが貯まります。"
        return [flex.text(words, color=flex.SOFT)]
    title = flex.text("最近の履歴 Recent", color=flex.SOFT, size="xs")
    return [title, *(_entry(entry, zone) for entry in last)]


def _entry(entry: PointEntry, zone: ZoneInfo) -> Part:
    when = entry.occurred_at.astimezone(zone)
    what = NAMES.get(entry.kind, "ポイント")
    if entry.kind == GRANT and entry.reason.strip():
        what = flex.cut(entry.reason.partition("／")[0], MAX_REASON)  # its English is for staff
    colour = flex.GREEN if entry.delta > 0 else flex.WARM
    return flex.box(
        "baseline",
        flex.text(f"{when.month}/{when.day}", size="xs", color=flex.SOFT, flex=2, wrap=False),
        flex.text(what, flex=6, maxLines=2),
        flex.number(f"{entry.delta:+,}", align="end", flex=4, color=colour),
        spacing="sm",
    )
