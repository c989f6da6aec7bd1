"""Folding of Japanese and Latin text, so that what people type matches what shops wrote."""

import re
import unicodedata

_NARROW_OR_WIDE = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uff9f]+")
_KATAKANA_TO_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


def fold(text: str) -> str:
    """One form for all ways to write it: NFKC, lower case, hiragana, single spaces.

    `ＰＯＩＮＴ`, `point` and `Point` meet; so do `ポイント`, `ﾎﾟｲﾝﾄ` and `ぽいんと`.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_KATAKANA_TO_HIRAGANA)
    return " ".join(plain.split())


def fold_pattern(pattern: str) -> str:
    """A regular expression whose kana, letters and digits are written as `fold` writes them.

    Case is left to the flag: folding `\\D` would turn it into `\\d`.
    """
    plain = _NARROW_OR_WIDE.sub(lambda run: unicodedata.normalize("NFKC", run[0]), pattern)
    return unicodedata.normalize("NFC", plain).translate(_KATAKANA_TO_HIRAGANA)
