"""Rows of the schedule, changed by people: within bounds, on the record, and known to the running beat (X10).

Beat rereads its rows when `PeriodicTasks` says that one changed; the library's models do that when they are saved, in
our transaction.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from celery import current_app
from django.db import transaction
from django.utils.translation import gettext as _
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.refusals import Refused
from amp.foundation.wakeups import wake
from amp.operations.limits import LEAST, MOST, breach
from amp.operations.words import told
from amp.schedule import expires_after, interval_of


class ScheduleRefused(Refused):
    """The schedule stays as it is."""


def short_name(task: str) -> str:
    """What a person types to confirm: "advance_due_services"."""
    return task.rpartition(".")[2]


@transaction.atomic
def change_schedule(*, pk: int, seconds: int | None, enabled: bool, typed: str, actor: str, now: datetime) -> bool:
    """Set interval and switch of one row; whether anything changed. `typed` confirms what breaks a promise.

    `seconds` None leaves the row's own kind of schedule alone. Raises ScheduleRefused, PeriodicTask.DoesNotExist.
    """
    row = PeriodicTask.objects.select_for_update(of=("self",)).select_related("interval").get(pk=pk)
    before = {"enabled": row.enabled, "seconds": interval_of(row)}
    after = {"enabled": enabled, "seconds": before["seconds"] if seconds is None else seconds}
    if after == before:
        return False
    _check(row.task, after, typed)
    if seconds is not None and seconds != before["seconds"]:
        row.interval, row.crontab, row.solar, row.clocked = _interval(seconds), None, None, None
        row.expire_seconds = expires_after(seconds)
    row.enabled = enabled
    row.save()
    _record("schedule.changed", row, actor, now, before, after)
    return True


@transaction.atomic
def run_now(*, pk: int, actor: str, now: datetime) -> None:
    """Wake the task once, now, on or off the schedule. Raises ScheduleRefused, PeriodicTask.DoesNotExist."""
    row = PeriodicTask.objects.get(pk=pk)
    if not is_known(row.task):
        raise ScheduleRefused.because(_("No worker of this version knows this task. Switch it off."))
    _record("schedule.run", row, actor, now, None, None)
    wake(row.task)


def is_known(task: str) -> bool:
    """Whether this version has the task; rows of earlier versions stay in the schedule."""
    _load_tasks()
    return task in current_app.tasks


@cache
def _load_tasks() -> None:
    """A process of the web has no reason to know its tasks, until somebody asks; it takes a moment, once."""
    current_app.loader.import_default_modules()


def _check(task: str, after: dict[str, Any], typed: str) -> None:
    seconds = after["seconds"]
    if seconds is not None and not LEAST <= seconds <= MOST:
        sentence = _("Choose a number of seconds from %(least)d to %(most)d.") % {"least": LEAST, "most": MOST}
        raise ScheduleRefused.because(sentence, "seconds")
    broken = breach(task, seconds or 0, enabled=after["enabled"])
    if broken and typed.strip() != short_name(task):
        sentence = _("%(what)s To do it all the same, type %(name)s.")
        raise ScheduleRefused.because(sentence % {"what": told(broken), "name": short_name(task)}, "typed")


def _interval(seconds: int) -> IntervalSchedule:
    """Rows of the library's table have no unique key, so the first one will do."""
    known = IntervalSchedule.objects.filter(every=seconds, period=IntervalSchedule.SECONDS).order_by("pk").first()
    return known or IntervalSchedule.objects.create(every=seconds, period=IntervalSchedule.SECONDS)


def _record(kind: str, row: PeriodicTask, actor: str, now: datetime, before: Any, after: Any) -> None:
    draft = EventDraft(kind, f"schedule:{row.pk}", None, now, actor, row.task, before=before, after=after)
    record_event(draft, now=now)
