"""Products and the versions of their thing models."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import upward_manager


class Product(models.Model):
    """A kind of device that an enterprise makes; its key is the first part of every topic (wire format)."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="products", verbose_name=_("enterprise"))
    name = models.CharField(_("name"), max_length=120)
    # Given by us and random, so that nobody learns of another tenant's product by a collision (F81).
    key = models.CharField(
        _("product key"), max_length=32, unique=True, validators=[RegexValidator(r"^[A-Za-z0-9_-]{1,32}$")]
    )
    description = models.TextField(_("description"), blank=True, default="")
    created_at = models.DateTimeField(_("created"))

    objects = upward_manager()

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        constraints = [
            models.UniqueConstraint(fields=["enterprise", "name"], name="product_name_unique_in_its_enterprise")
        ]

    def __str__(self) -> str:
        return self.name


class ThingModel(models.Model):
    """One imported version of a product's thing model (TSL); the highest version is in force. Rows never change."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    product = models.ForeignKey(Product, models.PROTECT, related_name="thing_models", verbose_name=_("product"))
    version = models.PositiveIntegerField(_("version"))
    document = models.JSONField(_("document"))
    created_at = models.DateTimeField(_("imported"))
    created_by = models.CharField(_("by"), max_length=160, default="system")

    objects = upward_manager()

    class Meta:
        verbose_name = _("TSL")
        verbose_name_plural = _("TSL")
        constraints = [models.UniqueConstraint(fields=["product", "version"], name="thing_model_version_unique")]
        ordering = ("product", "-version")

    def __str__(self) -> str:
        return f"{self.product} TSL {self.version}"
