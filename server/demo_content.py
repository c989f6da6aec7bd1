"""What the demo's shop has decided: its coupons, its points days, how it thanks for linking."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from crm import policies
from crm.coupons import definition
from crm.coupons.definition import Conditions, CouponDraft, Discount
from crm.linking.policy import LinkPolicy
from crm.points.policy import Campaign, PointsPolicy

THANKS = "welcome-300"
_BEANS = ["BEAN-BLEND-200", "BEAN-ETH-200", "BEAN-COL-200", "BEAN-DECAF-200", "BEAN-DARK-500"]
COUPONS = {
    THANKS: CouponDraft(
        name="会員連携ありがとうクーポン", description="LINEでの会員連携のお礼です。",
        discount=Discount(amount=300), valid_days=60,
    ),
    "birthday-500": CouponDraft(
        name="お誕生日クーポン", description="お誕生日おめでとうございます。",
        discount=Discount(amount=500), conditions=Conditions(minimum_total=1_000),
        valid_days=30, remind_days=7,
    ),
    "beans-10": CouponDraft(
        name="コーヒー豆 10%引き", discount=Discount(percent=10, max_yen=1_000),
        conditions=Conditions(skus=_BEANS), valid_days=45, remind_days=3,
    ),
    "drink-gift": CouponDraft(
        name="ドリンク1杯プレゼント", description="お好きなドリンクを1杯どうぞ。",
        discount=Discount(gift="ドリンク1杯"), conditions=Conditions(stores=["馬車道店"]),
        valid_days=90,
    ),
}  # fmt: skip
POINTS = PointsPolicy(
    campaigns=(Campaign(name="5のつく日はポイント2倍", multiplier=2, days_of_month=(5, 15, 25)),)
)
LINKING = LinkPolicy(thanks_coupon=THANKS)


async def decide(session: AsyncSession, now: datetime) -> None:
    """Save it all."""
    for key, draft in COUPONS.items():
        await definition.save(session, key, draft, now=now, expected=None)
    await session.flush()
    for policy in (POINTS, LINKING):
        await policies.save(session, policy, expected=None, now=now)
