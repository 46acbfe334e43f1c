"""How a sweep runs: bounded slices in the system's scope, with its last run on record (house pattern 3)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from amp.foundation import clock
from amp.foundation.scoping import system_scope
from amp.foundation.services.sweeps import sweep_run

SLICE_SECONDS = 25
"""A task ends well before anybody could think it dead (F04); the next beat goes on where it stopped."""


def sweep(name: str, one_slice: Callable[[datetime], int], *, full: int) -> int:
    """Run `one_slice(now)` until it finds fewer than `full` rows or 25 s have passed; number of rows found."""
    deadline = time.monotonic() + SLICE_SECONDS
    with system_scope(), sweep_run(name, wall=clock.wall) as run:
        while True:
            found = one_slice(clock.now())
            run.found += found
            if found < full or time.monotonic() > deadline:
                return run.found
