"""Sessions that no message of their device ends: fallen silent, lost with the broker, or terminated (P4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import QuerySet

from amp.foundation.bulk import among
from amp.foundation.models import TestClock
from catalog.models import ServiceRule
from devices.models import Presence
from devices.online_time import PresenceState, Step, close_at_broker_death, close_for_silence
from devices.services.presence import Folded, store_folded
from devices.services.presence_rows import locked_states

CHUNK = 5_000


def close_silent_sessions(*, now: datetime) -> int:
    """Close sessions of devices that promised a heartbeat and fell silent, estimated (P4); number of sessions closed.

    Only products with a heartbeat are looked at. After a move of the test clock the silence is counted anew.
    """
    moved_at = _clock_moved_at()
    rules = ServiceRule.objects.filter(is_current=True, heartbeat_seconds__gt=0).order_by("product_id")
    closed = 0
    for product_id, heartbeat in rules.values_list("product_id", "heartbeat_seconds"):
        assert heartbeat  # noqa: S101 - the query says so; for the type checker
        rows = Presence.objects.filter(
            device__product_id=product_id, last_seen_at__lte=now - timedelta(seconds=heartbeat)
        )
        closed += _close_each(rows, partial(_close_silent, heartbeat=heartbeat, moved_at=moved_at, now=now), now=now)
    return closed


def close_sessions_of_dead_broker(*, alive_at: datetime, now: datetime) -> int:
    """Close what a broker left open that has died or lost its state: at `alive_at`, the last sign of it (P4).

    Devices that come back say so to the broker's new life and open sessions of their own; sessions that began after
    `alive_at` are theirs already. Number of sessions closed, all of them marked estimated.
    """
    alive_at = min(alive_at, now)  # the test clock may have been moved back since
    rows = Presence.objects.filter(session_started_at__lte=alive_at)
    return _close_each(rows, lambda state: close_at_broker_death(state, alive_at), now=now)


@transaction.atomic
def end_presence(*, device_id: int, now: datetime) -> None:
    """Close what is open: nobody will hear the device as this one again. Locks presence; lock its service after it."""
    _close_chunk(Presence.objects.filter(pk=device_id), lambda state: close_at_broker_death(state, now), now=now)


def _close_silent(state: PresenceState, *, heartbeat: int, moved_at: datetime | None, now: datetime) -> Step:
    if moved_at and state.last_seen_at and state.last_seen_at < moved_at:
        state = state._replace(last_seen_at=moved_at)
    return close_for_silence(state, heartbeat, now)


def _close_each(rows: QuerySet[Presence], close: Callable[[PresenceState], Step], *, now: datetime) -> int:
    """Ask `close` about every open session of `rows`, 5,000 devices to a transaction; number of sessions closed."""
    closed, last = 0, 0
    while True:
        later = rows.filter(is_online=True, device_id__gt=last).order_by("device_id")
        ids = list(later.values_list("device_id", flat=True)[:CHUNK])
        if not ids:
            return closed
        closed += _close_chunk(rows.filter(among("device_id", ids), is_online=True), close, now=now)
        last = ids[-1]


@transaction.atomic
def _close_chunk(rows: QuerySet[Presence], close: Callable[[PresenceState], Step], *, now: datetime) -> int:
    before = locked_states(rows)
    steps = {device_id: close(state) for device_id, state in before.items()}
    folded = {device_id: Folded(step.state, (), step.closed) for device_id, step in steps.items() if step.closed}
    store_folded(before, folded, now=now)
    return len(folded)


def _clock_moved_at() -> datetime | None:
    """Product time just after the test clock was moved; None where it never was, as in production."""
    row = TestClock.objects.values_list("moved_at", "shift").first()
    return row[0] + row[1] if row else None
