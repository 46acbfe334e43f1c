"""One device's presence as a state machine (P1–P7).

`apply` takes one event and never looks at history. Where only the closed sessions can tell what an event means (it came
late, or it is about another session than the open one) the step says `late`, and the caller repeats it as
`apply_late(state, event, sessions)`. Given every event of sessions that follow one another, in any order and any
number of times, the total is then exactly their union. Where a connect is missing it is less. Where a disconnect is
missing, the next connect ends the session without a break (P3), and a late disconnect puts the break in.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from devices.online_time.events import MAX_AHEAD, Kind, PresenceEvent
from devices.online_time.sessions import MICROSECOND, Interval, amended, union_length, union_start

_ONLINE, _UPLINK = Kind.ONLINE, Kind.UPLINK
"""Looked up once: a member of an enumeration costs Python 3.11 more than the comparison, and messages are many."""


class PresenceState(NamedTuple):
    """One device's presence.

    `counted` holds the microseconds of the union before `open_since`. While offline `session` is the one that closed
    last, and `session_started_at` and `open_since` are None. `last_event_at` is the latest connect or disconnect known.
    """

    online: bool = False
    session: str | None = None
    session_started_at: datetime | None = None
    open_since: datetime | None = None
    counted: int = 0
    last_seen_at: datetime | None = None
    last_event_at: datetime | None = None
    keepalive: int | None = None


class Step(NamedTuple):
    """The state after an event, and the sessions that it closed; `late` asks for `apply_late` instead."""

    state: PresenceState
    closed: tuple[Interval, ...] = ()
    late: bool = False


class Correction(NamedTuple):
    """What a late event made of the state and of the closed sessions that were passed in."""

    state: PresenceState
    removed: tuple[Interval, ...]
    added: tuple[Interval, ...]


def apply(state: PresenceState, event: PresenceEvent) -> Step:
    """The state after one admitted event. Idempotent: an event that is already in the state changes nothing (P2)."""
    if event.kind == _UPLINK:
        return _seen(state, event)
    if event.kind == _ONLINE:
        return _connected(state, event)
    return _disconnected(state, event)


def apply_late(state: PresenceState, event: PresenceEvent, sessions: Sequence[Interval]) -> Correction:
    """Repeat a late step from the state *before* it, with the closed sessions at hand (P6).

    `sessions` must hold every stored session that ends at or after the event or `state.open_since`, whichever is first,
    every one of the event's session, and every one that ends after the first of those began; more is allowed. The
    total changes by what the union of `sessions` changes by.
    """
    step = apply(state, event)
    before = list(sessions)
    after = amended([*before, *step.closed], event)
    opened = union_start(after, step.state.session_started_at)
    counted = state.counted - union_length(before, state.open_since) + union_length(after, opened)
    return Correction(
        step.state._replace(open_since=opened, counted=max(0, counted)),
        removed=tuple(old for old in before if old not in after),
        added=tuple(new for new in after if new not in before),
    )


def total_of(counted: int, open_since: datetime | None, now: datetime) -> int:
    """Cumulative online time at `now`: the closed part and what is open since, both in microseconds (P1)."""
    if open_since is None or now <= open_since:
        return counted
    return counted + (now - open_since) // MICROSECOND


def silence_deadline(state: PresenceState, heartbeat: int | None) -> datetime | None:
    """When silence closes the open session (P4); None while offline, and on products without a heartbeat.

    `heartbeat` is the product's, in seconds. The keepalive is the status message's, else the heartbeat.
    """
    if not heartbeat or not state.online or state.last_seen_at is None:
        return None
    return state.last_seen_at + max(_patience(state, heartbeat), timedelta(seconds=heartbeat))


def close_for_silence(state: PresenceState, heartbeat: int | None, now: datetime) -> Step:
    """Close the open session at last seen + 1.5 x keepalive, estimated, once its deadline has passed (P4)."""
    deadline = silence_deadline(state, heartbeat)
    if deadline is None or now < deadline or not heartbeat or state.last_seen_at is None:
        return Step(state)
    return _close(state, state.last_seen_at + _patience(state, heartbeat), estimated=True)


def close_at_broker_death(state: PresenceState, last_alive_at: datetime) -> Step:
    """Close the open session at the last moment at which the broker was known alive, estimated (P4).

    A message from the device proves that moment too. A session that began later belongs to the broker's next life: it
    stays.
    """
    if not state.online or state.session_started_at is None or state.session_started_at > last_alive_at:
        return Step(state)
    return _close(state, max(last_alive_at, state.last_seen_at or last_alive_at), estimated=True)


def is_from_the_future(state: PresenceState, now: datetime) -> bool:
    """Whether the state knows events further ahead of `now` than any event is admitted (P5): time was moved back."""
    last = now + MAX_AHEAD
    return (
        (state.last_event_at is not None and state.last_event_at > last)
        or (state.session_started_at is not None and state.session_started_at > last)
        or (state.open_since is not None and state.open_since > last)
    )


def rewound(state: PresenceState, sessions: Sequence[Interval], now: datetime, forgotten: int = 0) -> Correction:
    """The state after time was moved back to `now`, with all closed sessions at hand: what lies ahead has not happened.

    `forgotten` microseconds were counted in sessions that are no longer kept (X5).

    The device counts as offline until it shows itself, and its online time as the union of what lies before `now` (P1).
    """
    known = list(sessions)
    if state.session_started_at is not None:
        known.append(Interval(state.session, state.session_started_at, now))
    after = [_before(part, now) for part in known if part.started_at < now]
    seen = min(state.last_seen_at, now) if state.last_seen_at else None
    return Correction(
        PresenceState(counted=forgotten + union_length(after), last_seen_at=seen),
        removed=tuple(old for old in sessions if old not in after),
        added=tuple(new for new in after if new not in sessions),
    )


def _before(part: Interval, now: datetime) -> Interval:
    return part if part.ended_at < now else part._replace(ended_at=now, estimated=True)


def _latest(one: datetime | None, other: datetime) -> datetime:
    return other if one is None or other > one else one


def _patience(state: PresenceState, heartbeat: int) -> timedelta:
    return (state.keepalive or heartbeat) * 1_500_000 * MICROSECOND


def _seen(state: PresenceState, event: PresenceEvent) -> Step:
    """An uplink opens a session where none is open (F60), unless it was sent before the last disconnect."""
    if not state.online and (state.last_event_at is None or event.at > state.last_event_at):
        return Step(_open(state, event))
    if state.last_seen_at is not None and event.at <= state.last_seen_at:
        return Step(state)
    return Step(_seen_at(state, event.at))


def _seen_at(state: PresenceState, at: datetime) -> PresenceState:
    """What most messages come to; `_replace` takes four times as long."""
    return PresenceState(
        state.online,
        state.session,
        state.session_started_at,
        state.open_since,
        state.counted,
        at,
        state.last_event_at,
        state.keepalive,
    )


def _connected(state: PresenceState, event: PresenceEvent) -> Step:
    known = state.last_event_at
    same = (event.session or None) == state.session
    if state.online and state.session_started_at is not None:
        if same and event.at >= state.session_started_at:
            return Step(_announced(state, event))
        if known is None or event.at > known:  # a take-over closes the session, not the device (P3)
            closed = Interval(state.session, state.session_started_at, event.at)
            return Step(_open(state, event)._replace(open_since=state.open_since), (closed,))
    elif known is None or event.at > known or (event.at == known and not same):
        return Step(_open(state, event))
    return Step(state, late=bool(event.session))


def _disconnected(state: PresenceState, event: PresenceEvent) -> Step:
    session = event.session or None
    known = _latest(state.last_event_at, event.at)
    if state.online and state.session_started_at is not None:
        # A session that an uplink opened has no name; the first disconnect after its start is taken for its own.
        if event.at >= state.session_started_at and (session == state.session or state.session is None):
            return _close(state, event.at)
        return Step(state._replace(last_event_at=known) if session else state, late=session is not None)
    if session is None or (session == state.session and event.at == state.last_event_at):
        return Step(state)
    name = session if known == event.at else state.session
    return Step(state._replace(session=name, last_event_at=known), late=True)


def _announced(state: PresenceState, event: PresenceEvent) -> PresenceState:
    keepalive = state.keepalive if event.keepalive is None else event.keepalive
    return state._replace(last_seen_at=_latest(state.last_seen_at, event.at), keepalive=keepalive)


def _open(state: PresenceState, event: PresenceEvent) -> PresenceState:
    return PresenceState(
        True,
        event.session or None,
        event.at,
        event.at,
        state.counted,
        _latest(state.last_seen_at, event.at),
        _latest(state.last_event_at, event.at),
        event.keepalive,
    )


def _close(state: PresenceState, at: datetime, *, estimated: bool = False) -> Step:
    """Close the open session at `at`, never before its start. It is late where something later is known already."""
    if state.session_started_at is None or state.open_since is None:
        return Step(state)
    at = max(at, state.session_started_at)
    known = _latest(state.last_event_at, at)
    counted = state.counted + (at - state.open_since) // MICROSECOND
    closed = Interval(state.session, state.session_started_at, at, estimated)
    after = PresenceState(False, state.session, None, None, counted, state.last_seen_at, known, state.keepalive)
    return Step(after, (closed,), late=at < known and not estimated)
