"""SIM and RTK services: a validity that people, an import or the API set (N3)."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from catalog.models import Product
from devices.models.devices import Device


class ServiceKind(StrEnum):
    """The services of a device beside the device service itself (N3)."""

    SIM = "SIM"
    RTK = "RTK"


SERVICE_CHOICES = [(ServiceKind.SIM.value, "SIM"), (ServiceKind.RTK.value, "RTK")]
WIRE_NUMBERS = {ServiceKind.SIM.value: 1, ServiceKind.RTK.value: 2}
"""`serviceName` in notices; 3 is the device service (N3, N7)."""


class Validity(models.Model):
    """How long one service of a device is valid: no trial, no lock, only an end (N3).

    One row a device and kind, until it is cleared; what it was before is told by events. `ends_at` is the first moment
    at which it is over. `set_at` is when this end was set: a notice is due only if its moment lies after it (N5).
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    product = models.ForeignKey(Product, models.PROTECT, related_name="+", verbose_name=_("product"))
    device = models.ForeignKey(Device, models.PROTECT, related_name="validities", verbose_name=_("device"))
    kind = models.CharField(_("service"), max_length=10, choices=SERVICE_CHOICES)
    starts_at = models.DateTimeField(_("valid from"), null=True)
    ends_at = models.DateTimeField(_("valid until"))
    set_at = models.DateTimeField(_("set"))
    set_by = models.CharField(_("set by"), max_length=160, default="", db_default="")

    objects = tenant_manager()

    class Meta:
        verbose_name = _("SIM or RTK service")
        verbose_name_plural = _("SIM and RTK services")
        constraints = [
            models.UniqueConstraint(fields=["device", "kind"], name="one_validity_per_service"),
            models.CheckConstraint(
                condition=Q(starts_at__isnull=True) | Q(starts_at__lt=F("ends_at")), name="validity_starts_before_end"
            ),
        ]
        indexes = [
            models.Index(fields=["enterprise", "ends_at", "id"], name="validity_of_enterprise"),
            models.Index(fields=["product", "ends_at"], name="validity_of_product"),
            models.Index(fields=["ends_at"], name="validity_ends"),
        ]

    def __str__(self) -> str:
        return f"{self.device_id} {self.kind}"
