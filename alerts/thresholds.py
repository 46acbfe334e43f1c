"""Which expiry notice is due when (N1–N6, N9), as pure rules: no database, no clock. Instants are aware UTC datetimes.

A notice of a service falls due a number of days before the service's end. It is told only if that moment lies after
both the setting of the end and the switching on of alerts; of several that are due, only the most urgent goes out.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from devices.lifecycle import State


class Service(StrEnum):
    """The services of a device whose ends are announced (N3)."""

    SIM = "SIM"
    RTK = "RTK"
    DEVICE = "DEVICE"


WIRE_SERVICES = {Service.SIM: 1, Service.RTK: 2, Service.DEVICE: 3}
"""`serviceName` on the wire (N3)."""
WIRE_STATUSES = {30: 1, 7: 2, 1: 3}
"""`serviceStatus` on the wire by days before the end (N2). “0 days” means: less than one whole day is left."""
WIRE_DAYS = tuple(WIRE_STATUSES)
LEAST_DAYS, MOST_DAYS = 1, 365
"""Further thresholds, for channels that have words for them (N8)."""


_ACTIVE = State.ACTIVE  # looked up once: services are many, and that costs more than the comparison
_BEFORE = [timedelta(days=days) for days in range(MOST_DAYS + 1)]


class Reason(StrEnum):
    """Why a notice went nowhere."""

    OVERTAKEN = "OVERTAKEN"
    PAST_END = "PAST_END"
    FROZEN = "FROZEN"
    END_MOVED = "END_MOVED"
    SERVICE_STOPPED = "SERVICE_STOPPED"
    SWITCHED_OFF = "SWITCHED_OFF"
    NO_TSL = "NO_TSL"
    NO_PROPERTY = "NO_PROPERTY"
    NO_RECIPIENT = "NO_RECIPIENT"


class Term(NamedTuple):
    """The end of one service: its state (None where it has none: SIM, RTK), since when the end stands.

    `frozen`: the product's paid mode is off (A25).
    """

    state: State | None
    ends_at: datetime
    set_at: datetime
    frozen: bool = False


class Threshold(NamedTuple):
    """So many days before the end; moments up to `since` are never made up for (N5)."""

    days: int
    since: datetime


class Due(NamedTuple):
    """A notice whose moment `at` has come; `skipped` says why it doesn't go out."""

    days: int
    at: datetime
    skipped: Reason | None


def falls_due_at(ends_at: datetime, days: int) -> datetime:
    """The moment of a notice (N2)."""
    return ends_at - _BEFORE[days]


def due_notices(term: Term, thresholds: Iterable[Threshold], now: datetime) -> list[Due]:
    """The notices of one service and channel whose moments have come by `now`, the most urgent first (N5, N9)."""
    if not _is_announced(term, now):
        return []
    ends_at, set_at = term.ends_at, term.set_at
    come = []
    for days, since in thresholds:
        at = ends_at - _BEFORE[days]
        if at <= now and at > set_at and at > since:
            come.append((days, at))
    if len(come) == 1:
        return [Due(*come[0], _skipped(term, now, 0))]
    come.sort()
    return [Due(days, at, _skipped(term, now, place)) for place, (days, at) in enumerate(come)]


def next_moment(term: Term, thresholds: Iterable[Threshold], now: datetime) -> datetime | None:
    """When the next notice falls due; None where none will before the end is set anew."""
    if term.frozen or not _is_announced(term, now):
        return None
    moments = (falls_due_at(term.ends_at, each.days) for each in thresholds)
    ahead = [at for at in moments if at > now and at > term.set_at]
    return min(ahead, default=None)


def waits_until(ends_at: datetime, days: int, all_days: Iterable[int] = WIRE_DAYS) -> datetime:
    """Until when a notice may still be delivered: to the next threshold or the end, whichever is first (N6)."""
    closer = [each for each in all_days if each < days]
    return falls_due_at(ends_at, max(closer)) if closer else ends_at


def late_reason(ends_at: datetime, days: int, now: datetime, all_days: Iterable[int]) -> Reason | None:
    """Why a notice that still waits to go out is too late at `now`; None where it isn't."""
    if now >= ends_at:
        return Reason.PAST_END
    return Reason.OVERTAKEN if now >= waits_until(ends_at, days, all_days) else None


def _is_announced(term: Term, now: datetime) -> bool:
    """N9: nothing is announced before a paid time, nor after it; what was missed until its end is still told apart."""
    if term.state is None or term.state is _ACTIVE:
        return True
    return term.state is State.EXPIRED and term.ends_at <= now


def _skipped(term: Term, now: datetime, place: int) -> Reason | None:
    if term.ends_at <= now:
        return Reason.PAST_END
    if term.frozen:
        return Reason.FROZEN
    return Reason.OVERTAKEN if place else None
