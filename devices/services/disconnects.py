"""Connections that outlived their credential are ended by the broker, as far as it can (X4).

A row waits for the broker, so a dead one delays the end of a connection and never forgets it. Calls are made outside
any transaction, and the attempt is counted before it (F15).
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from django.conf import settings
from django.db import models, transaction

from amp.foundation import wakeups
from amp.foundation.bulk import insert_rows
from amp.foundation.services.events import record_about
from devices.models import Device, Disconnect, DisconnectStatus
from devices.transports.base import BrokerRefused, BrokerUnavailable, ConnectionControl, Ended
from devices.transports.emqx import EmqxConnections
from devices.transports.mosquitto import MosquittoConnections

log = logging.getLogger(__name__)

TASK = "devices.tasks.end_connections"
CHUNK = 8
"""Connections to a slice: with 3 s for each the slice stays below its 25 s."""
LEASE = timedelta(seconds=60)
DELAYS = [timedelta(seconds=seconds) for seconds in (10, 60, 300, 600)]
REFUSALS = 5
"""After so many attempts a broker that says no isn't asked any more; one that doesn't answer is, every 10 minutes."""


class Claimed(NamedTuple):
    """A connection that is ours to end now; `until`, the end of our lease, is the token of the claim."""

    id: int
    client_id: str
    attempts: int
    until: datetime


def order_disconnect(device: Device, *, now: datetime) -> None:
    """Have the broker end the device's connection, soon after the caller's transaction commits.

    Where a worker is at it just now, its claim ends: it may have asked before the old password was void, so the broker
    is asked once more, and what the first answer was changes nothing.
    """
    waiting = Disconnect.objects.filter(device=device, status=DisconnectStatus.PENDING.value)
    if not waiting.update(due_at=now, attempts=0, problem=""):
        columns = ("enterprise", "device", "client_id", "status", "attempts", "created_at", "due_at")
        row = (device.enterprise_id, device.pk, device.mqtt_user_name, DisconnectStatus.PENDING.value, 0, now, now)
        insert_rows(Disconnect, columns, [row], ignore_conflicts=True)
    wakeups.wake(TASK)


@transaction.atomic
def ask_again(*, device: Device, actor: str, now: datetime) -> None:
    """A person has the broker asked once more, after it said no."""
    order_disconnect(device, now=now)
    record_about(device, "device.disconnect_ordered", actor=actor, now=now)


def end_connections(*, now: datetime, broker: ConnectionControl, limit: int = CHUNK) -> int:
    """End one slice of connections, oldest first; how many were dealt with (fewer than `limit`: stop for now)."""
    claimed = _claim(now, limit)
    for done, row in enumerate(claimed):
        try:
            ended = broker.disconnect(row.client_id)
        except BrokerUnavailable as trouble:
            log.warning("%s connections could not be ended: %s", len(claimed) - done, trouble)
            for left in claimed[done:]:
                _wait(left, str(trouble), now)
            return done
        except BrokerRefused as refused:
            log.warning("The connection of %s could not be ended: %s", row.client_id, refused)
            _wait(row, str(refused), now, is_last=row.attempts >= REFUSALS)
        else:
            unsupported = ended is Ended.UNSUPPORTED
            _close(row, DisconnectStatus.UNSUPPORTED if unsupported else DisconnectStatus.DONE, now)
    return len(claimed)


def given_up() -> models.QuerySet[Disconnect]:
    """Connections that the broker isn't asked to end any more, and nobody has ordered anew: a person has to look."""
    newer = Disconnect.objects.filter(device=models.OuterRef("device"), pk__gt=models.OuterRef("pk"))
    dead = Disconnect.objects.filter(status=DisconnectStatus.DEAD.value).select_related("device__product")
    rows: models.QuerySet[Disconnect] = dead.exclude(models.Exists(newer))
    return rows


def shared_control() -> ConnectionControl:
    """What this installation's broker can be asked: EMQX where its management API is set up, else nothing."""
    return _control(settings.EMQX_API_URL, settings.EMQX_API_KEY, settings.EMQX_API_SECRET)


@transaction.atomic(durable=True)
def _claim(now: datetime, limit: int) -> list[Claimed]:
    due = Disconnect.objects.filter(status=DisconnectStatus.PENDING.value, due_at__lte=now).order_by("due_at", "id")
    rows = list(due.select_for_update(skip_locked=True)[:limit])
    for row in rows:
        row.attempts, row.due_at = row.attempts + 1, now + LEASE
    Disconnect.objects.bulk_update(rows, ["attempts", "due_at"])
    return [Claimed(row.pk, row.client_id, row.attempts, now + LEASE) for row in rows]


def _wait(row: Claimed, problem: str, now: datetime, *, is_last: bool = False) -> None:
    if is_last:
        _close(row, DisconnectStatus.DEAD, now, problem)
        return
    delay = DELAYS[min(row.attempts, len(DELAYS)) - 1]
    _ours(row).update(due_at=now + delay, problem=problem[:300])


def _close(row: Claimed, status: DisconnectStatus, now: datetime, problem: str = "") -> None:
    _ours(row).update(status=status.value, due_at=None, closed_at=now, problem=problem[:300])


def _ours(row: Claimed) -> models.QuerySet[Disconnect]:
    """The row as we claimed it; ordered anew or claimed by another meanwhile, it is somebody else's."""
    pending = Disconnect.objects.filter(pk=row.id, status=DisconnectStatus.PENDING.value)
    return pending.filter(attempts=row.attempts, due_at=row.until)


@cache
def _control(url: str, key: str, secret: str) -> ConnectionControl:
    return EmqxConnections(url, key, secret) if url else MosquittoConnections()
