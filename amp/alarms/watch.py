"""Alarms as rows from their beginning to their end, each of both mailed once to the platform's administrators.

A mail tells everything that began or ended since the last one. Rows are claimed and the attempt counted before it
leaves; five failures, and the row says why nobody was told. A worker that is killed between the mail and the note of it
sends the same mail twice, never none.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import translation

from amp.alarms.facts import read_facts
from amp.alarms.rules import QUIET, Alarm, Kind, alarms
from amp.alarms.words import Told, tell
from amp.foundation.bulk import chunks
from amp.foundation.models import AlarmRow, Role, User
from amp.foundation.services.mail import send_mail

log = logging.getLogger(__name__)

ATTEMPTS = 5
RETRY = timedelta(minutes=2)
MOST = 50
"""Alarms of one mail."""


def watch(*, now: datetime, wall: datetime) -> int:
    """Look once: alarms that began or ended are noted, and told. How many are on. Needs the system's scope."""
    on = alarms(read_facts(now=now), now=now, wall=wall)
    _note(on, now)
    tell_due(now=now)
    return len(on)


def open_alarms() -> list[Alarm]:
    """Those that were on at the last look, red first: one query."""
    rows = [_alarm(row) for row in AlarmRow.objects.filter(cleared_at=None).order_by("began_at", "pk")]
    return sorted(rows, key=lambda alarm: not alarm.is_red)


def tell_due(*, now: datetime) -> int:
    """One mail to each platform administrator about what has to be told; how many alarms it told of."""
    rows = _claimed(now)
    if not rows:
        return 0
    failures = [_mailed(person, rows) for person in _people()]
    problem = next((failure for failure in failures if failure), "" if failures else "There is no recipient.")
    is_told = bool(failures) and not all(failures)
    for row in rows:
        if is_told:
            row.told, row.due_at, row.attempts, row.problem = row.state, None, 0, ""
        else:
            row.due_at, row.problem = row.due_at if row.attempts < ATTEMPTS else None, problem
    AlarmRow.objects.bulk_update(rows, ["told", "due_at", "attempts", "problem"])
    return len(rows) if is_told else 0


@transaction.atomic
def _note(on: Sequence[Alarm], now: datetime) -> None:
    known = {row.key: row for row in AlarmRow.objects.select_for_update().filter(cleared_at=None).order_by("pk")}
    fresh = [_row(alarm, now) for alarm in on if alarm.key not in known]
    for alarm in on:
        if row := known.pop(alarm.key, None):
            row.seen_at, row.number, row.subject = now, alarm.number, alarm.subject[:160]
            fresh_values = ["seen_at", "number", "subject"]
            row.save(update_fields=fresh_values)
    for part in chunks(fresh, 500):
        AlarmRow.objects.bulk_create(part, ignore_conflicts=True)  # two workers at once: the first one's row stays
    for row in known.values():
        if not row.seen_at <= now < row.seen_at + QUIET:
            row.cleared_at, row.attempts = now, 0
            row.due_at = now if row.told else None  # nobody is told of the end who wasn't told of the beginning
            row.save(update_fields=["cleared_at", "due_at", "attempts"])


@transaction.atomic
def _claimed(now: datetime) -> list[AlarmRow]:
    rows = list(AlarmRow.objects.filter(due_at__lte=now).order_by("pk").select_for_update(skip_locked=True)[:MOST])
    for row in rows:
        row.attempts, row.due_at = row.attempts + 1, now + RETRY
    AlarmRow.objects.bulk_update(rows, ["attempts", "due_at"])
    return rows


def _people() -> list[User]:
    members = User.objects.filter(is_active=True, memberships__role=Role.PLATFORM_ADMINISTRATOR.value)
    return list(members.distinct().order_by("pk"))


def _mailed(person: User, rows: Sequence[AlarmRow]) -> str:
    with translation.override(person.language):
        begun = [tell(_alarm(row)) for row in rows if row.cleared_at is None]
        over = [tell(_alarm(row)) for row in rows if row.cleared_at is not None]
    context = {
        "begun": _linked(begun),
        "over": _linked(over),
        "first": (begun or over)[0].sentence,
        "number": len(rows),
    }
    return send_mail(to=person.email, template="alarms", language=person.language, context=context)


def _linked(told: Sequence[Told]) -> list[dict[str, Any]]:
    return [{"sentence": each.sentence, "since": each.since, "link": settings.BASE_URL + each.url} for each in told]


def _row(alarm: Alarm, now: datetime) -> AlarmRow:
    return AlarmRow(
        key=alarm.key,
        kind=alarm.kind.value,
        subject=alarm.subject[:160],
        number=alarm.number,
        began_at=alarm.since,
        seen_at=now,
        due_at=now,
    )


def _alarm(row: AlarmRow) -> Alarm:
    return Alarm(row.key, Kind(row.kind), row.began_at, row.subject, row.number)
