"""At the till: a scanned card, a scanned barcode, and everything that is neither."""

from datetime import datetime, timedelta

import httpx2
import pytest

from core.runtime import Runtime
from crm import cards
from crm.coupons import definition, issuing, tokens
from crm.coupons.definition import CouponDraft, Discount
from crm.customers import locking
from crm.models import Customer
from crm.points import ledger
from crm.points.ledger import Grant
from tests.admin.conftest import problem


@pytest.fixture
async def ken(runtime: Runtime, now: datetime) -> int:
    """A gold member with points, a coupon, and one for later."""
    zone = runtime.settings.zone
    async with runtime.db.transaction() as session:
        made = Customer(member_number="MN-000123", name="鈴木 健", rank="gold", created_at=now)
        session.add(made)
        await session.flush()
        assert made.id is not None
        await locking.lock(session, [made.id])
        await ledger.grant(session, [Grant(made.id, 320, "gift", "お礼")], now=now)
        later = CouponDraft(name="来週から", discount=Discount(free_shipping=True),
                            valid_from=now + timedelta(days=7))  # fmt: skip
        today = CouponDraft(name="お誕生日", discount=Discount(amount=500), valid_days=30)
        for key, draft in (("later", later), ("today", today)):
            await definition.save(session, key, draft, now=now, expected=None)
            await issuing.issue(session, key, [made.id], reason="x", now=now, zone=zone)
    return made.id


async def look_up(client: httpx2.AsyncClient, code: str) -> httpx2.Response:
    return await client.get("/customers/lookup", params={"code": code})


async def test_a_card_shows_who_it_is_and_what_can_be_used_now(
    clerk: httpx2.AsyncClient, runtime: Runtime, now: datetime, ken: int
) -> None:
    answer = (await look_up(clerk, cards.card_code(runtime.seal, ken, now))).json()

    assert (answer["scanned"], answer["customer_id"]) == ("card", ken)
    assert (answer["member_number"], answer["name"]) == ("MN-000123", "鈴木 健")
    assert (answer["rank"]["key"], answer["rank"]["point_rate"]) == ("gold", 2)
    assert answer["rank"]["next"] == "あと150,000円でプラチナ"
    assert (answer["points"]["usable"], answer["points"]["next_expiry"]["points"]) == (320, 320)
    assert [(each["name"], each["discount"]) for each in answer["coupons"]] == [
        ("お誕生日", "500円引き")
    ]


async def test_a_barcode_is_the_member_number(clerk: httpx2.AsyncClient, ken: int) -> None:
    answer = (await look_up(clerk, " MN-000123\n")).json()

    assert (answer["scanned"], answer["customer_id"]) == ("member_number", ken)


async def test_a_card_of_a_merged_record_leads_to_the_live_one(
    clerk: httpx2.AsyncClient, runtime: Runtime, now: datetime, ken: int
) -> None:
    async with runtime.db.transaction() as session:
        old = Customer(merged_into_id=ken, created_at=now)
        session.add(old)
        await session.flush()
        assert old.id is not None
        code = cards.card_code(runtime.seal, old.id, now)

    assert (await look_up(clerk, code)).json()["customer_id"] == ken


async def test_what_is_wrong_with_a_code_is_said_in_japanese_first(
    clerk: httpx2.AsyncClient, runtime: Runtime, now: datetime, ken: int
) -> None:
    early = now - timedelta(minutes=5)
    good = cards.card_code(runtime.seal, ken, now)
    forged = good[:-1] + ("A" if good[-1] != "A" else "B")
    cases = [
        (cards.card_code(runtime.seal, ken, early), 409, "有効時間を過ぎています"),
        (forged, 422, "正しくありません"),
        (tokens.show_token(runtime.seal, 1, now), 422, "クーポンのコードです"),
        ("MN-999999", 404, "見つかりません"),
        ("でたらめ", 404, "見つかりません"),
        (cards.card_code(runtime.seal, 999_999, now), 404, "もう使われていません"),
    ]
    for code, status, words in cases:
        told = problem(await look_up(clerk, code), status)
        assert words in told["detail"].partition("／")[0]
        assert told["errors"][0]["path"] == "code"


async def test_an_anonymous_record_has_no_card(
    clerk: httpx2.AsyncClient, runtime: Runtime, now: datetime
) -> None:
    async with runtime.db.transaction() as session:
        hana = Customer(created_at=now)
        session.add(hana)
        await session.flush()
        assert hana.id is not None
        code = cards.card_code(runtime.seal, hana.id, now)

    problem(await look_up(clerk, code), 404)


@pytest.mark.parametrize("query", ["", "code=", "code=" + "x" * 101, "code=a&code2=b"])
async def test_a_question_without_one_code_is_refused(
    clerk: httpx2.AsyncClient, query: str
) -> None:
    problem(await clerk.get(f"/customers/lookup?{query}"), 422)


async def test_a_viewer_may_not_look_people_up(viewer: httpx2.AsyncClient, ken: int) -> None:
    problem(await look_up(viewer, "MN-000123"), 403)
