"""Codes: unguessable, readable, and no slip of the pen passes."""

import pytest
from hypothesis import given, settings, strategies as st

from core.errors import Invalid
from crm.coupons import codes, definition
from crm.coupons.codes import ALPHABET, compact, generate, is_whole, looks_generated, shown
from crm.coupons.models import CouponCode
from tests.crm.coupons.conftest import Shop

CODES = st.integers(0, 2**60 - 1).map(codes.code_of)


def test_generated_codes_are_whole_and_all_different() -> None:
    made = generate(20_000)

    assert len(set(made)) == 20_000
    assert all(is_whole(code) for code in made[:500])
    assert not set("".join(made)) & set("IO01")
    for place in range(12):  # each character of the alphabet at each place, about equally often
        seen = [code[place] for code in made]
        assert {seen.count(c) for c in ALPHABET} <= set(range(480, 790)), place


@settings(max_examples=40, deadline=None, derandomize=True)
@given(code=CODES)
def test_one_wrong_character_never_passes(code: str) -> None:
    for place, right in enumerate(code):
        for wrong in ALPHABET.replace(right, ""):
            assert not is_whole(code[:place] + wrong + code[place + 1 :])


@settings(max_examples=200, deadline=None, derandomize=True)
@given(code=CODES)
def test_two_swapped_characters_never_pass(code: str) -> None:
    for a in range(13):
        for b in range(a + 1, 13):
            letters = list(code)
            letters[a], letters[b] = letters[b], letters[a]
            assert is_whole("".join(letters)) == (code[a] == code[b])


WRITTEN = [
    ("ABCD-EFGH-JKLMN", "ABCDEFGHJKLMN"),
    ("abcd efgh jklmn", "ABCDEFGHJKLMN"),
    ("ＡＢＣＤ－ＥＦＧＨ－ＪＫＬＭＮ", "ABCDEFGHJKLMN"),
    ("ａｂｃｄ　ｅｆｇｈ　ｊｋｌｍｎ", "ABCDEFGHJKLMN"),
    ("  abcdーefghーjklmn\n", "ABCDEFGHJKLMN"),
    ("abcd‐efgh—jklmn", "ABCDEFGHJKLMN"),
    ("２３４５", "2345"),
    ("", ""),
]


def test_codes_are_read_however_people_write_them() -> None:
    for written, stored in WRITTEN:
        assert compact(written) == stored


def test_a_code_is_shown_in_groups_and_read_back() -> None:
    (code,) = generate(1)
    assert [len(part) for part in shown(code).split("-")] == [4, 4, 5]
    assert compact(shown(code)) == code
    assert shown("SPRING-2026") == "SPRING-2026"


def test_only_a_slip_in_a_generated_code_looks_like_one() -> None:
    (code,) = generate(1)
    other = code[:-1] + next(c for c in ALPHABET if c != code[-1])
    assert looks_generated(other)
    assert not looks_generated(code)
    assert not looks_generated("SPRING-2026")


async def fill(shop: Shop, *given: str, key: str = "pool") -> codes.Filled:
    async with shop.transaction() as session:
        coupon = await definition.find(session, key, lock=True)
        return await codes.fill(session, coupon, given)


async def test_a_pool_takes_each_code_once_whatever_its_spelling(coupons: Shop) -> None:
    await coupons.define("pool", code_source="pool")
    await coupons.define("other", code_source="pool")

    first = await fill(coupons, "AUTUMN-0001", "autumn 0002", "ＡＵＴＵＭＮ－０００３")
    again = await fill(coupons, "AUTUMN-0001", "Autumn-0003", "AUTUMN-0004", "autumn0004")
    elsewhere = await fill(coupons, "AUTUMN0002", "AUTUMN-0005", key="other")

    assert (first.added, list(first.duplicates), first.free) == (3, [], 3)
    assert (again.added, again.free) == (1, 4)
    assert sorted(again.duplicates) == ["AUTUMN-0001", "Autumn-0003", "autumn0004"]
    assert (elsewhere.added, list(elsewhere.duplicates)) == (1, ["AUTUMN0002"])


NO_CODES = ["", "abc", "---", "あいうえお", "a" * 41, "CODE;DROP", "CODE\n1", "ÄÖÜ-123"]


async def test_what_cannot_be_a_code_is_told_and_nothing_is_added(coupons: Shop) -> None:
    await coupons.define("pool", code_source="pool")

    with pytest.raises(Invalid) as caught:
        await fill(coupons, "GOOD-0001", *NO_CODES)

    assert [fault.path for fault in caught.value.faults] == [
        f"codes[{n}]" for n in range(1, len(NO_CODES) + 1)
    ]
    assert all(fault.message_ja for fault in caught.value.faults)
    assert await coupons.count(CouponCode) == 0


async def test_what_is_in_use_as_a_generated_code_is_a_duplicate(coupons: Shop, ken: int) -> None:
    await coupons.define()
    code = await coupons.copy(ken)
    await coupons.define("pool", code_source="pool")

    assert list((await fill(coupons, shown(code), "FREE-0001")).duplicates) == [shown(code)]
