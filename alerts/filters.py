"""Filters over webhooks and their deliveries, for the lists of the admin and of the API."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from alerts.models import Webhook, WebhookDelivery
from alerts.models.webhooks import STATE_CHOICES, STATUS_CHOICES
from alerts.webhooks.public import TEST, TYPES
from amp.foundation.lists.filters import EnterpriseFilterSet, FromDay, ListFilterSet, ToDay
from amp.foundation.lists.offered import Offered, RowChoiceFilter

TYPE_CHOICES = [(name, name) for name in (*TYPES, TEST)]


class WebhookFilters(EnterpriseFilterSet):
    """Endpoints."""

    state = django_filters.ChoiceFilter(label=_("state"), choices=STATE_CHOICES)

    class Meta:
        model = Webhook
        fields: list[str] = []


class DeliveryFilters(ListFilterSet):
    """What was sent and is to be: by endpoint, status, event and day."""

    decides_order = {"created_from": "created", "created_to": "created"}

    webhook = RowChoiceFilter(label=_("webhook"), choices=())
    status = django_filters.ChoiceFilter(label=_("status"), choices=STATUS_CHOICES)
    type = django_filters.ChoiceFilter(label=_("event"), choices=TYPE_CHOICES)
    created_from = FromDay(label=_("created from"), field_name="created_at")
    created_to = ToDay(label=_("created to"), field_name="created_at")

    class Meta:
        model = WebhookDelivery
        fields: list[str] = []

    def __init__(self, data: Any = None, queryset: QuerySet[Any] | None = None, **options: Any) -> None:
        super().__init__(data, queryset, **options)
        self.filters["webhook"].extra["choices"] = offered_webhooks(Webhook.objects.all())


def offered_webhooks(rows: QuerySet[Webhook]) -> Offered:
    """Those of the rows that were not removed, by name."""
    return Offered(rows.filter(removed_at=None).order_by("name", "pk"))
