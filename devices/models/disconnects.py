"""Connections that the broker is asked to end, because the credential behind them no longer holds (X4)."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from devices.models.devices import Device


class DisconnectStatus(StrEnum):
    """Waiting for the broker; done, or there was no connection; the broker has no such call; given up."""

    PENDING = "PENDING"
    DONE = "DONE"
    UNSUPPORTED = "UNSUPPORTED"
    DEAD = "DEAD"


class Disconnect(models.Model):
    """One connection to end. `due_at` is the next attempt while PENDING, and null afterwards."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    device = models.ForeignKey(Device, models.PROTECT, related_name="disconnects", verbose_name=_("device"))
    client_id = models.CharField(max_length=97)
    status = models.CharField(
        _("status"),
        max_length=11,
        choices=[
            (DisconnectStatus.PENDING.value, _("Waiting for the broker")),
            (DisconnectStatus.DONE.value, _("Connection ended")),
            (DisconnectStatus.UNSUPPORTED.value, _("Left to the broker")),
            (DisconnectStatus.DEAD.value, _("Given up")),
        ],
        default=DisconnectStatus.PENDING.value,
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    problem = models.CharField(_("problem"), max_length=300, default="", db_default="")
    created_at = models.DateTimeField(_("created"))
    due_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(_("closed"), null=True)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("disconnection")
        verbose_name_plural = _("disconnections")
        constraints = [
            models.UniqueConstraint(
                fields=["device"], condition=Q(status=DisconnectStatus.PENDING.value), name="one_open_disconnect"
            )
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="disconnect_due")]

    def __str__(self) -> str:
        return f"{self.client_id} {self.status}"
