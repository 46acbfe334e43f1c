"""Rows of our own work that gave up after five attempts, in one place: readiness counts them, the operations page shows
them and has them tried again (F15, house pattern 3).

Commands are not among them: delivery to a device never gives up before its cache time is over (A20).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Model, QuerySet
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from alerts.models import DigestMail, MailStatus, WebhookDelivery
from alerts.services.digests import retry_mails
from alerts.services.webhook_retries import dead_deliveries, retry_deliveries
from billing.services.bill_fetches import failed_fetches, problem_of, retry_fetch
from billing.services.fulfilment import retry_fulfilment, stuck_orders
from billing.services.refund_work import retry_refund, stuck_refunds
from devices.models import Import, ImportState, StuckService
from devices.services.disconnects import ask_again, given_up
from devices.services.imports import retry_import
from devices.services.stuck import retry_dead_services

SHOWN = 20
"""Rows of one kind that the page lists."""


class DeadRow(NamedTuple):
    """One row: what it is about, its page, since when, and what went wrong."""

    pk: int
    name: str
    address: str
    since: datetime | None
    problem: str


class DeadWork(NamedTuple):
    """Everything of one kind that waits for a person."""

    kind: str
    word: Any
    number: int
    rows: list[DeadRow]


@dataclass(frozen=True, kw_only=True)
class _Kind:
    word: Any
    rows: Callable[[], QuerySet[Any]]
    told: Callable[[Any], DeadRow]
    retry: Callable[[list[Any], str, datetime, datetime], object]


def dead_numbers() -> dict[str, int]:
    """How many rows of each kind gave up, in the scope of the caller; one query each."""
    return {name: kind.rows().count() for name, kind in KINDS.items()}


def dead_work() -> list[DeadWork]:
    """The kinds of which some gave up, and the oldest of their rows."""
    numbers = dead_numbers()
    return [
        DeadWork(name, kind.word, numbers[name], [kind.told(row) for row in kind.rows().order_by("pk")[:SHOWN]])
        for name, kind in KINDS.items()
        if numbers[name]
    ]


def retry_dead(kind: str, *, pk: int | None, actor: str, now: datetime, wall: datetime) -> int:
    """Have all rows of a kind tried again, or one; how many. A kind that doesn't exist has none."""
    known = KINDS.get(kind)
    if known is None:
        return 0
    rows = list(known.rows() if pk is None else known.rows().filter(pk=pk))
    known.retry(rows, actor, now, wall)
    return len(rows)


def _dead_services() -> QuerySet[StuckService]:
    rows: QuerySet[StuckService] = StuckService.objects.filter(dead_at__isnull=False).select_related("device")
    return rows


def _failed_imports() -> QuerySet[Import]:
    rows: QuerySet[Import] = Import.objects.filter(state=ImportState.FAILED.value)
    return rows


def _told_delivery(row: WebhookDelivery) -> DeadRow:
    page = _page("alerts_webhookdelivery_change", row)
    return DeadRow(row.pk, f"{row.type} → {row.webhook.name}", page, row.ended_at, row.problem)


def _failed_mails() -> QuerySet[DigestMail]:
    rows: QuerySet[DigestMail] = DigestMail.objects.filter(status=MailStatus.FAILED.value)
    return rows.select_related("user")


def _page(name: str, row: Model) -> str:
    return reverse(f"admin:{name}", args=[row.pk])


KINDS = {
    "services": _Kind(
        word=_("Device services that could not be moved on"),
        rows=_dead_services,
        told=lambda row: DeadRow(
            row.pk, str(row.device), _page("device_details", row.device), row.dead_at, row.problem
        ),
        retry=lambda rows, actor, now, _wall: retry_dead_services(
            device_ids=[row.pk for row in rows], actor=actor, now=now
        ),
    ),
    "orders": _Kind(
        word=_("Paid orders that could not be fulfilled"),
        rows=stuck_orders,
        told=lambda row: DeadRow(row.pk, row.number, _page("billing_order_change", row), row.paid_at, ""),
        retry=lambda rows, actor, now, _wall: [retry_fulfilment(order=row, actor=actor, now=now) for row in rows],
    ),
    "refunds": _Kind(
        word=_("Refunds whose devices could not be shortened"),
        rows=stuck_refunds,
        told=lambda row: DeadRow(row.pk, row.number, _page("billing_refund_change", row), row.ended_at, row.problem),
        retry=lambda rows, actor, now, _wall: [retry_refund(refund=row, actor=actor, now=now) for row in rows],
    ),
    "bills": _Kind(
        word=_("Gateway bills that could not be fetched"),
        rows=lambda: failed_fetches().select_related("account__merchant"),
        told=lambda row: DeadRow(row.pk, str(row), reverse("admin:bill_fetches"), row.asked_at, problem_of(row)),
        retry=lambda rows, actor, now, _wall: [retry_fetch(fetch=row, actor=actor, now=now) for row in rows],
    ),
    "imports": _Kind(
        word=_("Imports that stopped by a fault"),
        rows=_failed_imports,
        told=lambda row: DeadRow(
            row.pk, row.file_name, _page("devices_import_change", row), row.finished_at, row.problem
        ),
        retry=lambda rows, actor, now, wall: [retry_import(job=row, actor=actor, now=now, wall=wall) for row in rows],
    ),
    "mails": _Kind(
        word=_("Mails about expiring services that could not be sent"),
        rows=_failed_mails,
        told=lambda row: DeadRow(row.pk, row.user.email, reverse("admin:alert_channels"), row.created_at, row.problem),
        retry=lambda rows, actor, now, wall: retry_mails(mails=rows, actor=actor, now=now, wall=wall),
    ),
    "disconnects": _Kind(
        word=_("Connections that the broker did not end"),
        rows=given_up,
        told=lambda row: DeadRow(
            row.pk, row.client_id, f"{_page('device_details', row.device)}?tab=access", row.closed_at, row.problem
        ),
        retry=lambda rows, actor, now, _wall: [ask_again(device=row.device, actor=actor, now=now) for row in rows],
    ),
    "webhooks": _Kind(
        word=_("Webhook deliveries that no attempt could make"),
        rows=dead_deliveries,
        told=_told_delivery,
        retry=lambda rows, actor, now, _wall: retry_deliveries(rows, actor=actor, now=now),
    ),
}
