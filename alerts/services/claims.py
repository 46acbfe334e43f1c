"""Notices that are due are claimed, and looked at again: their ends may have moved since (N4, house pattern 11)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet

from alerts.models import Channel, Notice, NoticeStatus
from alerts.services.settings import Announcing
from alerts.services.terms import Announced, terms_of
from alerts.thresholds import Reason, Service, falls_due_at, late_reason
from amp.foundation.bulk import update_rows
from devices.lifecycle import State


class Waiting(NamedTuple):
    """A claimed notice."""

    id: int
    enterprise_id: int
    device_id: int
    service: Service
    ends_at: datetime
    days: int


class Verdict(NamedTuple):
    """What became of a notice."""

    id: int
    status: NoticeStatus
    closed_at: datetime
    reason: str = ""
    detail: str = ""


def due(channel: Channel) -> QuerySet[Notice]:
    """Notices of a channel that wait to go out, oldest first."""
    rows: QuerySet[Notice] = Notice.objects.filter(status=NoticeStatus.DUE.value, channel=channel.value)
    return rows.order_by("channel", "id")


def claimed(rows: QuerySet[Notice], limit: int) -> list[Waiting]:
    """Lock and read the first of these notices that nobody else holds."""
    locked = rows.select_for_update(skip_locked=True, of=("self",)).values_list(
        "id", "enterprise_id", "device_id", "service", "ends_at", "days"
    )
    return [
        Waiting(pk, owner, device, Service(service), ends_at, days)
        for pk, owner, device, service, ends_at, days in locked[:limit]
    ]


def still_true(
    rows: Sequence[Waiting], plan: Announcing, channel: Channel, now: datetime
) -> tuple[list[tuple[Waiting, Announced]], list[Verdict]]:
    """Of claimed notices: those that may go, each with its service as it stands, and what became of the others."""
    by_service: dict[Service, set[int]] = defaultdict(set)
    for row in rows:
        by_service[row.service].add(row.device_id)
    terms = {service: terms_of(service, devices) for service, devices in by_service.items()}
    going, over = [], []
    for row in rows:
        known = terms[row.service].get(row.device_id)
        status, reason = _judged(row, known, plan, channel, now)
        if reason is None and known is not None:
            going.append((row, known))
        else:
            over.append(Verdict(row.id, status, now, (reason or Reason.SERVICE_STOPPED).value))
    return going, over


def close(verdicts: Iterable[Verdict]) -> int:
    """Store what became of notices: one statement; number of rows."""
    rows = [(each.id, each.status.value, each.reason, each.detail, each.closed_at) for each in verdicts]
    return update_rows(Notice, ("status", "reason", "detail", "closed_at"), rows)


def _judged(
    row: Waiting, known: Announced | None, plan: Announcing, channel: Channel, now: datetime
) -> tuple[NoticeStatus, Reason | None]:
    since = plan.since.get(row.service)
    if since is None or falls_due_at(row.ends_at, row.days) <= since:
        return NoticeStatus.CANCELLED, Reason.SWITCHED_OFF
    if known is not None and known.term.ends_at != row.ends_at:
        return NoticeStatus.CANCELLED, Reason.END_MOVED
    if late := late_reason(row.ends_at, row.days, now, plan.all_days(channel)):
        return NoticeStatus.SKIPPED, late
    if known is None or known.term.state not in {None, State.ACTIVE}:
        return NoticeStatus.CANCELLED, Reason.SERVICE_STOPPED
    return NoticeStatus.CANCELLED, Reason.FROZEN if known.term.frozen else None


def subject(device_id: int) -> str:
    """How the record names the device."""
    return f"device:{device_id}"


def told(row: Waiting) -> dict[str, Any]:
    """What the record keeps of a notice."""
    return {"service": row.service.value, "ends_at": row.ends_at.isoformat(), "days": row.days, "notice": row.id}
