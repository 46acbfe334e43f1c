"""What must have come of it: one device's service, written from the spec and from nothing of the product.

The model is told facts that were committed: stamps of status messages, paid periods, and when a sweep looked. All
instants are UTC and by the product's clock. Rules are named as in the spec (A2, A3, A14–A17, P1–P7, N2–N6).
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.simulation.rules import Rule

NOTICE_DAYS = (30, 7, 1)
DAY = timedelta(days=1)


@dataclass
class Online:
    """Sessions of one device as far as their messages were applied (P1–P3)."""

    began: dict[int, datetime] = field(default_factory=dict)
    ended: dict[int, datetime] = field(default_factory=dict)
    _spans: list[tuple[datetime, datetime | None]] | None = None

    def say(self, session: int, *, online: bool, at: datetime) -> None:
        """A status message; one that is repeated says nothing new (P2)."""
        (self.began if online else self.ended).setdefault(session, at)
        self._spans = None

    def spans(self) -> list[tuple[datetime, datetime | None]]:
        """The union: a session ends with its own goodbye, or without one where the next begins (P3)."""
        if self._spans is None:
            self._spans = self._union()
        return self._spans

    def _union(self) -> list[tuple[datetime, datetime | None]]:
        starts = sorted((at, session) for session, at in self.began.items())
        union: list[tuple[datetime, datetime | None]] = []
        for place, (start, session) in enumerate(starts):
            following = starts[place + 1][0] if place + 1 < len(starts) else None
            end = self.ended.get(session, following)
            if union and (union[-1][1] is None or start <= union[-1][1]):
                last = union[-1][1]
                union[-1] = (union[-1][0], None if last is None or end is None else max(last, end))
            else:
                union.append((start, end))
        return union

    def is_open(self) -> bool:
        """Whether it is online, as far as is known."""
        spans = self.spans()
        return bool(spans) and spans[-1][1] is None

    def total(self, now: datetime) -> timedelta:
        """Cumulative online time."""
        return sum(((min(end, now) if end else now) - start for start, end in self.spans()), timedelta())

    def reaches(self, length: timedelta, *, goes_on: bool = False) -> datetime | None:
        """The exact moment at which the total reaches `length`; in the future while online, None while offline (P7).

        With `goes_on` the moment from which it grows beyond: the next connect, where a session ended at `length`.
        """
        left = length
        for start, end in self.spans():
            if end is None or end - start > left or (end - start == left and not goes_on):
                return start + left
            left -= end - start
        return None


@dataclass
class Service:
    """What the spec says of one device."""

    rule: Rule
    zone: str
    last_at: datetime
    state: str = "PENDING"
    online: Online = field(default_factory=Online)
    ends_at: datetime | None = None
    set_at: datetime | None = None
    anchor: datetime | None = None
    months: int = 0
    # The end threshold freezes when the trial begins (A5); an included period is given once in a life (A10).
    trial_end: timedelta | None = None
    is_spent: bool = False
    # Online time that earlier lives have counted, and whether this one was ever paid for (A6, A26).
    counted_before: timedelta = timedelta()
    has_paid: bool = False
    # What this life had counted when paid mode went off (A25).
    counted_at_pause: timedelta = timedelta()
    # Clock steps or late words made its trial's dates a matter of who knew what when (P6): they are not foretold.
    uncertain: bool = False
    story: list[tuple[str, datetime]] = field(default_factory=list)
    wants_lock: bool | None = None
    # Of each (end, days): whether it went out, as far as that is known; None where a process died over it.
    told: dict[tuple[datetime, int], bool | None] = field(default_factory=dict)

    def due_at(self) -> datetime | None:
        """When it next changes by itself; while paid mode is off nothing does (A1)."""
        if not self.rule.on:
            return None
        match self.state:
            case "PENDING":
                at = self.online.reaches(self.counted_before + self.rule.start, goes_on=not self.rule.start)
                return max(at, self.rule.since) if at else None
            case "TRIAL":
                assert self.trial_end is not None
                return self.online.reaches(self.counted_before + self.trial_end)
            case "ACTIVE":
                return self.ends_at
        return None

    def look(self, until: datetime) -> bool:
        """A sweep looked: the next thing that was due by `until` happened, when it fell due (A17); whether one was."""
        due = self.due_at()
        if due is None or due > until:
            return False
        match self.state:
            case "PENDING":
                self._go("TRIAL", due)
            case "TRIAL" if self.rule.included and not self.is_spent:
                self._include(due, until)
            case _:
                self._go("EXPIRED", due)
        return True

    def _include(self, at: datetime, now: datetime) -> None:
        """The trial ends in a period that costs nothing and starts at the crossing moment (A10)."""
        assert self.rule.included is not None
        self._go("ACTIVE", at)
        self.anchor, self.months, self.set_at = self.last_at, self.rule.included, now
        self.ends_at, self.is_spent = later(self.last_at, self.rule.included, self.zone), True

    def pay(self, *, paid_at: datetime, months: int, now: datetime) -> tuple[datetime, datetime]:
        """A paid period: where it begins and ends (A14–A16); an early one gives the included period up (A13)."""
        self.is_spent = self.is_spent or self.state in {"PENDING", "TRIAL"}
        if self.ends_at and self.anchor and paid_at < self.ends_at:
            starts, self.months = self.ends_at, self.months + months
        else:
            starts, self.anchor, self.months = paid_at, paid_at, months
        self.ends_at, self.set_at, self.has_paid = later(self.anchor, self.months, self.zone), now, True
        self._go("ACTIVE", paid_at)
        return starts, self.ends_at

    def shorten(self, ends_at: datetime, *, now: datetime) -> None:
        """Time was taken back: the new end is the new anchor (A14); one that is now is due at once (A17)."""
        self.ends_at, self.anchor, self.months, self.set_at = ends_at, ends_at, 0, now
        self.last_at = max(now, self.last_at)

    def restart(self, now: datetime) -> None:
        """A factory return begins a new life: pending, its counter at 0, a locked device open (A6)."""
        self.counted_before, self.has_paid, self.is_spent = self.online.total(now), False, False
        self.ends_at, self.anchor, self.months, self.set_at = None, None, 0, None
        self.wants_lock = False if self.wants_lock else self.wants_lock
        self._go("PENDING", now)

    def freeze(self, now: datetime) -> None:
        """Paid mode goes off: time online counts no more, and locked devices are opened if that is wanted (A25)."""
        self.counted_at_pause = self.online.total(now) - self.counted_before
        self.wants_lock = False if self.wants_lock and self.rule.unlocks else self.wants_lock

    def thaw(self, now: datetime) -> bool:
        """It is on again: counting goes on where it stopped (A4), who has expired is locked; whether this one is."""
        self.counted_before = self.online.total(now) - self.counted_at_pause
        is_locked = self.state == "EXPIRED" and not self.wants_lock
        self.wants_lock = True if is_locked else self.wants_lock
        return is_locked

    def give_rest(self, at: datetime) -> tuple[datetime, bool]:
        """Its rest moves to another device: this one has expired (A26). The end that moves, and whether it was paid."""
        assert self.ends_at is not None
        rest = self.ends_at, self.has_paid
        self.ends_at, self.anchor, self.months, self.set_at = at, at, 0, at
        self._go("EXPIRED", at)
        return rest

    def take_rest(self, rest: tuple[datetime, bool], *, at: datetime, now: datetime) -> None:
        """It runs on what another device had left, its trial over (A26); that end is its anchor (A14)."""
        self.ends_at, self.has_paid = rest
        self.anchor, self.months, self.set_at, self.is_spent = self.ends_at, 0, now, True
        self._go("ACTIVE", at)

    def has_run_since(self, at: datetime) -> bool:
        """Whether it was in a paid period then, and has been all the time since."""
        before = [state for state, since in self.story if since < at]
        return before[-1:] == ["ACTIVE"] and all(state == "ACTIVE" for state, since in self.story if since >= at)

    def terminate(self, at: datetime) -> None:
        """For good (E4)."""
        self._go("TERMINATED", at)

    def adopt(self, state: str, at: datetime, now: datetime) -> None:
        """Take over what the product says of a trial whose dates aren't foretold."""
        if state == "ACTIVE" and self.rule.included and not self.is_spent:
            self._include(at, now)
        else:
            self._go(state, at)

    def notices(self, now: datetime, since: datetime) -> dict[tuple[datetime, int], bool]:
        """Which (end, days) have come by `now`; True for the one that goes out (N2, N4, N5, N9)."""
        if self.state not in {"ACTIVE", "EXPIRED"} or not self.ends_at or not self.set_at:
            return {}
        if self.state == "EXPIRED" and self.ends_at > now:
            return {}
        moments = {days: self.ends_at - days * DAY for days in sorted(NOTICE_DAYS)}
        come = [days for days, at in moments.items() if self.set_at < at <= now and at > since]
        is_over = self.ends_at <= now or not self.rule.on
        return {(self.ends_at, days): place == 0 and not is_over for place, days in enumerate(come)}

    def next_notice(self, after: datetime, since: datetime) -> datetime | None:
        """When the next notice comes that lies later than `after`."""
        if self.state != "ACTIVE" or not self.ends_at or not self.set_at or not self.rule.on:
            return None
        moments = (self.ends_at - days * DAY for days in NOTICE_DAYS)
        return min((at for at in moments if at > max(after, self.set_at, since)), default=None)

    def _go(self, state: str, at: datetime) -> None:
        self.state, self.last_at = state, max(at, self.last_at)
        self.story.append((state, self.last_at))
        if state == "TRIAL":
            self.trial_end = self.rule.end
        elif state == "EXPIRED":
            self.wants_lock = True
        elif state == "ACTIVE" and self.wants_lock:
            self.wants_lock = False


def later(anchor: datetime, months: int, zone: str) -> datetime:
    """So many months after the anchor, in the enterprise's zone; 31 January and a month is 28 February (A14)."""
    local = anchor.astimezone(ZoneInfo(zone))
    year, month = divmod(local.year * 12 + local.month - 1 + months, 12)
    day = min(local.day, calendar.monthrange(year, month + 1)[1])
    return local.replace(year=year, month=month + 1, day=day).astimezone(UTC)
