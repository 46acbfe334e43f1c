"""Alerts > Webhooks: add, change, test, rotate the secret, switch off and on, remove (F88).."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from alerts.forms import NewWebhookForm, RotateForm, WebhookForm
from alerts.models import DeliveryStatus, Webhook, WebhookDelivery, WebhookState, WebhookWhy
from alerts.services.webhook_endpoints import (
    add_webhook,
    disable_webhook,
    edit_webhook,
    enable_webhook,
    remove_webhook,
    rotate_secret,
)
from alerts.services.webhook_retries import SINCE, redeliver_failed, send_test
from amp.foundation import clock
from amp.foundation.access import Action, enterprises_where
from amp.foundation.pages import Crumb, actor, done, ensure, found, needs, page, private, refuse, show, signed_in
from amp.foundation.services.refusals import Refused
from amp.foundation.templatetags.amp_display import badge_html

MANAGE = Action.MANAGE_WEBHOOKS
RECENT = 10


def managed(rows: QuerySet[Any], request: HttpRequest) -> QuerySet[Any]:
    """Rows of the enterprises whose webhooks the user manages."""
    return rows.filter(enterprise__in=enterprises_where(signed_in(request), MANAGE))


def live(request: HttpRequest, pk: int) -> Webhook:
    """The endpoint that the user may manage. 404 for another tenant's and for a removed one, 403 by role."""
    webhook = found(Webhook.objects.select_related("enterprise").filter(removed_at=None), pk)
    ensure(request, MANAGE, webhook.enterprise)
    return webhook


@needs(MANAGE)
@sensitive_variables("secret")
def add(request: HttpRequest) -> HttpResponse:
    """A new endpoint; its secret is in the answer to this request and nowhere else."""
    form = NewWebhookForm(request.POST or None, user=signed_in(request))
    if request.method == "POST" and form.is_valid():
        enterprise = form.cleaned_data["enterprise"]
        ensure(request, MANAGE, enterprise)
        try:
            webhook, secret = add_webhook(
                enterprise=enterprise,
                actor=actor(request),
                now=clock.now(),
                waits=time.monotonic(),
                **form.terms(),
            )
        except Refused as refused:
            show(form, refused)
        else:
            return _secret(request, webhook, secret)
    title = _("Add webhook")
    return page(request, "admin/amp_form.html", title, crumbs=[crumb()], form=form, submit=title)


@needs(MANAGE)
def webhook_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One endpoint: how it does, what it was sent last, what may be done with it."""
    webhook = live(request, pk)
    deliveries = WebhookDelivery.objects.filter(webhook=webhook)
    return page(
        request,
        "alerts/webhook.html",
        webhook.name,
        crumbs=[crumb()],
        webhook=webhook,
        state=state_badge(webhook),
        is_enabled=webhook.state == WebhookState.ENABLED.value,
        is_rotating=webhook.old_until is not None and webhook.old_until > clock.wall(),
        recent=list(deliveries.order_by("-pk")[:RECENT]),
        waiting=deliveries.filter(status=DeliveryStatus.PENDING.value).count(),
        dead=deliveries.filter(status=DeliveryStatus.DEAD.value, ended_at__gte=clock.now() - SINCE).count(),
        form=RotateForm(),
    )


@needs(MANAGE)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Other terms."""
    webhook = live(request, pk)
    form = WebhookForm.of(request.POST or None, webhook)
    if request.method == "POST" and form.is_valid():
        try:
            edit_webhook(webhook=webhook, actor=actor(request), now=clock.now(), waits=time.monotonic(), **form.terms())
        except Refused as refused:
            show(form, refused)
        else:
            done(request, _("%(name)s was saved.") % {"name": form.cleaned_data["name"]})
            return redirect("admin:alerts_webhook_change", pk)
    crumbs = [crumb(), (webhook.name, reverse("admin:alerts_webhook_change", args=[pk]))]
    return page(request, "admin/amp_form.html", _("Edit webhook"), crumbs=crumbs, form=form, submit=_("Save"))


