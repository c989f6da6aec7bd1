"""Following, blocking and what else LINE tells about a friend. The greeting itself is a flow."""

from bot.router import Router, event
from bot.turn import Replies, Turn
from crm import friends
from delivery import outbox

router = Router("friendship")


@router.on(event("follow"), priority=100)
async def followed(turn: Turn) -> Replies:
    """A new friend, or one who is back: flows greet them."""
    told = turn.event.get("follow")
    unblocked = isinstance(told, dict) and told.get("isUnblocked") is True
    if fact := friends.follow(turn.friend, at=turn.at, unblocked=unblocked):
        turn.facts.append(fact)
    return []


@router.on(event("unfollow"), priority=100)
async def blocked(turn: Turn) -> Replies:
    """Blocked: everything unsent to them is suppressed."""
    if fact := friends.block(turn.friend, at=turn.at):
        turn.facts.append(fact)
        assert turn.friend.id is not None
        await outbox.cancel(turn.session, [turn.friend.id], reason="blocked", now=turn.now)
    return []


@router.on(event("beacon"), priority=100)
async def near_a_beacon(turn: Turn) -> Replies:
    """The friend came near a LINE beacon of the shop."""
    beacon = turn.event.get("beacon")
    if isinstance(beacon, dict):
        turn.note("beacon_entered", hwid=str(beacon.get("hwid", ""))[:40], type=beacon.get("type"))
    return []


@router.on(event("videoPlayComplete"), priority=100)
async def video_watched(turn: Turn) -> Replies:
    """The friend watched a video of ours to its end."""
    video = turn.event.get("videoPlayComplete")
    if isinstance(video, dict):
        turn.note("video_watched", tracking_id=str(video.get("trackingId", ""))[:100])
    return []


@router.on(event("membership"), priority=100)
async def membership_changed(turn: Turn) -> Replies:
    """The friend joined, renewed or left a paid LINE membership."""
    membership = turn.event.get("membership")
    if isinstance(membership, dict):
        turn.note(
            "membership_changed",
            type=membership.get("type"),
            membership_id=membership.get("membershipId"),
        )
    return []
