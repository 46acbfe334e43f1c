"""SIM and RTK services of devices: how long each is valid (N3)."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation import clock
from amp.foundation.api.endpoints import Endpoint, Reading, empty
from amp.foundation.api.fields import Input, Moment, Text
from amp.foundation.api.paging import NEWEST_FIRST, OLDEST_FIRST
from amp.foundation.api.rows import Row
from amp.foundation.lists.keyset import Ordering
from amp.foundation.models import Event, Scope
from devices.api.services import EVENTS, HappeningRow
from devices.filters import ValidityFilters
from devices.models import Device, ServiceKind, Validity
from devices.models.validities import SERVICE_CHOICES
from devices.services.validities import ValiditySetting, event_kinds, set_validity

KIND = f"(?P<kind>{'|'.join(kind.value for kind in ServiceKind)})"
"""A service in an address."""
LONGEST_REASON = 300
NAMES = [kind.value for kind in ServiceKind]


class ValidityRow(Row):
    """How long one service of one device is valid: `[starts_at, ends_at)`; without a start, since ever."""

    device = serializers.IntegerField(source="device_id")
    key = serializers.CharField(source="device.key")
    enterprise = serializers.IntegerField(source="enterprise_id")
    product = serializers.IntegerField(source="product_id")
    kind = serializers.ChoiceField(choices=SERVICE_CHOICES)
    starts_at = Moment(allow_null=True)
    ends_at = Moment()
    set_at = Moment()

    class Meta:
        model = Validity
        fields = ("id", "device", "key", "enterprise", "product", "kind", "starts_at", "ends_at", "set_at", "set_by")


class ValidityAnswer(serializers.Serializer):
    """One service of the device; without an `ends_at` the device has no such service."""

    kind = serializers.ChoiceField(choices=SERVICE_CHOICES)
    starts_at = Moment(allow_null=True)
    ends_at = Moment(allow_null=True)
    set_at = Moment(allow_null=True)
    set_by = serializers.CharField(allow_null=True)


class DeviceValiditiesAnswer(serializers.Serializer):
    """Each service that a device may have beside the device service."""

    validities = ValidityAnswer(many=True)


class ValidityChange(Input):
    """The validity as it is to be; `why` goes on the record."""

    starts_at = Moment(required=False, allow_null=True, default=None)
    ends_at = Moment()
    why = Text(max_length=LONGEST_REASON, required=False, allow_blank=True, default="")


class ValidityHistoryAnswer(serializers.Serializer):
    """What became of the service, newest first."""

    events = HappeningRow(many=True)


A_YEAR = OpenApiExample(
    "to the end of a year", {"ends_at": "2027-12-31T16:00:00Z", "why": "contract 4711"}, request_only=True
)
WHICH = OpenApiParameter("kind", OpenApiTypes.STR, OpenApiParameter.PATH, enum=NAMES, description="The service.")
# Named as `ValidityFilters.decides_order` has them: a range of ends is read along their index.
BY_END = tuple(Ordering(name, name, column="ends_at", descending=name[0] == "-") for name in ("ends", "-ends"))
READ, WRITE = Scope.VALIDITIES_READ, Scope.VALIDITIES_WRITE


@extend_schema_view(list=extend_schema(summary="List SIM and RTK services", tags=["validities"]))
class Validities(Reading):
    """SIM and RTK services of all devices in reach that have an end."""

    scopes: ClassVar[dict[str, Scope | None]] = {"list": READ}
    serializer_class = ValidityRow
    filterset_class = ValidityFilters
    orderings = (NEWEST_FIRST, OLDEST_FIRST, *BY_END)

    def get_queryset(self) -> QuerySet[Validity]:
        """With the device, in the same query."""
        rows: QuerySet[Validity] = Validity.objects.select_related("device")
        return rows


class DeviceValidities(Endpoint):
    """Both services of one device."""

    scopes: ClassVar[dict[str, Scope | None]] = {"retrieve": READ}
    serializer_class = DeviceValiditiesAnswer

    @extend_schema(
        operation_id="device_validities_retrieve",
        summary="SIM and RTK services of a device",
        tags=["validities"],
        responses=DeviceValiditiesAnswer,
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        """Each with its validity, or with none."""
        device = self.found(Device.objects.all(), pk)
        by_kind = {row.kind: row for row in Validity.objects.filter(device=device)}
        told = {"validities": [_told(kind, by_kind.get(kind)) for kind in NAMES]}
        return self.answered(DeviceValiditiesAnswer(told).data)


class DeviceValidity(Endpoint):
    """One service of one device: read, set as a whole, cleared."""

    scopes: ClassVar[dict[str, Scope | None]] = {
        "retrieve": READ,
        "update": WRITE,
        "destroy": WRITE,
        "history": READ,
    }
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {
        "update": ("device_terminated", "validity_refused"),
        "destroy": ("device_terminated",),
    }
    serializer_class = ValidityAnswer

    @extend_schema(
        operation_id="device_validity_retrieve",
        summary="A SIM or RTK service",
        tags=["validities"],
        parameters=[WHICH],
        responses=ValidityAnswer,
    )
    def retrieve(self, request: Request, pk: str, kind: str) -> Response:
        """Until when it is valid; with null for `ends_at` where the device has no such service."""
        return self.answered(self.shown(self.found(Device.objects.all(), pk)))

    @extend_schema(
        operation_id="device_validity_update",
        summary="Set a SIM or RTK service",
        tags=["validities"],
        parameters=[WHICH],
        request=ValidityChange,
        responses=ValidityAnswer,
        examples=[A_YEAR],
    )
    def update(self, request: Request, pk: str, kind: str) -> Response:
        """In the place of what is set. The end that stands already isn't set anew: its notices stay as they are."""
        device = self.changing(Device.objects.all(), pk)
        setting = ValiditySetting(device.pk, ServiceKind(kind), **self.checked(ValidityChange))
        set_validity(setting, actor=self.actor, now=clock.now())
        return self.answered(self.shown(device))

    @extend_schema(
        operation_id="device_validity_destroy",
        summary="Clear a SIM or RTK service",
        tags=["validities"],
        parameters=[WHICH],
        request=None,
        responses={204: None},
    )
    def destroy(self, request: Request, pk: str, kind: str) -> HttpResponse:
        """The device has no such service any more; its history stays."""
        device = self.changing(Device.objects.all(), pk)
        set_validity(ValiditySetting(device.pk, ServiceKind(kind), None), actor=self.actor, now=clock.now())
        return empty()

    @extend_schema(
        operation_id="device_validity_history",
        summary="History of a SIM or RTK service",
        tags=["validities"],
        parameters=[WHICH],
        responses=ValidityHistoryAnswer,
    )
    def history(self, request: Request, pk: str, kind: str) -> Response:
        """The newest changes, by whomever."""
        device = self.found(Device.objects.all(), pk)
        events = Event.objects.filter(subject=f"device:{device.pk}", kind__in=event_kinds(ServiceKind(kind)))
        newest = events.order_by("-happened_at", "-id")[:EVENTS]
        return self.answered(ValidityHistoryAnswer({"events": newest}).data)

    def shown(self, row: Device) -> Any:
        """The service of the device that the address names."""
        kind = str(self.kwargs["kind"])
        return ValidityAnswer(_told(kind, Validity.objects.filter(device=row, kind=kind).first())).data


def _told(kind: str, validity: Validity | None) -> dict[str, Any]:
    names = ("starts_at", "ends_at", "set_at", "set_by")
    return {"kind": kind, **{name: getattr(validity, name, None) for name in names}}
