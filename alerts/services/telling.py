"""Notices to devices (N6, N7): each becomes a command in the notice slot of its service, or says why it can't."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from alerts.models import Channel, Notice, NoticeStatus
from alerts.services.claims import Verdict, Waiting, claimed, close, due, still_true
from alerts.services.settings import announcing
from alerts.services.terms import Announced
from alerts.thresholds import WIRE_SERVICES, WIRE_STATUSES, Reason, waits_until
from amp.foundation.bulk import update_rows
from devices.services.notices import NoticeOrder, Unsupported, order_notices

CHUNK = 2_000


@transaction.atomic
def tell_devices(*, now: datetime, limit: int = CHUNK) -> int:
    """Hand one slice of due notices over to dispatch; how many were looked at. One statement when idle."""
    rows = claimed(due(Channel.TSL), limit)
    if not rows:
        return 0
    going, over = still_true(rows, announcing(), Channel.TSL, now)
    answers = order_notices([_order(row, service) for row, service in going], now=now)
    close([*over, *(_verdict(row, answer, now) for (row, _service), answer in zip(going, answers, strict=True))])
    _link([row for row, _service in going], answers)
    return len(rows)


def _order(row: Waiting, service: Announced) -> NoticeOrder:
    return NoticeOrder(
        device_id=row.device_id,
        enterprise_id=row.enterprise_id,
        product_id=service.product_id,
        service=WIRE_SERVICES[row.service],
        status=WIRE_STATUSES[row.days],
        ends_at=row.ends_at,
        until=waits_until(row.ends_at, row.days),
    )


def _verdict(row: Waiting, answer: UUID | Unsupported, now: datetime) -> Verdict:
    if isinstance(answer, Unsupported):
        reason = Reason.NO_PROPERTY if answer.has_tsl else Reason.NO_TSL
        return Verdict(row.id, NoticeStatus.UNSUPPORTED, now, reason.value, answer.detail)
    return Verdict(row.id, NoticeStatus.HANDED_OVER, now)


def _link(rows: Sequence[Waiting], answers: Sequence[UUID | Unsupported]) -> None:
    linked = [(row.id, answer) for row, answer in zip(rows, answers, strict=True) if isinstance(answer, UUID)]
    update_rows(Notice, ("command",), linked)
