"""Tickets: signed, expiring parts of a URL that say which friend a linking page is for.

A ticket is worth something only to who also proves a membership. It goes into the friend's own
chat, lives for a quarter of an hour, and the page says by name which LINE account it links, so that
nobody signs in for a stranger.
"""

import re
from datetime import UTC, datetime, timedelta

from core.errors import OkaeriError
from core.sealing import Seal

LIFE = timedelta(minutes=15)
PURPOSE = "linking"
_TICKET = re.compile(r"([0-9a-f]{1,16})\.([0-9a-f]{1,11})\.([A-Za-z0-9_-]{14})")


class ForeignTicket(OkaeriError):
    """It was not made by us."""


class ExpiredTicket(OkaeriError):
    """It was ours and is over."""


def issue(seal: Seal, friend_id: int, *, now: datetime) -> str:
    """A ticket for this friend."""
    head = f"{friend_id:x}.{int((now + LIFE).timestamp()):x}"
    return f"{head}.{seal.signer(PURPOSE).sign(head)}"


def read(seal: Seal, ticket: str, *, now: datetime) -> int:
    """The friend's id; raises `ForeignTicket` or `ExpiredTicket`."""
    found = _TICKET.fullmatch(ticket)
    if found is None:
        raise ForeignTicket("This link is not one of ours.")
    head = f"{found[1]}.{found[2]}"
    if not seal.signer(PURPOSE).verify(head, found[3]):
        raise ForeignTicket("This link is not one of ours.")
    if datetime.fromtimestamp(int(found[2], 16), UTC) < now:
        raise ExpiredTicket("This link has expired.")
    return int(found[1], 16)
