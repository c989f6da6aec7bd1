"""Contact data and birthdays in the one form that we keep, however people write them.

Each function takes what somebody typed, of any width, and returns what is stored; it raises
`ValueError` with a sentence in English and Japanese, parted by ／, that does not repeat the value.
"""

import re
import unicodedata
from datetime import date
from typing import NoReturn

import phonenumbers

OLDEST_YEARS = 130
MAX_NAME = 100
MAX_KANA = 100
MAX_MEMBER_NUMBER = 60
MAX_EMAIL = 254
MAX_TYPED = 300  # nothing that is longer can be right, and nobody should have to look through it
JAPAN = 81
GENDERS = ("female", "male", "other", "no_answer")

_HYPHENS = re.compile("[\u2010-\u2015\u2212\u30fc\u2500\uff70\u02d7\u207b]")
_PHONE = re.compile(r"[+(]{0,2}[0-9][0-9 ().\-/]*")
_EMAIL = re.compile(
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])"
)
_KANA = re.compile("[\u30a1-\u30fa\u30fb-\u30fe ]+")
_TO_KATAKANA = {code: code + 0x60 for code in [*range(0x3041, 0x3097), 0x309D, 0x309E]}
_SPACING_MARKS = {0x309B: 0x3099, 0x309C: 0x309A}  # NFKC would put a space before them
_DATE = re.compile(
    r"(?P<year>\d{4})(?:[-/.]|年)(?P<month>\d{1,2})(?:[-/.]|月)(?P<day>\d{1,2})日?"
    r"|(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})"
)
_MONTH_AND_DAY = re.compile(r"--(?P<month>\d{2})-?(?P<day>\d{2})|(?P<m>\d{1,2})月(?P<d>\d{1,2})日")
_GENDERS = {
    "female": "female", "f": "female", "woman": "female", "女": "female", "女性": "female",
    "male": "male", "m": "male", "man": "male", "男": "male", "男性": "male",
    "other": "other", "その他": "other",
    "no_answer": "no_answer", "unspecified": "no_answer", "回答しない": "no_answer",
    "無回答": "no_answer", "不明": "no_answer",
}  # fmt: skip


def phone(text: str) -> str:
    """E.164; without a country code it is Japanese: `０９０ー１２３４ー５６７８` → `+8190…`."""
    plain = _HYPHENS.sub("-", _plain(text))
    plain = re.sub(r"^00(?=81)", "+", plain)
    try:
        number = phonenumbers.parse(plain, "JP") if _PHONE.fullmatch(plain) else None
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not _possible(number):
        _refuse(
            "is not a phone number; write it like 090-1234-5678 or +81 90 1234 5678",
            "電話番号として読み取れません（例: 090-1234-5678）",
        )
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def email(text: str) -> str:
    """An e-mail address in small letters; what phone carriers allow (`a..b.@`) is allowed."""
    plain = _plain(text).lower()
    if len(plain) > MAX_EMAIL or not _EMAIL.fullmatch(plain):
        _refuse(
            "is not an e-mail address; write it like hana@example.jp",
            "メールアドレスとして読み取れません（例: hana@example.jp）",
        )
    return plain


def postal_code(text: str) -> str:
    """A Japanese postal code: `〒２３１００２３` → `231-0023`."""
    digits = re.sub(r"[\s-]", "", _HYPHENS.sub("-", _plain(text)).removeprefix("〒"))
    if not re.fullmatch(r"[0-9]{7}", digits):
        _refuse(
            "is not a postal code of 7 digits; write it like 231-0023",
            "郵便番号は7桁で入力してください（例: 231-0023）",
        )
    return f"{digits[:3]}-{digits[3:]}"


def kana(text: str) -> str:
    """How a name is read, in full-width katakana: `やまだ ﾊﾅｺ` → `ヤマダ ハナコ`."""
    marked = _bounded(text).translate(_SPACING_MARKS)
    plain = " ".join(unicodedata.normalize("NFKC", marked).translate(_TO_KATAKANA).split())
    plain = unicodedata.normalize("NFC", plain)
    if len(plain) > MAX_KANA or not _KANA.fullmatch(plain):
        _refuse(
            f"must be in kana, at most {MAX_KANA} characters, like ヤマダ ハナコ",
            f"ふりがなは、かなで{MAX_KANA}文字以内で入力してください（例: ヤマダ ハナコ）",
        )
    return plain


