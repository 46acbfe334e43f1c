"""Filters over devices and their services, shared by the admin's lists and the API: one closed list of parameters.

`product`, `enterprise` (with its descendants), `state`, `lock` (locked, unlocked, differs), `presence` (online,
offline, never), `command` (waiting, held, failed), `ends` (within 7, 30 or 90 days), `ends_from`, `ends_to`,
`registered_from`, `registered_to` (days, both included).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar

import django_filters
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from amp.foundation import clock
from amp.foundation.choosing import ChooseInList
from amp.foundation.filters import IdFilter
from amp.foundation.lists.filters import EnterpriseFilterSet, FromDay, ListFilterSet, ToDay
from amp.foundation.lists.offered import Offered, RowChoiceFilter
from amp.foundation.scoping import enterprises_in_scope
from catalog.models import Product
from devices.models import Command, Device, DeviceService, Validity
from devices.models.commands import OPEN_STATUSES
from devices.models.service import STATE_CHOICES
from devices.models.validities import SERVICE_CHOICES

LOCKS = [("locked", _("Locked")), ("unlocked", _("Unlocked")), ("differs", _("Not as wanted"))]
PRESENCES = [("online", _("Online")), ("offline", _("Offline")), ("never", _("Never online"))]
COMMANDS = [("waiting", _("Waiting")), ("held", _("Held")), ("failed", _("Failed in 7 days"))]
WITHIN = [("7", _("7 days")), ("30", _("30 days")), ("90", _("90 days"))]


class _FleetFilters(EnterpriseFilterSet):
    """What both lists have; `service` and `device` lead from the list's table to these two."""

    service: ClassVar[str] = ""
    device: ClassVar[str] = ""
    search_hint = _("Device key, serial number, ICCID or name begins with …")
    decides_order = {
        "ends": "ends",
        "ends_from": "ends",
        "ends_to": "ends",
        "registered_from": "registered",
        "registered_to": "registered",
    }

    unseen = frozenset({"key", "serial", "iccid"})

    product = RowChoiceFilter(
        label=_("product"), field_name="product", choices=(), widget=ChooseInList("admin:product_choices")
    )
    state = django_filters.ChoiceFilter(label=_("service"), method="in_state", choices=STATE_CHOICES)
    presence = django_filters.ChoiceFilter(label=_("presence"), method="by_presence", choices=PRESENCES)
    lock = django_filters.ChoiceFilter(label=_("lock"), method="by_lock", choices=LOCKS)
    command = django_filters.ChoiceFilter(label=_("command"), method="by_command", choices=COMMANDS)
    ends = django_filters.ChoiceFilter(label=_("ends within"), method="ends_within", choices=WITHIN)

    def __init__(
        self,
        data: QueryDict | None = None,
        queryset: QuerySet[Any] | None = None,
        products: Iterable[tuple[int, str]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(data, queryset, **options)
        choosing = self.filters["product"].extra["widget"]
        if products is not None and isinstance(choosing, ChooseInList):
            choosing.asks = {"paid": "yes"}
        self.filters["product"].extra["choices"] = Offered(Product.objects.order_by("name", "pk"), products)

    def in_state(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """By commercial state. A device's service is of its enterprise: saying so lets the index find rare ones."""
        wanted: dict[str, Any] = {f"{self.service}state": value}
        if self.service and (enterprises := enterprises_in_scope()) is not None:
            wanted[f"{self.service}enterprise__in"] = enterprises
        return rows.filter(**wanted)

    def by_presence(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Online, offline, or never seen at all."""
        seen = f"{self.device}presence__last_seen_at__isnull"
        match value:
            case "online":
                return rows.filter(**{f"{self.device}presence__is_online": True})
            case "offline":
                return rows.filter(**{f"{self.device}presence__is_online": False, seen: False})
        return rows.filter(**{seen: True})

    def by_lock(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """As reported, or where that isn't what is wanted."""
        if value == "differs":
            apart = [
                Q(**{f"{self.service}desired_lock": wish}) & ~Q(**{f"{self.service}reported_lock": wish})
                for wish in ("LOCKED", "UNLOCKED")
            ]
            return rows.filter(apart[0] | apart[1])
        return rows.filter(**{f"{self.service}reported_lock": value.upper()})

    def by_command(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """With a lock or unlock that waits for the device, one that a brake holds (P8), or one that failed lately."""
        commands = Command.objects.filter(slot="LOCK", status__in=OPEN_STATUSES)
        if value == "held":
            commands = Command.objects.filter(hold__isnull=False)
        if value == "failed":
            since = clock.now() - timedelta(days=7)
            commands = Command.objects.filter(slot="LOCK", status="FAILED", closed_at__gt=since)
        return rows.filter(pk__in=commands.values("device_id"))

    def ends_within(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Active services whose end lies before then."""
        now, end = clock.now(), f"{self.service}ends_at"
        until = now + timedelta(days=int(value))
        return rows.filter(**{f"{self.service}state": "ACTIVE", f"{end}__gt": now, f"{end}__lte": until})


class DeviceFilters(_FleetFilters):
    """Device > Device List."""

    service = "service__"
    searched = ("key", "serial", "iccid", "name")
    key = django_filters.CharFilter(label=_("device key"), max_length=64)
    serial = django_filters.CharFilter(label=_("serial number"), max_length=64)
    iccid = django_filters.CharFilter(label="ICCID", max_length=22)
    ends_from = FromDay(label=_("ends from"), field_name="service__ends_at")
    ends_to = ToDay(label=_("ends to"), field_name="service__ends_at")
    registered_from = FromDay(label=_("registered from"), field_name="created_at")
    registered_to = ToDay(label=_("registered to"), field_name="created_at")

    class Meta:
        model = Device
        fields: list[str] = []


class DeviceServiceFilters(_FleetFilters):
    """Plan > Device Service (G3)."""

    device = "device__"
    searched = ("device__key", "device__serial", "device__iccid", "device__name")
    key = django_filters.CharFilter(label=_("device key"), field_name="device__key", max_length=64)
    serial = django_filters.CharFilter(label=_("serial number"), field_name="device__serial", max_length=64)
    iccid = django_filters.CharFilter(label="ICCID", field_name="device__iccid", max_length=22)
    ends_from = FromDay(label=_("ends from"), field_name="ends_at")
    ends_to = ToDay(label=_("ends to"), field_name="ends_at")
    registered_from = FromDay(label=_("registered from"), field_name="device__created_at")
    registered_to = ToDay(label=_("registered to"), field_name="device__created_at")

    class Meta:
        model = DeviceService
        fields: list[str] = []


class ValidityFilters(EnterpriseFilterSet):
    """Device > SIM and RTK services (N3): `kind`, `product`, `enterprise`, `device`, `ends`, `ends_from`, `ends_to`."""

    searched = ("device__key", "device__serial", "device__iccid")
    search_hint = _("Device key, serial number or ICCID begins with …")
    decides_order = {"ends": "ends", "ends_from": "ends", "ends_to": "ends"}

    unseen = frozenset({"device"})

    device = IdFilter(field_name="device_id", label=_("id of the device"))
    product = RowChoiceFilter(
        label=_("product"), field_name="product", choices=(), widget=ChooseInList("admin:product_choices")
    )
    kind = django_filters.ChoiceFilter(label=_("service"), choices=SERVICE_CHOICES)
    ends = django_filters.ChoiceFilter(
        label=_("ends within"), method="ends_within", choices=[*WITHIN, ("over", _("Over"))]
    )
    ends_from = FromDay(label=_("ends from"), field_name="ends_at")
    ends_to = ToDay(label=_("ends to"), field_name="ends_at")

    class Meta:
        model = Validity
        fields: list[str] = []

    def __init__(self, data: QueryDict | None = None, queryset: QuerySet[Any] | None = None, **options: Any) -> None:
        super().__init__(data, queryset, **options)
        self.filters["product"].extra["choices"] = Offered(Product.objects.order_by("name", "pk"))

    def ends_within(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Those that end so soon, or have ended."""
        now = clock.now()
        if value == "over":
            return rows.filter(ends_at__lte=now)
        return rows.filter(ends_at__gt=now, ends_at__lte=now + timedelta(days=int(value)))


class CommandFilters(ListFilterSet):
    """Commands to devices."""

    device = IdFilter(field_name="device_id", label=_("id of the device"))
    status = django_filters.ChoiceFilter(label=_("status"), choices=Command._meta.get_field("status").choices)
    kind = django_filters.ChoiceFilter(label=_("command"), choices=Command._meta.get_field("kind").choices)

    class Meta:
        model = Command
        fields: list[str] = []
