"""When a delivery is tried again, and how long a receiver that doesn't answer is left alone (F88).

Times are the product's, so the test clock moves them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

PATIENCE = timedelta(hours=72)
"""From the first attempt to the last; an endpoint that failed for so long in a row is disabled."""
DELAYS = tuple(timedelta(seconds=seconds) for seconds in (10, 60, 300, 900, 1_800))
LONGEST_DELAY = timedelta(hours=1)
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (10, 20, 40, 80, 160))
LONGEST_PAUSE = timedelta(minutes=5)
JITTER = 0.2
ROOM = 4
"""Requests to one endpoint at the same time; while it fails, one."""


class Verdict(StrEnum):
    """What an attempt says about the receiver."""

    DELIVERED = "delivered"
    REFUSED = "refused"  # it answered, with something else than 2xx
    AWAY = "away"  # no answer in time, or one that says "not now"
    GONE = "gone"  # 410: it wants no more


def verdict_of(status: int | None) -> Verdict:
    """By the status of the answer; None where there was none."""
    if status is None or status in {429, 502, 503, 504}:
        return Verdict.AWAY
    if 200 <= status <= 299:
        return Verdict.DELIVERED
    return Verdict.GONE if status == 410 else Verdict.REFUSED


def next_attempt(*, attempts: int, first_at: datetime, now: datetime, spread: float) -> datetime | None:
    """When attempt `attempts` + 1 is due after a failure at `now`; None where the last one was made.

    `spread` (0 to 1) shortens the delay by up to a fifth, so that what failed together isn't tried together. The last
    attempt is exactly 72 h after the first.
    """
    end = first_at + PATIENCE
    if now >= end:
        return None
    delay = DELAYS[attempts - 1] if attempts <= len(DELAYS) else LONGEST_DELAY
    return min(now + delay * (1 - JITTER * spread), end)


def pause_after(failures: int) -> timedelta:
    """How long an endpoint that was away `failures` times in a row is left alone, with all that waits for it."""
    return PAUSES[failures - 1] if failures <= len(PAUSES) else LONGEST_PAUSE
