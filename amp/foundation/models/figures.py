"""Counted figures: what overviews show without counting anything themselves."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models.enterprises import Enterprise
from amp.foundation.scoping import tenant_manager


class Figure(models.Model):
    """One number about one enterprise, as it was when its group was last counted; nothing is stored for 0.

    `name` says what was counted, `bucket` for which part of it: "services" × "ACTIVE", "paid_total" × "2027-02 CNY".
    A projection: counting anew rebuilds it.
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", db_index=False)
    name = models.CharField(max_length=24)
    bucket = models.CharField(max_length=24, default="", db_default="")
    number = models.BigIntegerField()

    objects = tenant_manager()

    class Meta:
        verbose_name = _("figure")
        verbose_name_plural = _("figures")
        constraints = [models.UniqueConstraint(fields=["enterprise", "name", "bucket"], name="figure_unique")]

    def __str__(self) -> str:
        return f"{self.enterprise_id} {self.name} {self.bucket}: {self.number}"


class Tally(models.Model):
    """When a group of an enterprise's figures was counted, and when it is counted again (product time).

    `whole_at` is the last time that everything was counted, not only what may still change.
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", db_index=False)
    group = models.CharField(max_length=12)
    counted_at = models.DateTimeField(_("counted"), null=True)
    whole_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField()

    objects = tenant_manager()

    class Meta:
        verbose_name = _("tally")
        verbose_name_plural = _("tallies")
        constraints = [
            models.UniqueConstraint(fields=["enterprise", "group"], name="one_tally_per_group"),
            models.CheckConstraint(condition=Q(whole_at=None) | Q(counted_at__isnull=False), name="whole_is_counted"),
        ]
        indexes = [models.Index(fields=["group", "due_at"], name="tally_due")]

    def __str__(self) -> str:
        return f"{self.enterprise_id} {self.group}"
