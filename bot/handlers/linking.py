"""Linking in the chat: the ways to it, orders named here, LINE's word on it, the way out."""

import re
import unicodedata

from bot import linking
from bot.linking import HELP, LINK, UNLINK, AskOrder, StartLinking
from bot.router import Router, any_text, event, text_is, text_matches
from bot.turn import Replies, Turn
from core.buttons import ButtonData
from core.errors import OkaeriError
from crm import policies
from crm.linking import links, nonces, orders, tickets
from crm.linking.links import Linked, TooManyFriends
from crm.linking.orders import Named
from crm.linking.policy import LinkPolicy

router = Router("linking")

_ORDER = re.compile(r"^\s*(?:ご?注文番号|order(?:\s*number)?)\s*:?\s*(.*)", re.I | re.S)
_BARE = re.compile(r"#?[A-Za-z0-9][A-Za-z0-9_-]{2,39}(?:\s+\S{3,100})?")
MAX_NUMBER = 40

FAILED = (
    "会員連携を完了できませんでした。リンクの有効期限が切れたか、すでに使われています。\n"
    f"お手数ですが、もう一度「{LINK}」とお送りください。"
)
TOO_MANY_TRIES = "お手続きの回数が上限に達しました。1時間ほどたってから、もう一度お試しください。"
WAITING = (
    "ご注文をまだ確認できていません。番号や電話番号などが違うか、お店に届いていない可能性があります。\n"
    "確認でき次第、自動で連携してお知らせします。違うときは、もう一度お送りください。"
)


class SwitchMember(ButtonData):
    """Show the ways to link although the friend is a member."""

    kind = "link-switch"


class AskUnlink(ButtonData):
    """Ask whether to unlink."""

    kind = "unlink-ask"


class Unlink(ButtonData):
    """Unlink from this member, and from no other one that came since."""

    kind = "unlink"
    member: int


class KeepLink(ButtonData):
    """Stay linked after all."""

    kind = "unlink-not"


@router.on(text_is(LINK, "会員連携", "LINE連携", "ID連携", "link"), priority=20)
async def show_ways(turn: Turn) -> Replies:
    """The ways to link; whoever is linked already hears with whom."""
    return await _show_ways(turn)


@router.tap(StartLinking)
async def start(turn: Turn, button: StartLinking) -> Replies:
    """An invitation to link was taken."""
    return await _show_ways(turn)


async def _show_ways(turn: Turn) -> Replies:
    member = await links.membership(turn.session, turn.friend)
    if member is None:
        return await _offer(turn)
    pack = turn.runtime.buttons
    switch, ask = SwitchMember().pack(pack), AskUnlink().pack(pack)
    return [linking.already(member.member_number, switch, ask)]


@router.tap(SwitchMember)
async def switch_member(turn: Turn, button: SwitchMember) -> Replies:
    """The ways to link, for a member who wants to be another one."""
    member = await links.membership(turn.session, turn.friend)
    shown = None if member is None else linking.masked(member.member_number)
    return await _offer(turn, switching=shown)


@router.tap(AskOrder)
async def ask_order(turn: Turn, button: AskOrder) -> Replies:
    """Ask for an order's number; what is typed next counts as one."""
    assert turn.friend.id is not None
    if button.number:  # the keyboard is open and holds the number
        return []
    await orders.expect(turn.session, turn.friend.id, now=turn.now)
    return [linking.say("注文番号を送ってください。\n例: 注文番号 ABC-12345")]


@router.on(text_matches(r"^ご?注文番号", r"^order\s+\S*\d"), priority=20)
async def order_named(turn: Turn) -> Replies:
    """An order's number, with or without what proves it."""
    found = _ORDER.match(unicodedata.normalize("NFKC", turn.text or turn.word or ""))
    number, _, proof = (found[1] if found else "").strip().partition(" ")
    return await _name_order(turn, number, proof)


@router.on(any_text, priority=15)
async def order_answered(turn: Turn) -> Replies | None:
    """A bare number, right after we asked for one."""
    typed = unicodedata.normalize("NFKC", turn.text or "").strip()
    looks = _BARE.fullmatch(typed) is not None and any(c.isdigit() for c in typed)
    assert turn.friend.id is not None
    if not looks or not await orders.expected(turn.session, turn.friend.id, now=turn.now):
        return None
    number, _, proof = typed.partition(" ")
    return await _name_order(turn, number, proof)


