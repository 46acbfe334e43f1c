"""Why a device's service is as it is, and its life as a bar: what pages say about a device, decided without words.

`tell` picks sentences by name with the moments that prove them; pages put them into the reader's language. `life_bar`
lays a life out in time. Pure: instants are aware UTC datetimes, online time is microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from devices.lifecycle import SECOND, Lock, State


class Tone(StrEnum):
    """Green runs, amber soon or waits, red stopped, blue information, grey history."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    BLUE = "blue"
    GREY = "grey"


class Say(StrEnum):
    """Sentences; the page has the words."""

    PAID_MODE_OFF = "paid_mode_off"
    NEVER_ONLINE = "never_online"
    COUNTS_TO_TRIAL = "counts_to_trial"
    IN_TRIAL = "in_trial"
    TRIAL_KEPT = "trial_kept"
    RUNS_UNTIL = "runs_until"
    ENDS_SOON = "ends_soon"
    FREE = "free"
    EXPIRED_PERIOD = "expired_period"
    EXPIRED_TRIAL = "expired_trial"
    LOCKED_PERIOD = "locked_period"
    LOCKED_TRIAL = "locked_trial"
    MOVED_AWAY = "moved_away"
    TERMINATED = "terminated"

    COMMAND_CONFIRMED = "command_confirmed"
    COMMAND_ACKED = "command_acked"
    COMMAND_SENT = "command_sent"
    COMMAND_WAITS = "command_waits"
    COMMAND_HELD = "command_held"
    COMMAND_FAILED = "command_failed"
    COMMAND_STALE = "command_stale"
    LOCK_DIFFERS = "lock_differs"

    RENEWAL_STARTS_AND_UNLOCKS = "renewal_starts_and_unlocks"
    RENEWAL_ADDS = "renewal_adds"
    RENEWAL_OPENS_AFTER_TRIAL = "renewal_opens_after_trial"
    RENEWAL_ENDS_TRIAL = "renewal_ends_trial"


SOON = timedelta(days=30)


class LastCommand(NamedTuple):
    """The newest lock or unlock of the device."""

    kind: str
    status: str
    sent_at: datetime | None
    acked_at: datetime | None
    confirmed_at: datetime | None
    stale_at: datetime
    # P8: a brake keeps it from the device.
    is_held: bool = False


class Situation(NamedTuple):
    """What a page has read about one device. `trial_expiry` is true where the trial's end stopped the service."""

    state: State
    since: datetime
    paid_mode: bool
    early_renewal: bool
    trial_held: bool
    trial_expiry: bool
    online_time: int
    counts_from: int | None
    trial_start: int
    trial_end: int
    ends_at: datetime | None
    desired: Lock
    reported: Lock
    command: LastCommand | None
    # A26: what was left moved to another device, and that is what stopped it.
    moved_away: bool = False


class Sentence(NamedTuple):
    """One sentence with its facts: a moment, a second one, and two amounts of online time in seconds."""

    say: Say
    at: datetime | None = None
    then: datetime | None = None
    have: int = 0
    need: int = 0
    about: str = ""


class Story(NamedTuple):
    """The headline, what proves it, and what comes next."""

    tone: Tone
    headline: Sentence
    proof: tuple[Sentence, ...]
    outlook: Sentence | None


class Part(StrEnum):
    """Kinds of segments in a life."""

    PENDING = "pending"
    TRIAL = "trial"
    INCLUDED = "included"
    PAID = "paid"
    EXPIRED = "expired"
    ENDED = "ended"


class Stretch(NamedTuple):
    """One period as the ledger has it."""

    part: Part
    starts_at: datetime
    ends_at: datetime
    label: str


class Segment(NamedTuple):
    """A stretch of the bar; `share` is its width in percent."""

    part: Part
    starts_at: datetime
    ends_at: datetime
    label: str
    share: float


class Life(NamedTuple):
    """The bar with the place of the present, in percent from the left."""

    segments: tuple[Segment, ...]
    now_share: float
    starts_at: datetime
    ends_at: datetime


def tell(facts: Situation, now: datetime) -> Story:
    """Why the service is as it is (headline), the proof, and what a renewal would do."""
    tone, headline = _headline(facts, now)
    return Story(tone, headline, tuple(_proof(facts)), _outlook(facts))


def life_bar(
    *,
    registered_at: datetime,
    trial_started_at: datetime | None,
    trial_ended_at: datetime | None,
    stretches: Sequence[Stretch],
    terminated_at: datetime | None,
    now: datetime,
) -> Life:
    """The life from registration to the later of now and the last end, without gaps or overlaps."""
    until = max([now, *(stretch.ends_at for stretch in stretches)]) if not terminated_at else max(now, terminated_at)
    raw = _raw_segments(registered_at, trial_started_at, trial_ended_at, stretches, now)
    parts = _filled(raw, registered_at, until, terminated_at)
    whole = max((until - registered_at).total_seconds(), 1.0)
    segments = tuple(
        Segment(part, start, end, label, round((end - start).total_seconds() / whole * 100, 3))
        for part, start, end, label in parts
    )
    share = round((now - registered_at).total_seconds() / whole * 100, 2)
    return Life(segments, min(max(share, 0.0), 100.0), registered_at, until)


