"""LINE's own coupon objects, made from a definition, against the stand-in."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from core.db import table
from core.line import coupons
from core.line.client import LineClient, LineError, Outcome
from core.line.messages import check_messages
from core.runtime import Runtime
from core.settings import Settings, load
from crm.coupons import on_line
from crm.models import Channel
from simulator.coupons import Coupon as LineCoupon
from tests.admin.conftest import LINE_CHANNEL, Cast, paths, problem
from tests.admin.test_coupons import define
from tests.conftest import CHANNEL_TOKEN, SECRET_KEY, StandIn

WHERE = {"channel_id": LINE_CHANNEL}


@pytest.fixture
def settings(database_url: str, line: StandIn) -> Settings:
    return load(
        _env_file=None, database_url=database_url, redis_url="", secret_key=SECRET_KEY,
        clock="simulated", line_api_url=line.url, line_data_api_url=line.url,
    )  # fmt: skip


@pytest.fixture(autouse=True)
async def at_line(cast: Cast, runtime: Runtime, line: StandIn) -> dict[str, LineCoupon]:
    """What LINE has; the cast's channel gets the stand-in's token."""
    async with runtime.db.transaction() as session:
        sealed = runtime.seal.encrypt(CHANNEL_TOKEN)
        await session.execute(update(table(Channel)).values(sealed_access_token=sealed))
    return line.platform.first_channel.coupons.coupons


async def make(client: httpx2.AsyncClient, key: str = "birthday-500", **values: Any) -> Any:
    return await client.post(f"/coupons/{key}/line-coupon", json=WHERE | values)


async def test_line_makes_it_once_and_it_can_be_sent(
    marketer: httpx2.AsyncClient, at_line: dict[str, LineCoupon]
) -> None:
    await define(
        marketer, valid_days=None, valid_until="2099-12-31", description="一年に一度の贈り物です",
        conditions={"minimum_total": 3000},
    )  # fmt: skip

    first, again = await make(marketer), await make(marketer)

    assert first.status_code == 200, first.text
    assert first.json() == again.json()
    (made,) = at_line.values()
    assert first.json()["line_coupon_id"] == made.id
    assert made.definition["title"] == "お誕生日クーポン"
    assert made.definition["usageCondition"] == "3,000円（税込）以上のお買い物"
    assert made.definition["reward"] == {
        "type": "discount", "priceInfo": {"type": "fixed", "fixedAmount": 500},
    }  # fmt: skip
    assert first.json()["message"] == {"type": "coupon", "couponId": made.id}
    assert check_messages([first.json()["message"]]) == []
    read = (await marketer.get("/coupons/birthday-500")).json()
    assert read["line_coupon_ids"] == {LINE_CHANNEL: made.id}


REWARDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"percent": 10, "max_yen": 500},
     {"type": "discount", "priceInfo": {"type": "percentage", "percentage": 10}}),
    ({"percent": 100}, {"type": "free"}),
    ({"gift": "ドリップバッグ"}, {"type": "gift"}),
    ({"free_shipping": True}, {"type": "others"}),
]  # fmt: skip


async def test_every_discount_is_one_that_line_knows(
    marketer: httpx2.AsyncClient, at_line: dict[str, LineCoupon]
) -> None:
    for number, (discount, reward) in enumerate(REWARDS):
        await define(
            marketer, f"c{number}", name=f"クーポン{number}", discount=discount, max_uses=3
        )
        response = await make(marketer, f"c{number}", ends_at="2099-12-31T23:59:59+09:00")
        assert response.status_code == 200, response.text
        made = at_line[response.json()["line_coupon_id"]]
        assert made.definition["reward"] == reward
        assert made.definition["maxUseCountPerTicket"] == -1


async def test_a_coupon_that_an_unheard_answer_left_is_found_again(
    marketer: httpx2.AsyncClient, runtime: Runtime, at_line: dict[str, LineCoupon]
) -> None:
    await define(marketer, valid_days=None, valid_until="2099-12-31")
    channel = await on_line.channel_of(runtime, LINE_CHANNEL)
    now = await runtime.clock.now()
    lost, new = await on_line.make(runtime, "birthday-500", channel, ends_at=None, now=now)
    assert new

    response = await make(marketer)

    assert response.json()["line_coupon_id"] == lost
    assert len(at_line) == 1


async def test_a_closed_one_is_closed_for_good_and_another_can_be_made(
    marketer: httpx2.AsyncClient, at_line: dict[str, LineCoupon]
) -> None:
    await define(marketer, valid_days=None, valid_until="2099-12-31")
    first = (await make(marketer)).json()["line_coupon_id"]

    closed = await marketer.post("/coupons/birthday-500/line-coupon/close", json=WHERE)
    again = await marketer.post("/coupons/birthday-500/line-coupon/close", json=WHERE)
    second = (await make(marketer)).json()["line_coupon_id"]

    assert (closed.status_code, closed.json()["state"]) == (200, "closed")
    problem(again, 404)
    assert at_line[first].status == "CLOSED"
    assert second != first


async def test_closing_what_line_has_closed_already_is_no_error(
    marketer: httpx2.AsyncClient, line: StandIn, at_line: dict[str, LineCoupon]
) -> None:
    await define(marketer, valid_days=None, valid_until="2099-12-31")
    first = (await make(marketer)).json()["line_coupon_id"]
    line.platform.first_channel.coupons.close(first)

    closed = await marketer.post("/coupons/birthday-500/line-coupon/close", json=WHERE)
    assert closed.status_code == 200


async def test_what_line_cannot_have_is_said_before_it_is_asked(
    marketer: httpx2.AsyncClient, at_line: dict[str, LineCoupon]
) -> None:
    await define(marketer)
    await define(marketer, "archived", state="archived")

    assert paths(await make(marketer)) == ["ends_at"]
    assert paths(await make(marketer, ends_at="2020-01-01T00:00:00Z")) == ["ends_at"]
    assert paths(await make(marketer, channel_id="999")) == ["channel_id"]
    problem(await make(marketer, "archived", ends_at="2099-01-01T00:00:00Z"), 409)
    problem(await make(marketer, "none"), 404)
    assert not at_line


async def test_when_line_does_not_answer_nothing_is_kept(
    marketer: httpx2.AsyncClient, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    await define(marketer, valid_days=None, valid_until="2099-12-31")
    outcomes = {Outcome.unknown: 503, Outcome.rate_limited: 503, Outcome.refused: 409}
    for outcome, status in outcomes.items():

        async def fail(*_args: Any, _outcome: Outcome = outcome, **_more: Any) -> Any:
            raise LineError(None, "no answer", _outcome)

        with monkeypatch.context() as broken:
            broken.setattr(LineClient, "call", fail)
            problem(await make(marketer), status)
    assert (await marketer.get("/coupons/birthday-500")).json()["line_coupon_ids"] == {}


async def test_texts_are_cut_to_what_line_takes(runtime: Runtime) -> None:
    now = await runtime.clock.now()
    made = coupons.body(
        title="あ" * 80, description="い" * 2_000, usage="う" * 200, reward={"type": "gift"},
        starts_at=now, ends_at=now + timedelta(days=1), once=True,
    )  # fmt: skip
    assert [len(made[n]) for n in ("title", "description", "usageCondition")] == [60, 1_000, 100]