@router.on(event("accountLink"), priority=100)
async def account_linked(turn: Turn) -> Replies:
    """LINE says that its user has confirmed, or has not; the nonce says for which member."""
    told = turn.event.get("link")
    nonce = str(told.get("nonce", "")) if isinstance(told, dict) else ""
    confirmed = isinstance(told, dict) and told.get("result") == "ok"
    who = turn.friend.id if confirmed else None
    spent = await nonces.spend(turn.session, nonce, now=turn.now, friend_id=who)
    if spent.fault is not None or spent.customer_id is None:
        turn.note("link_failed", reason=spent.fault, method="account_link")
        return [linking.say(FAILED, LINK, HELP)]
    return await _link(turn, spent.customer_id, "account_link")


@router.on(text_is(UNLINK, "会員連携解除", "連携を解除", "unlink"), priority=20)
async def ask_unlink(turn: Turn) -> Replies:
    """Ask before unlinking."""
    return await _ask_unlink(turn)


@router.tap(AskUnlink)
async def unlink_asked(turn: Turn, button: AskUnlink) -> Replies:
    """The button beside the membership."""
    return await _ask_unlink(turn)


async def _ask_unlink(turn: Turn) -> Replies:
    member = await links.membership(turn.session, turn.friend)
    if member is None:
        return [linking.say("このLINEは、まだ会員証と連携されていません。", LINK)]
    yes = Unlink(member=member.customer_id)
    until = turn.now + tickets.LIFE
    pack = turn.runtime.buttons
    return [
        linking.confirm_unlink(
            member.member_number, yes.pack(pack, expires_at=until), KeepLink().pack(pack)
        )
    ]


@router.tap(KeepLink)
async def keep(turn: Turn, button: KeepLink) -> Replies:
    """Nothing changes."""
    return [linking.say("連携はそのままです。", "会員証", "ポイント")]


@router.tap(Unlink)
async def unlink(turn: Turn, button: Unlink) -> Replies:
    """Unlink, where the friend is still the member that the question was about."""
    member = await links.membership(turn.session, turn.friend)
    if member is None or member.customer_id != button.member:
        return [linking.say("この連携は、すでに解除されています。", LINK)]
    assert turn.friend.id is not None
    await links.unlink(turn.session, turn.friend.id, by="customer", now=turn.now)
    text = "連携を解除しました。ポイントやクーポンは会員証に残っています。"
    return [linking.say(text + f"\nまたのご利用のときは「{LINK}」とお送りください。", LINK)]


async def _offer(turn: Turn, *, switching: str | None = None) -> Replies:
    policy, _version = await policies.read(turn.session, LinkPolicy)
    assert turn.friend.id is not None
    message = linking.offer(turn.runtime, policy, turn.friend.id, turn.now, switching=switching)
    return [message]


async def _name_order(turn: Turn, number: str, proof: str) -> Replies:
    assert turn.friend.id is not None
    zone = turn.runtime.settings.zone
    number = number.lstrip("#")[:MAX_NUMBER]
    named = await orders.name(turn.session, turn.friend.id, number, proof, now=turn.now, zone=zone)
    return [_answer(turn, named, number)]


def _answer(turn: Turn, named: Named, number: str) -> dict[str, object]:
    if named.outcome == "linked" and named.linked is not None:
        return linking.completed(named.linked, turn.channel.name)
    if named.outcome == "incomplete" and len(number) >= orders.SHORTEST:
        return linking.ask_proof(turn.runtime, number, turn.friend.id or 0, turn.now)
    words = {
        "waiting": (WAITING, LINK),
        "too_many": (TOO_MANY_TRIES, HELP),
        "already": ("すでに会員証と連携されています。", "会員証", UNLINK),
        "off": ("注文番号での連携は受け付けていません。", LINK),
        "incomplete": ("注文番号を続けて送ってください。\n例: 注文番号 ABC-12345", LINK),
    }[named.outcome]
    return linking.say(words[0], *words[1:])


async def _link(turn: Turn, member_id: int, method: str) -> Replies:
    assert turn.friend.id is not None
    zone = turn.runtime.settings.zone
    try:
        linked: Linked = await links.link(
            turn.session, turn.friend.id, member_id, method=method, now=turn.now, zone=zone
        )
    except TooManyFriends as error:
        turn.note("link_failed", reason="too_many_friends", method=method)
        return [linking.say(str(error), HELP)]
    except OkaeriError:
        turn.note("link_failed", reason="gone", method=method)
        return [linking.say(FAILED, LINK, HELP)]
    return [linking.completed(linked, turn.channel.name)]
