"""Minato Coffee: the same past every time, told to the shop once."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from starlette.responses import JSONResponse
from starlette.routing import Route

from simulator import sample_members, sample_shop
from simulator.app import close, create_app
from simulator.sample_data import build
from simulator.settings import Settings
from tests.simulator.helpers import CHANNEL, FakeShop, running

TODAY = date(2026, 11, 22)


def test_the_past_is_the_same_every_time() -> None:
    assert build(TODAY) == build(TODAY)


def test_there_are_300_people_of_all_kinds() -> None:
    people = build(TODAY)

    assert len({person.user_id for person in people}) == 300
    kinds = Counter(
        "none" if p.followed_at is None else "blocked" if p.blocked_at else "friend" for p in people
    )
    assert kinds == {"none": 60, "blocked": 25, "friend": 215}
    assert sum(person.language == "ja" for person in people) > 280
    assert all(person.birthday for person in people)
    assert [person.name for person in people[:5]] == ["花", "健", "結衣", "陸", "美咲"]


def test_the_featured_people_are_who_they_say() -> None:
    hana, ken, yui, riku, misaki = build(TODAY)[:5]

    assert (hana.followed_at, hana.purchases) == (None, [])
    assert sum(purchase.total for purchase in ken.purchases) > 50_000
    assert yui.blocked_at is not None
    assert (TODAY - riku.purchases[-1].at.date()).days == 120
    assert misaki.birthday is not None
    assert misaki.birthday.replace(year=2026) == TODAY + timedelta(days=6) or (
        misaki.birthday.replace(year=2026) - TODAY
    ) <= timedelta(days=7)


def test_who_has_bought_is_a_member_and_most_friends_are_linked() -> None:
    people = build(TODAY)
    hana, ken, yui, _riku, misaki = people[:5]
    members = [person for person in people if person.member_number]

    assert len({person.member_number for person in members}) == len(members)
    assert {bool(person.member_number) for person in people if person.purchases} == {True}
    assert all(person.full_name and person.birthday for person in members)
    assert (ken.linked, misaki.linked, hana.linked, yui.linked) == (True, True, False, False)
    assert "birthday-500" in misaki.coupons
    assert f"会員番号 {hana.member_number} 誕生日 {hana.birthday}" in hana.about
    linked = [person for person in people if person.linked]
    assert 140 < len(linked) < 200
    assert all(person.followed_at and not person.blocked_at for person in linked)


def test_purchases_are_sound() -> None:
    people = build(TODAY)
    purchases = [purchase for person in people for purchase in person.purchases]

    assert len({purchase.order_id for purchase in purchases}) == len(purchases) > 500
    for purchase in purchases:
        assert purchase.at.date() < TODAY
        total = sum(int(str(x["quantity"])) * int(str(x["unit_price"])) for x in purchase.lines)
        assert purchase.total == total
    categories = {str(line["category"]) for p in purchases for line in p.lines}
    assert categories == {"coffee", "drip", "cake", "goods"}


def test_past_events_are_in_order_and_cannot_be_answered() -> None:
    events = sample_shop.past_events(build(TODAY))

    times = [int(str(event["timestamp"])) for event in events]
    assert times == sorted(times)
    assert Counter(str(event["type"]) for event in events) == {"follow": 240, "unfollow": 25}
    assert len({event["webhookEventId"] for event in events}) == len(events)
    assert events == sample_shop.past_events(build(TODAY))


async def test_the_shop_hears_of_the_past_once() -> None:
    shop = FakeShop()
    shop.now = datetime(2027, 1, 10, 3, tzinfo=UTC).isoformat()
    async with running(shop.app) as shop_url:
        app = create_app(
            Settings(
                channels=(CHANNEL,),
                shop_url=shop_url,
                shop_token="t",
                sample_shop=True,
                simulated_clock=True,
            )
        )
        platform = app.state.platform
        sample_shop.move_in(platform)
        failures = iter([500])
        shop.answers = lambda _: next(failures, 200)

        await sample_shop.tell_past(platform, app.state.shop)
        heard, bodies = {what: dict(told) for what, told in shop.told.items()}, len(shop.bodies)
        await sample_shop.tell_past(platform, app.state.shop)
        await close(app)

    assert len({event["webhookEventId"] for event in shop.events}) == 265
    assert len(shop.bodies) == bodies
    assert max(len(body["events"]) for body in shop.bodies) == 50
    newest = max(event["timestamp"] for event in shop.events)
    assert datetime.fromtimestamp(newest / 1000, UTC) > datetime(2026, 12, 1, tzinfo=UTC)
    assert shop.told == heard
    people = build(date(2027, 1, 10))
    assert len(heard["customers"]) == sum(person.member_number is not None for person in people)
    assert len(heard["links"]) == sum(person.linked for person in people)
    orders = [order for body in heard["purchases/batch"].values() for order in body["purchases"]]
    assert len(orders) == sum(len(person.purchases) for person in people)
    assert {order["order_id"] for order in orders} == {
        purchase.order_id for person in people for purchase in person.purchases
    }
    assert {"coupons/birthday-500/issue", "coupons/beans-10/issue"} <= heard.keys()


@pytest.mark.parametrize("answer", [{"items": [{"user_id": "U1"}]}, {}, []])
async def test_a_shop_that_answers_oddly_is_one_line_of_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    shop = FakeShop()
    monkeypatch.setattr(sample_members, "_PATIENCE_SECONDS", 1)
    friends = Route("/api/v1/friends", lambda _: JSONResponse(answer))
    shop.app.router.routes.insert(0, friends)
    async with running(shop.app) as shop_url:
        app = create_app(
            Settings(channels=(CHANNEL,), shop_url=shop_url, shop_token="t", sample_shop=True)
        )
        sample_shop.move_in(app.state.platform)

        await sample_shop.tell_past(app.state.platform, app.state.shop)
        await close(app)

    assert len(caplog.records) <= 1
    assert "purchases/batch" not in shop.told
