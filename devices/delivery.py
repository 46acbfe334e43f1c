"""How a command reaches its device, as pure rules (spec A20–A23): when to try, what an answer means, when it is over.

Nothing here reads a clock or a database. `Standing` is one command; each function returns its next standing. Instants
are aware UTC datetimes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple


class CommandKind(StrEnum):
    """What the device is told."""

    LOCK = "LOCK"
    UNLOCK = "UNLOCK"
    NOTICE = "NOTICE"


class CommandStatus(StrEnum):
    """States of A21. PENDING and SENT are open; ACKED waits for no delivery, only for the property report."""

    PENDING = "PENDING"
    SENT = "SENT"
    ACKED = "ACKED"
    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"
    STALE = "STALE"
    CANCELLED = "CANCELLED"
    SUPERSEDED = "SUPERSEDED"


OPEN = frozenset({CommandStatus.PENDING, CommandStatus.SENT})
UNFINISHED = OPEN | {CommandStatus.ACKED}
"""What a newer command of the slot supersedes (A22)."""

TAKEN_BACK = frozenset({CommandStatus.CANCELLED, CommandStatus.SUPERSEDED})
"""Over by our own decision: the device may get it all the same if it had left."""

ACK_WITHIN = timedelta(seconds=5)
PACE = timedelta(minutes=1)
"""A21: a device that gave no ack is told again at most once a minute."""
FIRST_RETRY = timedelta(seconds=30)
LONGEST_RETRY = timedelta(hours=1)
MAX_REFUSALS = 3
TRY_NOW_WITHIN = timedelta(minutes=1)
"""A20: what "try once, now" leaves our own workers; later the moment has passed."""
SECOND_LOOK = timedelta(seconds=15)
"""A device may come online in the very moment in which its command is written; neither transaction sees the other."""
REFUSED_UNLOCK_REST = timedelta(minutes=10)
UNREPORTED_UNLOCK_REST = timedelta(days=1)


class Standing(NamedTuple):
    """One command on its way.

    `due_at` is the next look while PENDING (None: the device must first show itself, or a brake holds it), the end of
    the wait for an ack while SENT, None otherwise. `stale_at == kept_from` is a cache time of 0: one attempt, now.
    """

    status: CommandStatus
    attempts: int
    refusals: int
    created_at: datetime
    stale_at: datetime
    due_at: datetime | None
    sent_at: datetime | None = None
    acked_at: datetime | None = None
    confirmed_at: datetime | None = None
    closed_at: datetime | None = None
    # P8: the hold that keeps it, and when it was released: its cache time starts then.
    hold_id: int | None = None
    released_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may still go out, or is out and unanswered."""
        return self.status in OPEN

    @property
    def tries_once(self) -> bool:
        """A20: the cache time is 0."""
        return self.stale_at == self.kept_from

    @property
    def kept_from(self) -> datetime:
        """When its cache time starts (A20, P8)."""
        return self.released_at or self.created_at


def created(*, now: datetime, cache: timedelta, is_online: bool, not_before: datetime | None = None) -> Standing:
    """A new command, kept for `cache` from now on (A20).

    `not_before` is the end of the wait for an older command that is on its way: it must not arrive after this one (R3).
    """
    due_at = now if is_online or not cache else now + SECOND_LOOK
    if not_before and not_before > now:
        due_at = not_before
    return Standing(
        status=CommandStatus.PENDING,
        attempts=0,
        refusals=0,
        created_at=now,
        stale_at=now + cache,
        due_at=due_at,
    )


def braked(standing: Standing, *, hold_id: int) -> Standing:
    """A brake holds it (P8): nothing is due, nothing wakes it, and its cache time doesn't run."""
    return standing._replace(due_at=None, hold_id=hold_id)


def released(standing: Standing, *, is_online: bool, now: datetime) -> Standing:
    """A held command as if it were new: due as `created` decides, kept for its whole cache time from now on (P8)."""
    cache = standing.stale_at - standing.created_at
    fresh = created(now=now, cache=cache, is_online=is_online, not_before=standing.created_at + ACK_WITHIN)
    return standing._replace(hold_id=None, released_at=now, stale_at=fresh.stale_at, due_at=fresh.due_at)


def attempted(standing: Standing, *, is_online: bool, now: datetime) -> Standing:
    """What to do with a PENDING command whose moment has come: send it, wait for its device, or let it go."""
    if is_stale(standing, now):
        return closed(standing, CommandStatus.STALE, now)
    if not is_online and not standing.tries_once:
        return standing._replace(due_at=None)
    return standing._replace(
        status=CommandStatus.SENT, attempts=standing.attempts + 1, sent_at=now, due_at=now + ACK_WITHIN
    )


def answered(standing: Standing, *, ok: bool, confirms_by_report: bool, now: datetime) -> Standing | None:
    """The device's ack; None where it means nothing: not sent yet, over already, or a repeated refusal (A21, F56).

    A command that can't be read back is confirmed by its ack. An attempt can be refused once, however often QoS 1
    repeats it; the third refusal is final.
    """
    if not is_awaited(standing):
        return None
    if ok and confirms_by_report:
        return standing._replace(status=CommandStatus.ACKED, acked_at=now, due_at=None)
    if ok:
        return confirmed(standing._replace(acked_at=now), now=now)
    if standing.refusals >= standing.attempts:
        return None
    standing = standing._replace(refusals=standing.refusals + 1)
    if standing.refusals >= MAX_REFUSALS:
        return closed(standing, CommandStatus.FAILED, now)
    return _again(standing, next_attempt(standing.attempts, standing.sent_at, is_online=True, now=now), now)


