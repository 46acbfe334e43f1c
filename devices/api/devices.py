"""Devices: who they are, whether they are there, and by which password the broker knows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.core.validators import RegexValidator
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from amp.foundation import clock
from amp.foundation.api.endpoints import Reading
from amp.foundation.api.fields import Input, Moment, Nothing, RowId, Text
from amp.foundation.api.paging import NEWEST_FIRST, OLDEST_FIRST
from amp.foundation.api.problems import ApiProblem
from amp.foundation.api.rows import Derived, Row
from amp.foundation.lists.keyset import Ordering
from amp.foundation.models import Enterprise, Scope
from amp.foundation.scoping import may_change
from catalog.models import Product
from devices.filters import DeviceFilters
from devices.models import Device
from devices.models.devices import KEY_PATTERN
from devices.online_time import total_of
from devices.services.credentials import revoke_credential, rotate_credential
from devices.services.editing import EDITABLE, edit_device
from devices.services.registration import lock_whole_device, register_device, terminate_device
from devices.services.tokens import issue_token, link_of


@extend_schema_field({"type": "string", "enum": ["live", "revoked"], "description": "Whether a password is in force."})
class Credential(Derived):
    """Whether a password is in force."""

    columns = ("credential_revoked_at",)

    def of(self, revoked_at: datetime | None) -> str:
        """`revoked` while the device can't connect."""
        return "revoked" if revoked_at else "live"


class DeviceRow(Row):
    """A device. `credential` is `live`, or `revoked` while it can't connect."""

    enterprise = serializers.IntegerField(source="enterprise_id")
    product = serializers.IntegerField(source="product_id")
    service_state = serializers.CharField(source="service.state")
    service_ends_at = Moment(source="service.ends_at", allow_null=True)
    is_online = serializers.BooleanField(source="presence.is_online")
    last_seen_at = Moment(source="presence.last_seen_at", allow_null=True)
    credential = Credential()
    created_at = Moment()
    terminated_at = Moment(allow_null=True)

    class Meta:
        model = Device
        fields = (
            *("id", "enterprise", "product", "key", "name", "serial", "iccid", "service_state", "service_ends_at"),
            *("is_online", "last_seen_at", "credential", "created_at", "terminated_at"),
        )


class NewDevice(Input):
    """A device to be registered: of the product's own enterprise unless one below it is named."""

    product = RowId(lambda: Product.objects.select_related("enterprise"))
    enterprise = RowId(lambda: Enterprise.objects.all(), required=False)
    key = Text(max_length=64, validators=[RegexValidator(KEY_PATTERN, _("Use 1 to 64 letters, digits, - or _."))])
    serial = Text(max_length=64, required=False, allow_blank=True, default="")
    name = Text(max_length=120, required=False, allow_blank=True, default="")
    iccid = Text(max_length=22, required=False, allow_blank=True, default="")


class DeviceChange(Input):
    """What may be changed; left out means as it is. The key stays."""

    serial = Text(max_length=64, required=False, allow_blank=True)
    name = Text(max_length=120, required=False, allow_blank=True)
    iccid = Text(max_length=22, required=False, allow_blank=True)


class CredentialAnswer(serializers.Serializer):
    """What the device signs in to the broker with. The password is in this answer and nowhere else."""

    user_name = serializers.CharField()
    password = serializers.CharField()


class LinkAnswer(serializers.Serializer):
    """The address behind the QR code of a device; earlier ones stay valid until they are revoked."""

    renewal_link = serializers.CharField()


class RegisteredAnswer(DeviceRow):
    """A new device with its secrets."""

    mqtt = CredentialAnswer()
    renewal_link = serializers.CharField()

    class Meta(DeviceRow.Meta):
        fields = (*DeviceRow.Meta.fields, "mqtt", "renewal_link")  # type: ignore[assignment]


class PresenceAnswer(serializers.Serializer):
    """Whether the device is there. `online_seconds` is its cumulative online time so far (P1)."""

    is_online = serializers.BooleanField()
    online_since = Moment(allow_null=True)
    last_seen_at = Moment(allow_null=True)
    online_seconds = serializers.IntegerField()


REGISTRATION = OpenApiExample(
    "one device", {"product": 1, "key": "AS-4821", "serial": "GF-2291-4821"}, request_only=True
)
# Named as `DeviceFilters.decides_order` has them: a range of days is read along their index.
BY_REGISTRATION = tuple(
    Ordering(name, name, column="created_at", descending=name[0] == "-") for name in ("registered", "-registered")
)
READ, WRITE = Scope.DEVICES_READ, Scope.DEVICES_WRITE
SECONDS = 1_000_000


