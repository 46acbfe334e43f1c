"""Expiry notices: who was told what, when, and why not (N4, N5, N8)."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers

from alerts.filters import NoticeFilters
from alerts.models import Notice
from amp.foundation.api.endpoints import Reading
from amp.foundation.api.fields import Moment
from amp.foundation.api.paging import NEWEST_FIRST, OLDEST_FIRST
from amp.foundation.api.rows import Row
from amp.foundation.models import Scope
from devices.models.commands import STATUS_CHOICES


class NoticeRow(Row):
    """One notice about one end on one channel. `delivery` is what the command to the device says, where there is one.

    `reason` says why it did not go out; `days` is how long before the end it fell due.
    """

    device = serializers.IntegerField(source="device_id")
    key = serializers.CharField(source="device.key")
    enterprise = serializers.IntegerField(source="enterprise_id")
    days = serializers.IntegerField()
    ends_at = Moment()
    due_at = Moment(source="falls_due_at")
    done_at = Moment(source="closed_at", allow_null=True)
    ticket = serializers.UUIDField(source="command_id", allow_null=True)
    delivery = serializers.ChoiceField(source="command.status", choices=STATUS_CHOICES, allow_null=True, default=None)

    class Meta:
        model = Notice
        fields = (
            *("id", "device", "key", "enterprise", "service", "ends_at", "days", "channel", "status", "reason"),
            *("detail", "due_at", "done_at", "ticket", "delivery"),
        )


@extend_schema_view(
    list=extend_schema(summary="List notices", tags=["notices"]),
    retrieve=extend_schema(summary="A notice", tags=["notices"]),
)
class Notices(Reading):
    """Expiry notices of devices of the key's enterprises."""

    scopes: ClassVar[dict[str, Scope | None]] = {"list": Scope.NOTICES_READ, "retrieve": Scope.NOTICES_READ}
    serializer_class = NoticeRow
    filterset_class = NoticeFilters
    orderings = (NEWEST_FIRST, OLDEST_FIRST)

    def get_queryset(self) -> QuerySet[Notice]:
        """With the device and the command, in the same query."""
        rows: QuerySet[Notice] = Notice.objects.select_related("device", "command")
        return rows
