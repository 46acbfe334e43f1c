"""What a refund takes from its devices, once the money is back: slices in a transaction each, done once (F15, F45)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from amp.foundation.bulk import update_rows
from amp.foundation.crashing import crash_point
from amp.foundation.services.failures import is_conflict, is_database_trouble
from billing.models import Refund, RefundLine
from billing.refunds import EFFECT_RETRIES
from billing.services.refund_proposals import record_refund
from devices.services.shortening import Shortening, shorten_services

log = logging.getLogger(__name__)

SLICE = 1_000


def take_time(refund: Refund, now: datetime, retries: int = 3) -> None:
    """A slice of devices in one transaction; a killed worker leaves nothing half done."""
    try:
        with transaction.atomic():
            _take_slice(refund.pk, now)
        crash_point("refund.committed")
    except Exception as failure:
        if retries and is_conflict(failure):
            return take_time(refund, now, retries - 1)
        log.exception("The devices of refund %s could not be shortened this time.", refund.number)
        _put_off(refund.pk, now)


def _take_slice(refund_id: int, now: datetime) -> None:
    refund = Refund.objects.select_for_update(no_key=True).get(pk=refund_id)
    undone = RefundLine.objects.filter(refund=refund, taken_seconds=None).select_related("line").order_by("pk")
    lines = list(undone[: SLICE + 1])
    done = _shorten_or_halve(refund, lines[:SLICE], now) if lines else 0
    if lines and not done:
        raise RuntimeError(f"None of {len(lines)} devices could be shortened.")
    refund.attempts_made = 0
    refund.due_at = None if done == len(lines) else now
    refund.save(update_fields=["attempts_made", "due_at"])


def _shorten_or_halve(refund: Refund, lines: Sequence[RefundLine], now: datetime) -> int:
    """Shorten these; where that fails, their halves, until the fault stands alone: that line stays undone (F15)."""
    try:
        with transaction.atomic():
            _shorten(refund, lines, now)
            return len(lines)
    except Exception as failure:
        if is_database_trouble(failure):
            raise
        if len(lines) == 1:
            log.exception("Line %s of refund %s could not be shortened this time.", lines[0].pk, refund.number)
            return 0
    middle = len(lines) // 2
    return sum(_shorten_or_halve(refund, half, now) for half in (lines[:middle], lines[middle:]))


def _shorten(refund: Refund, lines: Sequence[RefundLine], now: datetime) -> None:
    wishes = [
        Shortening(
            device_id=each.line.device_id,
            source=f"refund:{each.pk}",
            wanted=_time(each.wanted_seconds),
            period=f"line:{each.line_id}",
            enterprise_id=each.line.enterprise_id,
        )
        for each in lines
    ]
    made = shorten_services(wishes, why=f"refund {refund.number}", actor=refund.requested_by, now=now)
    crash_point("refund.shortened")
    by_source = {each.source: each for each in made}
    rows = [
        (
            each.pk,
            -(-by_source[f"refund:{each.pk}"].taken // timedelta(seconds=1)),
            by_source[f"refund:{each.pk}"].ends_at,
        )
        for each in lines
    ]
    update_rows(RefundLine, ("taken_seconds", "ends_at"), rows)
    crash_point("refund.marked")


def _time(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


@transaction.atomic
def _put_off(refund_id: int, now: datetime) -> None:
    refund = Refund.objects.select_for_update(no_key=True).get(pk=refund_id)
    tried = refund.attempts_made
    refund.due_at = now + EFFECT_RETRIES[tried - 1] if 1 <= tried <= len(EFFECT_RETRIES) else None
    refund.save(update_fields=["due_at"])
    if refund.due_at is None:
        record_refund(refund, "refund.stuck", actor="system", now=now)
