"""Thanks for linking: once for a member, once for a LINE account, whatever is linked later."""

from crm.coupons import definition
from crm.coupons.definition import CouponDraft
from crm.coupons.models import IssuedCoupon
from crm.linking.models import LinkThanks
from crm.linking.thanks import Thanks
from crm.points.models import PointEntry
from tests.crm.linking.conftest import NOW, Town


async def points(town: Town, customer_id: int) -> int:
    return (await town.customer(customer_id)).points


async def test_a_member_is_thanked_with_points(town: Town) -> None:
    await town.allow(thanks_points=100)

    linked = await town.link(town.hana, town.ken)

    assert linked.thanks == Thanks(points=100)
    assert await points(town, town.ken) == 100


async def test_nobody_is_thanked_twice(town: Town) -> None:
    await town.allow(thanks_points=100)
    await town.link(town.hana, town.ken)
    await town.unlink(town.hana)

    relinked = await town.link(town.hana, town.ken)  # the same member
    second = await town.link(town.jun, town.ken)  # another LINE account of the member
    other = await town.link(town.hana, town.mio)  # another member of the LINE account

    assert [relinked.thanks, second.thanks, other.thanks] == [None, None, None]
    assert (await points(town, town.ken), await points(town, town.mio)) == (100, 0)
    assert len(await town.rows(PointEntry)) == 1


async def test_who_was_not_thanked_can_still_be(town: Town) -> None:
    await town.link(town.hana, town.ken)
    await town.unlink(town.hana)
    await town.allow(thanks_points=100)

    assert (await town.link(town.hana, town.ken)).thanks == Thanks(points=100)


async def test_a_member_is_thanked_with_a_coupon_and_not_again(town: Town) -> None:
    async with town.open() as session:
        draft = CouponDraft.model_validate({"name": "ありがとう500円", "discount": {"amount": 500}})
        await definition.save(session, "thanks", draft, now=NOW, expected=None)
    await town.allow(thanks_coupon="thanks", thanks_points=10)

    linked = await town.link(town.hana, town.ken)
    again = await town.link(town.jun, town.ken)

    assert linked.thanks == Thanks(10, "ありがとう500円")
    assert again.thanks is None
    assert [row.customer_id for row in await town.rows(IssuedCoupon)] == [town.ken]


async def test_a_coupon_that_cannot_be_given_does_not_stop_the_link(town: Town) -> None:
    await town.allow(thanks_coupon="gone", thanks_points=10)

    linked = await town.link(town.hana, town.ken)

    assert (linked.new, linked.thanks) == (True, None)
    assert await town.rows(LinkThanks) == []
    assert await points(town, town.ken) == 0
