"""Links: that a friend is a member, from when until when.

What holds, decided here:

- One LINE account is one member at a time. Two people who share a phone, and so a LINE account,
  take turns; two members with one telephone number are never merged, they are suspected doubles.
- A member may link several LINE accounts, `max_friends` of them.
- The first link of an anonymous friend merges that record into the member: nothing is lost and
  nothing counted twice, and staff can undo the merge. After that only the friend moves: points,
  coupons and purchases belong to the member and stay.
- Linking to another member ends the link before, as unlinking would.
- Unlinking leaves everything with the member. The friend gets a fresh, empty record; what flows had
  begun for the member ends for this friend (`server/link_reactions.py`).
- Thanks for linking are given once (`crm/linking/thanks.py`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.db import table
from core.errors import Conflict, NotFound
from crm import activities, policies
from crm.activities import Fact
from crm.customers import locking, merging
from crm.customers.models import CustomerMerge
from crm.linking import thanks
from crm.linking.models import EXPIRED, METHODS, WAITING, MemberLink, PendingLink
from crm.linking.policy import LinkPolicy
from crm.linking.thanks import Thanks
from crm.models import Customer, Friend
from crm.ranks import review

MAX_MOVES = 5  # of a friend while we wait for locks


class TooManyFriends(Conflict):
    """The member has as many LINE accounts linked as the shop allows."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"この会員には、すでに{most}個のLINEアカウントが連携されています。"
            f" / This member has {most} LINE accounts linked already, which is the most allowed."
        )
        self.most = most


@dataclass(frozen=True, slots=True)
class Linked:
    """A friend's link. `new` is False when they were this member already.

    `left_id` is the member they were before; `merge_id` the merge of their anonymous record.
    """

    link_id: int
    customer_id: int
    member_number: str | None
    new: bool
    left_id: int | None = None
    merge_id: int | None = None
    thanks: Thanks | None = None


@dataclass(frozen=True, slots=True)
class Unlinked:
    """The member that a friend was, and the fresh record that they are now."""

    left_id: int
    customer_id: int


@dataclass(frozen=True, slots=True)
class Membership:
    """Which member a friend is."""

    customer_id: int
    member_number: str | None


async def link(
    session: AsyncSession,
    friend_id: int,
    member_id: int,
    *,
    method: str,
    now: datetime,
    zone: ZoneInfo,
    actor: str = "customer",
) -> Linked:
    """Tie a friend to a member; doing it again changes nothing.

    `member_id` may be the id of a record that was merged since. Raises `NotFound`, or
    `TooManyFriends`, before anything is changed. A `Friend` that the session holds is fresh after.
    """
    assert method in METHODS
    friend, member = await _locked(session, friend_id, member_id)
    current = await _open(session, friend_id)
    if current is not None and await _same(session, current.customer_id, member):
        return Linked(current.id, current.customer_id, member.member_number, new=False)
    policy, _version = await policies.read(session, LinkPolicy)
    await _room(session, member, policy.max_friends)
    left_id = None if current is None else current.customer_id
    if current is not None:
        await _close(session, current, friend, by="relink", now=now)
    merge_id = await _join(session, friend, member, method=method, actor=actor, now=now)
    link_id = await _write(session, friend, member, method, now)
    await _forget_pending(session, friend_id, now)
    given = await thanks.give(session, member, friend, policy, now=now, zone=zone)
    if merge_id is not None:
        assert member.id is not None
        await review.promote(session, [member.id], now=now, zone=zone)
    await session.refresh(friend)
    assert member.id is not None
    return Linked(
        link_id, member.id, member.member_number, new=True, left_id=left_id, merge_id=merge_id,
        thanks=given,
    )  # fmt: skip


