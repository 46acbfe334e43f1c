"""Waiting for another process: poll until a deadline, never a bare sleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T], *, within: float = 30.0, every: float = 0.02, what: str = "") -> T:
    """Call `probe` every `every` seconds until its result is truthy, and return that result.

    The default suits a machine that is busy with something else: a test that polls loses nothing by it. Raises
    `AssertionError`, naming `what` was awaited, when `within` seconds have passed. Exceptions of the probe
    are the caller's: catch inside it what may happen while the other side starts.
    """
    deadline = time.monotonic() + within
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or 'the condition'} did not come true within {within:g} s (last: {result!r})")
        time.sleep(every)
