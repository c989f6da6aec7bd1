"""Folding of Japanese and Latin text, so that what people type matches what shops wrote."""

import unicodedata

_KATAKANA_TO_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


def fold(text: str) -> str:
    """One form for all ways to write it: NFKC, lower case, hiragana, single spaces.

    `ＰＯＩＮＴ`, `point` and `Point` meet; so do `ポイント`, `ﾎﾟｲﾝﾄ` and `ぽいんと`.
    """
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_KATAKANA_TO_HIRAGANA)
    return " ".join(plain.split())
