"""The sweep: services whose next moment has come move on, dated by when that moment was (A2, A17, P7)."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from amp.foundation.bulk import among, read_rows
from amp.foundation.calendar import add_months
from amp.foundation.services.failures import is_database_trouble
from devices.brakes import LockCause
from devices.lifecycle import SECOND, Facts, Included, State, Terms, Transition, after, due_at, due_transition
from devices.models import DeviceService, PeriodKind, Presence, PresenceSession, StuckService
from devices.online_time import Interval, union
from devices.services.ledger import READ, Changes, PeriodDraft, ServiceRow, facts_of, store
from devices.services.stuck import count_attempt, note_failure, release
from devices.services.terms import Place, terms_for

log = logging.getLogger(__name__)

CHUNK = 1_000
ALONE = 500
"""Services moved on one by one in a slice: those that failed before, or all after a sweep that died (F15)."""

EVENT_OF = {
    State.TRIAL: "device_service.trial_started",
    State.ACTIVE: "device_service.activated",
    State.EXPIRED: "device_service.expired",
}


class Swept(NamedTuple):
    """What one slice of the sweep found: rows that were due, and since when the oldest."""

    found: int
    moved: int
    oldest_due_at: datetime | None


def advance_due_services(*, now: datetime, limit: int = CHUNK) -> Swept:
    """Move one slice of due services, oldest first. Several sweeps share the work: locked rows are skipped (F12).

    An idle sweep is one look at two indexes, outside any transaction. Services that failed before come first, each by
    itself: they endanger nobody else's slice (F15).
    """
    is_any_due, is_any_stuck = _what_waits(now)
    if not is_any_due:
        return Swept(0, 0, None)
    moved = _advance_stuck(now) if is_any_stuck else 0
    swept = _advance_slice(now, limit, leave_stuck=is_any_stuck)
    return swept._replace(moved=swept.moved + moved)


def advance_one_by_one(*, now: datetime, limit: int = ALONE) -> int:
    """The same after a sweep that died: every service in a transaction of its own, its attempt counted before. One that
    takes the worker down is passed over by the next one; number of services looked at."""
    due = DeviceService.objects.filter(due_at__lte=now).order_by("due_at").values_list("device_id", flat=True)
    ids = list(due[:limit])
    for device_id in ids:
        _advance_alone(device_id, now)
    return len(ids)


def _what_waits(now: datetime) -> tuple[bool, bool]:
    """Whether any service is due, and whether any has failed before."""
    services, stuck = DeviceService._meta.db_table, StuckService._meta.db_table
    statement = f"SELECT EXISTS (SELECT 1 FROM {services} WHERE due_at <= %s), EXISTS (SELECT 1 FROM {stuck})"  # noqa: S608 (our own names)
    with connection.cursor() as cursor:
        cursor.execute(statement, [connection.ops.adapt_datetimefield_value(now)])
        is_any_due, is_any_stuck = cursor.fetchone()
        return bool(is_any_due), bool(is_any_stuck)


def _advance_stuck(now: datetime) -> int:
    due = StuckService.objects.filter(device__service__due_at__lte=now).order_by("device__service__due_at")
    return sum(_advance_alone(device_id, now) for device_id in due.values_list("device_id", flat=True)[:ALONE])


def _advance_alone(device_id: int, now: datetime) -> int:
    """One service, after its attempt was counted and committed (F15). Number of events."""
    if not _claimed_alone(device_id, now):
        return 0
    try:
        with transaction.atomic():
            rows = DeviceService.objects.filter(pk=device_id).select_for_update(of=("self",)).values_list(*READ)
            moved = _advance_all([ServiceRow(*values) for values in rows], now)
            release([device_id])
            return moved
    except Exception as failure:
        if is_database_trouble(failure):
            raise
        log.exception("Device %s could not be moved on.", device_id)
        note_failure(device_id, failure, now)
        return 0


@transaction.atomic
def _claimed_alone(device_id: int, now: datetime) -> bool:
    due = DeviceService.objects.filter(pk=device_id, due_at__lte=now)
    is_ours = due.select_for_update(skip_locked=True, of=("self",)).values_list("device_id").first() is not None
    return is_ours and count_attempt(device_id, now)


@transaction.atomic
def _advance_slice(now: datetime, limit: int, *, leave_stuck: bool) -> Swept:
    due = DeviceService.objects.filter(due_at__lte=now).order_by("due_at")
    if leave_stuck:
        due = due.exclude(pk__in=StuckService.objects.values("device_id"))
    locked = due.select_for_update(skip_locked=True).values_list(*READ)[:limit]
    rows = sorted(map(ServiceRow._make, read_rows(locked)), key=_in_turn)
    if not rows:
        return Swept(0, 0, None)
    return Swept(len(rows), _advance_or_halve(rows, now), rows[0].due_at)


def _in_turn(row: ServiceRow) -> tuple[Any, int]:
    """What fell due at one moment goes in the order of devices, wherever its rows lie: one history, one record."""
    return row.due_at, row.device_id


def _advance_or_halve(rows: Sequence[ServiceRow], now: datetime) -> int:
    """Move these rows on; where they can't be read, decided or stored together, their halves, until the fault stands
    alone and is put aside (F15). Number of events."""
    try:
        with transaction.atomic():
            return _advance_all(rows, now)
    except Exception as failure:
        if is_database_trouble(failure):
            raise
        if len(rows) == 1:
            log.exception("Device %s could not be moved on.", rows[0].device_id)
            if count_attempt(rows[0].device_id, now):
                note_failure(rows[0].device_id, failure, now)
            return 0
    middle = len(rows) // 2
    return _advance_or_halve(rows[:middle], now) + _advance_or_halve(rows[middle:], now)


def _advance_all(rows: Sequence[ServiceRow], now: datetime) -> int:
    changes = Changes({row.device_id: row for row in rows})
    terms = terms_for({row.place for row in rows}, now=now)
    facts = load_facts(rows, terms)
    for row in rows:
        advance(row, facts[row.device_id], terms[row.place], changes, until=now, now=now)
    store(changes, now=now)
    return len(changes.events)


def advance(
    row: ServiceRow, facts: Facts, terms: Terms, changes: Changes, *, until: datetime, now: datetime
) -> tuple[ServiceRow, Facts]:
    """Apply to one locked row everything that fell due by `until`, and set its next moment."""
    row, facts = catch_up(row, facts, terms, changes, until=until, now=now)
    row = row._replace(due_at=due_at(facts, terms, now))
    return changes.move(row), facts


def catch_up(
    row: ServiceRow, facts: Facts, terms: Terms, changes: Changes, *, until: datetime, now: datetime
) -> tuple[ServiceRow, Facts]:
    """The same for a row that is about to change once more: it isn't noted as changed, nor its next moment set."""
    while transition := due_transition(facts, terms, until):
        before = row
        row = _moved(row, transition, terms, changes, now)
        facts = after(facts, transition, terms)
        kind = "device_service.held" if transition.held else EVENT_OF[transition.to]
        at = max(transition.at, before.last_event_at)
        changes.note(before, row, kind, at=at, why=transition.why, actor="sweep")
    return row, facts


