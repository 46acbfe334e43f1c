"""Admin of devices: Device > Device List, Plan > Device Service, and the rule's page below Product."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from amp.foundation import clock
from amp.foundation.access import Action, may_anywhere
from amp.foundation.admin import MemberAdmin, RecordAdmin
from amp.foundation.lists.keyset import Ordering
from amp.foundation.lists.listed import Listed
from amp.foundation.pages import found, signed_in
from amp.foundation.templatetags.amp_display import day, moment
from catalog.models import Product
from devices.admin_views import actions, credentials, import_files, imports, registration, restart, transfer, validities
from devices.admin_views.cells import (
    DEVICE_COLUMNS,
    SERVICE_COLUMNS,
    ServiceColumns,
    left,
    lock_badges,
    named,
    presence_badge,
    state_badge,
)
from devices.admin_views.import_columns import VALIDITY_COLUMNS, ImportColumns, ValidityColumns
from devices.filters import DeviceFilters, DeviceServiceFilters, ValidityFilters
from devices.models import Device, DeviceService, Import, Validity


@admin.register(Device)
class DeviceAdmin(Listed, MemberAdmin):
    """Device > Device List. The details page is the roof's, which adds the device's orders."""

    add_action = Action.REGISTER_DEVICES
    creation = staticmethod(registration.add_device)
    further = (
        ("import/", "devices_import", imports.import_devices),
        ("<int:pk>/link/", "device_issue_link", actions.issue_link),
        ("<int:pk>/link/<int:token>/revoke/", "device_revoke_link", actions.revoke_link),
        ("<int:pk>/credential/", "device_new_credential", actions.new_credential),
        ("<int:pk>/credential/revoke/", "device_revoke_credential", credentials.revoke),
        ("<int:pk>/credential/disconnect/", "device_disconnect", credentials.disconnect),
        ("<int:pk>/terminate/", "device_terminate", actions.terminate),
        ("<int:pk>/transfer/", "device_transfer", transfer.transfer),
        ("<int:pk>/restart/", "device_restart", restart.restart),
        ("<int:pk>/validity/<str:kind>/", "device_validity", validities.change_validity),
        ("<int:pk>/commands/<int:command>/resend/", "device_resend", actions.resend),
        ("<int:pk>/commands/<int:command>/cancel/", "device_cancel", actions.cancel),
    )
    tools = ((_("Register from a file"), "upload_file", "admin:devices_import", Action.REGISTER_DEVICES),)
    section = _("Device")
    list_title = _("Device List")
    add_title = _("Register a device")
    empty_hint = _("Register a device, or many from a CSV file.")
    filterset_class = DeviceFilters
    orderings = (
        Ordering("registered", _("Registered, newest first"), "created_at"),
        Ordering("oldest", _("Registered, oldest first"), "created_at", descending=False),
        Ordering("ends", _("Ends, soonest first"), "service__ends_at", descending=False, nullable=True),
        Ordering("ends_last", _("Ends, latest first"), "service__ends_at", nullable=True),
    )
    list_display = ("device_key", "product", "enterprise", "state", "ends", "time_left", "seen", "lock", "last_seen")
    extra_columns = ("name", "serial", "iccid", "registered")
    list_select_related = ("product", "enterprise", "service", "presence")
    export_columns = DEVICE_COLUMNS

    @admin.display(description=_("device"))
    def device_key(self, device: Device) -> str:
        """The key, which is what people look for, and what else it is called."""
        return named(device)

    @admin.display(description=_("service"))
    def state(self, device: Device) -> str:
        """The commercial state."""
        return state_badge(device.service)

    @admin.display(description=_("ends"))
    def ends(self, device: Device) -> str:
        """The day on which the service ends, or ended."""
        return day(device.service.ends_at)

    @admin.display(description=_("time left"))
    def time_left(self, device: Device) -> str:
        """Until that end."""
        return left(device.service.ends_at, clock.now())

    @admin.display(description=_("presence"))
    def seen(self, device: Device) -> str:
        """Whether it is online."""
        return presence_badge(device.presence)

    @admin.display(description=_("lock"))
    def lock(self, device: Device) -> str:
        """Wanted and reported."""
        return lock_badges(device.service)

    @admin.display(description=_("last seen"))
    def last_seen(self, device: Device) -> str:
        """The minute."""
        return moment(device.presence.last_seen_at)

    @admin.display(description=_("registered"))
    def registered(self, device: Device) -> str:
        """The day."""
        return day(device.created_at)


@admin.register(DeviceService)
class DeviceServiceAdmin(ServiceColumns, Listed, RecordAdmin):
    """Plan > Device Service: every device with paid service (G3)."""

    tools = ((_("Renew from a file"), "upload_file", "admin:order_upload", Action.RENEW),)
    section = _("Plan")
    list_title = _("Device Service")
    filterset_class = DeviceServiceFilters
    orderings = (
        Ordering("ends", _("Ends, soonest first"), "ends_at", descending=False, nullable=True),
        Ordering("ends_last", _("Ends, latest first"), "ends_at", nullable=True),
        Ordering("registered", _("Registered, newest first"), "device__created_at"),
    )
    list_display = (
        *("device_key", "product", "enterprise", "service_state", "ends", "time_left", "seen", "lock", "last_seen"),
        "act",
    )
    extra_columns = ("next_change", "name", "serial", "iccid", "registered")
    list_select_related = ("device__presence", "product", "enterprise")
    export_columns = SERVICE_COLUMNS
    actions: Any = ("renew_selected",)
    sortable_by = ()
    empty_hint = _("Devices appear here when paid service is on for their product, under Product > Device Service.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeviceService]:
        """Of products whose paid mode is on; terminated ones are history.

        The products are read first: a list of ids keeps the planner on the index that the order needs.
        """
        paid = [pk for pk, _name in self._paid_products(request)]
        return super().get_queryset(request).filter(product_id__in=paid).exclude(state="TERMINATED")

    def filterset(self, request: HttpRequest, rows: QuerySet[Any]) -> DeviceServiceFilters:
        """Offers the products of the list, which are already known."""
        return DeviceServiceFilters(request.GET, rows, products=self._paid_products(request))

    def _paid_products(self, request: HttpRequest) -> list[tuple[int, str]]:
        """Ids and names, read once for a request."""
        found: list[tuple[int, str]] | None = getattr(request, "_paid_products", None)
        if found is None:
            paid = Product.objects.filter(rules__is_current=True, rules__paid_mode=True)
            found = list(paid.order_by("name", "pk").values_list("pk", "name"))
            request._paid_products = found  # type: ignore[attr-defined]
        return found

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """Without the link to a page that would refuse the reader."""
        columns = super().get_list_display(request)
        return columns if self.has_renew_permission(request) else [name for name in columns if name != "act"]

    def has_renew_permission(self, request: HttpRequest) -> bool:
        """By role; the page of the renewal asks again for each enterprise."""
        return may_anywhere(signed_in(request), Action.RENEW)

    @admin.action(description=_("Renew"), permissions=["renew"])
    def renew_selected(self, request: HttpRequest, _services: QuerySet[DeviceService]) -> HttpResponse:
        """The page that keeps selections reads this very form itself: what was ticked, or all that matches."""
        return redirect(f"{reverse('admin:order_select')}?{request.GET.urlencode()}", preserve_request=True)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Details are those of the device."""
        pk = int(object_id) if object_id.isdecimal() else 0
        return redirect("admin:device_details", found(DeviceService.objects.all(), pk).pk)

    @admin.display(description=_("device"))
    def device_key(self, service: DeviceService) -> str:
        """The key, and what else the device is called."""
        return named(service.device)

    @admin.display(description=_("service"))
    def service_state(self, service: DeviceService) -> str:
        """The commercial state."""
        return state_badge(service)

    @admin.display(description=_("ends"))
    def ends(self, service: DeviceService) -> str:
        """The day."""
        return day(service.ends_at)

    @admin.display(description=_("time left"))
    def time_left(self, service: DeviceService) -> str:
        """Until that end."""
        return left(service.ends_at, clock.now())

    @admin.display(description=_("presence"))
    def seen(self, service: DeviceService) -> str:
        """Whether it is online."""
        return presence_badge(service.device.presence)

    @admin.display(description=_("lock"))
    def lock(self, service: DeviceService) -> str:
        """Wanted and reported."""
        return lock_badges(service)

    @admin.display(description=_("last seen"))
    def last_seen(self, service: DeviceService) -> str:
        """The minute."""
        return moment(service.device.presence.last_seen_at)

    @admin.display(description=_("next change"))
    def next_change(self, service: DeviceService) -> str:
        """When something next happens by itself."""
        return moment(service.due_at)

    @admin.display(description=_("action"))
    def act(self, service: DeviceService) -> str:
        """To the choice of a plan."""
        return format_html(
            '<a class="amp-link" href="{}?device={}">{}</a>', reverse("admin:order_renew"), service.pk, _("Renew")
        )


