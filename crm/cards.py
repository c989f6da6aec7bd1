"""Member cards: the code that a card shows at the till, and the links to card and coupon pages.

A card code says who stands at the till for a moment only: it changes every 30 seconds and is taken
for two minutes, so that a picture of somebody else's card is worth nothing. Links name the friend,
not the customer: once they are unlinked, an old link shows nothing of the member any more.
"""

import re
import unicodedata
from base64 import b32decode, b32encode, urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.errors import OkaeriError
from core.sealing import Seal

STEP = timedelta(seconds=30)
ACCEPTED_STEPS = 4  # two minutes
PAGE_LIFE = timedelta(hours=12)
PICTURE_LIFE = timedelta(days=30)  # a card in the chat is looked at again weeks later

CARD, PICTURE = "card", "picture"
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−ー－", "-"))
_CODE = re.compile("OK-([0-9A-F]{1,16})-([0-9A-F]{1,12})-([A-Z2-7]{16})")
_TOKEN = re.compile(r"([0-9a-f]{1,16})\.([0-9a-f]{0,16})\.([0-9a-f]{1,12})\.([A-Za-z0-9_-]{14})")
_MAX_TOKEN = 100


class ForgedCode(OkaeriError):
    """The code or link is not one of ours."""


class ExpiredCode(OkaeriError):
    """The code or link was ours, and its time is over."""


def card_code(seal: Seal, customer_id: int, now: datetime) -> str:
    """What the card shows now: letters, digits and hyphens that fit a small QR code."""
    head = f"OK-{customer_id:X}-{_step(now):X}"
    return f"{head}-{_signature(seal, head)}"


def is_card_code(code: str) -> bool:
    """Whether somebody scanned a card's code, good or not; a member number is none."""
    return _CODE.fullmatch(_plain(code)) is not None


def open_card_code(seal: Seal, code: str, now: datetime) -> int:
    """The customer whose card was scanned. Raises `ForgedCode` or `ExpiredCode`.

    Width and case do not matter: some scanners type as a keyboard would, in Japanese.
    """
    found = _CODE.fullmatch(_plain(code))
    if found is None:
        raise ForgedCode("This is not a code of a member card.")
    head = f"OK-{found[1]}-{found[2]}"
    if not seal.signer("cards").verify(head, _as_signed(found[3])):
        raise ForgedCode("This is not a code of a member card.")
    age = _step(now) - int(found[2], 16)
    if not -1 <= age <= ACCEPTED_STEPS:  # one ahead: clocks of two servers differ a little
        raise ExpiredCode("The code of this card is too old; it changes every 30 seconds.")
    return int(found[1], 16)


def read_card_code(seal: Seal, code: str, now: datetime) -> int | None:
    """The customer whose card was scanned; None for what is forged or too old."""
    try:
        return open_card_code(seal, code, now)
    except (ForgedCode, ExpiredCode):
        return None


def changes_in(now: datetime) -> int:
    """Seconds until the card shows another code."""
    step = int(STEP.total_seconds())
    return step - int(now.timestamp()) % step


@dataclass(frozen=True, slots=True)
class Link:
    """What a link to a page or picture stands for."""

    friend_id: int
    issued_id: int | None = None


def link(
    seal: Seal, friend_id: int, *, now: datetime, issued_id: int | None = None, what: str = CARD
) -> str:
    """A token for the address of a friend's card page, coupon page (`issued_id`) or picture."""
    life = PICTURE_LIFE if what == PICTURE else PAGE_LIFE
    coupon = "" if issued_id is None else f"{issued_id:x}"
    head = f"{friend_id:x}.{coupon}.{int((now + life).timestamp()):x}"
    return f"{head}.{seal.signer(f'links:{what}').sign(head)}"


def open_link(seal: Seal, token: str, *, now: datetime, what: str = CARD) -> Link:
    """What a token stands for. Raises `ForgedCode` or `ExpiredCode`."""
    found = _TOKEN.fullmatch(token) if len(token) <= _MAX_TOKEN else None
    head = token.rpartition(".")[0]
    if found is None or not seal.signer(f"links:{what}").verify(head, found[4]):
        raise ForgedCode("This link is not one of ours.")
    if datetime.fromtimestamp(int(found[3], 16), UTC) < now:
        raise ExpiredCode("This link has expired.")
    return Link(int(found[1], 16), int(found[2], 16) if found[2] else None)


def _step(now: datetime) -> int:
    return int(now.timestamp()) // int(STEP.total_seconds())


def _plain(code: str) -> str:
    """As the code was written, however a scanner typed it; at most what a code can be long."""
    if len(code) > _MAX_TOKEN:
        return ""
    plain = unicodedata.normalize("NFKC", code.translate(_DASHES))
    return plain.translate(_DASHES).strip().upper()


def _signature(seal: Seal, head: str) -> str:
    """80 bits in letters that a QR code holds in its short form."""
    raw = urlsafe_b64decode(seal.signer("cards").sign(head) + "==")
    return b32encode(raw).decode()


def _as_signed(signature: str) -> str:
    """The signature as the signer writes it."""
    return urlsafe_b64encode(b32decode(signature)).decode().rstrip("=")
