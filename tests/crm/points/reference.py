"""Points kept the slow and obvious way: plain lists, one loop for each rule of the house."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from crm.points import calendar
from crm.points.calendar import JAPAN
from crm.points.policy import PointsPolicy

NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class NotEnough(Exception):
    """More was asked for than there is."""


@dataclass(eq=False)
class Lot:
    owner: int
    left: int
    available: datetime
    expires: datetime | None
    granted_at: datetime
    number: int
    purchase: int | None = None
    state: str = "pending"


@dataclass
class Order:
    owner: int
    total: int
    used: int
    bought: datetime
    paid: bool
    delivered: datetime | None = None
    refunded: int = 0
    cancelled: bool = False
    full: int | None = None
    full_for: int = 0


@dataclass
class Reference:
    """All customers' points."""

    policy: PointsPolicy
    now: datetime
    lots: list[Lot] = field(default_factory=list)
    owed: Counter[int] = field(default_factory=Counter)
    orders: dict[int, Order] = field(default_factory=dict)
    # (order, customer) → granted, taken, expired, paid, given, lent
    had: dict[tuple[int, int], Counter[str]] = field(default_factory=dict)
    paid_from: dict[tuple[int, int], Counter[Lot]] = field(default_factory=dict)
    arrived: list[Lot] = field(default_factory=list)
    number: int = 0

    def balance(self, who: int) -> int:
        return sum(lot.left for lot in self.lots if lot.owner == who and lot.state == "open")

    def pending(self, who: int) -> int:
        return sum(lot.left for lot in self.lots if lot.owner == who and lot.state == "pending")

    def of(self, order: int | None, who: int) -> Counter[str]:
        return self.had.setdefault((order or 0, who), Counter())

    def mature(self, who: int) -> None:
        for lot in self.lots:
            if lot.owner == who and lot.state == "pending" and lot.available <= self.now:
                self.open(lot)
        for lot in self.lots:
            over = lot.expires is not None and lot.expires <= self.now
            if lot.owner == who and lot.state == "open" and over:
                self.of(lot.purchase, who)["expired"] += lot.left
                lot.left, lot.state = 0, "closed"

    def open(self, lot: Lot) -> None:
        lot.state = "open"
        self.of(lot.purchase, lot.owner)["granted"] += lot.left
        self.arrived.append(lot)

    def close(self) -> None:
        arrived = sorted(set(self.arrived), key=turn)
        self.arrived = []
        if self.policy.overdraw != "settle":
            return
        for lot in arrived:
            if lot.state == "open":
                paid = min(lot.left, self.owed[lot.owner])
                self.draw(lot, paid)
                self.owed[lot.owner] -= paid

    def draw(self, lot: Lot, points: int) -> None:
        lot.left -= points
        if lot.left == 0:
            lot.state = "closed"

    def add(self, who: int, points: int, available: datetime, expires: datetime | None,
            purchase: int | None = None) -> Lot | None:  # fmt: skip
        if expires is not None and expires <= self.now:
            return None
        self.number += 1
        lot = Lot(who, points, available, expires, self.now, self.number, purchase)
        self.lots.append(lot)
        if available <= self.now:
            self.open(lot)
        return lot

    def take(self, who: int, points: int, first: int | None = None) -> tuple[Counter[Lot], int]:
        """Returns what came from which lot, and what is missing."""
        mine = [lot for lot in self.lots if lot.owner == who and lot.state == "open"]
        own = [lot for lot in mine if first is not None and lot.purchase == first]
        others = [lot for lot in mine if lot not in own]
        taken: Counter[Lot] = Counter()
        for lot in sorted(own, key=turn) + sorted(others, key=turn):
            part = min(lot.left, points)
            points -= part
            if part:
                self.draw(lot, part)
                taken[lot] += part
        return taken, points

    def spend(self, who: int, points: int, order: int | None = None) -> None:
        self.mature(who)
        self.close()
        if points > self.balance(who):
            raise NotEnough
        taken, _ = self.take(who, points)
        if order is not None:
            self.of(order, who)["paid"] += points
            self.paid_from.setdefault((order, who), Counter()).update(taken)

    def recount(self, id_: int) -> None:
        order = self.orders[id_]
        counts = order.paid and not order.cancelled
        if counts and order.full_for == 0 and order.total > 0:
            order.full = max(0, order.total - order.used) // 10  # 10 %
            order.full_for = order.total
        owners = {who for seen, who in self.had if seen == id_}
        owners |= {lot.owner for lot in self.lots if lot.purchase == id_}
        for who in owners | {order.owner}:
            self.mature(who)
        for who in [*sorted(owners - {order.owner}), order.owner]:
            self._one(id_, order, who, counts=counts)
        self.close()

    def _one(self, id_: int, order: Order, who: int, *, counts: bool) -> None:
        had, mine = self.of(id_, who), who == order.owner
        earned = 0
        if mine and counts and order.full_for:
            earned = (order.full or 0) * (order.total - order.refunded) // order.full_for
        self._pay_back(id_, order, who, mine=mine)
        begins = order.delivered or order.bought
        usable = calendar.usable_from(begins, self.policy, JAPAN)
        waiting = [
            lot
            for lot in self.lots
            if lot.purchase == id_ and lot.owner == who and lot.state == "pending"
        ]
        for lot in waiting:
            if usable > self.now and lot.available != usable:
                lot.available = usable
                lot.expires = calendar.expiry_of(usable, self.policy, JAPAN)
        granted = had["granted"] - had["taken"] + sum(lot.left for lot in waiting)
        if granted - had["expired"] > earned:
            self._take_back(id_, who, waiting, granted - had["expired"] - earned)
        elif granted < earned:
            expires = calendar.expiry_of(usable, self.policy, JAPAN)
            self._clear(id_, who, self.add(who, earned - granted, usable, expires, id_))

    def _take_back(self, id_: int, who: int, waiting: list[Lot], points: int) -> None:
        for lot in waiting:
            part = min(lot.left, points)
            points -= part
            self.draw(lot, part)
        if points:
            _, missing = self.take(who, points, first=id_)
            self.owed[who] += missing
            self.of(id_, who)["taken"] += points
            self.of(id_, who)["lent"] += missing

    def _pay_back(self, id_: int, order: Order, who: int, *, mine: bool) -> None:
        had = self.of(id_, who)
        stays = 0
        if mine and not order.cancelled:
            stays = min(order.used, had["paid"])
            money = max(0, order.total - order.used)
            back = max(0, order.refunded - money)
            if order.refunded == order.total > 0:
                back = stays
            stays = max(0, stays - back)
        now_paid = had["paid"] - had["given"]
        if now_paid > stays:
            had["given"] += now_paid - stays
            self._give(id_, who, now_paid - stays)
        elif now_paid < stays and had["given"]:
            points = min(stays - now_paid, had["given"])
            had["paid"] += points
            taken, missing = self.take(who, points)
            self.paid_from.setdefault((id_, who), Counter()).update(taken)
            self.owed[who] += missing
            had["lent"] += missing

    def _give(self, id_: int, who: int, points: int) -> None:
        today = calendar.day_of(self.now, JAPAN)
        until = calendar.end_of(today + timedelta(days=self.policy.reopen_days), JAPAN)
        drawn = self.paid_from.get((id_, who), Counter())
        for lot in sorted((lot for lot in drawn if drawn[lot]), key=turn, reverse=True):
            part = min(drawn[lot], points)
            if part:
                points -= part
                drawn[lot] -= part
                lot.left += part
                lot.state = "open"
                if lot.expires is not None and lot.expires <= self.now:
                    lot.expires = until
                self.arrived.append(lot)
        if points:
            self._clear(id_, who, self.add(who, points, self.now, until))

    def _clear(self, id_: int, who: int, lot: Lot | None) -> None:
        had = self.of(id_, who)
        if lot is not None and lot.state == "open":
            paid = min(had["lent"], self.owed[who], lot.left)
            self.draw(lot, paid)
            self.owed[who] -= paid
            had["lent"] -= paid


def turn(lot: Lot) -> tuple[datetime, datetime, int]:
    return (lot.expires or NEVER, lot.granted_at, lot.number)
