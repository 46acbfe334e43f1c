"""Device services: what each device is entitled to, since when and until when, and how that came about."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation.api.endpoints import Reading
from amp.foundation.api.fields import Moment
from amp.foundation.api.paging import NEWEST_FIRST, OLDEST_FIRST
from amp.foundation.api.rows import Row
from amp.foundation.lists.keyset import Ordering
from amp.foundation.models import Event, Scope
from devices.filters import DeviceServiceFilters
from devices.models import DeviceService, Period

PERIODS, EVENTS = 200, 100
"""How far back a history goes: the newest of each."""


class ServiceRow(Row):
    """The service of one device; its id is the device's. The lock wanted and the lock reported are two things."""

    id = serializers.IntegerField(source="device_id")
    key = serializers.CharField(source="device.key")
    enterprise = serializers.IntegerField(source="enterprise_id")
    product = serializers.IntegerField(source="product_id")
    level = serializers.IntegerField(source="level_id", allow_null=True)
    state_since = Moment()
    trial_started_at = Moment(allow_null=True)
    trial_ended_at = Moment(allow_null=True)
    ends_at = Moment(allow_null=True)
    next_change_at = Moment(source="due_at", allow_null=True)
    reported_lock_at = Moment(allow_null=True)

    class Meta:
        model = DeviceService
        fields = (
            *("id", "key", "enterprise", "product", "level", "state", "state_since", "life", "trial_started_at"),
            *("trial_ended_at", "ends_at", "next_change_at", "desired_lock", "reported_lock", "reported_lock_at"),
        )


class PeriodRow(serializers.ModelSerializer):
    """One stretch of service, `[starts_at, ends_at)`."""

    starts_at = Moment()
    ends_at = Moment()
    created_at = Moment()
    level = serializers.IntegerField(source="level_id")

    class Meta:
        model = Period
        fields = ("number", "life", "kind", "plan_name", "months", "level", "starts_at", "ends_at", "created_at")


class HappeningRow(serializers.ModelSerializer):
    """One change: when it fell due, when it was noticed, who or what made it, and what changed."""

    id = serializers.UUIDField(source="public_id")
    happened_at = Moment()
    noticed_at = Moment()
    before = serializers.JSONField(help_text="What was changed, as it was; null where nothing was there.")
    after = serializers.JSONField(help_text="The same, as it is since.")

    class Meta:
        model = Event
        fields = ("id", "kind", "happened_at", "noticed_at", "actor", "why", "before", "after")


class HistoryAnswer(serializers.Serializer):
    """Periods and events, newest first."""

    periods = PeriodRow(many=True)
    events = HappeningRow(many=True)


# Named as `DeviceServiceFilters.decides_order` has them: a range of ends is read along their index.
BY_END = tuple(
    Ordering(name, name, column="ends_at", descending=name[0] == "-", nullable=True) for name in ("ends", "-ends")
)
READ = Scope.SERVICES_READ


@extend_schema_view(
    list=extend_schema(summary="List device services", tags=["device services"]),
    retrieve=extend_schema(summary="A device service", tags=["device services"]),
)
class DeviceServices(Reading):
    """Services of all devices in reach, those of products without paid mode included."""

    scopes: ClassVar[dict[str, Scope | None]] = {"list": READ, "retrieve": READ, "history": READ}
    serializer_class = ServiceRow
    filterset_class = DeviceServiceFilters
    orderings = (NEWEST_FIRST, OLDEST_FIRST, *BY_END)

    def get_queryset(self) -> QuerySet[DeviceService]:
        """With the device, in the same query."""
        rows: QuerySet[DeviceService] = DeviceService.objects.select_related("device")
        return rows

    @extend_schema(summary="History of a service", tags=["device services"], responses=HistoryAnswer)
    @action(detail=True, methods=["get"])
    def history(self, request: Request, pk: str) -> Response:
        """The ledger of periods, and the newest events of the device."""
        service = self.found(self.get_queryset(), pk)
        return self.answered(HistoryAnswer(_history(service)).data)


def _history(service: DeviceService) -> dict[str, Any]:
    events = Event.objects.filter(subject=f"device:{service.pk}").order_by("-happened_at", "-id")
    periods = Period.objects.filter(device_id=service.pk).order_by("-number")
    return {"periods": periods[:PERIODS], "events": events[:EVENTS]}
