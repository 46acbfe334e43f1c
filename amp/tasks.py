"""The roof's own sweeps: what is wrong with the platform is noted and told; what has served its time is deleted."""

from __future__ import annotations

from celery import shared_task

from amp.alarms.watch import watch
from amp.foundation import clock
from amp.foundation.sweeping import sweep
from amp.retention.kinds import SLICE, forget


@shared_task(name="amp.tasks.watch_alarms")
def watch_alarms() -> int:
    """Alarms that began or are over; both are mailed once (P8, A11)."""
    return sweep("watch_alarms", lambda now: watch(now=now, wall=clock.wall()), full=10**9)


@shared_task(name="amp.tasks.forget_old_rows")
def forget_old_rows() -> int:
    """Delete rows that are kept no longer (X5); one probe a table when nothing is."""
    return sweep("forget_old_rows", lambda now: forget(now=now, wall=clock.wall()), full=SLICE)
