import pytest

from core.line.lengths import graphemes, utf16_units

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("text", "units", "clusters"),
    [
        ("", 0, 0),
        ("hello", 5, 5),
        ("こんにちは", 5, 5),
        ("🍎", 2, 1),
        (FAMILY, 8, 1),  # three emoji of two units, two joiners of one
        ("🇯🇵", 4, 1),
        ("か\u3099", 2, 1),  # a combining voiced mark
        ("𠮷野家", 4, 3),
        ("a\r\nb", 4, 3),
        ("\ud83c", 1, 1),  # half of a pair
    ],
)
def test_lengths_are_counted_as_line_counts(text: str, units: int, clusters: int) -> None:
    assert utf16_units(text) == units
    assert graphemes(text) == clusters
