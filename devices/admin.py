"""Admin of devices: Device > Device List, Plan > Device Service, and the rule's page below Product."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter

from amp.foundation import clock
from amp.foundation.access import Action
from amp.foundation.admin import MemberAdmin, RecordAdmin
from amp.foundation.pages import found
from amp.foundation.templatetags.amp_display import TONES, badge_html, day, moment
from catalog.models import Product
from devices.admin_views import actions, credentials, registration, restart, transfer
from devices.models import Device, DeviceService
from devices.models.service import STATE_CHOICES


class StateFilter(DropdownFilter):
    """By commercial state."""

    title = _("service")
    parameter_name = "state"
    path = "service__state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """All states."""
        return [(state, word) for state, word in STATE_CHOICES if state != "FREE"]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Rows in that state."""
        return queryset.filter(**{self.path: self.value()}) if self.value() else queryset


class ProductFilter(DropdownFilter):
    """By product; the choice is read for each request, in its scope."""

    title = _("product")
    parameter_name = "product__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Products that the user may read."""
        return [(str(pk), name) for pk, name in Product.objects.order_by("name").values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Rows of that product."""
        chosen = self.value()
        return queryset.filter(product_id=int(chosen)) if chosen and str(chosen).isdecimal() else queryset


class PresenceFilter(DropdownFilter):
    """Online, offline, never seen."""

    title = _("presence")
    parameter_name = "presence"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Three kinds."""
        return [("online", _("Online")), ("offline", _("Offline")), ("never", _("Never seen"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By the row of presence."""
        match self.value():
            case "online":
                return queryset.filter(presence__is_online=True)
            case "offline":
                return queryset.filter(presence__is_online=False, presence__last_seen_at__isnull=False)
            case "never":
                return queryset.filter(presence__last_seen_at__isnull=True)
        return queryset


class EndsFilter(DropdownFilter):
    """Which services end within a number of days."""

    title = _("ends within")
    parameter_name = "ends"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The thresholds of the notices, and a quarter."""
        return [("7", _("7 days")), ("30", _("30 days")), ("90", _("90 days"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Active services whose end lies before then."""
        if self.value() not in {"7", "30", "90"}:
            return queryset
        now = clock.now()
        return queryset.filter(state="ACTIVE", ends_at__gt=now, ends_at__lte=now + timedelta(days=int(self.value())))


class ServiceStateFilter(StateFilter):
    """The same on the list of services."""

    path = "state"


class LockFilter(DropdownFilter):
    """Devices that don't do what they should."""

    title = _("lock")
    parameter_name = "lock"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Locked, or not as wanted."""
        return [("locked", _("Locked")), ("differs", _("Not as wanted"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By wanted and reported lock."""
        if self.value() == "locked":
            return queryset.filter(reported_lock="LOCKED")
        if self.value() == "differs":
            wanted_open = Q(desired_lock="UNLOCKED") & ~Q(reported_lock="UNLOCKED")
            wanted_shut = Q(desired_lock="LOCKED") & ~Q(reported_lock="LOCKED")
            return queryset.filter(wanted_open | wanted_shut)
        return queryset


def presence_badge(presence: Any) -> str:
    """Online, or when it was last seen."""
    if presence.is_online:
        return badge_html(_("Online"), "green")
    if presence.last_seen_at is None:
        return badge_html(_("Never seen"))
    return badge_html(_("Offline"), "grey", moment(presence.last_seen_at))


def state_badge(service: DeviceService) -> str:
    """A dot and the word of the state."""
    return badge_html(service.get_state_display(), TONES.get(service.state, "grey"))


@admin.register(Device)
class DeviceAdmin(MemberAdmin):
    """Device > Device List. The details page is the roof's, which adds the device's orders."""

    add_action = Action.REGISTER_DEVICES
    creation = staticmethod(registration.add_device)
    further = (
        ("import/", "devices_import", registration.import_devices),
        ("import/register/", "devices_register_list", registration.register_list),
        ("<int:pk>/link/", "device_issue_link", actions.issue_link),
        ("<int:pk>/link/<int:token>/revoke/", "device_revoke_link", actions.revoke_link),
        ("<int:pk>/credential/", "device_new_credential", actions.new_credential),
        ("<int:pk>/credential/revoke/", "device_revoke_credential", credentials.revoke),
        ("<int:pk>/credential/disconnect/", "device_disconnect", credentials.disconnect),
        ("<int:pk>/terminate/", "device_terminate", actions.terminate),
        ("<int:pk>/transfer/", "device_transfer", transfer.transfer),
        ("<int:pk>/restart/", "device_restart", restart.restart),
        ("<int:pk>/commands/<int:command>/resend/", "device_resend", actions.resend),
        ("<int:pk>/commands/<int:command>/cancel/", "device_cancel", actions.cancel),
    )
    tools = ((_("Register from a file"), "upload_file", "admin:devices_import", Action.REGISTER_DEVICES),)
    section = _("Device")
    list_title = _("Device List")
    add_title = _("Register a device")
    empty_hint = _("Register a device, or many from a CSV file.")
    list_display = ("device_key", "product", "state", "seen", "ends", "serial", "iccid", "enterprise")
    list_select_related = ("product", "enterprise", "service", "presence")
    list_filter = (ProductFilter, StateFilter, PresenceFilter)
    list_filter_submit = True
    search_fields = ("key__startswith", "serial__startswith", "iccid__startswith", "name__icontains")
    search_help_text = _("Key, serial number, ICCID or name")
    sortable_by = ()

    @admin.display(description=_("device"))
    def device_key(self, device: Device) -> str:
        """The key, which is what people look for."""
        return format_html('<span class="amp-when">{}</span>', device.key)

    @admin.display(description=_("service"))
    def state(self, device: Device) -> str:
        """The commercial state."""
        return state_badge(device.service)

    @admin.display(description=_("presence"))
    def seen(self, device: Device) -> str:
        """Whether it is online."""
        return presence_badge(device.presence)

    @admin.display(description=_("ends"))
    def ends(self, device: Device) -> str:
        """The day on which the service ends, or ended."""
        return day(device.service.ends_at)


@admin.register(DeviceService)
class DeviceServiceAdmin(RecordAdmin):
    """Plan > Device Service: every device with paid service (G3)."""

    section = _("Plan")
    list_title = _("Device Service")
    list_display = ("device", "service_state", "lock", "seen", "ends", "next_change", "product", "enterprise", "act")
    list_select_related = ("device__presence", "product", "enterprise")
    list_filter = (ProductFilter, ServiceStateFilter, EndsFilter, LockFilter)
    list_filter_submit = True
    search_fields = ("device__key__startswith", "device__serial__startswith", "device__iccid__startswith")
    search_help_text = _("Key, serial number or ICCID")
    ordering = ("-device_id",)
    sortable_by = ()
    empty_hint = _("Devices appear here when paid service is on for their product, under Product > Device Service.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeviceService]:
        """Of products whose paid mode is on; terminated ones are history."""
        return super().get_queryset(request).paid().exclude(state="TERMINATED")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Details are those of the device."""
        pk = int(object_id) if object_id.isdecimal() else 0
        return redirect("admin:device_details", found(DeviceService.objects.all(), pk).pk)

    @admin.display(description=_("service"))
    def service_state(self, service: DeviceService) -> str:
        """The commercial state."""
        return state_badge(service)

    @admin.display(description=_("lock"))
    def lock(self, service: DeviceService) -> str:
        """What was reported; amber where it isn't what is wanted."""
        if service.desired_lock == service.reported_lock or service.desired_lock == "UNKNOWN":
            tone = "red" if service.reported_lock == "LOCKED" else "grey"
            return badge_html(service.get_reported_lock_display(), tone)
        wish = _("lock wanted") if service.desired_lock == "LOCKED" else _("unlock wanted")
        return badge_html(wish, "amber", _("reported: %(lock)s") % {"lock": service.get_reported_lock_display()})

    @admin.display(description=_("presence"))
    def seen(self, service: DeviceService) -> str:
        """Whether it is online."""
        return presence_badge(service.device.presence)

    @admin.display(description=_("ends"))
    def ends(self, service: DeviceService) -> str:
        """The day."""
        return day(service.ends_at)

    @admin.display(description=_("next change"))
    def next_change(self, service: DeviceService) -> str:
        """When something next happens by itself."""
        return moment(service.due_at)

    @admin.display(description="")
    def act(self, service: DeviceService) -> str:
        """To the details, and to the choice of a plan."""
        return format_html(
            '<span class="amp-row-links"><a href="{}">{}</a><a href="{}?device={}">{}</a></span>',
            reverse("admin:device_details", args=[service.pk]),
            _("Details"),
            reverse("admin:order_renew"),
            service.pk,
            _("Renew"),
        )
