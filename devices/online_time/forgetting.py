"""Which closed sessions of a device may be forgotten without changing its online time (X5, P1)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from devices.online_time.sessions import Interval, union_length


def forgettable(sessions: Sequence[Interval], open_since: datetime | None, cutoff: datetime) -> tuple[int, int]:
    """How many of the first of these sessions may go, and how many microseconds their union lasted.

    `sessions` are all closed ones of a device, by their start. They go up to a gap before `cutoff`: what goes and what
    stays share no moment and don't touch, so that the length of the whole is the sum of both and no interval that is
    still open reaches back into what is gone.
    """
    going, until = 0, None
    for place, part in enumerate(sessions):
        if part.ended_at >= cutoff or (open_since is not None and part.ended_at >= open_since):
            break
        until = part.ended_at if until is None else max(until, part.ended_at)
        if place + 1 == len(sessions) or sessions[place + 1].started_at > until:
            going = place + 1
    return going, union_length(sessions[:going])
