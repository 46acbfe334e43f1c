"""Filters over notices, shared by the admin's list and the API: one closed list of parameters.

`service`, `channel`, `status`, `reason`, `device` (its id), `key` (of the device), `enterprise` (with its
descendants), `due_from`, `due_to` (days, both included).
"""

from __future__ import annotations

import django_filters
from django.utils.translation import gettext_lazy as _

from alerts.models import Notice
from alerts.models.notices import CHANNEL_CHOICES, REASON_CHOICES, SERVICE_CHOICES, STATUS_CHOICES
from amp.foundation.filters import IdFilter
from amp.foundation.lists.filters import EnterpriseFilterSet, FromDay, ToDay


class NoticeFilters(EnterpriseFilterSet):
    """Alerts > Notices."""

    searched = ("device__key", "device__serial", "device__iccid")
    search_hint = _("Device key, serial number or ICCID begins with …")
    unseen = frozenset({"device", "key"})

    device = IdFilter(field_name="device_id", label=_("id of the device"))
    key = django_filters.CharFilter(label=_("device key"), field_name="device__key", max_length=64)
    service = django_filters.ChoiceFilter(label=_("service"), choices=SERVICE_CHOICES)
    channel = django_filters.ChoiceFilter(label=_("channel"), choices=CHANNEL_CHOICES)
    status = django_filters.ChoiceFilter(label=_("status"), choices=STATUS_CHOICES)
    reason = django_filters.ChoiceFilter(label=_("reason"), choices=REASON_CHOICES[1:])
    due_from = FromDay(label=_("due from"), field_name="falls_due_at")
    due_to = ToDay(label=_("due to"), field_name="falls_due_at")

    class Meta:
        model = Notice
        fields: list[str] = []
