"""Moving the product's time in demo and test mode; production refuses (R8).

The shift is one row. Every process reads it at most half a second late (`amp.foundation.clock`), so all of them follow.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from amp.foundation import clock
from amp.foundation.models import TestClock
from amp.foundation.services.events import EventDraft, record_event
from amp.foundation.services.refusals import Refused

FURTHEST = timedelta(days=50 * 366)
"""Further from real time than this, periods of 30 years would leave the calendar."""
ONLY = 1


class TestClockRefused(Refused):
    """The clock can't be moved like this, or not here."""

    __test__ = False


def advance(by: timedelta, *, wall: datetime, actor: str = "system") -> timedelta:
    """Move the product's time by `by`, back where negative; the new shift. Raises TestClockRefused."""
    return _move(lambda shift: shift + by, wall, actor)


def set_to(moment: datetime, *, wall: datetime, actor: str = "system") -> timedelta:
    """Make the product's time `moment` at the real time `wall`; the new shift. Raises TestClockRefused."""
    return _move(lambda _shift: moment - wall, wall, actor)


def reset(*, wall: datetime, actor: str = "system") -> timedelta:
    """Back to real time. Raises TestClockRefused."""
    return _move(lambda _shift: timedelta(), wall, actor)


def current_shift() -> timedelta:
    """How far the product's time is ahead, as stored."""
    row = TestClock.objects.filter(pk=ONLY).first()
    return row.shift if row else timedelta()


def _move(shifted: Callable[[timedelta], timedelta], wall: datetime, actor: str) -> timedelta:
    if settings.IS_PRODUCTION:
        raise TestClockRefused.because(_("Production runs on real time: its clock can't be moved."))
    with transaction.atomic():
        row = TestClock.objects.select_for_update().filter(pk=ONLY).first() or TestClock(pk=ONLY)
        before: timedelta = row.shift
        after = _checked(shifted, before)
        row.shift, row.moved_at = after, wall
        row.save()
        _record(before, after, wall, actor)
    clock.forget()
    return after


def _checked(shifted: Callable[[timedelta], timedelta], before: timedelta) -> timedelta:
    try:
        shift = shifted(before)
    except OverflowError:
        shift = timedelta.max
    if abs(shift) > FURTHEST:
        raise TestClockRefused.because(_("The clock moves at most 50 years away from real time."))
    return shift


def _record(before: timedelta, after: timedelta, wall: datetime, actor: str) -> None:
    now = wall + after
    event = EventDraft(
        kind="clock.moved",
        subject="clock",
        enterprise_id=None,
        happened_at=now,
        actor=actor,
        before={"shift_seconds": before.total_seconds()},
        after={"shift_seconds": after.total_seconds()},
    )
    record_event(event, now=now)
