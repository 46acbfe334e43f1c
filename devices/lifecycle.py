"""The life of a device service, as pure rules (spec A1–A18): what is due, when, and what a renewal does.

Nothing here reads a clock or a database. `Terms` is the product's rule as it stands when it is used, `Facts` is one
device. Durations of online time are microseconds (int), thresholds are seconds, instants are aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from amp.foundation.calendar import add_months, is_within_horizon

SECOND = 1_000_000
AUTO_GRACE = timedelta(hours=24)
"""A11: how long a trial is kept when the included plan can't start."""
AUTO_RETRY = timedelta(minutes=10)


class State(StrEnum):
    """Commercial state; the lock is another matter (`Lock`)."""

    PENDING = "PENDING"
    TRIAL = "TRIAL"
    ACTIVE = "ACTIVE"
    FREE = "FREE"
    EXPIRED = "EXPIRED"
    TERMINATED = "TERMINATED"


class Lock(StrEnum):
    """The physical lock, wanted or reported; never inferred from the other."""

    UNKNOWN = "UNKNOWN"
    LOCKED = "LOCKED"
    UNLOCKED = "UNLOCKED"


class Included(NamedTuple):
    """The plan that auto-subscription gives (A9)."""

    plan_name: str
    months: int
    level_id: int


class Terms(NamedTuple):
    """The product's rule in force, in the zone of the enterprise (A14)."""

    paid_mode: bool
    trial_start: int
    trial_end: int
    included: Included | None
    # Why the included plan can't start at this moment; None where it can (A9, A11).
    included_refusal: str | None
    early_renewal: bool
    time_zone: str
    # When thresholds last changed: a lower threshold moves devices from then on, never in the past.
    thresholds_since: datetime


class Facts(NamedTuple):
    """One device's service with its online time."""

    state: State
    life: int
    counts_from: int | None
    counted: int
    open_since: datetime | None
    # Closed intervals, oldest first; only needed where a threshold was passed inside one (P7).
    closed: Sequence[tuple[datetime, datetime]]
    trial_end: int | None
    auto_spent: bool
    auto_failed_at: datetime | None
    anchor: datetime | None
    anchor_months: int
    ends_at: datetime | None
    last_event_at: datetime


class Transition(NamedTuple):
    """A change that is due. `lock` is what the device should be told; `included` starts a free period at `at`."""

    to: State
    at: datetime
    why: str
    lock: Lock | None = None
    included: Included | None = None
    held: bool = False


class RenewalRefusal(StrEnum):
    """Why a renewal can't be sold (E4, A12, A15), or applied though it is paid for (F36)."""

    TERMINATED = "terminated"
    PAID_MODE_OFF = "paid_mode_off"
    TRIAL_NOT_OVER = "trial_not_over"
    TOO_FAR = "too_far_ahead"
    OTHER_ENTERPRISE = "other_enterprise"


