"""The record of each sweep's last run, in real time: what operations look at first (F07, F13)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError
from django.db.models import Value
from django.db.models.functions import Coalesce

from amp.foundation.models import SweepRun

log = logging.getLogger(__name__)

REMEMBERED = 20
"""Runs of a sweep that its row keeps."""
LONGEST_RUN = timedelta(seconds=60)
"""A run lasts half of it at most (F04): what began earlier and ended never has died."""


@dataclass(slots=True)
class Run:
    """What a sweep tells about itself: rows that were due, and since when the oldest of them.

    `follows_a_death`: runs began before this one, for a minute, and none came to its end (F15).
    """

    started_at: datetime
    follows_a_death: bool = False
    recent: list[dict[str, Any]] = field(default_factory=list)
    found: int = 0
    oldest_due_at: datetime | None = None


@contextmanager
def sweep_run(name: str, *, wall: Callable[[], datetime], task: str = "") -> Iterator[Run]:
    """Record the run of the sweep `name` around its work; `wall` is asked at its start and its end.

    `task` is the Celery task that runs it: a sweep whose task is off the schedule isn't late.

    Use outside the sweep's own transactions, so that a failure stays on record. The exception goes on to the caller.
    """
    run = _begin(name, task, wall())
    try:
        yield run
    except Exception as failure:
        _finish(name, run, wall(), f"{type(failure).__name__}: {failure}")
        raise
    _finish(name, run, wall(), "")


def _begin(name: str, task: str, at: datetime) -> Run:
    """Note the start before the work, and learn whether earlier runs died."""
    known = SweepRun.objects.filter(name=name)
    started = {"started_at": at, "finished_at": None, "unfinished_since": Coalesce("unfinished_since", Value(at))}
    if not known.update(**started, task=task):
        SweepRun.objects.get_or_create(name=name, defaults={"started_at": at, "unfinished_since": at, "task": task})
        return Run(at)
    since, recent = known.values_list("unfinished_since", "recent").first() or (None, [])
    return Run(at, follows_a_death=since is not None and since < at - LONGEST_RUN, recent=recent)


def _finish(name: str, run: Run, at: datetime, failed_because: str) -> None:
    told = failed_because.replace("\0", "")[:400]
    seconds = max((at - run.started_at).total_seconds(), 0.0)
    try:
        SweepRun.objects.filter(name=name).update(
            finished_at=at,
            unfinished_since=None,
            found=run.found,
            oldest_due_at=run.oldest_due_at,
            failed_because=told,
            seconds=seconds,
            **_remembered(run, seconds, told),
        )
    except DatabaseError:
        if not failed_because:
            raise
        log.exception("The failed run of %s could not be recorded.", name)  # the failure itself goes to the caller


def _remembered(run: Run, seconds: float, failed_because: str) -> dict[str, Any]:
    """The run before the earlier ones, if it tells anything. Of two runs at once one may be forgotten."""
    if not (run.found or failed_because):
        return {}
    line = {
        "at": run.started_at.isoformat(),
        "seconds": round(seconds, 3),
        "found": run.found,
        "failed_because": failed_because[:200],
    }
    return {"recent": [line, *run.recent][:REMEMBERED]}