@extend_schema_view(
    list=extend_schema(summary="List devices", tags=["devices"]),
    retrieve=extend_schema(summary="A device", tags=["devices"]),
)
class Devices(Reading):
    """Devices of the key's enterprises."""

    scopes: ClassVar[dict[str, Scope | None]] = {
        "list": READ,
        "retrieve": READ,
        "create": WRITE,
        "partial_update": WRITE,
        "terminate": WRITE,
        "rotate_credential": WRITE,
        "revoke_credential": WRITE,
        "issue_link": WRITE,
        "presence": Scope.PRESENCE_READ,
    }
    refusals: ClassVar[dict[str, tuple[str, ...]]] = {
        "create": ("device_refused", "device_key_taken", "not_yours_to_change"),
        "partial_update": ("device_refused",),
        "terminate": ("precondition_failed", "not_yours_to_change"),
        "rotate_credential": ("device_terminated", "not_yours_to_change"),
        "revoke_credential": ("device_terminated", "not_yours_to_change"),
        "issue_link": ("device_gone", "not_yours_to_change"),
    }
    matching: ClassVar[frozenset[str]] = frozenset({"terminate"})
    serializer_class = DeviceRow
    filterset_class = DeviceFilters
    orderings = (NEWEST_FIRST, OLDEST_FIRST, *BY_REGISTRATION)

    def get_queryset(self) -> QuerySet[Device]:
        """With service and presence, in the same query."""
        rows: QuerySet[Device] = Device.objects.select_related("service", "presence")
        return rows

    @extend_schema(
        summary="Register a device",
        tags=["devices"],
        request=NewDevice,
        responses={201: RegisteredAnswer},
        examples=[REGISTRATION],
    )
    def create(self, request: Request) -> Response:
        """A device with its service, its password for the broker and its renewal link: both are told once (X4)."""
        wanted = self.checked(NewDevice)
        enterprise = wanted.pop("enterprise", None) or wanted["product"].enterprise
        if not may_change(enterprise.pk):
            raise ApiProblem("not_yours_to_change")
        made = register_device(**wanted, enterprise=enterprise, actor=self.actor, now=clock.now())
        device = self.found(self.get_queryset(), made.device.pk)
        told = {
            **self.shown(device),
            "mqtt": _credential(made.device, made.password),
            "renewal_link": link_of(made.renewal_token),
        }
        return self.answered(told, status=201, location=f"{request.path}/{device.pk}")

    @extend_schema(summary="Change a device", tags=["devices"], request=DeviceChange, responses=DeviceRow)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Name, serial number, SIM; its service doesn't notice (A6)."""
        device = self.changing(self.get_queryset(), pk)
        wanted = {name: getattr(device, name) for name in EDITABLE} | self.checked(DeviceChange)
        edit_device(device=device, **wanted, actor=self.actor, now=clock.now())
        return self.answered(self.shown(self.found(self.get_queryset(), pk)))

    @extend_schema(summary="Terminate a device", tags=["devices"], request=Nothing, responses=DeviceRow)
    @action(detail=True, methods=["post"])
    def terminate(self, request: Request, pk: str) -> Response:
        """Final: its service ends, its links and open commands are void, its key is free again."""
        self.checked(Nothing)
        device = self.changing(self.get_queryset(), pk, lock=lambda device: lock_whole_device(device.pk))
        terminate_device(device=device, actor=self.actor, now=clock.now())
        return self.answered(self.shown(self.found(self.get_queryset(), pk)))

    @extend_schema(summary="Issue a new password", tags=["devices"], request=Nothing, responses={201: CredentialAnswer})
    @action(detail=True, methods=["post"], url_path="credential/rotate")
    def rotate_credential(self, request: Request, pk: str) -> Response:
        """The old one ends; a revocation ends too."""
        self.checked(Nothing)
        device = self._mine(pk)
        password = rotate_credential(device=device, actor=self.actor, now=clock.now())
        return Response(_credential(device, password), status=201)

    @extend_schema(summary="Revoke the password", tags=["devices"], request=Nothing, responses=DeviceRow)
    @action(detail=True, methods=["post"], url_path="credential/revoke")
    def revoke_credential(self, request: Request, pk: str) -> Response:
        """The device can't connect until a new one is issued; its service goes on."""
        self.checked(Nothing)
        revoke_credential(device=self._mine(pk), actor=self.actor, now=clock.now())
        return self.answered(self.shown(self.found(self.get_queryset(), pk)))

    @extend_schema(summary="Issue a renewal link", tags=["devices"], request=Nothing, responses={201: LinkAnswer})
    @action(detail=True, methods=["post"], url_path="renewal-links")
    def issue_link(self, request: Request, pk: str) -> Response:
        """For a new sticker. The link is told once; we keep a hash (F85)."""
        self.checked(Nothing)
        token = issue_token(device=self._mine(pk), actor=self.actor, now=clock.now())
        return Response({"renewal_link": link_of(token)}, status=201)

    @extend_schema(summary="Presence of a device", tags=["presence"], responses=PresenceAnswer)
    @action(detail=True, methods=["get"])
    def presence(self, request: Request, pk: str) -> Response:
        """Online or last seen, and the time online so far."""
        device = self.found(self.get_queryset(), pk)
        presence = device.presence
        told = {
            "is_online": presence.is_online,
            "online_since": presence.open_since,
            "last_seen_at": presence.last_seen_at,
            "online_seconds": total_of(presence.counted, presence.open_since, clock.now()) // SECONDS,
        }
        return self.answered(PresenceAnswer(told).data)

    def _mine(self, pk: str) -> Any:
        """The device with its product; a service locks it."""
        return self.mine(Device.objects.select_related("product"), pk)


def _credential(device: Device, password: str) -> dict[str, str]:
    return {"user_name": device.mqtt_user_name, "password": password}
