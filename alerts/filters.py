"""Filters of the alerts, shared by the admin's lists and the API: closed lists of parameters.

Notices:

`service`, `channel`, `status`, `days`, `reason`, `device` (its id), `key` (of the device), `enterprise` (with its
descendants), `due_from`, `due_to` (days, both included).
"""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field

from alerts.models import Notice, Webhook, WebhookDelivery
from alerts.models.notices import CHANNEL_CHOICES, REASON_CHOICES, SERVICE_CHOICES, STATUS_CHOICES
from alerts.models.webhooks import STATE_CHOICES
from alerts.models.webhooks import STATUS_CHOICES as DELIVERY_CHOICES
from alerts.webhooks.public import TEST, TYPES
from amp.foundation.filters import IdFilter
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
    status = django_filters.ChoiceFilter(label=_("status"), choices=DELIVERY_CHOICES)
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


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": 2**63 - 1})
class DaysFilter(IdFilter):
    """A number of days. Described by itself: the bounds of its column are those of the database that is in use."""


class NoticeFilters(EnterpriseFilterSet):
    """Alerts > Notices."""

    searched = ("device__key", "device__serial", "device__iccid")
    search_hint = _("Device key, serial number or ICCID begins with …")
    unseen = frozenset({"device", "key"})

    device = IdFilter(field_name="device_id", label=_("id of the device"))
    key = django_filters.CharFilter(label=_("device key"), field_name="device__key", max_length=64)
    days = DaysFilter(field_name="days", label=_("days before"))
    service = django_filters.ChoiceFilter(label=_("service"), choices=SERVICE_CHOICES)
    channel = django_filters.ChoiceFilter(label=_("channel"), choices=CHANNEL_CHOICES)
    status = django_filters.ChoiceFilter(label=_("status"), choices=STATUS_CHOICES)
    reason = django_filters.ChoiceFilter(label=_("reason"), choices=REASON_CHOICES[1:])
    due_from = FromDay(label=_("due from"), field_name="falls_due_at")
    due_to = ToDay(label=_("due to"), field_name="falls_due_at")

    class Meta:
        model = Notice
        fields: list[str] = []
