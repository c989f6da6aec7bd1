"""Button data: typed, signed, versioned, within LINE's 300 characters."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from hypothesis import assume, given, strategies as st

from core.buttons import (
    MAX_DATA,
    ButtonData,
    ButtonTooLong,
    Choice,
    ExpiredButton,
    ForeignButton,
    unpack,
)
from core.sealing import Seal

NOW = datetime(2027, 1, 10, 3, tzinfo=UTC)
SIGNER = Seal("a-secret-key-for-tests-only").signer("buttons")


class Redeem(ButtonData):
    """Use one coupon, some times."""

    kind: ClassVar[str] = "redeem"
    coupon: str
    times: int
    note: str | None = None


class NewerRedeem(Redeem):
    """The same with other fields."""

    version: ClassVar[int] = 2


class ChangedRedeem(ButtonData):
    """Somebody changed the fields and forgot the version."""

    kind: ClassVar[str] = "redeem"
    coupon: int


KINDS: list[type[ButtonData]] = [Choice, Redeem]
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)


@given(coupon=TEXTS, times=st.integers(-(2**53), 2**53), note=st.none() | TEXTS)
def test_what_is_packed_comes_back_as_it_was(coupon: str, times: int, note: str | None) -> None:
    button = Redeem(coupon=coupon, times=times, note=note)
    try:
        packed = button.pack(SIGNER)
    except ButtonTooLong:
        assume(False)

    assert unpack(packed, KINDS, SIGNER, now=NOW) == button
    assert len(packed) <= MAX_DATA
    assert packed.isascii()


def test_the_longest_that_fits_is_300_characters_and_one_more_is_refused() -> None:
    fits = next(n for n in range(300, 0, -1) if _packs("x" * n))

    assert 295 < len(Choice(value="x" * fits).pack(SIGNER)) <= 300
    with pytest.raises(ButtonTooLong) as caught:
        Choice(value="x" * (fits + 1)).pack(SIGNER)
    assert caught.value.length > 300


def _packs(value: str) -> bool:
    try:
        Choice(value=value).pack(SIGNER)
    except ButtonTooLong:
        return False
    return True


@given(st.data())
def test_not_one_character_can_be_changed(data: st.DataObject) -> None:
    packed = Redeem(coupon="birthday-500", times=1).pack(SIGNER, expires_at=NOW)
    at = data.draw(st.integers(0, len(packed) - 1))
    other = data.draw(st.sampled_from("abcXYZ019._-=あ"))
    assume(packed[at] != other)

    with pytest.raises(ForeignButton):
        unpack(packed[:at] + other + packed[at + 1 :], KINDS, SIGNER, now=NOW)


@given(st.text())
def test_anything_else_is_foreign_and_no_error(text: str) -> None:
    with pytest.raises(ForeignButton):
        unpack(text, KINDS, SIGNER, now=NOW)


@pytest.mark.parametrize(
    "foreign",
    ["", ".", "....", "action=buy&itemid=111", "a.1..e30.xxxxxxxxxxxxxx", "choice.1.zz.W10.x",
     "x" * 100_000],
)  # fmt: skip
def test_data_of_other_makers_is_foreign(foreign: str) -> None:
    with pytest.raises(ForeignButton):
        unpack(foreign, KINDS, SIGNER, now=NOW)


def test_a_button_of_another_server_is_foreign() -> None:
    stranger = Seal("another-secret-key-for-tests").signer("buttons")

    with pytest.raises(ForeignButton):
        unpack(Choice(value="ポイント").pack(stranger), KINDS, SIGNER, now=NOW)


def test_a_signature_for_something_else_is_no_button() -> None:
    links = Seal("a-secret-key-for-tests-only").signer("links")

    with pytest.raises(ForeignButton):
        unpack(Choice(value="ポイント").pack(links), KINDS, SIGNER, now=NOW)


@pytest.mark.parametrize(("after", "works"), [(-1, True), (0, True), (1, False)])
def test_a_button_works_until_its_moment(after: int, works: bool) -> None:
    packed = Choice(value="ポイント").pack(SIGNER, expires_at=NOW)
    now = NOW + timedelta(seconds=after)

    if works:
        assert unpack(packed, KINDS, SIGNER, now=now) == Choice(value="ポイント")
    else:
        with pytest.raises(ExpiredButton):
            unpack(packed, KINDS, SIGNER, now=now)


def test_a_button_without_a_moment_works_for_years() -> None:
    packed = Choice(value="ポイント").pack(SIGNER)

    assert unpack(packed, KINDS, SIGNER, now=NOW + timedelta(days=36_500))


def test_an_old_version_or_a_kind_that_is_gone_is_told_apart_from_what_we_know() -> None:
    old = Redeem(coupon="birthday-500", times=1).pack(SIGNER)

    with pytest.raises(ForeignButton, match="version 1"):
        unpack(old, [NewerRedeem], SIGNER, now=NOW)
    with pytest.raises(ForeignButton, match="'redeem'"):
        unpack(old, [Choice], SIGNER, now=NOW)


@pytest.mark.parametrize("model", [ChangedRedeem])
def test_fields_that_changed_under_the_same_version_are_no_crash(model: type[ButtonData]) -> None:
    old = Redeem(coupon="birthday-500", times=1).pack(SIGNER)

    with pytest.raises(ForeignButton, match="have changed"):
        unpack(old, [model], SIGNER, now=NOW)
