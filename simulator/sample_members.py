"""The sample shop's books: its members, who of them is linked, what they bought, their coupons.

Featured people come first, so that the phone can be tried while the rest is still being told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from simulator.clock import iso, to_ms
from simulator.platform import Platform
from simulator.sample_data import Customer, Purchase
from simulator.shop import Shop

AT_ONCE = 4
PURCHASES_PER_BODY = 50
SOURCE = "minato"
_PATIENCE_SECONDS = 60

Step = Callable[[], Awaitable[None]]


async def tell(platform: Platform, shop: Shop, people: Sequence[Customer], done: str) -> None:
    """Tell the shop what it does not know yet, from where an earlier life has stopped.

    Raises `ShopError`.
    """
    books = _Books(platform, shop, done)
    members = [person for person in people if person.member_number]
    await books.go_on("members", [books.member(person) for person in members])
    linked = [person for person in members if person.linked]
    friends = await _friend_ids(shop, {person.user_id for person in linked})
    known = [person for person in linked if person.user_id in friends]
    await books.go_on("links", [books.link(one, friends[one.user_id]) for one in known])
    orders = [(one, order) for one in members for order in one.purchases]
    orders.sort(key=lambda item: (not item[0].featured, item[1].at))
    told = [books.purchases(batch) for batch in _batches(orders)]
    await books.go_on("purchases", told, at_once=1)  # in their order of time
    await books.coupons([person for person in members if person.coupons])


class _Books:
    """Tells, and remembers how far it is."""

    def __init__(self, platform: Platform, shop: Shop, done: str) -> None:
        self._platform, self._shop, self._done = platform, shop, done

    async def go_on(self, name: str, steps: Sequence[Step], at_once: int = AT_ONCE) -> None:
        """Take the steps that have not been taken yet."""
        at = int(str(self._platform.done[self._done].get(name, 0)))
        while at < len(steps):
            some = steps[at : at + at_once]
            await asyncio.gather(*(step() for step in some))
            at += len(some)
            self._platform.mark_done(self._done, {**self._platform.done[self._done], name: at})

    def member(self, person: Customer) -> Step:
        """A member's card is made."""
        body: dict[str, object] = {
            "member_number": person.member_number,
            "name": person.full_name,
            "birthday": person.birthday.isoformat() if person.birthday else None,
        }
        return lambda: self._shop.tell("customers", body, f"{SOURCE}:{person.member_number}")

    def link(self, person: Customer, friend_id: object) -> Step:
        """A member has linked their LINE account."""
        body = {"friend_id": friend_id, "member_number": person.member_number}
        return lambda: self._shop.tell("links", body, f"{SOURCE}:link:{person.member_number}")

    def purchases(self, orders: Sequence[tuple[Customer, Purchase]]) -> Step:
        """Some orders, all or none."""
        body: dict[str, object] = {"purchases": [_order(*order) for order in orders]}
        key = f"{SOURCE}:{orders[0][1].order_id}:{orders[-1][1].order_id}"
        return lambda: self._shop.tell("purchases/batch", body, key)

    async def coupons(self, people: Sequence[Customer]) -> None:
        """The featured members' coupons."""
        if "coupons" in self._platform.done[self._done]:
            return
        ids = {item["member_number"]: item["id"] async for item in self._shop.members()}
        wanted = [(p, key) for p in people if p.member_number in ids for key in p.coupons]
        await self.go_on(
            "coupons", [self._coupon(key, ids[p.member_number]) for p, key in wanted], at_once=1
        )

    def _coupon(self, key: str, customer_id: object) -> Step:
        body: dict[str, object] = {"customer_id": customer_id, "reason": "sample"}
        return lambda: self._shop.tell(
            f"coupons/{key}/issue", body, f"{SOURCE}:{key}:{customer_id}"
        )


def _order(person: Customer, purchase: Purchase) -> dict[str, object]:
    return {
        "source": SOURCE,
        "order_id": purchase.order_id,
        "member_number": person.member_number,
        "purchased_at": iso(to_ms(purchase.at)),
        "total": purchase.total,
        "lines": list(purchase.lines),
        "store": "馬車道店",
    }


def _batches(
    orders: Sequence[tuple[Customer, Purchase]],
) -> list[Sequence[tuple[Customer, Purchase]]]:
    return [
        orders[at : at + PURCHASES_PER_BODY] for at in range(0, len(orders), PURCHASES_PER_BODY)
    ]


async def _friend_ids(shop: Shop, wanted: set[str]) -> Mapping[str, object]:
    """Friends' ids by user id, once the shop has worked through the events or stands still."""
    known: dict[str, object] = {}
    for _ in range(_PATIENCE_SECONDS):
        known = {str(item["user_id"]): item["id"] async for item in shop.friends()}
        if wanted <= known.keys():
            break
        await asyncio.sleep(1)
    return known
