"""Codes and links of member cards: ours only, for a while only, however a scanner types them."""

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from core.sealing import Seal
from crm import cards
from crm.cards import ExpiredCode, ForgedCode, Link

SEAL = Seal("a-secret-key-for-tests-only")
NOW = datetime(2026, 12, 31, 14, 59, 45, tzinfo=UTC)  # the last quarter of a minute of a year


@given(st.integers(1, 2**63 - 1))
def test_a_code_leads_back_to_its_customer_and_fits_a_small_qr_code(customer_id: int) -> None:
    code = cards.card_code(SEAL, customer_id, NOW)

    assert cards.read_card_code(SEAL, code, NOW) == customer_id
    assert set(code) <= set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-")
    assert len(code) <= 60


@pytest.mark.parametrize(
    ("later", "taken"),
    [(-31, False), (-30, True), (0, True), (29, True), (149, True), (150, False), (3600, False)],
)  # fmt: skip
def test_a_code_is_taken_for_two_minutes(later: int, taken: bool) -> None:
    begin = NOW.replace(second=30)
    code = cards.card_code(SEAL, 9, begin)

    found = cards.read_card_code(SEAL, code, begin + timedelta(seconds=later))

    assert found == (9 if taken else None)


def test_a_code_changes_every_thirty_seconds() -> None:
    moments = [NOW.replace(second=0) + timedelta(seconds=s) for s in range(90)]

    codes = [cards.card_code(SEAL, 9, moment) for moment in moments]

    assert len(set(codes)) == 3
    assert codes[29] == codes[0] != codes[30]


def test_expired_is_told_apart_from_forged() -> None:
    code = cards.card_code(SEAL, 9, NOW)

    with pytest.raises(ExpiredCode):
        cards.open_card_code(SEAL, code, NOW + timedelta(minutes=3))
    with pytest.raises(ForgedCode):
        cards.open_card_code(Seal("another-secret-key"), code, NOW)


@given(st.data())
def test_a_changed_code_is_forged(data: st.DataObject) -> None:
    code = cards.card_code(SEAL, 123_456, NOW)
    at = data.draw(st.integers(0, len(code) - 1))
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."))
    changed = code[:at] + letter + code[at + 1 :]

    assert cards.read_card_code(SEAL, changed, NOW) in ({123_456} if changed == code else {None})


@given(st.text(max_size=300))
def test_whatever_is_scanned_never_breaks(text: str) -> None:
    assert cards.read_card_code(SEAL, text, NOW) is None
    assert not cards.is_card_code(text)
    with pytest.raises(ForgedCode):
        cards.open_link(SEAL, text, now=NOW)


def test_width_and_case_do_not_matter() -> None:
    code = cards.card_code(SEAL, 9, NOW)
    wide = "".join(chr(ord(c) + 0xFEE0) for c in code)

    for typed in (code.lower(), f"  {code} ", wide, wide.replace("－", "ー")):
        assert cards.read_card_code(SEAL, typed, NOW) == 9
    assert unicodedata.normalize("NFKC", wide) == code


@given(st.integers(1, 2**63 - 1), st.none() | st.integers(1, 2**63 - 1))
def test_a_link_leads_back_to_what_it_stands_for(friend_id: int, issued_id: int | None) -> None:
    token = cards.link(SEAL, friend_id, now=NOW, issued_id=issued_id)

    assert cards.open_link(SEAL, token, now=NOW) == Link(friend_id, issued_id)


def test_links_end_and_serve_one_purpose() -> None:
    page = cards.link(SEAL, 9, now=NOW)
    picture = cards.link(SEAL, 9, now=NOW, what=cards.PICTURE)

    assert cards.open_link(SEAL, page, now=NOW + cards.PAGE_LIFE).friend_id == 9
    with pytest.raises(ExpiredCode):
        cards.open_link(SEAL, page, now=NOW + cards.PAGE_LIFE + timedelta(seconds=1))
    with pytest.raises(ForgedCode):
        cards.open_link(SEAL, page, now=NOW, what=cards.PICTURE)
    with pytest.raises(ForgedCode):
        cards.open_link(SEAL, picture, now=NOW)


@pytest.mark.parametrize(("second", "left"), [(0, 30), (29, 1), (30, 30), (59, 1)])
def test_how_long_a_code_is_shown(second: int, left: int) -> None:
    assert cards.changes_in(NOW.replace(second=second)) == left
