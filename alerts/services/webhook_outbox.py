"""Events become deliveries (house pattern 8): each that waits is looked at once, for all endpoints that may see it.

Rows that wait are claimed with SKIP LOCKED and deleted in the transaction that stores their deliveries. So two workers
share the work, a killed one has done nothing, and an event whose transaction commits late is found when it is there:
nobody remembers a last id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from alerts.models import DeliveryStatus, WaitingEvent, Webhook, WebhookDelivery, WebhookState
from alerts.webhooks.public import KINDS, TABLE
from amp.foundation.bulk import among, insert_rows
from amp.foundation.models import Enterprise, Event
from amp.foundation.models.enterprises import ids_above

CHUNK = 1_000
COLUMNS = (
    *("enterprise", "webhook", "event", "type", "status", "attempts", "created_at", "next_attempt_at"),
    *("response_excerpt", "problem"),
)


class Told(NamedTuple):
    """What decides who is told of an event."""

    id: int
    kind: str
    enterprise_id: int
    noticed_at: datetime


@transaction.atomic
def spread_events(*, now: datetime, limit: int = CHUNK) -> int:
    """Make deliveries of one chunk of events that wait; number of events looked at."""
    waiting = WaitingEvent.objects.order_by("event_id").select_for_update(skip_locked=True)
    ids = list(waiting.values_list("event_id", flat=True)[:limit])
    if not ids:
        return 0
    told = _public_events(ids)
    if told:
        rows = list(_deliveries(told, now))
        insert_rows(WebhookDelivery, COLUMNS, rows, ignore_conflicts=True)
    WaitingEvent.objects.filter(among("event_id", ids)).delete()
    return len(ids)


def _public_events(ids: list[int]) -> list[Told]:
    events = Event.objects.filter(among("id", ids), kind__in=KINDS, enterprise__isnull=False).order_by("id")
    return [Told(*values) for values in events.values_list(*Told._fields)]


def _deliveries(told: list[Told], now: datetime) -> Iterable[tuple[object, ...]]:
    listening = _listening()
    above = _lines({event.enterprise_id for event in told})
    for event in told:
        for place in above[event.enterprise_id]:
            for webhook in listening.get(place, ()):
                if _wants(webhook, event):
                    yield (
                        *(webhook.enterprise_id, webhook.pk, event.id, TABLE[event.kind].type),
                        *(DeliveryStatus.PENDING.value, 0, now, now, "", ""),
                    )


def _listening() -> dict[int, list[Webhook]]:
    """Enabled endpoints by their enterprise."""
    found: dict[int, list[Webhook]] = defaultdict(list)
    for webhook in Webhook.objects.filter(state=WebhookState.ENABLED.value, removed_at=None).order_by("pk"):
        found[webhook.enterprise_id].append(webhook)
    return found


def _lines(ids: set[int]) -> dict[int, list[int]]:
    """Each enterprise with those above it, whose endpoints may be told (E1)."""
    paths = Enterprise.objects.filter(pk__in=ids).values_list("pk", "path")
    return {pk: [*ids_above(path), pk] for pk, path in paths}


def _wants(webhook: Webhook, event: Told) -> bool:
    """Chosen, in its reach, and not from before it existed or was enabled."""
    is_near = webhook.enterprise_id == event.enterprise_id or webhook.includes_descendants
    is_chosen = not webhook.types or TABLE[event.kind].type in webhook.types
    return is_near and is_chosen and event.noticed_at >= webhook.state_since
