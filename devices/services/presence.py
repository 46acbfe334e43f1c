"""Who is online, for how long: what devices say about their presence, folded set by set (P1–P7).

`devices.online_time` decides; this module folds what `locating` locked, and stores. A batch costs five statements at
most, whatever its size, and two more where an event came late. Nothing here asks for the state of the service: an
expired device's presence is kept (A24).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import transaction

from amp.foundation.bulk import among
from devices.models import Presence
from devices.online_time import (
    Interval,
    Kind,
    PresenceEvent,
    PresenceState,
    Step,
    admit,
    apply,
    apply_late,
    close_at_broker_death,
    is_from_the_future,
    refusal,
    rewound,
)
from devices.services.presence_rows import (
    Span,
    Stored,
    lock_services,
    reschedule_trials,
    stored_sessions,
    write_sessions,
    write_states,
)

_ONLINE, _OFFLINE, _UPLINK = Kind.ONLINE, Kind.OFFLINE, Kind.UPLINK  # looked up once, for messages are many
ALL_SESSIONS = Span(datetime.min.replace(tzinfo=UTC), frozenset())


class Heard(NamedTuple):
    """One event of one device. `retained`: the broker had stored it before we subscribed. `again`: delivered before.

    `kept_since`: when contact with the broker was lost, where the message may have waited there since then.
    """

    device_id: int
    event: PresenceEvent
    retained: bool = False
    again: bool = False
    kept_since: datetime | None = None


class Recorded(NamedTuple):
    """What became of a batch: devices that showed themselves (they may be sent to), and refused events (P5)."""

    alive: set[int]
    refused: Counter[str]


class Folded(NamedTuple):
    """What became of one device: its state, closed sessions to remove (row ids) and to add."""

    state: PresenceState
    removed: Sequence[int] = ()
    added: Sequence[Interval] = ()


@transaction.atomic(savepoint=False)
def record_presence(
    heard: Iterable[Heard],
    locked: Mapping[int, PresenceState],
    *,
    now: datetime,
    last_contact: datetime | None = None,
    reporting: Collection[int] = (),
) -> Recorded:
    """Take up a batch of events for any number of devices, in the order of their stamps. Twice does no harm (P2).

    `locked`: the presence of all these devices, which the caller has locked in this transaction; events of others are
    passed over.
    `last_contact` is when the broker was known alive before contact with it was last lost, if it ever was (P4).
    `reporting`: devices whose services the caller will change next; they are locked here, with those that this changes,
    in one order (F23).
    """
    refused: Counter[str] = Counter()
    events = _admitted(heard, refused, now)
    before = _rewound({device_id: state for device_id, state in locked.items() if device_id in events}, now)
    folded = {device_id: _fold(state, events[device_id], last_contact) for device_id, state in before.items()}
    _fold_late(folded, before, events, last_contact)
    store_folded(before, {device_id: fold for device_id, fold in folded.items() if fold}, now=now, reporting=reporting)
    alive = {device_id for device_id in before if any(map(_shows_alive, events[device_id]))}
    return Recorded(alive, refused)


def _admitted(heard: Iterable[Heard], refused: Counter[str], now: datetime) -> dict[int, list[Heard]]:
    events: dict[int, list[Heard]] = defaultdict(list)
    for one in heard:
        event = admit(one.event, now)
        if event is None:
            refused[refusal(one.event, now) or "refused"] += 1
        else:
            events[one.device_id].append(one if event is one.event else one._replace(event=event))
    for own in events.values():
        if len(own) > 1:
            own.sort(key=lambda one: one.event.at)
    return events


def _fold(state: PresenceState, heard: Sequence[Heard], last_contact: datetime | None) -> Folded | None:
    """The state after all events; None where the closed sessions have to be looked at first."""
    closed: list[Interval] = []
    for one in heard:
        event = _counted(state, one)
        if event is None:
            continue
        if one.again and event.kind == _ONLINE and not _is_open(state, event):
            return None
        if last_contact is not None:
            died = _outlived(state, event, last_contact)
            state = died.state
            closed += died.closed
        step = apply(state, event)
        if step.late:
            return None
        state = step.state
        closed += step.closed
    return Folded(state, (), closed)


def _counted(state: PresenceState, one: Heard) -> PresenceEvent | None:
    """The event as it counts here; None where it doesn't.

    What was retained is a state of unknown age: "online" doesn't count (P4), "offline" ends its own session, at the
    last moment that is proven. So does an "offline" that the broker kept while we had no contact: when in doubt less
    is counted (P1). An uplink that is delivered again proves nothing about now.
    """
    event = one.event
    if not (one.retained or one.again or one.kept_since):
        return event
    if event.kind == _OFFLINE and (one.retained or one.kept_since) and _is_open(state, event):
        proven = max(filter(None, (one.kept_since, state.last_seen_at, state.session_started_at)))
        return event._replace(at=min(event.at, proven)) if event.session else None
    if one.retained:
        return None
    if one.again and event.kind == _UPLINK and not state.online:
        return None
    return event


def _outlived(state: PresenceState, event: PresenceEvent, last_contact: datetime) -> Step:
    """Close a session from before contact with the broker was lost when its device connects anew without having left.

    A live broker would have told the end of the old session before: so the broker died, and the session with it (P4).
    """
    if event.kind != _ONLINE or event.at <= last_contact or _is_open(state, event):
        return Step(state)
    return close_at_broker_death(state, last_contact)


def _is_open(state: PresenceState, event: PresenceEvent) -> bool:
    return state.online and state.session == event.session


def _fold_late(
    folded: dict[int, Folded | None],
    before: Mapping[int, PresenceState],
    events: Mapping[int, Sequence[Heard]],
    last_contact: datetime | None,
) -> None:
    spans = {
        device_id: _span(before[device_id], events[device_id]) for device_id, fold in folded.items() if fold is None
    }
    for device_id, stored in stored_sessions(spans).items():
        folded[device_id] = _fold_with_history(before[device_id], events[device_id], stored, last_contact)


def _span(state: PresenceState, heard: Sequence[Heard]) -> Span:
    moments = [one.event.at for one in heard]
    if state.open_since:
        moments.append(state.open_since)
    return Span(min(moments), frozenset(one.event.session for one in heard if one.event.session))


def _fold_with_history(
    state: PresenceState, heard: Sequence[Heard], stored: Sequence[Stored], last_contact: datetime | None
) -> Folded:
    """The same fold with the closed sessions at hand: late events correct them (P6).

    A connect that is delivered again after its session was closed is a duplicate, not a new session (P2).
    """
    sessions = [row.interval for row in stored]
    for one in heard:
        event = _counted(state, one)
        if event is None or (one.again and _began_before(event, sessions)):
            continue
        if last_contact is not None:
            died = _outlived(state, event, last_contact)
            state = died.state
            sessions += died.closed
        step = apply(state, event)
        if step.late:
            late = apply_late(state, event, sessions)
            state = late.state
            sessions = [part for part in sessions if part not in late.removed] + list(late.added)
        else:
            state = step.state
            sessions += step.closed
    known = {row.interval for row in stored}
    kept = set(sessions)
    return Folded(
        state,
        [row.row_id for row in stored if row.interval not in kept],
        [part for part in sessions if part not in known],
    )


def _began_before(event: PresenceEvent, sessions: Sequence[Interval]) -> bool:
    return event.kind == _ONLINE and any(part.session == event.session for part in sessions)


def _rewound(states: dict[int, PresenceState], now: datetime) -> dict[int, PresenceState]:
    """The states as they are at `now`: where the test clock was moved back, what lies ahead is taken back (R8)."""
    ahead = {device_id: state for device_id, state in states.items() if is_from_the_future(state, now)}
    if not ahead:
        return states
    folded = {}
    forgotten = dict(Presence.objects.filter(among("device_id", ahead)).values_list("device_id", "forgotten"))
    for device_id, stored in stored_sessions(dict.fromkeys(ahead, ALL_SESSIONS)).items():
        back = rewound(ahead[device_id], [row.interval for row in stored], now, forgotten[device_id])
        gone = [row.row_id for row in stored if row.interval in back.removed]
        folded[device_id] = Folded(back.state, gone, back.added)
    store_folded(ahead, folded, now=now)
    return states | {device_id: fold.state for device_id, fold in folded.items()}


def store_folded(
    before: Mapping[int, PresenceState],
    folded: Mapping[int, Folded],
    *,
    now: datetime,
    reporting: Collection[int] = (),
) -> None:
    """Write what became of these devices, and when their trials now change; presence rows are locked."""
    write_states(before, {device_id: fold.state for device_id, fold in folded.items()})
    write_sessions(
        [row_id for fold in folded.values() for row_id in fold.removed],
        [(device_id, part) for device_id, fold in folded.items() for part in fold.added],
    )
    retimed = {
        device_id: fold.state
        for device_id, fold in folded.items()
        if fold.state.open_since != before[device_id].open_since or fold.state.counted != before[device_id].counted
    }
    if retimed and reporting:
        lock_services({*retimed, *reporting})
    reschedule_trials(retimed, now=now)


def _shows_alive(one: Heard) -> bool:
    return not one.retained and one.event.kind != _OFFLINE
