"""Selections: devices that somebody is about to renew together (Q1)."""

from __future__ import annotations

from enum import StrEnum

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from billing.models.orders import Order
from devices.models import Device


class SelectionSource(StrEnum):
    """How the devices were chosen."""

    LIST = "LIST"
    FILE = "FILE"


class RenewalSelection(models.Model):
    """What one member chose, as rows: no address carries 10,000 ids, and two tabs don't disturb each other (F32).

    Its owner alone sees it. It makes one order at a time, and is thrown away a day after it was made.
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("by"))
    source = models.CharField(max_length=4, default=SelectionSource.LIST.value)
    file_name = models.CharField(_("file"), max_length=200, default="")
    devices = models.PositiveIntegerField(_("devices"))
    # Devices that were named more than once, and lines that name none that the owner may see.
    repeated = models.PositiveIntegerField(default=0)
    unknown = models.PositiveIntegerField(default=0)
    # The last order that was made of it.
    order = models.ForeignKey(Order, models.PROTECT, null=True, related_name="+", verbose_name=_("order"))
    created_at = models.DateTimeField(_("created"))
    # Real time: when a sweep throws it away.
    clear_at = models.DateTimeField()

    objects = tenant_manager()

    class Meta:
        verbose_name = _("selection of devices")
        verbose_name_plural = _("selections of devices")
        constraints = [
            models.CheckConstraint(condition=Q(devices__gte=1, devices__lte=10_000), name="selection_size"),
        ]
        indexes = [models.Index(fields=["clear_at"], name="selection_clear")]

    def __str__(self) -> str:
        return f"{self.devices:,}"


class SelectedDevice(models.Model):
    """One device of a selection, or a line of the file that names none: then `problem` is [code, arguments…]."""

    selection = models.ForeignKey(RenewalSelection, models.CASCADE, related_name="rows", verbose_name=_("selection"))
    # The line of the file; the place in the list where there is no file.
    line = models.PositiveIntegerField(_("line"))
    device = models.ForeignKey(Device, models.PROTECT, null=True, related_name="+", verbose_name=_("device"))
    key = models.CharField(_("device key"), max_length=200, default="")
    product_key = models.CharField(_("product"), max_length=200, default="")
    problem = models.JSONField(null=True)

    objects = tenant_manager(path="selection__enterprise")

    class Meta:
        verbose_name = _("selected device")
        verbose_name_plural = _("selected devices")
        constraints = [
            models.UniqueConstraint(fields=["selection", "device"], name="device_once_per_selection"),
            models.CheckConstraint(
                condition=Q(device__isnull=False) | Q(problem__isnull=False), name="selected_device_or_problem"
            ),
        ]
        indexes = [
            models.Index(fields=["selection", "line"], condition=Q(device__isnull=True), name="selection_unknown_lines")
        ]

    def __str__(self) -> str:
        return f"{self.selection_id}:{self.line}"