async def unlink(
    session: AsyncSession, friend_id: int, *, by: str, now: datetime
) -> Unlinked | None:
    """End a friend's membership; None where there is none.

    A friend whose record staff made a member's own, without a link, can leave it as well.
    """
    friend, member = await _locked(session, friend_id, None)
    current = await _open(session, friend_id)
    if current is None and member.member_number is None:
        return None
    customer = table(Customer)
    made = insert(customer).values(created_at=now).returning(customer.c.id)
    fresh = int((await session.execute(made)).scalar_one())
    if current is not None:
        await _close(session, current, friend, by=by, now=now)
    else:
        await _told(session, member, friend, f"{friend_id}:{now.isoformat()}", by=by, now=now)
    await session.execute(
        update(table(Friend)).where(table(Friend).c.id == friend_id).values(customer_id=fresh)
    )
    await _forget_pending(session, friend_id, now)
    await session.refresh(friend)
    assert member.id is not None
    return Unlinked(left_id=member.id, customer_id=fresh)


async def end_parted(session: AsyncSession, customer_ids: Collection[int], *, now: datetime) -> int:
    """End links whose own merge staff have undone; returns how many.

    The friend went back to the record that they brought, which is nobody's membership.
    """
    merge_, link_ = table(CustomerMerge), table(MemberLink)
    undone = select(merge_.c.from_id, merge_.c.evidence).where(
        merge_.c.from_id.in_(customer_ids), merge_.c.undone_at.is_not(None)
    )
    parted = {(r.from_id, r.evidence.get("friend_id")) for r in await session.execute(undone)}
    holds = select(link_).where(
        link_.c.customer_id.in_([from_id for from_id, _friend in parted]),
        link_.c.unlinked_at.is_(None),
    )
    rows = [r for r in await session.execute(holds) if (r.customer_id, r.friend_id) in parted]
    for row in rows:  # one for each merge that was undone, by hand
        friend = await session.get_one(Friend, row.friend_id)
        await _close(session, row, friend, by="merge_undone", now=now)
    return len(rows)


async def membership(session: AsyncSession, friend: Friend) -> Membership | None:
    """Which member a friend is, by a link or because staff said so; None for an anonymous one."""
    row: Any = await _open(session, friend.id or 0)
    found = await locking.resolve(session, [row.customer_id if row else friend.customer_id])
    customer = table(Customer)
    query = select(customer.c.id, customer.c.member_number).where(
        customer.c.id == next(iter(found.values()), 0)
    )
    member: Any = (await session.execute(query)).first()
    if member is None or (row is None and member.member_number is None):
        return None
    return Membership(member.id, member.member_number)


async def friends_of(session: AsyncSession, customer_id: int) -> int:
    """How many LINE accounts a member has linked."""
    link_ = table(MemberLink)
    mine = link_.c.unlinked_at.is_(None) & (link_.c.customer_id == customer_id)
    return int(await session.scalar(select(func.count()).select_from(link_).where(mine)) or 0)


async def _locked(
    session: AsyncSession, friend_id: int, member_id: int | None
) -> tuple[Friend, Customer]:
    """The friend and the member (their own record where none is given), customers locked first."""
    friend = table(Friend)
    for _ in range(MAX_MOVES):
        own = await session.scalar(select(friend.c.customer_id).where(friend.c.id == friend_id))
        if own is None:
            raise NotFound("friend", friend_id)
        wanted = own if member_id is None else member_id
        today = await locking.resolve(session, {own, wanted})
        await locking.lock(session, {*today.values(), own})
        member = await locking.locked(session, wanted)
        if member.erased_at is not None:
            raise NotFound("customer", wanted)
        query = select(Friend).where(friend.c.id == friend_id).with_for_update(key_share=True)
        found = await session.scalar(query.execution_options(populate_existing=True))
        if found is not None and found.customer_id == own:  # moved while we waited, else
            return found, member
    raise Conflict("This friend is being linked elsewhere at this moment; try again.")


