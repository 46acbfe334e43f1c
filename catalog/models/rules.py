"""The device service rule of a product: immutable versions, one in force (A1–A25)."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import upward_manager
from catalog.models.products import Product

MAX_CACHE_SECONDS = 90 * 86_400
"""A20: commands wait at most 90 days."""
DEFAULT_CACHE_SECONDS = 7 * 86_400


class ServiceRule(models.Model):
    """One version of how a product's device service starts, runs and ends. A change is a new version (A5).

    Thresholds are seconds of cumulative online time; actions are lists of {"code", "value"} on the thing model (A19).
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    product = models.ForeignKey(Product, models.PROTECT, related_name="rules", verbose_name=_("product"))
    version = models.PositiveIntegerField(_("version"))
    is_current = models.BooleanField(_("in force"), default=True)

    paid_mode = models.BooleanField(_("paid service mode"), default=False)
    # A4: online time counts from here; kept from version to version while the mode stays on.
    paid_mode_since = models.DateTimeField(_("paid mode since"), null=True, blank=True)
    # Since when these thresholds hold: lowering one moves devices from then on, not in the past.
    thresholds_since = models.DateTimeField()
    trial_start_seconds = models.PositiveIntegerField(_("trial starts at"), default=0)
    trial_end_seconds = models.PositiveIntegerField(_("trial ends at"), default=3_600)
    auto_subscribe = models.BooleanField(_("auto-subscription upon trial expiration"), default=False)
    auto_plan = models.ForeignKey(
        "catalog.Plan", models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("included plan")
    )
    renewal_before_trial_end = models.BooleanField(_("allow renewal before trial ends"), default=False)
    lock_action = models.JSONField(_("lock action"), default=list)
    unlock_action = models.JSONField(_("unlock action"), default=list)
    cache_seconds = models.PositiveIntegerField(
        _("cache duration"), default=DEFAULT_CACHE_SECONDS, validators=[MaxValueValidator(MAX_CACHE_SECONDS)]
    )
    # P4: silence closes a session only where devices promise a heartbeat.
    heartbeat_seconds = models.PositiveIntegerField(_("heartbeat"), null=True, blank=True)
    created_at = models.DateTimeField(_("saved"))
    created_by = models.CharField(_("by"), max_length=160, default="system")

    objects = upward_manager()

    class Meta:
        verbose_name = _("device service rule")
        verbose_name_plural = _("device service")
        constraints = [
            models.UniqueConstraint(fields=["product", "version"], name="rule_version_unique"),
            models.UniqueConstraint(fields=["product"], condition=Q(is_current=True), name="one_rule_in_force"),
            models.CheckConstraint(
                condition=Q(trial_start_seconds__lt=F("trial_end_seconds")), name="trial_starts_before_it_ends"
            ),
            models.CheckConstraint(condition=Q(cache_seconds__lte=MAX_CACHE_SECONDS), name="cache_at_most_90_days"),
            models.CheckConstraint(
                condition=Q(auto_subscribe=False) | Q(auto_plan__isnull=False), name="auto_subscription_names_a_plan"
            ),
            models.CheckConstraint(
                condition=Q(paid_mode=False) | Q(paid_mode_since__isnull=False), name="paid_mode_has_a_start"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.product} rule {self.version}"
