"""Two clocks. `now()` is the product's time, `wall()` is real time; nothing else reads a clock (R8).

Services, periods and notices live on `now()`, which the test clock of demo and test mode may shift. Signatures,
sessions and rate limits live on `wall()`. Only entry points read either; services and rules are handed the moment.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from django.apps import apps
from django.conf import settings

REFRESH_SECONDS = 0.5
"""How old a cached shift may be; every process follows a move of the test clock within 1 s."""

_lock = threading.Lock()
_shift = timedelta()
_read_at = float("-inf")


def wall() -> datetime:
    """Real time, UTC."""
    return datetime.now(UTC)


def now() -> datetime:
    """The product's time, UTC: real time in production, shifted by the test clock elsewhere."""
    return wall() + shift()


def shift() -> timedelta:
    """How far the test clock is ahead of real time; zero in production."""
    if settings.IS_PRODUCTION:
        return timedelta()
    global _shift, _read_at
    with _lock:
        began = time.monotonic()
        if began - _read_at > REFRESH_SECONDS:
            _shift = _stored_shift()
            _read_at = began  # a slow answer is as old as its question
        return _shift


def forget() -> None:
    """Read the shift anew at the next call: for the process that has just moved the clock."""
    global _read_at
    with _lock:  # a read of another thread that began before the move ends first
        _read_at = float("-inf")


def _stored_shift() -> timedelta:
    row = apps.get_model("foundation", "TestClock").objects.values_list("shift", flat=True).first()
    return row or timedelta()