def load_facts(rows: Sequence[ServiceRow], terms: Mapping[Place, Terms]) -> dict[int, Facts]:
    """Facts of each row. Only trials need online time; only thresholds passed inside a closed session need sessions."""
    young = [row.device_id for row in rows if row.state in {State.PENDING.value, State.TRIAL.value}]
    presence = {
        device_id: (counted, open_since)
        for device_id, counted, open_since in Presence.objects.filter(among("device_id", young)).values_list(
            "device_id", "counted", "open_since"
        )
    }
    facts = {row.device_id: facts_of(row, *presence.get(row.device_id, (0, None))) for row in rows}
    late = {row.device_id: facts[row.device_id] for row in rows if _passed(facts[row.device_id], terms[row.place])}
    for device_id, closed in _closed_sessions(late).items():
        facts[device_id] = facts[device_id]._replace(closed=closed)
    return facts


def _passed(facts: Facts, terms: Terms) -> bool:
    """True where online time that is already closed may hold a threshold."""
    if facts.counts_from is None or facts.state not in {State.PENDING, State.TRIAL}:
        return False
    return facts.counted >= facts.counts_from + min(terms.trial_start, facts.trial_end or terms.trial_end) * SECOND


def _closed_sessions(late: Mapping[int, Facts]) -> dict[int, list[tuple[datetime, datetime]]]:
    """Closed online time of each device, oldest first, up to the interval that is still open: a take-over closes
    sessions inside that one, and they are not among what `Facts.counted` counts (P3)."""
    found: dict[int, list[Interval]] = defaultdict(list)
    if late:
        sessions = PresenceSession.objects.filter(among("device_id", late)).order_by("started_at")
        for device_id, started_at, ended_at in sessions.values_list("device_id", "started_at", "ended_at"):
            found[device_id].append(Interval(None, started_at, ended_at))
    return {device_id: union(spans, late[device_id].open_since) for device_id, spans in found.items()}


def _moved(row: ServiceRow, transition: Transition, terms: Terms, changes: Changes, now: datetime) -> ServiceRow:
    at = transition.at
    last = max(row.last_event_at, at)
    if transition.held:
        return row._replace(auto_failed_at=at, last_event_at=last)
    trial_over = row.state == State.TRIAL.value
    row = row._replace(state=transition.to.value, state_since=at, last_event_at=last)
    if trial_over:
        row = row._replace(trial_ended_at=at)
    if transition.to is State.TRIAL:
        return row._replace(trial_started_at=at, trial_end_seconds=terms.trial_end)
    if transition.included:
        return _included(row, transition.included, at, terms, changes, now)
    if transition.to is State.EXPIRED:
        row = row._replace(level_id=None)
    cause = LockCause.TRIAL_END if trial_over else LockCause.PERIOD_END
    return changes.tell(row, transition.lock, cause) if transition.lock else row


def _included(
    row: ServiceRow, plan: Included, at: datetime, terms: Terms, changes: Changes, now: datetime
) -> ServiceRow:
    draft = PeriodDraft(
        kind=PeriodKind.INCLUDED.value,
        level_id=plan.level_id,
        plan_name=plan.plan_name,
        months=plan.months,
        anchor=at,
        anchor_months=plan.months,
        starts_at=at,
        ends_at=add_months(at, plan.months, terms.time_zone),
        source=f"auto:{row.device_id}:{row.life}",
    )
    return changes.add_period(row._replace(auto_spent=True), draft, now=now)
