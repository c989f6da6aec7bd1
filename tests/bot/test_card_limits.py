"""Whatever people are called and hold, LINE takes what we show of it."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from bot import flex
from bot.handlers import card, coupons, membership, points, rank, topics
from bot.handlers.card import Card
from core.line.flex import compact_bytes
from core.line.messages import check_messages
from core.sealing import Seal
from core.settings import load
from crm.coupons.held import HeldCoupon
from crm.customers.models import Topic
from crm.points.ledger import Balance
from crm.points.models import ENTRY_KINDS, PointEntry
from crm.ranks.policy import Tier
from crm.ranks.review import Standing
from tests.conftest import SECRET_KEY

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
FAMILY = "👨‍👩‍👧‍👦"
HUGE = 2**63 - 1
seal = Seal(SECRET_KEY)
HERE = load(_env_file=None, clock="simulated", allow_http_urls=True)


def a_turn(shop: str) -> Any:
    """As much of a turn as the pictures of answers look at."""
    runtime = SimpleNamespace(settings=HERE, seal=seal, buttons=seal.signer("buttons"))
    friend = SimpleNamespace(id=HUGE, customer_id=HUGE)
    return SimpleNamespace(
        runtime=runtime, channel=SimpleNamespace(name=shop), friend=friend, now=NOW
    )


def text(most: int) -> st.SearchStrategy[str]:
    """What a column of this width may hold: emoji, blanks, control characters."""
    odd = st.sampled_from([FAMILY * (most // 7), "あ" * most, " ", "\u0000\n", "﷽" * most, "🍎"])
    return st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=most), odd
    ).map(lambda words: words[:most])


moments = st.integers(0, 70_000).map(
    lambda days: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days)
)
numbers = st.sampled_from([0, 1, 999, 1_000_000, HUGE])
colours = st.from_regex(r"#[0-9A-Fa-f]{6}", fullmatch=True)
tiers = st.builds(
    Tier,
    key=st.just("gold"),
    name=text(20),
    threshold=st.integers(1, 1_000_000_000),
    point_rate=st.floats(0, 100),
    perks=st.lists(text(100), max_size=10),
    colour=colours,
)
entries = st.builds(
    PointEntry, kind=st.sampled_from(ENTRY_KINDS), delta=st.integers(-HUGE, HUGE),
    reason=text(200), occurred_at=moments,
)  # fmt: skip
balances = st.builds(
    Balance, points=numbers, pending=numbers, owed=numbers,
    next_expiry=st.none() | st.tuples(moments, numbers),
)  # fmt: skip
held = st.builds(
    HeldCoupon, id=st.just(HUGE), key=st.just("k" * 60), name=text(60), description=text(500),
    discount=text(80), discount_en=text(90), conditions=st.lists(text(2000), max_size=4).map(tuple),
    code=text(40), valid_from=moments, expires_at=st.none() | moments, uses_left=numbers,
)  # fmt: skip
standings = st.builds(
    Standing, rank=st.none() | tiers, since=st.none() | moments, until=st.none() | moments,
    basis=st.sampled_from(["amount", "count"]), achieved=numbers, next=st.none() | tiers,
    missing=numbers, period_end=st.none() | moments,
)  # fmt: skip
few = settings(max_examples=60, deadline=None)


def is_taken(message: dict[str, Any]) -> None:
    """LINE would take it, and its altText is a sentence."""
    assert check_messages([message], allow_http=True) == []
    assert message["altText"].strip()


@few
@given(text(100), text(100), text(60), st.none() | tiers, numbers)
def test_a_card_is_always_taken(
    shop: str, name: str, number: str, tier: Tier | None, held_points: int
) -> None:
    page = "https://shop.example.jp/card/" + "x" * 90
    shown = Card(shop, name, number, tier, held_points, page, page + ".png")

    is_taken(card.message(a_turn(shop), shown))


@few
@given(text(100), balances, st.lists(entries, max_size=5))
def test_points_are_always_taken(shop: str, balance: Balance, last: list[PointEntry]) -> None:
    is_taken(points.message(a_turn(shop), balance, last))


@few
@given(text(100), standings)
def test_a_rank_is_always_taken(shop: str, standing: Standing) -> None:
    is_taken(rank.message(a_turn(shop), standing))


@few
@given(text(100), st.lists(held, min_size=1, max_size=3), st.integers(1, 40))
def test_coupons_are_always_taken(shop: str, some: list[HeldCoupon], copies: int) -> None:
    every = (some * copies)[:100]

    is_taken(coupons.message(a_turn(shop), every))
    is_taken(coupons.message(a_turn(shop), every, skip=len(every) - 1))
    is_taken(coupons.shown(a_turn(shop), some[0]))


@few
@given(text(100), st.lists(st.tuples(text(40), text(200), st.booleans()), max_size=20))
def test_topics_are_always_taken(shop: str, given_: list[tuple[str, str, bool]]) -> None:
    states = [
        (Topic(key=f"{n:040}", name=name, description=about, created_at=NOW, updated_at=NOW), on)
        for n, (name, about, on) in enumerate(given_)
    ]

    is_taken(topics.message(a_turn(shop), states))


def test_twelve_coupons_of_the_longest_words_fit_a_carousel() -> None:
    worst = HeldCoupon(
        HUGE, "k" * 60, FAMILY * 8, "", "あ" * 80, "x" * 90, ("あ" * 2000,) * 4, "あ" * 40, NOW,
        NOW + timedelta(days=1), HUGE,
    )  # fmt: skip

    message = coupons.message(a_turn("店" * 100), [worst] * 100)

    is_taken(message)
    assert len(message["contents"]["contents"]) == 12


@pytest.mark.parametrize("count", [12, 13, 20])
def test_all_topics_of_the_longest_words_fit_a_bubble(count: int) -> None:
    long = Topic(key="k" * 40, name=FAMILY * 5, description=FAMILY * 28, created_at=NOW,
                 updated_at=NOW)  # fmt: skip

    message = topics.message(a_turn("店" * 100), [(long, True)] * count)

    is_taken(message)
    assert (compact_bytes(message["contents"]) or 0) < 30_000


@given(text(100))
def test_an_invitation_is_always_taken(shop: str) -> None:
    for word in membership.WORDS:
        is_taken(dict(membership.invitation(a_turn(shop), word)[0]))


@pytest.mark.parametrize(
    ("words", "most", "shown"),
    [
        ("", 5, "—"),
        ("\u0000\n ", 5, "—"),
        ("あいうえお", 5, "あいうえお"),
        ("あいうえおか", 5, "あいうえ…"),
        (FAMILY * 3, 2, FAMILY + "…"),
        ("a\nb", 5, "a b"),
    ],
)
def test_words_are_cut_where_people_see_letters(words: str, most: int, shown: str) -> None:
    assert flex.cut(words, most) == shown


@pytest.mark.parametrize(
    ("colour", "ink"), [("#B8860B", flex.WHITE), ("#FFFFFF", flex.INK), ("#FFD700", flex.INK),
                        ("#000000", flex.WHITE)]
)  # fmt: skip
def test_words_on_a_rank_s_colour_can_be_read(colour: str, ink: str) -> None:
    assert flex.ink_on(colour) == ink


@pytest.mark.parametrize(
    ("share", "width"), [(0, "0%"), (0.5, "50%"), (1, "100%"), (7, "100%"), (-1, "0%")]
)
def test_a_bar_stays_in_its_frame(share: float, width: str) -> None:
    assert flex.bar(share, flex.GREEN)["contents"][0]["width"] == width


@pytest.mark.parametrize(
    ("url", "allow", "shown"),
    [("https://shop.example.jp", False, True), ("http://localhost:8000", True, True),
     ("http://localhost:8000", False, False), ("http://shop.example.jp", True, False)],
)  # fmt: skip
def test_pictures_are_left_out_where_line_could_not_fetch_them(
    url: str, allow: bool, shown: bool
) -> None:
    ours = load(_env_file=None, clock="simulated", public_url=url, allow_http_urls=allow)

    assert flex.takes_pictures(ours) is shown
