"""Contact data: whatever the width, one form; what cannot be read is refused in two languages."""

from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given, settings, strategies as st

from crm.customers import contact, tags

TODAY = date(2026, 11, 22)
KEPT: list[tuple[Callable[[str], str], str, str]] = [
    (contact.phone, "090-1234-5678", "+819012345678"),
    (contact.phone, "０９０－１２３４－５６７８", "+819012345678"),
    (contact.phone, "090ー1234ー5678", "+819012345678"),  # the long vowel for a hyphen
    (contact.phone, " 090 1234 5678 ", "+819012345678"),
    (contact.phone, "(03) 1234-5678", "+81312345678"),
    (contact.phone, "+81 90 1234 5678", "+819012345678"),
    (contact.phone, "＋８１９０１２３４５６７８", "+819012345678"),
    (contact.phone, "0081-90-1234-5678", "+819012345678"),
    (contact.phone, "+1 202 555 0142", "+12025550142"),
    (contact.phone, "0120-123-456", "+81120123456"),
    (contact.email, " Hana@Example.JP ", "hana@example.jp"),
    (contact.email, "ｈａｎａ＠ｅｘａｍｐｌｅ．ｊｐ", "hana@example.jp"),
    (contact.email, "ha..na.@docomo.example", "ha..na.@docomo.example"),
    (contact.postal_code, "2310023", "231-0023"),
    (contact.postal_code, "〒２３１－００２３", "231-0023"),
    (contact.postal_code, "231ー0023", "231-0023"),
    (contact.kana, "みなと　はな", "ミナト ハナ"),
    (contact.kana, "ﾐﾅﾄ ﾊﾞﾅ", "ミナト バナ"),
    (contact.kana, "は゛な", "バナ"),
    (contact.kana, "ジョン・スミス", "ジョン・スミス"),
    (contact.birthday, "1990-04-01", "1990-04-01"),
    (contact.birthday, "1990/4/1", "1990-04-01"),
    (contact.birthday, "１９９０年４月１日", "1990-04-01"),
    (contact.birthday, "19900401", "1990-04-01"),
    (contact.birthday, "2000-02-29", "2000-02-29"),
    (contact.birthday, "--02-29", "--02-29"),
    (contact.birthday, "2月29日", "--02-29"),
    (contact.birthday, "--0401", "--04-01"),
    (contact.name, "港\u3000\u3000花\u0007", "港 花"),
    (contact.member_number, "ＫＡＩ－０００４２", "KAI-00042"),
    (contact.gender, "女性", "female"),
    (contact.gender, "M", "male"),
    (contact.gender, "回答しない", "no_answer"),
]
REFUSED: list[tuple[Callable[[str], str], str]] = [
    (contact.phone, ""),
    (contact.phone, "12"),
    (contact.phone, "090-1234-567890"),
    (contact.phone, "電話なし"),
    (contact.phone, "0120-CALL-ME"),
    (contact.phone, "+"),
    (contact.email, "hana"),
    (contact.email, "hana@example"),
    (contact.email, "hana@exa mple.jp"),
    (contact.email, "花@example.jp"),
    (contact.email, "a" * 65 + "@example.jp"),
    (contact.postal_code, "231-002"),
    (contact.postal_code, "1-2310023"),
    (contact.kana, "港花"),
    (contact.kana, ""),
    (contact.kana, "ア" * 101),
    (contact.birthday, "2001-02-29"),
    (contact.birthday, "--02-30"),
    (contact.birthday, "1990-13-01"),
    (contact.birthday, "0000-01-01"),
    (contact.birthday, "昨日"),
    (contact.name, "  "),
    (contact.name, "花" * 101),
    (contact.member_number, "KAI 42"),
    (contact.gender, "?"),
]


@pytest.mark.parametrize(("normal", "given_", "kept"), KEPT)
def test_however_it_is_written_one_form_is_kept(
    normal: Callable[[str], str], given_: str, kept: str
) -> None:
    assert normal(given_) == kept
    assert normal(kept) == kept


@pytest.mark.parametrize(("normal", "given_"), REFUSED)
def test_what_cannot_be_read_is_refused_in_both_languages(
    normal: Callable[[str], str], given_: str
) -> None:
    with pytest.raises(ValueError, match=r".+／.+"):
        normal(given_)


def test_what_was_given_is_not_repeated() -> None:
    for normal in ALL:
        with pytest.raises(ValueError, match="／") as refused:
            normal("ひみつ 秘密！" * 20)
        assert "秘密" not in str(refused.value)


BIRTHDAYS = [
    ("2026-11-22", True),  # today
    ("2026-11-23", False),  # tomorrow
    ("1896-01-01", True),  # 2026 - 130
    ("1895-12-31", False),
    ("2024-02-29", True),
]


@pytest.mark.parametrize(("text", "fine"), BIRTHDAYS)
def test_a_birthday_is_neither_in_the_future_nor_absurdly_old(text: str, fine: bool) -> None:
    if fine:
        assert contact.birthday(text, today=TODAY) == text
        return
    with pytest.raises(ValueError, match="／"):
        contact.birthday(text, today=TODAY)


def test_the_day_of_a_birthday_is_a_number_with_and_without_the_year() -> None:
    assert (contact.birth_md("1990-04-01"), contact.birth_md("--12-31")) == (401, 1231)


ALL = [
    contact.phone, contact.email, contact.postal_code, contact.kana, contact.birthday,
    contact.name, contact.member_number, contact.gender, contact.day, tags.clean,
]  # fmt: skip
WIDTHS = {
    contact.phone: 20, contact.email: 254, contact.postal_code: 8, contact.kana: 100,
    contact.birthday: 10, contact.name: 100, contact.member_number: 60, contact.gender: 20,
    contact.day: 10, tags.clean: 60,
}  # fmt: skip
likely = st.text("0123456789-ー＋+０９年月日/〒@.aあアﾊﾞ゛ 　()", max_size=30)


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(st.text(max_size=400), likely))
def test_whatever_is_typed_is_kept_in_a_stable_form_or_refused(text: str) -> None:
    for normal in ALL:
        try:
            kept = normal(text)
        except ValueError:
            continue
        assert normal(kept) == kept
        assert 0 < len(kept) <= WIDTHS[normal]
        assert "\0" not in kept
        kept.encode()  # no half characters


@given(born=st.dates(date(1900, 1, 1), TODAY))
def test_every_day_can_be_a_birthday(born: date) -> None:
    ways = [born.isoformat(), f"{born.year}/{born.month}/{born.day}", f"{born:%Y%m%d}"]
    assert {contact.birthday(way, today=TODAY) for way in ways} == {born.isoformat()}
    assert contact.birthday(f"--{born:%m-%d}") == f"--{born:%m-%d}"