async def _open(session: AsyncSession, friend_id: int) -> Any:  # noqa: ANN401
    link_ = table(MemberLink)
    query = select(link_).where(link_.c.friend_id == friend_id, link_.c.unlinked_at.is_(None))
    return (await session.execute(query)).first()


async def _same(session: AsyncSession, customer_id: int, member: Customer) -> bool:
    today = await locking.resolve(session, [customer_id])
    return today.get(customer_id) == member.id


async def _room(session: AsyncSession, member: Customer, most: int) -> None:
    assert member.id is not None
    if await friends_of(session, member.id) >= most:
        raise TooManyFriends(most)


async def _join(
    session: AsyncSession,
    friend: Friend,
    member: Customer,
    *,
    method: str,
    actor: str,
    now: datetime,
) -> int | None:
    """Merge an anonymous friend's record, or move the friend out of another member's."""
    assert member.id is not None
    if friend.customer_id == member.id:
        return None
    if not await _anonymous(session, friend):
        here = table(Friend).c.id == friend.id
        await session.execute(update(table(Friend)).where(here).values(customer_id=member.id))
        return None
    return await merging.merge(
        session, friend.customer_id, member.id, reason="会員連携 / linked",
        evidence={"method": method, "friend_id": friend.id}, actor=actor, now=now,
    )  # fmt: skip


async def _anonymous(session: AsyncSession, friend: Friend) -> bool:
    """Whether the friend's record is nobody's membership: no number, and never linked to."""
    customer, link_ = table(Customer), table(MemberLink)
    own = customer.c.id == friend.customer_id
    query = select(customer.c.member_number, customer.c.merged_into_id).where(own)
    row: Any = (await session.execute(query)).one()
    linked = select(link_.c.id).where(link_.c.customer_id == friend.customer_id).limit(1)
    nobody = row.member_number is None and row.merged_into_id is None
    return nobody and await session.scalar(linked) is None


async def _write(
    session: AsyncSession, friend: Friend, member: Customer, method: str, now: datetime
) -> int:
    link_ = table(MemberLink)
    row = {
        "friend_id": friend.id,
        "customer_id": member.id,
        "method": method,
        "linked_at": now,
    }
    made = await session.execute(insert(link_).values(row).returning(link_.c.id))
    link_id = int(made.scalar_one())
    assert member.id is not None
    fact = Fact(
        customer_id=member.id,
        friend_id=friend.id,
        kind="linked",
        occurred_at=now,
        data={"method": method},
        source=f"linked:{link_id}",
    )
    await activities.record(session, [fact], now=now)
    return link_id


async def _close(
    session: AsyncSession,
    current: Any,  # noqa: ANN401
    friend: Friend,
    *,
    by: str,
    now: datetime,
) -> None:
    link_ = table(MemberLink)
    ended = update(link_).where(link_.c.id == current.id)
    await session.execute(ended.values(unlinked_at=now, unlinked_by=by))
    fact = _unlinked(current.customer_id, friend, f"unlinked:{current.id}", by, now)
    await activities.record(session, [fact], now=now)


async def _told(
    session: AsyncSession, member: Customer, friend: Friend, key: str, *, by: str, now: datetime
) -> None:
    assert member.id is not None
    fact = _unlinked(member.id, friend, f"unlinked:friend:{key}", by, now)
    await activities.record(session, [fact], now=now)


def _unlinked(customer_id: int, friend: Friend, source: str, by: str, now: datetime) -> Fact:
    return Fact(
        customer_id=customer_id,
        friend_id=friend.id,
        kind="unlinked",
        occurred_at=now,
        data={"by": by},
        source=source,
    )


async def _forget_pending(session: AsyncSession, friend_id: int, now: datetime) -> None:
    """Links that wait for an order are settled by any other link, and by unlinking."""
    pending = table(PendingLink)
    waiting = (pending.c.friend_id == friend_id) & (pending.c.state == WAITING)
    await session.execute(update(pending).where(waiting).values(state=EXPIRED, done_at=now))
