"""Presence in the database: rows locked and read as states, written back set by set.

The order of locks is the same everywhere: presence, then services, then commands, each by device id (F23).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import OuterRef, Q, QuerySet, Subquery

from amp.foundation.bulk import among, insert_rows, read_rows, read_statement, update_rows
from devices.lifecycle import Facts, State, Terms, due_at
from devices.models import DeviceService, Presence, PresenceSession
from devices.online_time import Interval, PresenceState

READ = (
    "device_id",
    "is_online",
    "session",
    "session_started_at",
    "open_since",
    "counted",
    "last_seen_at",
    "last_event_at",
    "keepalive",
)
WRITTEN = READ[1:]
_SEEN = PresenceState._fields.index("last_seen_at")
_SESSIONS = PresenceSession._meta.db_table
SESSION_COLUMNS = ("device", "session", "started_at", "ended_at", "estimated")


class Span(NamedTuple):
    """What a late event needs of one device: sessions that end at or after `since`, and those by these names."""

    since: datetime
    names: frozenset[str]


class Stored(NamedTuple):
    """A closed session and its row."""

    row_id: int
    interval: Interval


def locked_states(rows: QuerySet[Presence], *, skip_locked: bool = False) -> dict[int, PresenceState]:
    """Lock presence rows in the order of their devices and read them; one query."""
    locked = rows.order_by("device_id").select_for_update(of=("self",), skip_locked=skip_locked)
    return {row[0]: PresenceState(*row[1:]) for row in read_rows(locked.values_list(*READ))}


def lock_services(device_ids: Collection[int]) -> None:
    """Lock the services of these devices in the order of their ids, for several changes to come; one query (F23)."""
    services = DeviceService.objects.filter(among("device_id", device_ids)).order_by("device_id")
    list(services.select_for_update(of=("self",)).values_list("device_id"))


def write_states(before: Mapping[int, PresenceState], states: Mapping[int, PresenceState]) -> None:
    """Store the states that changed: two statements at most. Most devices only showed themselves once more."""
    seen, changed = [], []
    for device_id, state in sorted(states.items()):
        known = before[device_id]
        if state == known:
            continue
        if state[:_SEEN] == known[:_SEEN] and state[_SEEN + 1 :] == known[_SEEN + 1 :]:
            seen.append((device_id, state.last_seen_at))
        else:
            changed.append((device_id, *state))
    update_rows(Presence, ("last_seen_at",), seen)
    update_rows(Presence, WRITTEN, changed)


def stored_sessions(spans: Mapping[int, Span]) -> dict[int, list[Stored]]:
    """Closed sessions that late events are about, by device; one query, none where nothing is late.

    A late end may stretch a session by one of `names` from its beginning: whatever ends after that beginning is in the
    union already, and is read too (P1).
    """
    found: dict[int, list[Stored]] = {device_id: [] for device_id in spans}
    if not spans:
        return found
    rows = _looked_up(spans) if connection.vendor == "postgresql" else _filtered(spans)
    for row_id, device_id, session, started_at, ended_at, estimated in rows:
        found[device_id].append(Stored(row_id, Interval(session or None, started_at, ended_at, estimated)))
    return found


# What is older than a device's span isn't read, however long its history is. The planner would rather read the whole
# history of each device and ask for each of its sessions anew when those by name began.
_LOOK_UP = f"""
    SELECT stored.id, stored.device_id, stored.session, stored.started_at, stored.ended_at, stored.estimated
    FROM unnest(%s::bigint[], %s::timestamptz[]) AS span(device_id, since)
    LEFT JOIN (
        SELECT device_id, min((
            SELECT started_at FROM {_SESSIONS} s WHERE s.device_id = named.device_id AND s.session = named.session
            ORDER BY started_at LIMIT 1
        )) AS began
        FROM unnest(%s::bigint[], %s::text[]) AS named(device_id, session) GROUP BY device_id
    ) AS named USING (device_id),
    LATERAL (
        SELECT * FROM {_SESSIONS} s WHERE s.device_id = span.device_id AND s.ended_at >= least(span.since, named.began)
        OFFSET 0
    ) AS stored
    ORDER BY stored.started_at, stored.id
