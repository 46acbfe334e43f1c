"""What an answer changes: the delivery, its log, and what is known about the receiver (F88)."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q, QuerySet

from alerts.channels.webhooks import Answer
from alerts.models import DeliveryStatus, Webhook, WebhookAttempt, WebhookDelivery, WebhookState, WebhookWhy
from alerts.services.webhook_endpoints import disable_webhook
from alerts.webhooks.retrying import PATIENCE, Verdict, next_attempt, pause_after, verdict_of

log = logging.getLogger(__name__)

SYSTEM = "system"
FRESH = timedelta(seconds=30)
"""How exact "last delivered" is: a busy endpoint's row isn't written for each delivery."""


class Claimed(NamedTuple):
    """A delivery that is ours to send; `until`, the end of the lease, is the token of the claim.

    `message_id` is the event's, once it is known: what the receiver and the lines of the log call it.
    """

    id: int
    webhook_id: int
    attempts: int
    first_at: datetime
    started_at: datetime
    until: datetime
    message_id: str = ""


@transaction.atomic
def store_answer(row: Claimed, answer: Answer, *, now: datetime, spread: float) -> Verdict:
    """Note what came back. A claim that was lost meanwhile leaves a line in the log and nothing else."""
    verdict = verdict_of(answer.status)
    WebhookAttempt.objects.create(
        delivery_id=row.id,
        number=row.attempts,
        started_at=row.started_at,
        response_status=answer.status,
        duration_ms=answer.duration_ms,
        problem=answer.problem,
    )
    _tell(row, answer, verdict)
    if verdict is Verdict.DELIVERED:
        _delivered(row, answer, now)
    else:
        _failed(row, answer, verdict, now, spread)
    return verdict


def withhold(row: Claimed, *, now: datetime) -> None:
    """The endpoint may not see this event any more: it is never sent (F89)."""
    _ours(row).update(
        status=DeliveryStatus.WITHHELD.value,
        next_attempt_at=None,
        leased_until=None,
        ended_at=now,
        problem="the event is outside the reach of this webhook",
    )


def _tell(row: Claimed, answer: Answer, verdict: Verdict) -> None:
    """One line for each attempt: by its names the receiver's log, the event's line and its request are found (X10)."""
    told = {"delivery": row.id, "webhook": row.webhook_id, "message_id": row.message_id, "attempt": row.attempts}
    came = {"outcome": verdict.value, "status": answer.status, "ms": answer.duration_ms}
    log.info("Webhook sent", extra=told | came)


def _delivered(row: Claimed, answer: Answer, now: datetime) -> None:
    """Even where it was given up meanwhile: the receiver has it. Everybody takes the endpoint first (F23)."""
    stale = Q(failing_since__isnull=False) | Q(succeeded_at=None) | Q(succeeded_at__lt=now - FRESH)
    Webhook.objects.filter(stale, pk=row.webhook_id).update(
        failing_since=None, failures=0, paused_until=None, succeeded_at=now
    )
    theirs = WebhookDelivery.objects.filter(pk=row.id, attempts=row.attempts)
    theirs.exclude(status=DeliveryStatus.DELIVERED.value).update(
        status=DeliveryStatus.DELIVERED.value, next_attempt_at=None, ended_at=now, **_last(answer)
    )


def _failed(row: Claimed, answer: Answer, verdict: Verdict, now: datetime, spread: float) -> None:
    enabled = Webhook.objects.filter(pk=row.webhook_id, removed_at=None, state=WebhookState.ENABLED.value)
    webhook: Webhook | None = enabled.select_for_update(no_key=True).first()
    due = next_attempt(attempts=row.attempts, first_at=row.first_at, now=now, spread=spread)
    if due is None or verdict is Verdict.GONE:
        _ours(row).update(status=DeliveryStatus.DEAD.value, next_attempt_at=None, ended_at=now, **_last(answer))
    else:
        _ours(row).update(next_attempt_at=due, **_last(answer))
    if webhook is not None:
        _note_failure(webhook, verdict, now)


def _note_failure(webhook: Webhook, verdict: Verdict, now: datetime) -> None:
    webhook.failing_since = webhook.failing_since or now
    if verdict is Verdict.AWAY:
        webhook.failures += 1
        webhook.paused_until = now + pause_after(webhook.failures)
    webhook.save(update_fields=["failing_since", "failures", "paused_until"])
    if verdict is Verdict.GONE:
        disable_webhook(webhook=webhook, why=WebhookWhy.GONE, actor=SYSTEM, now=now, tell=True)
    elif now - webhook.failing_since >= PATIENCE:
        disable_webhook(webhook=webhook, why=WebhookWhy.FAILED, actor=SYSTEM, now=now, tell=True)


def _ours(row: Claimed) -> QuerySet[WebhookDelivery]:
    """The delivery as we claimed it: sent again by staff or claimed by another meanwhile, it is somebody else's."""
    pending = WebhookDelivery.objects.filter(pk=row.id, status=DeliveryStatus.PENDING.value)
    return pending.filter(attempts=row.attempts, leased_until=row.until)


def _last(answer: Answer) -> dict[str, object]:
    return {
        "leased_until": None,
        "response_status": answer.status,
        "response_excerpt": answer.excerpt,
        "duration_ms": answer.duration_ms,
        "problem": answer.problem,
    }
