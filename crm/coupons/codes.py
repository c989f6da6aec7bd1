"""Coupon codes: the generator, how a typed code is read, and pools of codes that the shop fills.

A generated code is twelve random characters (60 bits) and a check character, shown in groups as
XXXX-XXXX-XXXXX. The weighted sum of all thirteen over the field of 32 elements is zero; as the
weights differ and none is zero, one wrong character or two swapped ones never pass.
"""

import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core import bulk, logs, metrics
from core.db import table
from core.errors import Fault, Invalid
from crm.coupons.models import Coupon, CouponCode, IssuedCoupon

log = logs.get(__name__)

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
RANDOM = 12
LENGTH = RANDOM + 1
GROUPS = (4, 4, 5)
MAX_POOL_CODES = 5_000
MIN_POOL_LENGTH, MAX_POOL_LENGTH = 4, 40

_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_DASHES = str.maketrans("", "", "-‐‑‒–—―−ー_ \u3000\t")
_POLYNOMIAL = 0b100101  # x⁵ + x² + 1, primitive: its powers are all 31 elements but zero


def _times_x(value: int) -> int:
    value <<= 1
    return value ^ _POLYNOMIAL if value & 0b100000 else value


def _weighted() -> list[list[int]]:
    """For each place, each value times that place's weight; the check character has weight 1."""
    rows = [list(range(32))]
    while len(rows) < LENGTH:
        rows.append([_times_x(value) for value in rows[-1]])
    return rows[::-1]


_WEIGHTED = _weighted()
# Ten bits at a time, so that a million codes take seconds: two characters, and their share of the
# check at each pair of places.
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]
_SHARES = [
    [_WEIGHTED[place][a] ^ _WEIGHTED[place + 1][b] for a in range(32) for b in range(32)]
    for place in range(0, RANDOM, 2)
]


def generate(count: int) -> list[str]:
    """So many new codes, as they are stored: without hyphens."""
    random = secrets.token_bytes(8 * count)
    return [code_of(int.from_bytes(random[at : at + 8])) for at in range(0, 8 * count, 8)]


def code_of(number: int) -> str:
    """The code that stands for 60 random bits."""
    a, b, c = number & 1023, number >> 10 & 1023, number >> 20 & 1023
    d, e, f = number >> 30 & 1023, number >> 40 & 1023, number >> 50 & 1023
    s = _SHARES
    check = s[0][a] ^ s[1][b] ^ s[2][c] ^ s[3][d] ^ s[4][e] ^ s[5][f]
    p = _PAIRS
    return p[a] + p[b] + p[c] + p[d] + p[e] + p[f] + ALPHABET[check]


def is_whole(code: str) -> bool:
    """Whether a stored code is one of the generator's, to the last character."""
    if len(code) != LENGTH or not _VALUES.keys() >= set(code):
        return False
    return reduce(xor, (_WEIGHTED[at][_VALUES[c]] for at, c in enumerate(code))) == 0


def looks_generated(text: str) -> bool:
    """Whether a text could only be a generated code, with something mistyped in it."""
    code = compact(text)
    return len(code) == LENGTH and _VALUES.keys() >= set(code) and not is_whole(code)


def compact(text: str) -> str:
    """A code as it is stored, from however people write it: width, case, spaces, hyphens."""
    return unicodedata.normalize("NFKC", text).translate(_DASHES).strip().upper()


def shown(code: str) -> str:
    """A generated code in groups; any other as it is."""
    if not is_whole(code):
        return code
    parts, at = [], 0
    for size in GROUPS:
        parts.append(code[at : at + size])
        at += size
    return "-".join(parts)


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of codes given to a pool; duplicates as they were given."""

    added: int
    duplicates: Sequence[str]
    free: int


async def fill(session: AsyncSession, coupon: Coupon, given: Sequence[str]) -> Filled:
    """Add codes to a coupon's pool; those that are there already, anywhere, are told and left out.

    The caller has locked the coupon. Raises `Invalid` that names each code that cannot be one.
    """
    plain = [unicodedata.normalize("NFKC", code).strip() for code in given]
    _check(plain)
    first: dict[str, str] = {}
    duplicates = []
    for code, text in zip(plain, given, strict=True):
        if first.setdefault(compact(code), code) is not code:
            duplicates.append(text)
    known = await _known(session, list(first))
    duplicates += [code for key, code in first.items() if key in known]
    new = [code for key, code in first.items() if key not in known]
    await _insert(session, coupon, new)
    return Filled(len(new), duplicates, await free(session, coupon.id))


async def free(session: AsyncSession, coupon_id: int | None) -> int:
    """How many codes of a pool can still be issued."""
    code = table(CouponCode)
    query = select(func.count()).where(code.c.coupon_id == coupon_id)
    return await session.scalar(query.where(code.c.issued_coupon_id.is_(None))) or 0


def note_level(coupon: Coupon, left: int) -> None:
    """Keep the metric, and warn in the log when the pool runs low."""
    metrics.COUPON_POOL_FREE.labels(coupon.key).set(left)
    if is_low(coupon, left):
        log.warning("coupon.pool_low", coupon=coupon.key, free=left)


def is_low(coupon: Any, left: int) -> bool:  # noqa: ANN401
    """Whether the shop wants to be warned."""
    return left <= int(coupon.pool_warning)


def _check(plain: Sequence[str]) -> None:
    faults = [
        Fault(
            f"codes[{index}]",
            "has 4 to 40 letters and digits; spaces, - and _ may stand between them",
            "4〜40文字の英数字にしてください（間に空白・-・_ を使えます）",
        )
        for index, code in enumerate(plain)
        if not (len(code) <= MAX_POOL_LENGTH and len(compact(code)) >= MIN_POOL_LENGTH)
        or not (compact(code).isascii() and compact(code).isalnum() and code.isascii())
    ]
    if faults:
        raise Invalid(f"Nothing was added: {len(faults)} code(s) cannot be used.", faults[:100])


async def _known(session: AsyncSession, keys: Sequence[str]) -> set[str]:
    code, issued = table(CouponCode), table(IssuedCoupon)
    same = _compacted(code.c.code)
    pooled = await session.scalars(select(same).where(same.in_(keys)))
    given_out = select(issued.c.code).where(bulk.is_one_of(session, issued.c.code, keys))
    return {*pooled, *await session.scalars(given_out)}


def _compacted(column: ColumnElement[str]) -> ColumnElement[str]:
    """`compact` in SQL, for the characters that a pool's codes have."""
    for between in "-_ ":
        column = func.replace(column, between, "")
    return func.upper(column)


async def _insert(session: AsyncSession, coupon: Coupon, new: Sequence[str]) -> None:
    rows: list[dict[str, Any]] = [{"coupon_id": coupon.id, "code": code} for code in new]
    await bulk.insert_rows(session, table(CouponCode), rows)