"""  # noqa: S608 (our own names)


def _looked_up(spans: Mapping[int, Span]) -> Iterable[tuple[Any, ...]]:
    named = [(device_id, name) for device_id, span in spans.items() for name in span.names]
    devices, names = [device_id for device_id, _name in named], [name for _device_id, name in named]
    return read_statement(_LOOK_UP, [[*spans], [span.since for span in spans.values()], devices, names])


def _filtered(spans: Mapping[int, Span]) -> Iterable[tuple[Any, ...]]:
    """The same without arrays, and maybe some sessions more: for the few devices of a SQLite database."""
    names = frozenset().union(*(span.names for span in spans.values()))
    begun = PresenceSession.objects.filter(device_id=OuterRef("device_id"), session__in=names).order_by("started_at")
    wanted = Q(ended_at__gte=min(span.since for span in spans.values())) | Q(session__in=names)
    wanted |= Q(ended_at__gte=Subquery(begun.values("started_at")[:1]))
    rows = PresenceSession.objects.filter(wanted, among("device_id", spans)).order_by("started_at", "id")
    return rows.values_list("id", "device_id", "session", "started_at", "ended_at", "estimated")


def write_sessions(removed: Collection[int], added: Iterable[tuple[int, Interval]]) -> None:
    """Replace corrected sessions (by row id) and add closed ones; a session is closed once (P2)."""
    if removed:
        PresenceSession.objects.filter(id__in=removed).delete()
    rows = [(device_id, part.session or "", *part[1:]) for device_id, part in added]
    insert_rows(PresenceSession, SESSION_COLUMNS, rows, ignore_conflicts=True)


def reschedule_trials(states: Mapping[int, PresenceState], *, now: datetime) -> int:
    """Set anew when PENDING and TRIAL services of these devices next change; number of services changed.

    Call it with devices whose online time began, ended or was corrected (A2). Two statements at most. A trial that is
    held because its included plan can't start (A11) waits for a moment of its own and is left alone.
    """
    if not states:
        return 0
    rows = (
        DeviceService.objects.filter(
            among("device_id", states),
            state__in=(State.PENDING.value, State.TRIAL.value),
            auto_failed_at=None,
            counts_from__isnull=False,
            product__rules__is_current=True,
            product__rules__paid_mode=True,
        )
        .order_by("device_id")
        .select_for_update(of=("self",))
        .values_list(
            "device_id",
            "due_at",
            "state",
            "life",
            "counts_from",
            "trial_end_seconds",
            "last_event_at",
            "product__rules__trial_start_seconds",
            "product__rules__trial_end_seconds",
            "product__rules__thresholds_since",
        )
    )
    moved = []
    for device_id, before, *rest in read_rows(rows):
        after = _next_change(states[device_id], *rest, now=now)
        if after != before:
            moved.append((device_id, after))
    return update_rows(DeviceService, ("due_at",), moved)


def _next_change(
    presence: PresenceState,
    state: str,
    life: int,
    counts_from: int,
    trial_end: int | None,
    last_event_at: datetime,
    rule_start: int,
    rule_end: int,
    thresholds_since: datetime,
    *,
    now: datetime,
) -> datetime | None:
    """Ask the rule with the part of facts and terms that decides when a trial starts or ends.

    Closed sessions are left out: a threshold passed inside one is due at once, and the sweep dates it exactly (P7).
    """
    facts = Facts(
        state=State(state),
        life=life,
        counts_from=counts_from,
        counted=presence.counted,
        open_since=presence.open_since,
        closed=(),
        trial_end=trial_end,
        auto_spent=False,
        auto_failed_at=None,
        anchor=None,
        anchor_months=0,
        ends_at=None,
        last_event_at=last_event_at,
    )
    terms = Terms(
        paid_mode=True,
        trial_start=rule_start,
        trial_end=rule_end,
        included=None,
        included_refusal=None,
        early_renewal=False,
        time_zone="UTC",
        thresholds_since=thresholds_since,
    )
    return due_at(facts, terms, now)