@require_POST
@needs(MANAGE)
@sensitive_variables("secret")
def rotate(request: HttpRequest, pk: int) -> HttpResponse:
    """A new secret, shown once."""
    webhook = live(request, pk)
    form = RotateForm(request.POST)
    if not form.is_valid():
        refuse(request, Refused.because(_("Choose one of the offered times.")))
        return redirect("admin:alerts_webhook_change", pk)
    overlap = form.cleaned_data["overlap"]
    rotated, secret = rotate_secret(
        webhook=webhook, overlap=overlap, actor=actor(request), now=clock.now(), wall=clock.wall()
    )
    return _secret(request, rotated, secret)


@require_POST
@needs(MANAGE)
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Disable an enabled endpoint, enable a disabled one."""
    webhook, by = live(request, pk), actor(request)
    if request.POST.get("to") == WebhookState.ENABLED.value:
        work: Callable[[], Any] = lambda: enable_webhook(webhook=webhook, actor=by, now=clock.now())  # noqa: E731
        return _worked(request, pk, work, _("%(name)s gets what happens from now on.") % {"name": webhook.name})
    why = WebhookWhy.BY_STAFF
    return _worked(
        request,
        pk,
        lambda: disable_webhook(webhook=webhook, why=why, actor=by, now=clock.now()),
        _("%(name)s is disabled.") % {"name": webhook.name},
    )


@require_POST
@needs(MANAGE)
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """It is gone; its log stays."""
    webhook = live(request, pk)
    try:
        remove_webhook(webhook=webhook, actor=actor(request), now=clock.now())
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, _("%(name)s was removed.") % {"name": webhook.name})
    return redirect("admin:alerts_webhook_changelist")


@require_POST
@needs(MANAGE)
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the event `webhook.test` now, and show the answer."""
    webhook = live(request, pk)
    try:
        sent = send_test(webhook=webhook, actor=actor(request), now=clock.now(), wall=clock.wall())
    except Refused as refused:
        refuse(request, refused)
        return redirect("admin:alerts_webhook_change", pk)
    return redirect("admin:alerts_webhookdelivery_change", sent.pk)


@require_POST
@needs(MANAGE)
def again(request: HttpRequest, pk: int) -> HttpResponse:
    """All that failed since a day."""
    webhook = live(request, pk)
    now = clock.now()
    try:
        number = redeliver_failed(webhook=webhook, since=now - SINCE, actor=actor(request), now=now)
    except Refused as refused:
        refuse(request, refused)
    else:
        sentence = ngettext("%(n)d delivery is sent again.", "%(n)d deliveries are sent again.", number)
        done(request, sentence % {"n": number})
    return redirect("admin:alerts_webhook_change", pk)


def state_badge(webhook: Webhook) -> str:
    """Enabled, failing or disabled."""
    if webhook.state == WebhookState.DISABLED.value:
        tone = "grey" if webhook.state_why == WebhookWhy.BY_STAFF.value else "red"
        return badge_html(webhook.get_state_display(), tone)
    if webhook.failing_since:
        return badge_html(pgettext("webhook", "Failing"), "amber")
    return badge_html(webhook.get_state_display(), "green")


def crumb() -> Crumb:
    """The list."""
    return (_("Webhooks"), reverse("admin:alerts_webhook_changelist"))


def _worked(request: HttpRequest, pk: int, work: Callable[[], object], sentence: str) -> HttpResponse:
    try:
        work()
    except Refused as refused:
        refuse(request, refused)
    else:
        done(request, sentence)
    return redirect("admin:alerts_webhook_change", pk)


def _secret(request: HttpRequest, webhook: Webhook, secret: str) -> HttpResponse:
    crumbs = [crumb(), (webhook.name, reverse("admin:alerts_webhook_change", args=[webhook.pk]))]
    title = _("Secret of the webhook")
    return private(page(request, "alerts/webhook_secret.html", title, crumbs=crumbs, webhook=webhook, secret=secret))
