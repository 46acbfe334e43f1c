"""Devices and the tokens of their public renewal pages."""

from __future__ import annotations

from typing import Self

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from catalog.models import Product

KEY_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
"""Device keys are parts of topics and user names: no `/ + # :`, nothing else that a broker could read (F68)."""


class DeviceQuerySet(models.QuerySet["Device"]):
    """Verbs over devices."""

    def live(self) -> Self:
        """Devices that are not terminated."""
        return self.filter(terminated_at=None)


class Device(models.Model):
    """One physical device of a product, known to the broker as `{product key}/{device key}`."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="devices", verbose_name=_("enterprise"))
    product = models.ForeignKey(Product, models.PROTECT, related_name="devices", verbose_name=_("product"))
    key = models.CharField(
        _("device key"),
        max_length=64,
        validators=[RegexValidator(KEY_PATTERN, _("Use 1 to 64 letters, digits, - or _."))],
    )
    name = models.CharField(_("name"), max_length=120, blank=True, default="")
    serial = models.CharField(_("serial number"), max_length=64, blank=True, default="")
    iccid = models.CharField("ICCID", max_length=22, blank=True, default="")
    # Mosquitto's own PBKDF2 form; the password itself is shown once, at registration or rotation (X4).
    credential_hash = models.CharField(max_length=200, editable=False, default="")
    credential_rotated_at = models.DateTimeField(_("credential issued"), null=True, editable=False)
    # Set while the device has no credential: it can't connect until a new one is issued (X4).
    credential_revoked_at = models.DateTimeField(_("credential revoked"), null=True, editable=False)
    created_at = models.DateTimeField(_("registered"))
    terminated_at = models.DateTimeField(_("terminated"), null=True, editable=False)

    objects = tenant_manager(DeviceQuerySet)

    class Meta:
        verbose_name = _("device")
        verbose_name_plural = _("device list")
        constraints = [
            # A terminated device frees its key: the same key may be registered anew (F70).
            models.UniqueConstraint(
                fields=["product", "key"], condition=Q(terminated_at__isnull=True), name="live_device_key_unique"
            )
        ]
        indexes = [
            models.Index(fields=["enterprise", "-id"], name="device_of_enterprise"),
            models.Index(fields=["created_at", "id"], name="device_registered"),
            models.Index(fields=["key"], name="device_key"),
            models.Index(fields=["serial"], name="device_serial"),
            models.Index(fields=["iccid"], name="device_iccid"),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def mqtt_user_name(self) -> str:
        """How the broker knows it, as user name and as client id (F68); reads the product."""
        return f"{self.product.key}/{self.key}"


class PublicToken(models.Model):
    """The secret of one device's renewal page: only its SHA-256 is kept; revocable (F85)."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    device = models.ForeignKey(Device, models.PROTECT, related_name="public_tokens", verbose_name=_("device"))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("issued"))
    revoked_at = models.DateTimeField(_("revoked"), null=True)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("renewal link")
        verbose_name_plural = _("renewal links")

    def __str__(self) -> str:
        return f"{self.device}"