def unanswered(standing: Standing, *, is_online: bool, now: datetime) -> Standing:
    """No ack in 5 s: a half-open link, back to PENDING; this never counts as a refusal (A21)."""
    return _again(standing, next_attempt(standing.attempts, standing.sent_at, is_online=is_online, now=now), now)


def unpublished(standing: Standing, *, has_left: bool, now: datetime) -> Standing:
    """It reached no device: nobody listened (`has_left`), or the broker was away, which is no reason to slow down."""
    return _again(standing, now + (back_off(standing.attempts) if has_left else FIRST_RETRY), now)


def woken(standing: Standing, *, now: datetime) -> Standing:
    """The device came online or sent something: its PENDING command is due, at most once a minute (A21)."""
    if standing.status is not CommandStatus.PENDING or standing.hold_id or is_held(standing, now):
        return standing
    earliest = max(now, standing.sent_at + PACE) if standing.sent_at else now
    if standing.due_at is not None and standing.due_at <= earliest:
        return standing
    return standing._replace(due_at=earliest)


def is_held(standing: Standing, now: datetime) -> bool:
    """Whether it waits for an older command that may still be on its way: nothing brings it forward (R3).

    Only such a command is due within the 5 s of an ack after its creation, and no sooner.
    """
    if standing.status is not CommandStatus.PENDING or standing.attempts or standing.due_at is None:
        return False
    return now < standing.due_at <= standing.created_at + ACK_WITHIN


def on_its_way_until(standing: Standing, now: datetime) -> datetime | None:
    """Until when the device may still get this command, or the older one that it waits for; None where it can't (R3).

    One that was cancelled or superseded after it had left, and of which nothing was heard since, is on its way too.
    """
    if standing.status is CommandStatus.SENT or is_held(standing, now):
        return standing.due_at
    if standing.status not in TAKEN_BACK or standing.sent_at is None or standing.acked_at:
        return None
    until = standing.sent_at + ACK_WITHIN
    return until if until > now else None


def confirmed(standing: Standing, *, now: datetime) -> Standing:
    """The device is as the command wanted it; ask `is_awaited` or for ACKED first."""
    return closed(standing._replace(confirmed_at=now), CommandStatus.CONFIRMED, now)


def gives_way(standing: Standing, until: datetime) -> Standing:
    """It waits for another command of its device: one in flight each (A21)."""
    return standing._replace(due_at=until)


def closed(standing: Standing, status: CommandStatus, now: datetime) -> Standing:
    """Over, as `status`."""
    return standing._replace(status=status, due_at=None, closed_at=now, hold_id=None)


def is_awaited(standing: Standing) -> bool:
    """Whether an answer can belong to it: it was sent, and it is still open (a late ack after 5 s counts)."""
    return standing.is_open and standing.attempts > 0


def is_confirmable(standing: Standing) -> bool:
    """Whether a report that equals its values confirms it (A21)."""
    return is_awaited(standing) or standing.status is CommandStatus.ACKED


def is_stale(standing: Standing, now: datetime) -> bool:
    """Whether the cache time is over; its bound is inclusive. With a cache time of 0: after the one attempt (A20).

    That of a held command hasn't begun (P8).
    """
    if standing.hold_id:
        return False
    if not standing.tries_once:
        return now > standing.stale_at
    return standing.attempts > 0 or now > standing.kept_from + TRY_NOW_WITHIN


def back_off(attempts: int) -> timedelta:
    """How long to wait after the n-th attempt: 30 s, doubled each time, at most 1 h."""
    doublings = min(max(attempts - 1, 0), 7)
    return min(FIRST_RETRY * (1 << doublings), LONGEST_RETRY)


def next_attempt(attempts: int, sent_at: datetime | None, *, is_online: bool, now: datetime) -> datetime | None:
    """When a device that didn't obey is told again by itself; None while it is offline (A21)."""
    if not is_online:
        return None
    retry = now + back_off(attempts)
    return max(retry, sent_at + PACE) if sent_at else retry


def fresh_unlock_due(standing: Standing, *, says_locked: bool, now: datetime) -> bool:
    """Whether a paid device that isn't confirmed unlocked, and whose last command is this UNLOCK, gets a fresh one when
    it shows itself (A23). `says_locked`: it reports that it is locked.

    After the cache time at once, at most once a minute; one that the device refused thrice, or acknowledged without
    doing it, rests for 10 minutes. One of which nothing was heard since its ack rests for a day, and the cache time.
    """
    match standing.status:
        case CommandStatus.STALE:
            return now >= standing.created_at + PACE
        case CommandStatus.FAILED:
            return now >= (standing.closed_at or standing.created_at) + REFUSED_UNLOCK_REST
        case CommandStatus.ACKED | CommandStatus.CONFIRMED if says_locked:
            return now >= (standing.closed_at or standing.acked_at or standing.created_at) + REFUSED_UNLOCK_REST
        case CommandStatus.ACKED:
            return now > max(standing.stale_at, (standing.acked_at or standing.created_at) + UNREPORTED_UNLOCK_REST)
    return False


def _again(standing: Standing, due_at: datetime | None, now: datetime) -> Standing:
    if is_stale(standing, now):
        return closed(standing, CommandStatus.STALE, now)
    return standing._replace(status=CommandStatus.PENDING, due_at=due_at)
