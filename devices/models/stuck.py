"""Services that our own code could not move on (F15)."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from amp.foundation.scoping import tenant_manager
from devices.models.devices import Device


class StuckService(models.Model):
    """Attempts to move a service on that failed in a row; `dead_at`: given up, a person has to look.

    Beside the service and not in it: hardly any service ever has such a row, and the sweep's rows stay as narrow as
    they are. It goes when the service moves on.
    """

    device = models.OneToOneField(
        Device, models.PROTECT, primary_key=True, related_name="stuck", verbose_name=_("device")
    )
    # Raised before the attempt, so one that never comes back is counted too.
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    attempted_at = models.DateTimeField(_("last attempt"))
    problem = models.CharField(_("problem"), max_length=300, default="", db_default="")
    dead_at = models.DateTimeField(_("given up"), null=True)

    objects = tenant_manager(path="device__enterprise")

    class Meta:
        verbose_name = _("stuck service")
        verbose_name_plural = _("stuck services")

    def __str__(self) -> str:
        return f"{self.device_id} {self.attempts}"