def birthday(text: str, *, today: date | None = None) -> str:
    """`YYYY-MM-DD`, or `--MM-DD` where the year is not told; 29 February is a day like others.

    With `today`, a birthday in the future or more than 130 years ago is refused.
    """
    plain = _HYPHENS.sub("-", _plain(text))
    if found := _MONTH_AND_DAY.fullmatch(plain):
        born = _day(2000, *_numbers(found, "month m", "day d"))  # a leap year
        return f"--{born:%m-%d}"
    whole = _DATE.fullmatch(plain)
    if whole is None:
        _refuse_birthday()
    born = _day(*_numbers(whole, "year y", "month m", "day d"))
    if today is not None and born > today:
        _refuse("is in the future", "未来の日付は誕生日にできません")
    if born.year < (today.year if today else 2000) - OLDEST_YEARS:
        _refuse(f"is more than {OLDEST_YEARS} years ago", f"{OLDEST_YEARS}年より前の日付です")
    return born.isoformat()


def birth_md(birthday: str) -> int:
    """Month * 100 + day of a stored birthday: `--02-29` → 229."""
    return int(birthday[-5:-3]) * 100 + int(birthday[-2:])


def name(text: str) -> str:
    """A name as it was written, without control characters and with single spaces."""
    plain = _tidy(_bounded(text))
    if not 0 < len(plain) <= MAX_NAME:
        _refuse(f"must be 1 to {MAX_NAME} characters long", f"1〜{MAX_NAME}文字で入力してください")
    return plain


def member_number(text: str) -> str:
    """A member number without blanks, in narrow characters: `ＫＡＩ－００１` → `KAI-001`."""
    plain = _plain(text)
    if not 0 < len(plain) <= MAX_MEMBER_NUMBER or re.search(r"\s", plain):
        _refuse(
            f"must be 1 to {MAX_MEMBER_NUMBER} characters without blanks",
            f"会員番号は空白なしの{MAX_MEMBER_NUMBER}文字以内で入力してください",
        )
    return plain


def gender(text: str) -> str:
    """One of `GENDERS`, also from Japanese words."""
    found = _GENDERS.get(_plain(text).lower())
    if found is None:
        _refuse(
            f"must be one of {', '.join(GENDERS)}",
            "性別は 女性・男性・その他・回答しない のどれかにしてください",
        )
    return found


def day(text: str) -> str:
    """A day, `YYYY-MM-DD`, from what a birthday may look like."""
    whole = _DATE.fullmatch(_HYPHENS.sub("-", _plain(text)))
    if whole is None:
        _refuse_birthday()
    return _day(*_numbers(whole, "year y", "month m", "day d")).isoformat()


def _possible(number: phonenumbers.PhoneNumber) -> bool:
    if number.country_code == JAPAN:
        return len(str(number.national_number)) in {9, 10}
    return bool(phonenumbers.is_possible_number(number))


def _numbers(found: re.Match[str], *names: str) -> list[int]:
    """The numbers that a pattern found, each under one of two names."""
    first = [[found[name] for name in pair.split()] for pair in names]
    return [int(next(digits for digits in pair if digits is not None)) for pair in first]


def _day(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        _refuse("is a day that does not exist", "存在しない日付です")


def _refuse_birthday() -> NoReturn:
    _refuse(
        "is not a date; write it like 1990-04-01, or --04-01 without the year",
        "日付として読み取れません（例: 1990-04-01、年なしは --04-01）",
    )


def _refuse(english: str, japanese: str) -> NoReturn:
    msg = f"{english}／{japanese}"
    raise ValueError(msg)


def _bounded(text: str) -> str:
    if len(text) > MAX_TYPED:
        _refuse("is too long", "長すぎます")
    return text


def _plain(text: str) -> str:
    return _tidy(unicodedata.normalize("NFKC", _bounded(text)))


def _tidy(text: str) -> str:
    """Without control characters and what has no width, blanks made single."""
    seen = (c if unicodedata.category(c) not in {"Cc", "Cf", "Cs"} else _gap(c) for c in text)
    return " ".join("".join(seen).split())


def _gap(character: str) -> str:
    return " " if character.isspace() else "\u200d" if character == "\u200d" else ""
