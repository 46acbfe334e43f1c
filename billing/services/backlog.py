"""What of payments waits: each with its number and the age of the oldest, set-based, within the reader's scope."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from django.db.models import Count, Min, Q, QuerySet

from billing.models import BankPayout, BankReceipt, PaymentAttempt, PaymentException, Refund
from billing.orders import AttemptStatus
from billing.refunds import RefundStatus
from billing.services.fulfilment import stuck_orders
from billing.services.refund_work import stuck_refunds

FAILED_DAYS = timedelta(days=30)


class Waiting(StrEnum):
    """Kinds of waiting work."""

    PENDING = "pending"
    UNKNOWN = "unknown"
    EXCEPTIONS = "exceptions"
    REQUESTED = "requested"
    REFUNDING = "refunding"
    REFUND_FAILED = "refund_failed"
    REFUND_STUCK = "refund_stuck"
    ORDERS_STUCK = "orders_stuck"
    RECEIPTS = "receipts"
    PAYOUTS = "payouts"


class Heap(NamedTuple):
    """So many wait, the oldest since then."""

    number: int
    oldest: datetime | None


def backlog(*, now: datetime) -> dict[Waiting, Heap]:
    """Everything that waits; seven queries, whatever there is."""
    attempts = _counted(
        PaymentAttempt.objects.all(),
        "created_at",
        {
            Waiting.PENDING: Q(status__in=[AttemptStatus.PENDING.value, AttemptStatus.CREATED.value]),
            Waiting.UNKNOWN: Q(status=AttemptStatus.UNKNOWN.value),
        },
    )
    return {
        **attempts,
        **_counted(PaymentException.objects.all(), "created_at", {Waiting.EXCEPTIONS: Q(resolved_at=None)}),
        **_refunds(now),
        **_counted(stuck_orders(), "paid_at", {Waiting.ORDERS_STUCK: Q()}),
        **_counted(stuck_refunds(), "ended_at", {Waiting.REFUND_STUCK: Q()}),
        **_counted(
            BankReceipt.objects.all(), "recorded_at", {Waiting.RECEIPTS: Q(confirmed_at=None, rejected_at=None)}
        ),
        Waiting.PAYOUTS: Heap(BankPayout.objects.filter(confirmed_at=None).count(), None),
    }


def _refunds(now: datetime) -> dict[Waiting, Heap]:
    at_gateway = [RefundStatus.APPROVED.value, RefundStatus.PROCESSING.value]
    return _counted(
        Refund.objects.all(),
        "created_at",
        {
            Waiting.REQUESTED: Q(status=RefundStatus.REQUESTED.value),
            Waiting.REFUNDING: Q(status__in=at_gateway),
            Waiting.REFUND_FAILED: Q(status=RefundStatus.FAILED.value, created_at__gte=now - FAILED_DAYS),
        },
    )


def _counted(rows: QuerySet[Any], moment: str, kinds: dict[Waiting, Q]) -> dict[Waiting, Heap]:
    """One query for all kinds of a table."""
    figures: dict[str, Any] = {}
    for kind, condition in kinds.items():
        figures[f"{kind.value}_number"] = Count("pk", filter=condition or None)
        figures[f"{kind.value}_oldest"] = Min(moment, filter=condition or None)
    found = rows.filter(reduce(or_, kinds.values())).aggregate(**figures)
    return {kind: Heap(found[f"{kind.value}_number"], found[f"{kind.value}_oldest"]) for kind in kinds}
