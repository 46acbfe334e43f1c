"""Service levels, and plans: one price of one level (E3, V1)."""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise, Merchant
from amp.foundation.scoping import upward_manager
from catalog.models.products import Product

MAX_AMOUNT = 10**12
"""Upper bound of one price in minor units (F38)."""


class ServiceLevel(models.Model):
    """What a plan gives: a named, ranked level of service. Every product has a standard level, made with it (E4)."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="levels", verbose_name=_("enterprise"))
    name = models.CharField(_("name"), max_length=80)
    rank = models.PositiveIntegerField(_("rank"))
    standard_of = models.OneToOneField(
        Product, models.PROTECT, null=True, blank=True, related_name="standard_level", verbose_name=_("standard of")
    )
    products = models.ManyToManyField(Product, related_name="levels", verbose_name=_("offered for"))

    objects = upward_manager()

    class Meta:
        verbose_name = _("service level")
        verbose_name_plural = _("service levels")
        constraints = [models.UniqueConstraint(fields=["enterprise", "rank"], name="level_rank_unique_per_enterprise")]
        ordering = ("enterprise", "rank")

    def __str__(self) -> str:
        return self.name


class PlanType(StrEnum):
    """Who sells: the maker of the product, or the enterprise that resells the device (E3)."""

    MANUFACTURER = "MANUFACTURER"
    RESELLER = "RESELLER"


class PlanStatus(StrEnum):
    """A draft may change; what is published never does; an edit makes the next version (E3)."""

    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"
    WITHDRAWN = "WITHDRAWN"


class Plan(models.Model):
    """One version of one price: a level for a number of calendar months, sold by one merchant (E3)."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="plans", verbose_name=_("enterprise"))
    family = models.UUIDField(default=uuid.uuid4, editable=False)
    version = models.PositiveIntegerField(_("version"), default=1)
    level = models.ForeignKey(ServiceLevel, models.PROTECT, related_name="plans", verbose_name=_("service level"))
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="plans", verbose_name=_("merchant"))
    name = models.CharField(_("name"), max_length=80)
    plan_type = models.CharField(
        _("type"),
        max_length=12,
        default=PlanType.MANUFACTURER.value,
        choices=[
            (PlanType.MANUFACTURER.value, _("Manufacturer enterprise plan")),
            (PlanType.RESELLER.value, _("Reseller plan")),
        ],
    )
    amount = models.BigIntegerField(_("price, minor units"), validators=[MinValueValidator(0)])
    currency = models.CharField(_("currency"), max_length=3)
    months = models.PositiveSmallIntegerField(
        _("period in months"), validators=[MinValueValidator(1), MaxValueValidator(120)]
    )
    status = models.CharField(
        _("status"),
        max_length=10,
        default=PlanStatus.DRAFT.value,
        choices=[
            (PlanStatus.DRAFT.value, _("Draft")),
            (PlanStatus.PUBLISHED.value, _("Published")),
            (PlanStatus.WITHDRAWN.value, _("Withdrawn")),
        ],
    )
    sale_from = models.DateTimeField(_("on sale from"), null=True, blank=True)
    sale_until = models.DateTimeField(_("on sale until"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"))
    created_by = models.CharField(_("by"), max_length=160, default="system")

    # E1: of an ancestor's plans, what is on offer; its drafts and what it dropped are its own business.
    objects = upward_manager(above=Q(status=PlanStatus.PUBLISHED.value))

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        constraints = [
            models.UniqueConstraint(fields=["family", "version"], name="plan_version_unique"),
            models.UniqueConstraint(
                fields=["family"], condition=Q(status="PUBLISHED"), name="one_published_version_per_plan"
            ),
            models.UniqueConstraint(fields=["family"], condition=Q(status="DRAFT"), name="one_draft_version_per_plan"),
            models.CheckConstraint(condition=Q(amount__gte=0, amount__lte=MAX_AMOUNT), name="plan_amount_in_range"),
            models.CheckConstraint(condition=Q(months__gte=1, months__lte=120), name="plan_months_in_range"),
            models.CheckConstraint(
                condition=Q(sale_from__isnull=True) | Q(sale_until__isnull=True) | Q(sale_from__lt=F("sale_until")),
                name="plan_sale_starts_before_it_ends",
            ),
        ]
        ordering = ("enterprise", "name", "-version")

    def __str__(self) -> str:
        return self.name
