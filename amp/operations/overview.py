"""What the pages of operations read: ages first, then sweeps and schedules, each in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask

from amp.alarms.rules import LATE, OVERDUE
from amp.alarms.rules import Sweep as Scheduled
from amp.foundation.models import SweepRun
from amp.foundation.scoping import system_scope
from amp.operations.limits import LIMITS, breach
from amp.operations.schedules import is_known, short_name
from amp.operations.waiting import oldest_work
from amp.operations.words import told
from amp.schedule import interval_of, scheduled

SLOW_SECONDS = 60
"""Work that waits longer than a sweep's longest interval is late, if nobody feels it yet."""


class Age(NamedTuple):
    """One of the first figures: a name, an age in seconds (None: nothing waits), a colour where it wants attention."""

    title: str
    seconds: float | None
    note: str
    tone: str = ""


class SweepLine(NamedTuple):
    """A sweep as the page shows it. `every` is its interval in seconds, None where it is off the schedule."""

    run: SweepRun
    age: float
    every: int | None
    word: str
    state: str

    @property
    def lag(self) -> float:
        """Seconds by which the next run is late."""
        return max(self.age - (self.every or 0), 0.0) if self.every else 0.0


class ScheduleLine(NamedTuple):
    """A row of the schedule; `last` and `due` are real time."""

    row: PeriodicTask
    seconds: int | None
    last: datetime | None
    due: datetime | None
    is_known: bool
    warning: str

    @property
    def name(self) -> str:
        """What the row is called; the names that the product gave are translated."""
        return _(self.row.name)

    @property
    def short(self) -> str:
        """The task without its module."""
        return short_name(self.row.task)


def ages(lines: list[SweepLine], *, now: datetime) -> list[Age]:
    """The sweep that is furthest behind, then the oldest due work of each kind (X10)."""
    with system_scope():
        due = oldest_work(now)
    due["notices"] = max(due["notices"], due.pop("mails"))
    names = {
        "services": _("Device services"),
        "commands": _("Commands"),
        "paid_orders": _("Paid orders"),
        "payments": _("Payments to ask about"),
        "refunds": _("Refunds"),
        "webhooks": _("Webhooks"),
        "notices": _("Notices"),
    }
    return [_furthest(lines), *(_age(title, due[kind]) for kind, title in names.items())]


def sweep_lines(*, wall: datetime) -> list[SweepLine]:
    """All sweeps that ever ran, those that failed or are late first; two queries."""
    tasks = scheduled()
    lines = [_line(run, tasks, wall) for run in SweepRun.objects.order_by("name")]
    return sorted(lines, key=lambda line: (line.state in {"ON", "SENT"}, line.every is None, line.run.name))


def schedule_lines() -> list[ScheduleLine]:
    """All rows of the schedule by name, with the last run of any of the task's sweeps; two queries."""
    runs: dict[str, datetime] = {}
    for run in SweepRun.objects.exclude(task=""):
        runs[run.task] = max(run.started_at, runs.get(run.task, run.started_at))
    rows = PeriodicTask.objects.select_related("interval").exclude(task="celery.backend_cleanup").order_by("name")
    return [_schedule(row, runs.get(row.task) or row.last_run_at) for row in rows]


def _furthest(lines: list[SweepLine]) -> Age:
    watched = [line for line in lines if line.every]
    if not watched:
        return Age(_("Sweeps"), None, _("no sweep has run yet"), "red")
    worst = max(watched, key=lambda line: (line.state != "ON", line.lag, line.age))
    tone = "red" if worst.state in {"FAILED", "WAITING"} else ""
    return Age(_("Sweep furthest behind"), worst.age, worst.run.name, tone)


def _age(title: str, seconds: float) -> Age:
    if not seconds:
        return Age(title, None, _("nothing waits"))
    tone = "red" if seconds > OVERDUE.total_seconds() else "amber" if seconds > SLOW_SECONDS else ""
    return Age(title, seconds, _("the oldest is due for so long"), tone)


def _line(run: SweepRun, tasks: Mapping[str, int], wall: datetime) -> SweepLine:
    at, every = run.finished_at or run.started_at, tasks.get(run.task)
    age = max((wall - at).total_seconds(), 0.0)
    if every is None:
        word, state = _("Off the schedule"), ""
    elif run.failed_because:
        word, state = _("Failed"), "FAILED"
    elif wall - at > Scheduled(run.name, at, False, timedelta(seconds=every)).late_after:
        word, state = _("Late"), "WAITING"
    elif run.finished_at is None and age < LATE.total_seconds():
        word, state = _("Running"), "SENT"
    else:
        word, state = _("On time"), "ON"
    return SweepLine(run, age, every, word, state)


def _schedule(row: PeriodicTask, last: datetime | None) -> ScheduleLine:
    seconds = interval_of(row)
    due = last + timedelta(seconds=seconds) if row.enabled and last and seconds else None
    broken = breach(row.task, seconds or 0, enabled=row.enabled) if row.task in LIMITS else None
    return ScheduleLine(row, seconds, last, due, is_known(row.task), told(broken) if broken else "")


def history(run: SweepRun) -> list[dict[str, Any]]:
    """The run's remembered predecessors with their moments, newest first."""
    return [{**line, "at": datetime.fromisoformat(line["at"])} for line in run.recent]
