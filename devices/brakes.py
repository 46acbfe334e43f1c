"""Two brakes on LOCKs that the platform orders by itself (P8): after an outage of the bridge, and by number. Pure.

Nothing here reads a clock or a database. Instants are aware UTC datetimes of product time; a minute is named by its
number since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class LockCause(StrEnum):
    """Why the platform orders a LOCK by itself. What a person orders for a device has none: no brake looks at it."""

    TRIAL_END = "TRIAL_END"
    PERIOD_END = "PERIOD_END"
    RULE = "RULE"


class HoldReason(StrEnum):
    """Which brake holds a LOCK."""

    SETTLING = "SETTLING"
    TOO_MANY = "TOO_MANY"


OUTAGE = timedelta(seconds=30)
"""A bridge that was without the broker, or without our database, for longer has been away."""
WINDOW_MINUTES = 60


class Limits(NamedTuple):
    """What the platform allows: LOCKs of an enterprise in an hour, and how long presence settles after an outage."""

    least: int
    percent: int
    settle: timedelta

    def allowance(self, devices: int) -> int:
        """How many LOCKs go in an hour without a person: the larger of a number and a share of the devices."""
        return max(self.least, devices * self.percent // 100)


class Listener(NamedTuple):
    """One bridge that was ever in contact: when last, and when it was back after its last outage."""

    name: str
    heard_at: datetime
    recovered_at: datetime | None


def settles_until(listeners: Iterable[Listener], *, settle: timedelta, now: datetime) -> datetime | None:
    """Until when LOCKs of trial ends are held at the soonest; None where nothing holds them.

    One bridge of those at work that is away or was just back is enough: nobody knows whose devices it would have heard.
    A settle time of 0 switches this brake off.
    """
    if not settle:
        return None
    ends = [until for each in at_work(listeners) if (until := _settled_at(each, settle, now))]
    return max(ends, default=None)


def at_work(listeners: Iterable[Listener]) -> list[Listener]:
    """The bridges of the size of fleet that was heard last: "2of4" says the size, and rows of an older size stay."""
    known = sorted(listeners, key=lambda each: each.heard_at)
    size = _size(known[-1].name) if known else ""
    return [each for each in known if _size(each.name) == size]


def is_away(listener: Listener, now: datetime) -> bool:
    """Whether it is out of contact now."""
    return now - listener.heard_at > OUTAGE


def _settled_at(listener: Listener, settle: timedelta, now: datetime) -> datetime | None:
    if is_away(listener, now):
        return now + settle
    back = listener.recovered_at
    return back + settle if back and back <= now < back + settle else None


def _size(name: str) -> str:
    return name.rpartition("of")[2] if "of" in name else ""


def minute_of(now: datetime) -> int:
    """Number of the minute in which `now` lies."""
    return int(now.timestamp()) // 60


def passed_lately(minutes: Mapping[int, int], now: datetime) -> int:
    """LOCKs that were let go within an hour. The minute that began before the hour counts whole, and so do minutes of a
    clock that is ahead: no hour ever sees more than the allowance."""
    return sum(number for minute, number in minutes.items() if _is_recent(minute, now))


def counted(minutes: Mapping[int, int], number: int, now: datetime) -> dict[int, int]:
    """The minutes with `number` more in this one, without those that no longer matter."""
    kept = {minute: each for minute, each in minutes.items() if _is_recent(minute, now)}
    if number:
        kept[minute_of(now)] = kept.get(minute_of(now), 0) + number
    return kept


def let_go(wanted: int, *, passed: int, allowance: int, is_on: bool) -> int:
    """How many of `wanted` LOCKs go: none while the brake is on, else as many as the allowance has left."""
    return 0 if is_on else max(min(wanted, allowance - passed), 0)


def _is_recent(minute: int, now: datetime) -> bool:
    return abs(minute_of(now) - minute) <= WINDOW_MINUTES


def brake_of(cause: LockCause, *, is_settling: bool) -> HoldReason:
    """Which brake decides about a LOCK: while presence settles, the first one about those that derive from it (P8)."""
    return HoldReason.SETTLING if is_settling and cause is LockCause.TRIAL_END else HoldReason.TOO_MANY
