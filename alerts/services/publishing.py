"""Notices to systems and to people who read them in the product (N8): an event for webhooks, an entry of the inbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F

from alerts.models import Channel, InboxEntry, NoticeStatus
from alerts.services.claims import Verdict, Waiting, claimed, close, due, still_true, subject, told
from alerts.services.settings import announcing
from amp.foundation.models import Enterprise
from amp.foundation.services.events import EventDraft, record_events

CHUNK = 2_000
EXPIRING = "device_service.expiring"


@transaction.atomic
def publish_events(*, now: datetime, limit: int = CHUNK) -> int:
    """Record `device_service.expiring` for one slice of webhook notices, for the outbox; how many were looked at."""
    rows = claimed(due(Channel.WEBHOOK), limit)
    if not rows:
        return 0
    going, over = still_true(rows, announcing(), Channel.WEBHOOK, now)
    sent = [row for row, _service in going]
    record_events(
        [
            EventDraft(EXPIRING, subject(row.device_id), row.enterprise_id, now, "sweep", after=told(row))
            for row in sent
        ],
        now=now,
    )
    close([*over, *_sent(sent, now)])
    return len(rows)


@transaction.atomic
def fill_inboxes(*, now: datetime, limit: int = CHUNK) -> int:
    """Count one slice of notices into the inbox, by enterprise, service, threshold and day; how many were looked at."""
    rows = claimed(due(Channel.IN_APP), limit)
    if not rows:
        return 0
    going, over = still_true(rows, announcing(), Channel.IN_APP, now)
    sent = [row for row, _service in going]
    _add(sent, now)
    close([*over, *_sent(sent, now)])
    return len(rows)


def _sent(rows: Sequence[Waiting], now: datetime) -> list[Verdict]:
    return [Verdict(row.id, NoticeStatus.SENT, now) for row in rows]


def _add(rows: Sequence[Waiting], now: datetime) -> None:
    days = _days({row.enterprise_id for row in rows}, now)
    counted = Counter((row.enterprise_id, row.service.value, row.days) for row in rows)
    keys = sorted(counted)
    InboxEntry.objects.bulk_create(
        [
            InboxEntry(enterprise_id=owner, service=service, days=before, day=days[owner], last_at=now)
            for owner, service, before in keys
        ],
        ignore_conflicts=True,
    )
    for owner, service, before in keys:
        entry = InboxEntry.objects.filter(enterprise_id=owner, service=service, days=before, day=days[owner])
        entry.update(devices=F("devices") + counted[owner, service, before], last_at=now)


def _days(enterprise_ids: set[int], now: datetime) -> dict[int, date]:
    """Which day it is for each enterprise."""
    zones = Enterprise.objects.filter(id__in=enterprise_ids).values_list("id", "time_zone")
    return {owner: now.astimezone(ZoneInfo(zone)).date() for owner, zone in zones}
