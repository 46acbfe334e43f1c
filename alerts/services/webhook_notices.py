"""Staff are told by e-mail when their endpoint was disabled by itself (F88)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from alerts.models import Webhook, WebhookState
from amp.foundation.access import ALLOWED, Action
from amp.foundation.models import Membership, Role
from amp.foundation.services.mail import send_mail

AGAIN = timedelta(minutes=10)
ATTEMPTS = 5
MOST = 20
"""People who are told of one endpoint."""


def tell_disabled(*, now: datetime) -> int:
    """Tell the staff of one endpoint; 1, or 0 where nobody is to be told. The attempt is counted before it (F15)."""
    webhook = _claim(now)
    if webhook is None:
        return 0
    failures = [_told(webhook, member) for member in _readers(webhook)]
    if not any(failures):
        Webhook.objects.filter(pk=webhook.pk, tell_at=now + AGAIN).update(tell_at=None)
    return 1


@transaction.atomic
def _claim(now: datetime) -> Webhook | None:
    due = Webhook.objects.filter(tell_at__lte=now, state=WebhookState.DISABLED.value, removed_at=None)
    rows = due.select_for_update(of=("self",), skip_locked=True, no_key=True).select_related("enterprise")
    webhook: Webhook | None = rows.order_by("tell_at").first()
    if webhook is not None:
        webhook.tell_attempts += 1
        webhook.tell_at = now + AGAIN if webhook.tell_attempts < ATTEMPTS else None
        webhook.save(update_fields=["tell_attempts", "tell_at"])
    return webhook


def _readers(webhook: Webhook) -> list[Membership]:
    """Those of the enterprise itself who may mend it."""
    roles = [role.value for role in Role if Action.MANAGE_WEBHOOKS in ALLOWED[role]]
    members = Membership.objects.filter(enterprise=webhook.enterprise_id, role__in=roles, user__is_active=True)
    return list(members.select_related("user").order_by("pk")[:MOST])


def _told(webhook: Webhook, member: Membership) -> str:
    context = {
        "webhook": webhook,
        "why": webhook.get_state_why_display(),
        "link": settings.BASE_URL + reverse("admin:alerts_webhook_change", args=[webhook.pk]),
    }
    return send_mail(to=member.user.email, template="webhook_disabled", language=member.user.language, context=context)
