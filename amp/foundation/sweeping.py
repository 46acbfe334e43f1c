"""How a sweep runs: bounded slices in the system's scope, with its last run on record (house pattern 3)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime

from celery import current_task
from django.db import OperationalError

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from amp.foundation.services.failures import is_conflict
from amp.foundation.services.sweeps import sweep_run

log = logging.getLogger(__name__)

SLICE_SECONDS = 25
"""A task ends well before anybody could think it dead (F04); the next beat goes on where it stopped."""
RETRIES = 3


def sweep(
    name: str,
    one_slice: Callable[[datetime], int],
    *,
    full: int,
    one_by_one: Callable[[datetime], int] | None = None,
) -> int:
    """Run `one_slice(now)` until it finds fewer than `full` rows or 25 s have passed; number of rows found.

    Where earlier runs died on the way, `one_by_one(now)` runs instead, until it finds none (F15).
    """
    deadline = time.monotonic() + SLICE_SECONDS
    with system_scope(), sweep_run(name, wall=clock.wall, task=_task()) as run:
        if one_by_one and run.follows_a_death:
            log.error("Runs of %s died; this one takes its rows one by one.", name)
            one_slice, full = one_by_one, 1
        while True:
            found = _persistently(name, one_slice)
            run.found += found
            if found < full or time.monotonic() > deadline:
                return run.found


def _task() -> str:
    """The Celery task around it; "" where somebody else calls the sweep."""
    return str(current_task.name) if current_task else ""


def _persistently(name: str, one_slice: Callable[[datetime], int]) -> int:
    """One slice; after a deadlock or a serialization failure up to three times more (F23)."""
    for _retry in range(RETRIES):
        try:
            return one_slice(clock.now())
        except OperationalError as trouble:
            if not is_conflict(trouble):
                raise
            log.warning("A slice of %s gave way to another transaction and is tried again: %s", name, trouble)
    return one_slice(clock.now())
