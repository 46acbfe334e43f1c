"""Alerts > Webhooks, and what they were sent: for those who manage them; nobody else learns where events go."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from alerts.admin_views import deliveries, webhooks
from alerts.filters import DeliveryFilters, offered_webhooks
from alerts.models import Webhook, WebhookDelivery
from alerts.models.webhooks import STATUS_CHOICES
from alerts.webhooks.public import TYPES
from amp.foundation.access import Action
from amp.foundation.admin import MemberAdmin, RecordAdmin
from amp.foundation.lists.columns import Column
from amp.foundation.lists.keyset import Ordering
from amp.foundation.lists.listed import Listed
from amp.foundation.templatetags.amp_display import moment, second


class _Managed(MemberAdmin):
    """Seen by who manages webhooks, in the enterprises where that is so."""

    section = _("Alerts")
    view_action = Action.MANAGE_WEBHOOKS

    def get_queryset(self, request: HttpRequest) -> Any:
        """Rows that the user manages."""
        return webhooks.managed(super().get_queryset(request), request)


@admin.register(Webhook)
class WebhookAdmin(_Managed):
    """Where enterprises want their events."""

    add_action = Action.MANAGE_WEBHOOKS
    creation = staticmethod(webhooks.add)
    details = staticmethod(webhooks.webhook_page)
    further = (
        ("<int:pk>/edit/", "webhook_edit", webhooks.edit),
        ("<int:pk>/rotate/", "webhook_rotate", webhooks.rotate),
        ("<int:pk>/switch/", "webhook_switch", webhooks.switch),
        ("<int:pk>/test/", "webhook_test", webhooks.test),
        ("<int:pk>/again/", "webhook_again", webhooks.again),
        ("<int:pk>/remove/", "webhook_remove", webhooks.remove),
    )
    tools = ((_("Deliveries"), "list_alt", "admin:alerts_webhookdelivery_changelist", Action.MANAGE_WEBHOOKS),)
    list_title = _("Webhooks")
    add_title = _("Add webhook")
    list_display = ("name", "address", "state_word", "events", "enterprise", "delivered")
    list_select_related = ("enterprise",)
    search_fields = ("name__istartswith", "url__icontains")
    sortable_by = ()
    empty_hint = _("A system of yours is told what happens as soon as it does. Add its address.")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Without those that were removed."""
        return super().get_queryset(request).filter(removed_at=None)

    @admin.display(description=_("state"))
    def state_word(self, webhook: Webhook) -> str:
        """Enabled, failing, disabled."""
        return webhooks.state_badge(webhook)

    @admin.display(description=_("events"))
    def events(self, webhook: Webhook) -> str:
        """How many of those that there are."""
        return f"{len(webhook.types)} / {len(TYPES)}" if webhook.types else str(_("All"))

    @admin.display(description="URL")
    def address(self, webhook: Webhook) -> str:
        """Its beginning: the rest may be long, and is on the page."""
        return Truncator(webhook.url).chars(40)

    @admin.display(description=_("last delivered"))
    def delivered(self, webhook: Webhook) -> str:
        """In the reader's zone."""
        return moment(webhook.succeeded_at)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(Listed, _Managed, RecordAdmin):
    """The log of what was sent and is to be."""

    details = staticmethod(deliveries.delivery_page)
    further = (("<int:pk>/again/", "webhook_delivery_again", deliveries.again),)
    list_title = _("Webhook deliveries")
    list_display = ("event_type", "state_word", "endpoint", "answer", "attempts", "created", "due")
    list_select_related = ("webhook", "enterprise")
    extra_columns = ("enterprise",)
    filterset_class = DeliveryFilters
    orderings = (Ordering("created", _("Created, newest first"), "created_at"),)
    export_columns = (
        Column(_("event"), "type"),
        Column(_("status"), "status", STATUS_CHOICES),
        Column(_("webhook"), "webhook__name"),
        Column(_("answer"), "response_status"),
        Column(_("problem"), "problem"),
        Column(_("attempts"), "attempts"),
        Column(_("created"), "created_at"),
        Column(_("ended"), "ended_at"),
    )
    sortable_by = ()
    empty_hint = _("A delivery appears when something happens that a webhook wants to know.")

    def filterset(self, request: HttpRequest, rows: Any) -> Any:
        """Endpoints that the user manages, and no others."""
        filters = super().filterset(request, rows)
        filters.filters["webhook"].extra["choices"] = offered_webhooks(webhooks.managed(Webhook.objects.all(), request))
        return filters

    @admin.display(description=_("event"))
    def event_type(self, delivery: WebhookDelivery) -> str:
        """The public type."""
        return format_html('<span class="amp-when">{}</span>', delivery.type)

    @admin.display(description=_("status"))
    def state_word(self, delivery: WebhookDelivery) -> str:
        """Where it stands."""
        return deliveries.status_badge(delivery)

    @admin.display(description=_("webhook"))
    def endpoint(self, delivery: WebhookDelivery) -> str:
        """Its name."""
        return delivery.webhook.name

    @admin.display(description=_("answer"))
    def answer(self, delivery: WebhookDelivery) -> str:
        """Status of the last one, or why there was none."""
        return delivery.problem_or_status or "—"

    @admin.display(description=_("created"))
    def created(self, delivery: WebhookDelivery) -> str:
        """To the second."""
        return second(delivery.created_at)

    @admin.display(description=_("next attempt"))
    def due(self, delivery: WebhookDelivery) -> str:
        """While it waits."""
        return second(delivery.next_attempt_at)