def _headline(facts: Situation, now: datetime) -> tuple[Tone, Sentence]:
    if facts.state is State.TERMINATED:
        return Tone.GREY, Sentence(Say.TERMINATED, at=facts.since)
    if not facts.paid_mode:
        return Tone.GREY, Sentence(Say.PAID_MODE_OFF)
    match facts.state:
        case State.PENDING:
            have = _counted(facts)
            say = Say.COUNTS_TO_TRIAL if have else Say.NEVER_ONLINE
            return Tone.BLUE, Sentence(say, have=have, need=facts.trial_start)
        case State.TRIAL:
            say = Say.TRIAL_KEPT if facts.trial_held else Say.IN_TRIAL
            tone = Tone.AMBER if facts.trial_held else Tone.BLUE
            return tone, Sentence(say, at=facts.since, have=_counted(facts), need=facts.trial_end)
        case State.ACTIVE:
            soon = facts.ends_at is not None and facts.ends_at - now <= SOON
            say, tone = (Say.ENDS_SOON, Tone.AMBER) if soon else (Say.RUNS_UNTIL, Tone.GREEN)
            return tone, Sentence(say, at=facts.ends_at)
        case State.EXPIRED:
            return Tone.RED, Sentence(_stopped(facts), at=facts.since)
    return Tone.GREEN, Sentence(Say.FREE, at=facts.since)


def _stopped(facts: Situation) -> Say:
    """Locked only where the device has said so; the wish is not the fact."""
    if facts.moved_away:
        return Say.MOVED_AWAY
    if facts.reported is Lock.LOCKED:
        return Say.LOCKED_TRIAL if facts.trial_expiry else Say.LOCKED_PERIOD
    return Say.EXPIRED_TRIAL if facts.trial_expiry else Say.EXPIRED_PERIOD


def _proof(facts: Situation) -> list[Sentence]:
    if facts.state is State.TERMINATED or facts.command is None:
        return []
    command = facts.command
    match command.status:
        case "CONFIRMED":
            lines = [Sentence(Say.COMMAND_CONFIRMED, command.sent_at, command.confirmed_at, about=command.kind)]
        case "ACKED":
            lines = [Sentence(Say.COMMAND_ACKED, command.sent_at, command.acked_at, about=command.kind)]
        case "SENT":
            lines = [Sentence(Say.COMMAND_SENT, command.sent_at, about=command.kind)]
        case "PENDING" if command.is_held:
            lines = [Sentence(Say.COMMAND_HELD, about=command.kind)]
        case "PENDING":
            lines = [Sentence(Say.COMMAND_WAITS, command.stale_at, about=command.kind)]
        case "FAILED":
            lines = [Sentence(Say.COMMAND_FAILED, command.sent_at, about=command.kind)]
        case "STALE":
            lines = [Sentence(Say.COMMAND_STALE, command.stale_at, about=command.kind)]
        case _:
            lines = []
    settled = command.status in {"CONFIRMED", "ACKED", "FAILED", "STALE"}
    known = Lock.UNKNOWN not in {facts.desired, facts.reported}
    if settled and known and facts.desired is not facts.reported:
        lines.append(Sentence(Say.LOCK_DIFFERS, about=facts.reported.value))
    return lines


def _outlook(facts: Situation) -> Sentence | None:
    if facts.state is State.TERMINATED or not facts.paid_mode:
        return None
    if facts.state in {State.PENDING, State.TRIAL}:
        return Sentence(Say.RENEWAL_ENDS_TRIAL if facts.early_renewal else Say.RENEWAL_OPENS_AFTER_TRIAL)
    return Sentence(Say.RENEWAL_STARTS_AND_UNLOCKS if facts.state is State.EXPIRED else Say.RENEWAL_ADDS)


def _counted(facts: Situation) -> int:
    """Seconds of online time that count for this life (A3, A4)."""
    return 0 if facts.counts_from is None else max(facts.online_time - facts.counts_from, 0) // SECOND


Raw = tuple[Part, datetime, datetime, str]


def _raw_segments(
    registered_at: datetime,
    trial_started_at: datetime | None,
    trial_ended_at: datetime | None,
    stretches: Sequence[Stretch],
    now: datetime,
) -> list[Raw]:
    raw: list[Raw] = []
    first = min((stretch.starts_at for stretch in stretches), default=now)
    if trial_started_at:
        raw.append((Part.PENDING, registered_at, trial_started_at, ""))
        raw.append((Part.TRIAL, trial_started_at, trial_ended_at or max(now, trial_started_at), ""))
    else:
        raw.append((Part.PENDING, registered_at, trial_ended_at or first, ""))
    raw += [(stretch.part, stretch.starts_at, stretch.ends_at, stretch.label) for stretch in stretches]
    return sorted(raw, key=lambda each: each[1])


def _filled(raw: Sequence[Raw], start: datetime, until: datetime, terminated_at: datetime | None) -> list[Raw]:
    """What lies between two stretches was a stop; what lies after a termination is over."""
    stop = min(until, terminated_at) if terminated_at else until
    filled: list[Raw] = []
    at = start
    for part, begins, ends, label in raw:
        begins, ends = max(begins, at), min(ends, stop)
        if begins > at and begins <= stop:
            filled.append((Part.EXPIRED, at, begins, ""))
            at = begins
        if ends > begins:
            filled.append((part, begins, ends, label))
            at = ends
    if at < stop:
        filled.append((Part.EXPIRED, at, stop, ""))
    if stop < until:
        filled.append((Part.ENDED, stop, until, ""))
    return filled
