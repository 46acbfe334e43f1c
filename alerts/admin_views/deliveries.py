"""Alerts > Webhooks > Deliveries: what was sent, what came back, and sending it again."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from alerts.admin_views.webhooks import MANAGE, crumb
from alerts.models import DeliveryStatus, WebhookAttempt, WebhookDelivery, WebhookState
from alerts.services.webhook_payloads import bodies
from alerts.services.webhook_retries import redeliver
from alerts.webhooks.public import TEST
from amp.foundation import clock
from amp.foundation.pages import actor, done, ensure, found, needs, page, refuse
from amp.foundation.services.events import message_id
from amp.foundation.services.refusals import Refused
from amp.foundation.templatetags.amp_display import badge_html

TONES = {"PENDING": "blue", "DELIVERED": "green", "DEAD": "red", "WITHHELD": "grey"}
LOG = 100


def status_badge(delivery: WebhookDelivery) -> str:
    """Where it stands; one that failed already and is tried again is amber."""
    tone = TONES[delivery.status]
    if delivery.status == DeliveryStatus.PENDING.value and delivery.problem_or_status:
        tone = "amber"
    return badge_html(delivery.get_status_display(), tone)


@needs(MANAGE)
def delivery_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One delivery: its message, its attempts, the beginning of the last answer."""
    delivery = _mine(request, pk)
    body = bodies([delivery])[delivery.pk]
    is_open = delivery.webhook.removed_at is None and delivery.webhook.state == WebhookState.ENABLED.value
    return page(
        request,
        "alerts/delivery.html",
        delivery.type,
        crumbs=_crumbs(delivery),
        delivery=delivery,
        state=status_badge(delivery),
        message_id=message_id(delivery.event.public_id),
        body=json.dumps(json.loads(body), ensure_ascii=False, indent=2) if body else "",
        log=WebhookAttempt.objects.filter(delivery=delivery).order_by("-pk")[:LOG],
        may_repeat=is_open and delivery.type != TEST and delivery.status in {"DELIVERED", "DEAD"},
        is_test=delivery.type == TEST,
        is_disabled=delivery.webhook.state == WebhookState.DISABLED.value,
    )


@require_POST
@needs(MANAGE)
def again(request: HttpRequest, pk: int) -> HttpResponse:
    """Send it again, with the same id."""
    delivery = _mine(request, pk)
    try:
        redeliver(delivery=delivery, actor=actor(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, _("It is sent again now."))
    return redirect("admin:alerts_webhookdelivery_change", pk)


def _mine(request: HttpRequest, pk: int) -> WebhookDelivery:
    rows = WebhookDelivery.objects.select_related("webhook", "event", "enterprise")
    delivery = found(rows, pk)
    ensure(request, MANAGE, delivery.enterprise)
    return delivery


def _crumbs(delivery: WebhookDelivery) -> list[tuple[str, str]]:
    if delivery.webhook.removed_at:
        return [crumb()]
    return [crumb(), (delivery.webhook.name, reverse("admin:alerts_webhook_change", args=[delivery.webhook_id]))]
