"""What was given up is sent again when somebody asks: one, or all of an endpoint; and the test of an endpoint (F88)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from alerts.channels import webhooks as channel
from alerts.models import DeliveryStatus, Webhook, WebhookDelivery, WebhookState
from alerts.services.webhook_endpoints import WebhookRefused, lock, policy, wake
from alerts.services.webhook_outcomes import Claimed, store_answer
from alerts.services.webhook_sending import LEASE, Post, messages
from alerts.webhooks.public import TEST
from amp.foundation.models import Event
from amp.foundation.services.events import record_about, subject_of

SINCE = timedelta(days=1)
"""How far "all that failed" reaches back."""


class DeliveryRefused(WebhookRefused):
    """The delivery can't be sent again."""


def dead_deliveries() -> QuerySet[WebhookDelivery]:
    """Deliveries that were given up at endpoints that are enabled: those of a disabled one wait for the endpoint."""
    rows: QuerySet[WebhookDelivery] = WebhookDelivery.objects.filter(
        status=DeliveryStatus.DEAD.value, webhook__state=WebhookState.ENABLED.value, webhook__removed_at=None
    )
    return rows.exclude(type=TEST).select_related("webhook")


@transaction.atomic
def redeliver(*, delivery: WebhookDelivery, actor: str, now: datetime) -> WebhookDelivery:
    """Send one again, with the same id; also one that was delivered: the receiver may have lost it.

    Raises DeliveryRefused where the endpoint is disabled, or the event outside its reach.
    """
    webhook = lock(delivery.webhook)
    _check_enabled(webhook)
    locked: WebhookDelivery = WebhookDelivery.objects.select_for_update(no_key=True).get(pk=delivery.pk)
    if locked.status == DeliveryStatus.WITHHELD.value:
        raise DeliveryRefused.because(_("This webhook may not see the event any more."))
    if locked.type == TEST:
        raise DeliveryRefused.because(_("A test is not repeated: send a new one."))
    _again(webhook, [locked.pk], actor, now)
    locked.refresh_from_db()
    return locked


@transaction.atomic
def redeliver_failed(*, webhook: Webhook, since: datetime, actor: str, now: datetime) -> int:
    """Send all again that were given up since then; how many. Raises DeliveryRefused where it is disabled."""
    locked = lock(webhook)
    _check_enabled(locked)
    dead = WebhookDelivery.objects.filter(webhook=locked, status=DeliveryStatus.DEAD.value, ended_at__gte=since)
    dead = dead.exclude(type=TEST)
    return _again(locked, list(dead.values_list("pk", flat=True)), actor, now)


@transaction.atomic
def retry_deliveries(rows: Collection[WebhookDelivery], *, actor: str, now: datetime) -> None:
    """From the page of operations: those of them that are still dead."""
    webhooks = {row.webhook_id: row.webhook for row in rows}
    for _pk, webhook in sorted(webhooks.items()):  # in the order of their ids (F23)
        _again(lock(webhook), [row.pk for row in rows if row.webhook_id == webhook.pk], actor, now)


def send_test(
    *, webhook: Webhook, actor: str, now: datetime, wall: datetime, post: Post | None = None
) -> WebhookDelivery:
    """Send the event `webhook.test` now and wait for the answer; the delivery as it then stands, never tried again.

    Works for a disabled endpoint too: that is how one finds out whether it may be enabled. Raises WebhookRefused.
    """
    claimed = _test_delivery(webhook, actor, now)
    for row, message in messages([claimed], now=now, wall=wall):
        answer = (post or channel.post)(*message, policy=policy())
        with transaction.atomic():
            if not answer.status or not 200 <= answer.status <= 299:
                _end_test(row, answer, now)
            else:
                store_answer(row, answer, now=now, spread=0)
    sent: WebhookDelivery = WebhookDelivery.objects.select_related("webhook").get(pk=claimed.id)
    return sent


@transaction.atomic
def _test_delivery(webhook: Webhook, actor: str, now: datetime) -> Claimed:
    locked = lock(webhook)
    record_about(locked, TEST, actor=actor, now=now)
    event = Event.objects.filter(subject=subject_of(locked), kind=TEST, actor=actor[:160]).latest("pk")
    made = WebhookDelivery.objects.create(
        enterprise_id=locked.enterprise_id,
        webhook=locked,
        event=event,
        type=TEST,
        attempts=1,
        created_at=now,
        first_attempt_at=now,
        next_attempt_at=now + LEASE,
        leased_until=now + LEASE,
    )
    return Claimed(made.pk, locked.pk, 1, now, now, now + LEASE)


def _end_test(row: Claimed, answer: Any, now: datetime) -> None:
    """A test that failed is over, and says nothing about the deliveries that wait."""
    WebhookDelivery.objects.filter(pk=row.id, status=DeliveryStatus.PENDING.value).update(
        status=DeliveryStatus.DEAD.value,
        next_attempt_at=None,
        leased_until=None,
        ended_at=now,
        response_status=answer.status,
        response_excerpt=answer.excerpt,
        duration_ms=answer.duration_ms,
        problem=answer.problem,
    )


def _again(webhook: Webhook, pks: list[int], actor: str, now: datetime) -> int:
    rows = WebhookDelivery.objects.filter(pk__in=pks).exclude(status=DeliveryStatus.PENDING.value)
    number = rows.exclude(status=DeliveryStatus.WITHHELD.value).update(
        status=DeliveryStatus.PENDING.value,
        next_attempt_at=now,
        leased_until=None,
        attempts=0,
        first_attempt_at=None,
        ended_at=None,
    )
    if number:
        record_about(webhook, "webhook.redelivered", actor=actor, now=now, after={"deliveries": number})
        Webhook.objects.filter(pk=webhook.pk).update(paused_until=None)
        wake()
    return number


def _check_enabled(webhook: Webhook) -> None:
    if webhook.state != WebhookState.ENABLED.value:
        raise DeliveryRefused.because(_("The webhook is disabled. Enable it first."))
