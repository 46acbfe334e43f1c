"""Sweeps over devices. Each finds its work in the database, so a lost or doubled wake-up changes nothing (R5, F12)."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.conf import settings

from amp.foundation import clock
from amp.foundation.services.figures import CHUNK
from amp.foundation.sweeping import sweep
from amp.foundation.wakeups import wake
from devices.services import (
    disconnects,
    dispatch,
    figures,
    import_secrets,
    import_work,
    lifecycle,
    lock_releases,
    session_ends,
)


@shared_task(name="devices.tasks.advance_due_services")
def advance_due_services() -> int:
    """Trial starts, trial ends and expiries that have fallen due (A2, A17)."""
    return sweep(
        "advance_due_services",
        lambda now: lifecycle.advance_due_services(now=now).found,
        full=lifecycle.CHUNK,
        one_by_one=lambda now: lifecycle.advance_one_by_one(now=now),
        two_lanes=True,
    )


@shared_task(name="devices.tasks.dispatch_commands")
def dispatch_commands() -> int:
    """Publish commands whose next attempt has come (A21)."""
    return sweep(
        "dispatch_commands",
        lambda now: dispatch.dispatch_commands(now=now, transport=dispatch.shared_transport(), limit=dispatch.CHUNK),
        full=dispatch.CHUNK,
        two_lanes=True,
    )


@shared_task(name="devices.tasks.close_commands")
def close_commands() -> int:
    """Commands that got no ack wait again; those past their cache time are over (A20, A21)."""
    return sweep(
        "close_commands",
        lambda now: max(
            dispatch.close_unanswered(now=now, limit=dispatch.CHUNK),
            dispatch.close_stale(now=now, limit=dispatch.CHUNK),
        ),
        full=dispatch.CHUNK,
    )


@shared_task(name="devices.tasks.work_off_lock_holds")
def work_off_lock_holds() -> int:
    """Held LOCKs that settled, or that a person released or cancelled (P8)."""
    return sweep("work_off_lock_holds", lambda now: lock_releases.work_off_holds(now=now), full=1)


@shared_task(name="devices.tasks.close_silent_sessions")
def close_silent_sessions() -> int:
    """Devices that promised a heartbeat and fell silent go offline (P4)."""
    return sweep("close_silent_sessions", lambda now: session_ends.close_silent_sessions(now=now), full=10**9)


@shared_task(name="devices.tasks.count_devices")
def count_devices() -> int:
    """Figures of the overview: services, ends, presence, commands."""
    every = timedelta(seconds=settings.FIGURES_SECONDS)
    return sweep("count_devices", lambda now: figures.count_devices(now=now, every=every), full=CHUNK)


@shared_task(name="devices.tasks.end_connections")
def end_connections() -> int:
    """Connections that the broker is to end, of devices whose credential no longer holds (X4)."""
    return sweep(
        "end_connections",
        lambda now: disconnects.end_connections(now=now, broker=disconnects.shared_control(), limit=disconnects.CHUNK),
        full=disconnects.CHUNK,
    )


@shared_task(name="devices.tasks.run_imports")
def run_imports() -> int:
    """Confirmed imports, slice by slice; what has been kept long enough is deleted (F92, X4)."""
    sweep("clear_imports", lambda now: import_secrets.clear_imports(now=now, wall=clock.wall()), full=10**9)
    found = sweep("run_imports", lambda now: import_work.run_due_imports(now=now, wall=clock.wall()), full=1)
    if found:
        wake(import_work.RUN)  # a slice may wait: another task takes it up at once
    return found
