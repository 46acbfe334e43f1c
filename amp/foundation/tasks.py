"""The worker's heartbeat."""

from __future__ import annotations

from celery import shared_task

from amp.foundation.sweeping import sweep


@shared_task(name="amp.foundation.tasks.beat_heart")
def beat_heart() -> None:
    """Say that a worker consumes tasks: health looks at the age of this run (F07)."""
    sweep("worker_heartbeat", lambda now: 0, full=1)
