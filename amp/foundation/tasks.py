"""The worker's heartbeat, and what is thrown away when its time is over."""

from __future__ import annotations

from celery import shared_task

from amp.foundation import clock
from amp.foundation.services.idempotency import forget_expired
from amp.foundation.sweeping import sweep

SLICE = 1_000


@shared_task(name="amp.foundation.tasks.beat_heart")
def beat_heart() -> None:
    """Say that a worker consumes tasks: health looks at the age of this run (F07)."""
    sweep("worker_heartbeat", lambda now: 0, full=1)


@shared_task(name="amp.foundation.tasks.forget_answers")
def forget_answers() -> None:
    """Delete the kept answers to requests whose day is over (F34)."""
    sweep("forget_answers", lambda _now: forget_expired(wall=clock.wall(), limit=SLICE), full=SLICE)
