"""What a customer's phone shows at the till: a signed token that is another one every half minute.

A screenshot of it is worth nothing two minutes later. It names the copy by our id, not by its code.
"""

import re
from datetime import datetime, timedelta

from core.sealing import Seal

ROTATES_SECONDS = 30
ACCEPTED = timedelta(minutes=2)
PURPOSE = "coupon-shown"
PREFIX = "OKC"
_TOKEN = re.compile(rf"{PREFIX}\.([0-9A-Za-z]{{1,13}})\.([0-9A-Za-z]{{1,8}})\.([\w-]{{14}})")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def show_token(seal: Seal, issued_id: int, now: datetime) -> str:
    """The token that stands for a copy in this half minute."""
    body = f"{PREFIX}.{_in_36(issued_id)}.{_in_36(_slot(now))}"
    return f"{body}.{seal.signer(PURPOSE).sign(body)}"


def is_token(text: str) -> bool:
    """Whether a scanned text looks like one of these tokens, whatever it is worth."""
    return text.strip().startswith(f"{PREFIX}.")


def read_token(seal: Seal, text: str, now: datetime) -> int | None:
    """The copy that a token stands for; None for one that is forged, or older than two minutes."""
    found = _TOKEN.fullmatch(text.strip())
    if found is None:
        return None
    body = text.strip().rpartition(".")[0]
    age = timedelta(seconds=now.timestamp() - int(found[2], 36) * ROTATES_SECONDS)
    fresh = timedelta() <= age <= ACCEPTED
    return int(found[1], 36) if seal.signer(PURPOSE).verify(body, found[3]) and fresh else None


def _slot(now: datetime) -> int:
    return int(now.timestamp()) // ROTATES_SECONDS


def _in_36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
