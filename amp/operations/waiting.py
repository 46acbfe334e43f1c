"""What waits: since when the oldest work of each kind is due, and how much only a person can move on (X10).

`/health/ready`, `/metrics` and the operations page read the same; all of it needs the system's scope, or tells of the
caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import QuerySet

from alerts.models import DigestMail, MailStatus, Notice, NoticeStatus
from alerts.services.webhook_sending import oldest_due
from billing.models import Order, OrderStatus, PaymentAttempt, PaymentException, Refund
from billing.orders import AttemptStatus
from devices.models import Command, DeviceService


class Waiting(NamedTuple):
    """LOCKs that a brake holds, payment exceptions that nobody has resolved, payments of unknown outcome."""

    held_locks: int
    payment_exceptions: int
    unknown_payments: int


def waiting() -> Waiting:
    """The numbers as they are now; three statements, each of a partial index.

    Payments of unknown outcome are asked about until it is known, so their index is that of what is due; whose gateway
    never answered is an exception (R1).
    """
    unknown = PaymentAttempt.objects.filter(due_at__isnull=False, status=AttemptStatus.UNKNOWN.value)
    return Waiting(
        Command.objects.filter(hold__isnull=False).count(),
        PaymentException.objects.filter(resolved_at=None).count(),
        unknown.count(),
    )


def oldest_work(now: datetime) -> dict[str, float]:
    """Seconds since the oldest work of each kind fell due, 0 where none waits; needs the system's scope.

    One probe of a partial index for each kind, however many rows there are.
    """
    ages = {kind: _overdue(rows(), now) for kind, rows in DUE.items()}
    noted = Notice.objects.filter(status=NoticeStatus.DUE.value).order_by("channel", "pk")
    notice = noted.values_list("falls_due_at", flat=True).first()
    return {**ages, "webhooks": _age(oldest_due(now), now), "notices": max(_age(notice, now), 0.0)}


DUE: dict[str, Callable[[], QuerySet[Any]]] = {
    "services": lambda: DeviceService.objects.all(),
    "commands": lambda: Command.objects.all(),
    "paid_orders": lambda: Order.objects.filter(status=OrderStatus.PAID.value),
    "refunds": lambda: Refund.objects.all(),
    "payments": lambda: PaymentAttempt.objects.all(),
    "mails": lambda: DigestMail.objects.filter(status=MailStatus.WAITING.value),
}
"""Rows with a `due_at`, by what they are called; managers look for their scope when they are asked."""


def _overdue(rows: QuerySet[Any], now: datetime) -> float:
    """Age of the oldest row whose moment has come; one probe of the partial index on `due_at`."""
    oldest = rows.filter(due_at__lte=now).order_by("due_at").values_list("due_at", flat=True).first()
    return _age(oldest, now)


def _age(since: datetime | None, now: datetime) -> float:
    return round((now - since).total_seconds(), 1) if since else 0.0
