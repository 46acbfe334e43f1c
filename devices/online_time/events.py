"""What a message says about a device's presence, and which messages are too far from now to count (P2, P5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

MAX_AHEAD = timedelta(minutes=5)
"""An event stamped further ahead than this is refused (P5)."""
MAX_LATE = timedelta(days=7)
"""An event older than this is refused (P5)."""


class Kind(StrEnum):
    """What a message says about presence."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    UPLINK = "UPLINK"


class Refusal(StrEnum):
    """Why an event isn't taken up (P5)."""

    TOO_FAR_AHEAD = "too_far_ahead"
    TOO_LATE = "too_late"


class PresenceEvent(NamedTuple):
    """`at` is the broker's timestamp, else the moment of receipt; `session` is opaque, None where nothing names it."""

    kind: Kind
    session: str | None
    at: datetime
    keepalive: int | None = None


def refusal(event: PresenceEvent, now: datetime) -> Refusal | None:
    """Why `event` isn't taken up at `now`; None where it is (P5). Both bounds are inclusive."""
    if event.at > now + MAX_AHEAD:
        return Refusal.TOO_FAR_AHEAD
    if event.at < now - MAX_LATE:
        return Refusal.TOO_LATE
    return None


def admit(event: PresenceEvent, now: datetime) -> PresenceEvent | None:
    """The event as it counts, or None where P5 refuses it. A stamp ahead counts as `now`: time to come isn't online."""
    if event.at <= now and event.at >= now - MAX_LATE:  # almost all of them
        return event
    return None if refusal(event, now) else event._replace(at=now)
