"""Services that our own code can't move on: tried a few times, each time alone, then left to a person (F15).

The counter is raised before the attempt: one that takes its worker down with it is counted as one that fails.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction

from amp.foundation.bulk import among
from amp.foundation.services.events import EventDraft, record_event, record_events
from amp.foundation.wakeups import wake
from devices.lifecycle import State
from devices.models import DeviceService, StuckService

SWEEP = "devices.tasks.advance_due_services"
RETRIES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))
"""After the last one the service is dead: it waits for a person (house pattern 3)."""
ATTEMPTS = len(RETRIES) + 1
NO_ANSWER = "The worker ended during each attempt."


def count_attempt(device_id: int, now: datetime) -> bool:
    """Count the attempt that comes next, and put off the one after it; False where there is none: the service is dead.

    The caller holds the service.
    """
    stuck = StuckService.objects.filter(pk=device_id).first() or StuckService(pk=device_id)
    if stuck.attempts >= ATTEMPTS:
        _bury(stuck, now)
        return False
    stuck.attempts, stuck.attempted_at = stuck.attempts + 1, now
    stuck.save()
    wait = RETRIES[min(stuck.attempts, len(RETRIES)) - 1]
    DeviceService.objects.filter(pk=device_id).update(due_at=now + wait)
    return True


@transaction.atomic
def note_failure(device_id: int, failure: Exception, now: datetime) -> None:
    """Say why the attempt that was counted failed; after the last one the service is dead."""
    DeviceService.objects.select_for_update(of=("self",)).get(pk=device_id)
    stuck = StuckService.objects.filter(pk=device_id).first()
    if stuck is None:
        return  # somebody else has moved it on meanwhile
    stuck.problem = f"{type(failure).__name__}: {failure}".replace("\0", "")[:300]
    stuck.save(update_fields=["problem"])
    if stuck.attempts >= ATTEMPTS:
        _bury(stuck, now)


def release(device_ids: Collection[int]) -> None:
    """These services have moved on; the caller holds them."""
    StuckService.objects.filter(among("device_id", device_ids)).delete()


@transaction.atomic
def retry_dead_services(*, device_ids: Collection[int], actor: str, now: datetime) -> int:
    """Let the sweep try these again, as if for the first time, but still each alone; how many of them were dead."""
    dead = StuckService.objects.filter(among("device_id", device_ids), dead_at__isnull=False)
    ids = list(dead.values_list("device_id", flat=True))
    services = DeviceService.objects.filter(among("device_id", ids)).exclude(state=State.TERMINATED.value)
    held = services.order_by("device_id").select_for_update(of=("self",)).values_list("device_id", "enterprise_id")
    drafts = [
        EventDraft("device_service.retried", f"device:{device_id}", enterprise_id, now, actor)
        for device_id, enterprise_id in held
    ]
    StuckService.objects.filter(among("device_id", ids)).update(attempts=0, dead_at=None)
    services.update(due_at=now)
    record_events(drafts, now=now)
    wake(SWEEP)
    return len(drafts)


def _bury(stuck: StuckService, now: datetime) -> None:
    """Dead is recorded once; a dead service that something made due again is just quiet."""
    DeviceService.objects.filter(pk=stuck.device_id).update(due_at=None)
    if stuck.dead_at is not None:
        return
    stuck.dead_at, stuck.problem = now, stuck.problem or NO_ANSWER
    stuck.save(update_fields=["dead_at", "problem"])
    enterprise_id, last = DeviceService.objects.values_list("enterprise_id", "last_event_at").get(pk=stuck.device_id)
    subject = f"device:{stuck.device_id}"
    record_event(
        EventDraft("device_service.stuck", subject, enterprise_id, max(now, last), "sweep", stuck.problem), now=now
    )
