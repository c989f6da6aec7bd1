"""Proving a membership, nonces and tickets: what counts as right, once, and until when."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from core.sealing import Seal
from crm.linking import nonces, tickets
from crm.linking.models import LinkAttempt, LinkNonce
from crm.linking.proving import Claim, Proved, prove, same_birthday, same_phone
from crm.linking.tickets import ExpiredTicket, ForeignTicket
from tests.crm.linking.conftest import KEN_NUMBER, KEN_PHONE, MIO_NUMBER, NOW, Town

SEAL = Seal("a-secret-key-for-tests-only")


async def tried(town: Town, claim: Claim, friend_id: int | None = None) -> Proved:
    async with town.open() as session:
        return await prove(session, friend_id or town.hana, claim, now=NOW)


@pytest.mark.parametrize(
    ("known", "typed", "right"),
    [
        ("1985-02-28", "1985-02-28", True),
        ("1985-02-28", "１９８５０２２８", True),
        ("1985-02-28", "1985年2月28日", True),
        ("1985-02-28", "1985-02-27", False),
        ("1985-02-28", "--02-28", False),  # the year is known, so it is asked for
        ("--02-29", "1992-02-29", True),
        ("--02-29", "19930228", False),
        (None, "1985-02-28", False),
        ("1985-02-28", "yesterday", False),
        ("1985-02-28", "", False),
    ],
)
def test_birthdays_however_they_are_typed(known: str | None, typed: str, right: bool) -> None:
    assert same_birthday(known, typed) is right


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("090-1234-5678", True),
        ("０９０ー１２３４ー５６７８", True),
        ("+81 90 1234 5678", True),
        ("090-1234-5679", False),
        ("none", False),
    ],
)
def test_telephone_numbers_however_they_are_typed(typed: str, right: bool) -> None:
    assert same_phone("+819012345678", typed) is right


@pytest.mark.parametrize(
    ("claim", "outcome"),
    [
        (Claim(KEN_NUMBER, birthday="19850228"), "proved"),
        (Claim(KEN_NUMBER, phone=KEN_PHONE), "proved"),
        (Claim("Ｍ－０００１２３", phone=KEN_PHONE), "proved"),
        (Claim(KEN_NUMBER, birthday="19850228", phone="090-9999-9999"), "wrong"),
        (Claim(MIO_NUMBER, phone=KEN_PHONE), "wrong"),
        (Claim(MIO_NUMBER, birthday="20000229"), "proved"),
        (Claim("M-999999", birthday="19850228"), "wrong"),
        (Claim(KEN_NUMBER), "incomplete"),
        (Claim("", birthday="19850228"), "incomplete"),
    ],
)
async def test_a_number_and_what_is_known_of_its_member(
    town: Town, claim: Claim, outcome: str
) -> None:
    assert (await tried(town, claim)).outcome == outcome


async def test_tries_at_the_same_time_are_counted_one_by_one(town: Town) -> None:
    guesses = [Claim(KEN_NUMBER, birthday=f"199{n}0401") for n in range(10)]

    outcomes = await asyncio.gather(*(tried(town, guess) for guess in guesses))

    assert sorted(proved.outcome for proved in outcomes) == ["too_many"] * 5 + ["wrong"] * 5


async def test_tries_are_kept_without_saying_what_was_tried(town: Town) -> None:
    await tried(town, Claim("0901234-secret", phone=KEN_PHONE))

    subjects = [row.subject for row in await town.rows(LinkAttempt)]
    assert len(subjects) == 2
    assert not any("secret" in subject for subject in subjects)


async def test_tries_of_more_than_an_hour_ago_are_forgiven(town: Town) -> None:
    for _ in range(5):
        await tried(town, Claim(KEN_NUMBER, birthday="19900401"))
    claim = Claim(KEN_NUMBER, birthday="19850228")
    assert (await tried(town, claim)).outcome == "too_many"

    async with town.open() as session:
        later = await prove(session, town.hana, claim, now=NOW + timedelta(hours=1))

    assert later.outcome == "proved"


async def test_of_many_who_spend_a_nonce_at_once_one_gets_it(town: Town) -> None:
    async with town.open() as session:
        nonce = await nonces.issue(session, town.ken, now=NOW, friend_id=town.hana)

    async def spend() -> str | None:
        async with town.open() as session:
            return (await nonces.spend(session, nonce, now=NOW, friend_id=town.hana)).fault

    faults = await asyncio.gather(*(spend() for _ in range(20)))

    assert sorted(str(fault) for fault in faults) == ["None", *["used"] * 19]
    [kept] = await town.rows(LinkNonce)
    assert nonce.split(".")[0] not in kept.nonce_hash


async def test_a_nonce_made_for_one_friend_serves_no_other(town: Town) -> None:
    async with town.open() as session:
        own = await nonces.issue(session, town.ken, now=NOW, friend_id=town.hana)
        shops = await nonces.issue(session, town.ken, now=NOW)

        assert (await nonces.spend(session, own, now=NOW, friend_id=town.jun)).fault == "foreign"
        assert (await nonces.spend(session, shops, now=NOW, friend_id=town.jun)).fault is None


@pytest.mark.parametrize("nonce", ["", "x", "CngAlZFyLMhIJcqV7n_6UkKAR-0SyQdg.1", "ﾃ.ﾃ"])
async def test_a_nonce_that_was_never_ours_is_unknown(town: Town, nonce: str) -> None:
    async with town.open() as session:
        spent = await nonces.spend(session, nonce, now=NOW, friend_id=town.hana)
    assert (spent.customer_id, spent.fault) == (None, "unknown")


def test_a_ticket_says_which_friend_for_a_quarter_of_an_hour() -> None:
    ticket = tickets.issue(SEAL, 12, now=NOW)

    assert tickets.read(SEAL, ticket, now=NOW + timedelta(minutes=15)) == 12
    with pytest.raises(ExpiredTicket):
        tickets.read(SEAL, ticket, now=NOW + timedelta(minutes=15, seconds=1))
    with pytest.raises(ForeignTicket):
        tickets.read(Seal("another-secret-key-of-tests"), ticket, now=NOW)


@given(place=st.integers(0, 30), character=st.characters())
def test_no_ticket_is_changed_unseen(place: int, character: str) -> None:
    ticket = tickets.issue(SEAL, 12, now=NOW)
    changed = ticket[:place] + character + ticket[place + 1 :]
    if changed != ticket:
        with pytest.raises(ForeignTicket):
            tickets.read(SEAL, changed, now=NOW)
