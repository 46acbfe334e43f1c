"""The record of each sweep's last run, in real time: what operations look at first (F07, F13)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError

from amp.foundation.models import SweepRun

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Run:
    """What a sweep tells about itself: rows that were due, and since when the oldest of them."""

    found: int = 0
    oldest_due_at: datetime | None = None


@contextmanager
def sweep_run(name: str, *, wall: Callable[[], datetime]) -> Iterator[Run]:
    """Record the run of the sweep `name` around its work; `wall` is asked at its start and its end.

    Use outside the sweep's own transactions, so that a failure stays on record. The exception goes on to the caller.
    """
    run = Run()
    SweepRun.objects.update_or_create(name=name, defaults={"started_at": wall(), "finished_at": None})
    try:
        yield run
    except Exception as failure:
        _finish(name, run, wall(), f"{type(failure).__name__}: {failure}")
        raise
    _finish(name, run, wall(), "")


def _finish(name: str, run: Run, at: datetime, failed_because: str) -> None:
    try:
        SweepRun.objects.filter(name=name).update(
            finished_at=at,
            found=run.found,
            oldest_due_at=run.oldest_due_at,
            failed_because=failed_because.replace("\0", "")[:400],
        )
    except DatabaseError:
        if not failed_because:
            raise
        log.exception("The failed run of %s could not be recorded.", name)  # the failure itself goes to the caller
