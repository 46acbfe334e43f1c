"""The roof's own sweep: what is wrong with the platform is noted and told."""

from __future__ import annotations

from celery import shared_task

from amp.alarms.watch import watch
from amp.foundation import clock
from amp.foundation.sweeping import sweep


@shared_task(name="amp.tasks.watch_alarms")
def watch_alarms() -> int:
    """Alarms that began or are over; both are mailed once (P8, A11)."""
    return sweep("watch_alarms", lambda now: watch(now=now, wall=clock.wall()), full=10**9)
