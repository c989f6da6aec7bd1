"""Keys from the one secret key: encrypting, signing for one purpose, tokens."""

import pytest
from hypothesis import given, strategies as st

from core.errors import StartError
from core.sealing import TOKEN_PREFIX, Seal, new_token, token_hash

SEAL = Seal("a-secret-key-for-tests-only")
OTHER = Seal("another-secret-key-for-tests")


@given(st.text())
def test_what_is_sealed_opens_again_and_does_not_show(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair is no text
        return
    sealed = SEAL.encrypt(text)

    assert SEAL.decrypt(sealed) == text
    assert len(text) < 4 or text not in sealed


def test_another_key_is_told_in_a_sentence_that_shows_neither() -> None:
    sealed = SEAL.encrypt("hunter2")

    with pytest.raises(StartError, match="OKAERI_SECRET_KEY") as caught:
        OTHER.decrypt(sealed)

    assert "hunter2" not in str(caught.value)
    assert "tests" not in str(caught.value)
    assert sealed not in str(caught.value)


@pytest.mark.parametrize("broken", ["", "hunter2", "gAAAAA", "ポイント"])
def test_what_was_never_sealed_is_told_in_the_same_way(broken: str) -> None:
    with pytest.raises(StartError, match="OKAERI_SECRET_KEY"):
        SEAL.decrypt(broken)


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert SEAL.encrypt("hunter2") != SEAL.encrypt("hunter2")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_signature_holds_for_its_text_its_purpose_and_its_key_alone(text: str) -> None:
    signature = SEAL.signer("buttons").sign(text)

    assert len(signature) == 14
    assert SEAL.signer("buttons").verify(text, signature)
    assert not SEAL.signer("buttons").verify(text + " ", signature)
    assert not SEAL.signer("links").verify(text, signature)
    assert not OTHER.signer("buttons").verify(text, signature)


@pytest.mark.parametrize("signature", ["", "=", "a" * 14, "あ" * 14, "\udc80", "a" * 10_000])
def test_a_strange_signature_is_wrong_and_no_error(signature: str) -> None:
    assert not SEAL.signer("buttons").verify("text", signature)


def test_tokens_are_long_different_and_known_by_their_prefix() -> None:
    tokens = {new_token() for _ in range(100)}

    assert len(tokens) == 100
    assert all(token.startswith(TOKEN_PREFIX) and len(token) >= 50 for token in tokens)
    assert len({token_hash(token) for token in tokens}) == 100
    assert all(token not in token_hash(token) for token in tokens)
