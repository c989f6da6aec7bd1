"""Small talk: the shop's text rules, help, buttons, stickers, and a fallback that helps."""

from typing import Any

from bot.handlers.membership import LINK, WORDS
from bot.router import Router, any_postback, any_text, message_of, text_is
from bot.turn import Replies, Turn
from core.buttons import ButtonData, Choice, ExpiredButton, ForeignButton, unpack
from core.errors import OkaeriError
from core.text import fold
from delivery import messages, text_rules

MAX_SUGGESTIONS = 6
MAX_LABEL = 20
HELP = "ヘルプ"
RULES_PRIORITY = 50

router = Router("talk")


@router.on(any_text, priority=RULES_PRIORITY)
async def shop_rule(turn: Turn) -> Replies | None:
    """What the shop has written for this text."""
    return _by_rule(turn, turn.folded or "")


@router.on(text_is("ヘルプ", "help", "使い方", "つかいかた", "メニュー", "menu", "?"), priority=10)
async def help_(turn: Turn) -> Replies:
    """What one can ask."""
    words = [*WORDS, LINK, *_suggestions(turn)]
    lines = ["このトークでできること:", *(f"・{word}" for word in dict.fromkeys(words))]
    ask = "そのほかのお問い合わせは、このままメッセージをお送りください。"
    return _with_choices("\n".join([*lines, ask]), words)


@router.tap(Choice)
async def choice(turn: Turn, button: Choice) -> Replies | None:
    """A button that staff wrote counts as its word being typed: to the shop's rules, then to us."""
    turn.note("tapped", value=button.value)
    turn.word = button.value
    return _by_rule(turn, fold(button.value))


@router.on(any_postback, priority=-10)
async def unknown_button(turn: Turn) -> Replies:
    """A button that is not ours any more: recorded, and answered only where it was ours."""
    if turn.word is not None:  # a button of staff's, whose word nobody answers
        return []
    try:
        unpack(turn.postback or "", [], turn.runtime.buttons, now=turn.now)
    except ExpiredButton:
        return _with_choices("このボタンの期限が切れました。", [HELP])
    except ForeignButton:
        if "params" in (turn.event.get("postback") or {}):  # a rich menu switch or date of others
            return []
    return _with_choices("このボタンは今はお使いいただけません。", [HELP])


@router.on(message_of("sticker"), priority=-10)
async def sticker(turn: Turn) -> Replies:
    """A sticker gets a friendly word and a way on."""
    turn.note("replied", type="sticker")
    return _with_choices("スタンプありがとうございます😊", [*_suggestions(turn), HELP])


@router.on(message_of("image", "video", "audio", "file"), priority=-10)
async def attachment(turn: Turn) -> Replies:
    """A picture or file: staff will look; the bot cannot."""
    turn.note("replied", type=turn.message.get("type"))
    names = {"image": "写真", "video": "動画", "audio": "音声", "file": "ファイル"}
    what = names[str(turn.message.get("type"))]
    return _with_choices(f"{what}をありがとうございます。スタッフが確認いたします。", [HELP])


@router.on(message_of("location"), priority=-10)
async def location(turn: Turn) -> Replies:
    """A place."""
    turn.note("replied", type="location")
    return _with_choices("位置情報をありがとうございます。", [*_suggestions(turn), HELP])


@router.on(any_text, priority=-100)
async def fallback(turn: Turn) -> Replies:
    """Nothing matched: say so kindly and show what can be asked."""
    turn.note("replied", type="text")
    words = _suggestions(turn)
    text = "メッセージありがとうございます。スタッフが確認いたします。"
    if words:
        text += "\nお急ぎのときは、下のボタンもお使いください。"
    return _with_choices(text, [*words, HELP])


async def tapped(turn: Turn, kinds: dict[type[ButtonData], Any]) -> Replies | None:
    """The answer of whoever handles this kind of button; None when the data is not ours."""
    if turn.postback is None:
        return None
    try:
        button = unpack(turn.postback, kinds, turn.runtime.buttons, now=turn.now)
    except OkaeriError:
        return None
    replies: Replies | None = await kinds[type(button)](turn, button)
    return replies


def _by_rule(turn: Turn, folded: str) -> Replies | None:
    rule = text_rules.find(turn.rules, folded)
    if rule is None:
        return None
    turn.note("replied", type="text", rule=rule.key)
    values = messages.values_for(display_name=turn.friend.display_name, shop_name=turn.channel.name)
    return messages.fill(rule.messages, values, turn.runtime.buttons)


def _suggestions(turn: Turn) -> list[str]:
    """The first words of the shop's rules: what surely gets an answer."""
    words = [rule.words[0] for rule in turn.rules if rule.match != "regex"]
    return [word for word in dict.fromkeys(words) if len(word) <= MAX_LABEL][:MAX_SUGGESTIONS]


def _with_choices(text: str, words: list[str]) -> Replies:
    """A text with quick replies, each of which types its word."""
    items = [
        {"type": "action", "action": {"type": "message", "label": word, "text": word}}
        for word in dict.fromkeys(words)
    ]
    message: dict[str, Any] = {"type": "text", "text": text}
    return [message | {"quickReply": {"items": items}}] if items else [message]
