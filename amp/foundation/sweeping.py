"""How a sweep runs: bounded slices in the system's scope, with its last run on record (house pattern 3)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from celery import current_task
from django.db import OperationalError

from amp.foundation import clock
from amp.foundation.lanes import SecondLane
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
    two_lanes: bool = False,
) -> int:
    """Run `one_slice(now)` until it finds fewer than `full` rows or 25 s have passed; number of rows found.

    With `two_lanes`, where a full slice was found, two run at a time from then on: the database stores one while the
    next is thought about. Only for slices that share their work with other workers' (F12).

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
            if two_lanes:
                run.found += _in_two_lanes(name, one_slice, full, deadline)
                return run.found


def _in_two_lanes(name: str, one_slice: Callable[[datetime], int], full: int, deadline: float) -> int:
    """Go on here and in a second lane, until one finds nothing more to do; number of rows found.

    Raises what a lane raised, once both have come to an end: a failure stops the other after its slice.
    """
    over = threading.Event()

    def lane() -> int:
        total = 0
        try:
            while not over.is_set() and time.monotonic() <= deadline:
                found = _persistently(name, one_slice)
                total += found
                if found < full:
                    break
            return total
        finally:
            over.set()

    with SecondLane(name) as second:
        return sum(second.beside(lane, lane))


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
