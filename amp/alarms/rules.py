"""Facts → alarms, as pure rules. Instants are aware UTC datetimes; `wall` is real time, `now` the product's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What is wrong; `words` has the sentences."""

    LOCKS_HELD = "locks_held"
    BRIDGE_AWAY = "bridge_away"
    SWEEP_LATE = "sweep_late"
    SWEEP_FAILED = "sweep_failed"
    SWEEP_OFF = "sweep_off"
    WORK_OVERDUE = "work_overdue"
    DEAD_ROWS = "dead_rows"
    PLAN_CANT_START = "plan_cant_start"


RED = frozenset({Kind.LOCKS_HELD, Kind.BRIDGE_AWAY, Kind.SWEEP_LATE, Kind.SWEEP_OFF, Kind.WORK_OVERDUE})
"""Devices or customers feel it now; the others wait for a person, amber."""
LATE = timedelta(seconds=180)
"""Three intervals of the slowest sweep that others wait for (F13)."""
INTERVALS = 3
"""A sweep that runs seldom is late after so many of its intervals, as the schedule has them."""
OVERDUE = timedelta(minutes=5)
"""Twice and more of what promise 8 allows a lock."""
CALM = timedelta(minutes=3)
"""After a move of the test clock, work that was suddenly due has so long."""
QUIET = timedelta(minutes=5)
"""An alarm is over once nothing was seen of it for so long: what comes and goes is one alarm, and one mail."""


class Alarm(NamedTuple):
    """One thing that is wrong. `key` names it for as long as it lasts; `subject` is whose, `number` how many."""

    key: str
    kind: Kind
    since: datetime
    subject: str = ""
    number: int = 0

    @property
    def is_red(self) -> bool:
        """Whether somebody feels it now."""
        return self.kind in RED


class Hold(NamedTuple):
    """A brake that waits for a person."""

    pk: int
    enterprise: str
    number: int
    began_at: datetime


class Sweep(NamedTuple):
    """A sweep that is on the schedule: its last run, real time, and how far apart its runs should be."""

    name: str
    at: datetime
    failed: bool
    every: timedelta = timedelta(seconds=60)

    @property
    def late_after(self) -> timedelta:
        """The age of the last run that is an alarm."""
        return max(LATE, INTERVALS * self.every)


class Facts(NamedTuple):
    """Everything that the rules look at. `away`: bridges at work that are out of contact, with their last contact.

    `off`: vital tasks that the schedule doesn't run. `due`: since when the oldest work of each kind is due. `dead`:
    given-up rows by kind. `kept_trials`: how many trials are kept because their included plan can't start, and since
    when the first (A11).
    """

    holds: Sequence[Hold] = ()
    away: Sequence[tuple[str, datetime]] = ()
    sweeps: Sequence[Sweep] = ()
    off: Sequence[str] = ()
    due: Mapping[str, datetime | None] = {}
    dead: Mapping[str, int] = {}
    kept_trials: int = 0
    kept_since: datetime | None = None
    clock_moved_at: datetime | None = None


def alarms(facts: Facts, *, now: datetime, wall: datetime) -> list[Alarm]:
    """What is wrong now, red first, then the oldest."""
    found = [*_holds(facts), *_bridges(facts), *_sweeps(facts, now, wall), *_overdue(facts, now, wall)]
    found += [*_dead(facts, now), *_kept(facts)]
    return sorted(found, key=lambda alarm: (not alarm.is_red, alarm.since, alarm.key))


def _holds(facts: Facts) -> Iterator[Alarm]:
    for hold in facts.holds:
        yield Alarm(f"locks_held:{hold.pk}", Kind.LOCKS_HELD, hold.began_at, hold.enterprise, hold.number)


def _bridges(facts: Facts) -> Iterator[Alarm]:
    for name, heard_at in facts.away:
        yield Alarm(f"bridge_away:{name}", Kind.BRIDGE_AWAY, heard_at, name)


def _sweeps(facts: Facts, now: datetime, wall: datetime) -> Iterator[Alarm]:
    """Dated in product time, as everything that people read here."""
    for sweep in facts.sweeps:
        since = now - (wall - sweep.at)
        if wall - sweep.at > sweep.late_after:
            yield Alarm(f"sweep_late:{sweep.name}", Kind.SWEEP_LATE, since, sweep.name)
        elif sweep.failed:
            yield Alarm(f"sweep_failed:{sweep.name}", Kind.SWEEP_FAILED, since, sweep.name)
    for name in facts.off:
        yield Alarm(f"sweep_off:{name}", Kind.SWEEP_OFF, now, name)


def _overdue(facts: Facts, now: datetime, wall: datetime) -> Iterator[Alarm]:
    if facts.clock_moved_at and wall - facts.clock_moved_at < CALM:
        return
    for name, oldest in facts.due.items():
        if oldest and now - oldest > OVERDUE:
            yield Alarm(f"work_overdue:{name}", Kind.WORK_OVERDUE, oldest, name)


def _dead(facts: Facts, now: datetime) -> Iterator[Alarm]:
    for name, number in facts.dead.items():
        if number:
            yield Alarm(f"dead_rows:{name}", Kind.DEAD_ROWS, now, name, number)


def _kept(facts: Facts) -> Iterator[Alarm]:
    if facts.kept_trials and facts.kept_since:
        yield Alarm("plan_cant_start", Kind.PLAN_CANT_START, facts.kept_since, number=facts.kept_trials)