class RenewalNotAllowed(Exception):
    """A renewal was asked for that the rules refuse; `reason` says which."""

    def __init__(self, reason: RenewalRefusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Renewal(NamedTuple):
    """What one paid period does to a device."""

    starts_at: datetime
    ends_at: datetime
    anchor: datetime
    anchor_months: int
    ends_trial: bool
    unlocks: bool


def due_transition(facts: Facts, terms: Terms, now: datetime) -> Transition | None:
    """The next change that has fallen due by `now`, dated by when it fell due (A17, P7); None where nothing has."""
    if not terms.paid_mode:
        return None
    at = _falls_due(facts, terms)
    if at is None or at > now:
        return None
    at = max(at, facts.last_event_at)  # R8: no event is dated before the last one, wherever the clock was moved
    match facts.state:
        case State.PENDING:
            return Transition(State.TRIAL, at, "trial_start_reached")
        case State.TRIAL:
            return _trial_end(facts, terms, at, now)
        case State.ACTIVE:
            return Transition(State.EXPIRED, at, "period_ended", Lock.LOCKED)
    return None


def after(facts: Facts, transition: Transition, terms: Terms) -> Facts:
    """The facts once `transition` has happened."""
    facts = facts._replace(state=transition.to, last_event_at=max(facts.last_event_at, transition.at))
    if transition.held:
        return facts._replace(auto_failed_at=transition.at)
    if transition.to is State.TRIAL:
        return facts._replace(trial_end=terms.trial_end)
    if transition.included:
        return facts._replace(
            auto_spent=True,
            anchor=transition.at,
            anchor_months=transition.included.months,
            ends_at=add_months(transition.at, transition.included.months, terms.time_zone),
        )
    return facts


def due_at(facts: Facts, terms: Terms, now: datetime) -> datetime | None:
    """The next moment at which anything can change by itself; None where nothing will (house pattern 2)."""
    if not terms.paid_mode:
        return None
    if facts.state is State.TRIAL and facts.auto_failed_at and terms.included:
        return min(now + AUTO_RETRY, facts.auto_failed_at + AUTO_GRACE)
    return _falls_due(facts, terms)


def renewal_refusal(facts: Facts, terms: Terms, *, months: int, now: datetime) -> RenewalRefusal | None:
    """Why a renewal of `months` can't be sold now; None where it can (E4, A12, A15)."""
    if facts.state is State.TERMINATED:
        return RenewalRefusal.TERMINATED
    if not terms.paid_mode:
        return RenewalRefusal.PAID_MODE_OFF
    if facts.state in {State.PENDING, State.TRIAL} and not terms.early_renewal:
        return RenewalRefusal.TRIAL_NOT_OVER
    if not is_within_horizon(now, _renewed(facts, terms, paid_at=now, months=months).ends_at):
        return RenewalRefusal.TOO_FAR
    return None


def renewal(facts: Facts, terms: Terms, *, paid_at: datetime, months: int, now: datetime) -> Renewal:
    """What a *paid* renewal does (A13–A16). The customer has paid, so only what can't be done is refused.

    Raises RenewalNotAllowed for a terminated device and beyond the 30 years of A15.
    """
    if facts.state is State.TERMINATED:
        raise RenewalNotAllowed(RenewalRefusal.TERMINATED)
    renewed = _renewed(facts, terms, paid_at=paid_at, months=months)
    if not is_within_horizon(now, renewed.ends_at):
        raise RenewalNotAllowed(RenewalRefusal.TOO_FAR)
    return renewed


def crossing(facts: Facts, threshold: int) -> datetime | None:
    """The exact moment at which this life's online time reaches `threshold` seconds (A2, A3, P7).

    Lies ahead while the device is online and short of it; None while it is offline and short of it, or never counted.
    """
    if facts.counts_from is None:
        return None
    target = facts.counts_from + threshold * SECOND
    if facts.counted > target or (facts.counted == target and threshold > 0):
        return _inside_closed(facts, target, at_start=threshold == 0)
    if facts.open_since is None:
        return None
    return facts.open_since + timedelta(microseconds=target - facts.counted)


def _falls_due(facts: Facts, terms: Terms) -> datetime | None:
    match facts.state:
        case State.PENDING:
            reached = crossing(facts, terms.trial_start)
            return max(reached, terms.thresholds_since) if reached else None
        case State.TRIAL:
            return crossing(facts, facts.trial_end if facts.trial_end is not None else terms.trial_end)
        case State.ACTIVE:
            return facts.ends_at
    return None


def _trial_end(facts: Facts, terms: Terms, at: datetime, now: datetime) -> Transition | None:
    if terms.included is None or facts.auto_spent:
        return Transition(State.EXPIRED, at, "trial_ended", Lock.LOCKED)
    if terms.included_refusal is None:
        return Transition(State.ACTIVE, at, "included_period", included=terms.included)
    if facts.auto_failed_at is None:
        # The 24 h of A11 are for people to mend it: they run from when somebody could have noticed.
        return Transition(State.TRIAL, now, terms.included_refusal, held=True)
    if now >= facts.auto_failed_at + AUTO_GRACE:
        return Transition(State.EXPIRED, facts.auto_failed_at + AUTO_GRACE, terms.included_refusal, Lock.LOCKED)
    return None


def _renewed(facts: Facts, terms: Terms, *, paid_at: datetime, months: int) -> Renewal:
    if facts.ends_at and facts.anchor and paid_at < facts.ends_at:  # A15, and A16's "success before the end"
        total = facts.anchor_months + months
        return Renewal(
            starts_at=facts.ends_at,
            ends_at=add_months(facts.anchor, total, terms.time_zone),
            anchor=facts.anchor,
            anchor_months=total,
            ends_trial=False,
            unlocks=facts.state is State.EXPIRED,
        )
    return Renewal(
        starts_at=paid_at,
        ends_at=add_months(paid_at, months, terms.time_zone),
        anchor=paid_at,
        anchor_months=months,
        ends_trial=facts.state in {State.PENDING, State.TRIAL},
        unlocks=facts.state is State.EXPIRED,
    )


def _inside_closed(facts: Facts, target: int, *, at_start: bool) -> datetime:
    """Walk back through the closed intervals to the one that holds `target`.

    Where one interval ends at `target` the next begins there too: time that had to be spent was spent at the end of
    the first; a life that starts at its first connect (A3) starts with the next.
    """
    before = facts.counted
    earliest = facts.last_event_at
    for started_at, ended_at in reversed(facts.closed):
        length = (ended_at - started_at) // timedelta(microseconds=1)
        before -= length
        earliest = started_at
        if before < target or (at_start and before == target):
            return started_at + timedelta(microseconds=target - before)
    return earliest  # older sessions are no longer kept: the earliest moment that is on record
