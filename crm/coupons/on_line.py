"""A coupon as an object of LINE's own, one for each channel, made from the definition.

No transaction is open while LINE is asked. What a lost answer has left at LINE is found again.
"""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Conflict, Fault, Invalid, NotFound, Unavailable
from core.line import coupons
from core.line.client import LineError, Outcome
from core.runtime import Runtime
from crm import channels
from crm.channels import OpenChannel
from crm.coupons.definition import conditions_of, discount_of, find
from crm.coupons.models import ARCHIVED

_REFUSED = {Outcome.refused, Outcome.bad_token}


async def make(
    runtime: Runtime, key: str, channel: OpenChannel, *, ends_at: datetime | None, now: datetime
) -> tuple[str, bool]:
    """Have LINE make the coupon, if it has not; returns LINE's id and whether it is new to us.

    `ends_at` is needed where the definition has no fixed end. To be stored with `keep`. Raises
    `NotFound`, `Invalid`, `Conflict` for what LINE refuses, `Unavailable`.
    """
    async with runtime.db.reading() as session:
        coupon = await find(session, key)
    known = coupon.line_coupon_ids.get(channel.channel_id)
    if known is not None:
        return known, False
    wanted = body_of(coupon, ends_at=ends_at, now=now)
    try:
        there = await coupons.find(runtime.line, channel.access_token, wanted)
        made = there or await coupons.create(runtime.line, channel.access_token, wanted)
    except LineError as error:
        raise _our(error) from error
    return made, True


async def keep(session: AsyncSession, key: str, channel: OpenChannel, line_id: str) -> str:
    """Note LINE's id on the definition; returns the one that counts, were another noted first."""
    coupon = await find(session, key, lock=True)
    known = coupon.line_coupon_ids.get(channel.channel_id)
    if known is not None:
        return known
    coupon.line_coupon_ids = coupon.line_coupon_ids | {channel.channel_id: line_id}
    await session.flush()
    return line_id


async def close(runtime: Runtime, line_id: str, channel: OpenChannel) -> None:
    """Have LINE close the coupon for good. Raises `Conflict`, `Unavailable`."""
    try:
        await coupons.close(runtime.line, channel.access_token, line_id)
    except LineError as error:
        raise _our(error) from error


async def forget(session: AsyncSession, key: str, channel: OpenChannel, line_id: str) -> None:
    """Take a closed coupon's id off the definition, so that another can be made."""
    coupon = await find(session, key, lock=True)
    kept = {c: id_ for c, id_ in coupon.line_coupon_ids.items() if (c, id_) != (
        channel.channel_id, line_id)}  # fmt: skip
    coupon.line_coupon_ids = kept
    await session.flush()


async def line_id_of(session: AsyncSession, key: str, channel: OpenChannel) -> str:
    """LINE's id of the coupon in this channel. Raises `NotFound`."""
    coupon = await find(session, key)
    known = coupon.line_coupon_ids.get(channel.channel_id)
    if known is None:
        raise NotFound("LINE coupon of", key)
    return known


async def channel_of(runtime: Runtime, channel_id: str) -> OpenChannel:
    """The channel with LINE's id, ready to be called. Raises `Invalid`."""
    found = await channels.of(runtime).find(channel_id)
    if found is None or not found.access_token:
        raise Invalid("The channel cannot be used.", [
            Fault("channel_id", "there is no channel with this id and an access token",
                  "このIDのアカウントがないか、アクセストークンが未設定です")])  # fmt: skip
    return found


def body_of(coupon: Any, *, ends_at: datetime | None, now: datetime) -> dict[str, Any]:  # noqa: ANN401
    """LINE's coupon for a definition. The same definition gives the same body, as `find` needs."""
    until = coupon.valid_until or ends_at
    if coupon.state == ARCHIVED:
        raise Conflict("アーカイブ済みのクーポンです。／The coupon is archived.")
    if until is None or until <= now:
        raise Invalid("LINE's coupons need an end in the future.", [
            Fault("ends_at", "say until when LINE shall have it: a moment in the future",
                  "LINEクーポンの終了日時（未来の日時）を指定してください")])  # fmt: skip
    discount = discount_of(coupon)
    said, _en = discount.said()
    lines = [coupon.description, said if discount.max_yen else ""]
    return coupons.body(
        title=coupon.name,
        description="\n".join(line for line in lines if line),
        usage="／".join(conditions_of(coupon).said()),
        reward=_reward(discount),
        starts_at=coupon.valid_from or coupon.created_at,
        ends_at=until,
        once=coupon.max_uses == 1,
    )


def _reward(discount: Any) -> dict[str, Any]:  # noqa: ANN401
    if discount.gift is not None:
        return {"type": "gift"}
    if discount.free_shipping:
        return {"type": "others"}
    return coupons.discount_reward(yen=discount.amount, percent=discount.percent)


def _our(error: LineError) -> Exception:
    if error.outcome in _REFUSED:
        return Conflict(f"LINEがクーポンを受け付けませんでした。／LINE refused: {error.detail}")
    return Unavailable("LINE does not answer right now; nothing was changed, try again.")