@admin.register(Validity)
class ValidityAdmin(ValidityColumns, Listed, RecordAdmin):
    """Device > SIM and RTK services (N3)."""

    section = _("Device")
    list_title = _("SIM and RTK services")
    further = (("import/", "devices_import_validities", imports.import_validities),)
    tools = ((_("Set from a file"), "upload_file", "admin:devices_import_validities", Action.OPERATE_DEVICES),)
    filterset_class = ValidityFilters
    orderings = (
        Ordering("ends", _("Ends, soonest first"), "ends_at", descending=False),
        Ordering("ends_last", _("Ends, latest first"), "ends_at"),
    )
    list_display = ("device_key", "kind", "badge", "until", "time_left", "product", "enterprise")
    extra_columns = ("since", "set_by_whom", "set_when")
    list_select_related = ("device", "product", "enterprise")
    export_columns = VALIDITY_COLUMNS
    sortable_by = ()
    empty_hint = _("Set the SIM or RTK validity on the page of a device, or of many from a file.")


@admin.register(Import)
class ImportAdmin(ImportColumns, RecordAdmin):
    """Device > Imports: who imported what, and how far it is (F92)."""

    details = staticmethod(imports.import_page)
    further = (
        ("<int:pk>/confirm/", "devices_import_confirm", imports.confirm),
        ("<int:pk>/cancel/", "devices_import_cancel", imports.cancel),
        ("<int:pk>/retry/", "devices_import_retry", imports.retry),
        ("<int:pk>/status/", "devices_import_status", imports.import_status),
        ("<int:pk>/credentials/", "devices_import_credentials", import_files.credentials),
        ("<int:pk>/problems/", "devices_import_problems", import_files.problems),
    )
    tools = (
        (_("Set validities"), "sim_card", "admin:devices_import_validities", Action.OPERATE_DEVICES),
        (_("Register devices"), "upload_file", "admin:devices_import", Action.REGISTER_DEVICES),
    )
    section = _("Device")
    list_title = _("Imports")
    list_display = ("file", "kind", "badge", "done", "rows_bad", "enterprise", "by", "uploaded")
    list_select_related = ("enterprise",)
    search_fields = ("file_name__startswith", "created_by__startswith")
    sortable_by = ()
    empty_hint = _("Register devices or set SIM and RTK validities from a CSV or XLSX file.")
