import pytest

from core.line.signature import sign, verify

# The vector that LINE publishes:
# https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/
SECRET = "8c570fa6dd201bb328f1c1eac23a96d8"
RAW = b'{"destination":"U8e742f61d673b39c7fff3cecb7536ef0","events":[]}'
SIGNATURE = "GhRKmvmHys4Pi8DxkF4+EayaH0OqtJtaZxgTD9fMDLs="


def test_lines_published_vector_fits() -> None:
    assert sign(SECRET, RAW) == SIGNATURE
    assert verify([SECRET], RAW, SIGNATURE)
    assert verify([SECRET], RAW, SIGNATURE.encode())


def test_while_a_secret_is_being_changed_both_fit() -> None:
    assert verify(["new", SECRET], RAW, SIGNATURE)
    assert verify([SECRET, "old"], RAW, SIGNATURE)


@pytest.mark.parametrize(
    "header", [None, "", b"", "x", SIGNATURE[:-1], SIGNATURE + " ", "署名", "\ud800", b"\xff\xfe"]
)
def test_any_other_header_is_refused(header: str | bytes | None) -> None:
    assert not verify([SECRET], RAW, header)


def test_a_changed_body_a_wrong_secret_or_no_secret_is_refused() -> None:
    assert not verify([SECRET], RAW + b" ", SIGNATURE)
    assert not verify(["wrong"], RAW, SIGNATURE)
    assert not verify([], RAW, SIGNATURE)
    assert not verify([""], RAW, sign("", RAW))
