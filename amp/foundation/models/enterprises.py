"""Enterprises as a tree, and the merchants they sell through."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.scoping import tenant_manager, upward_manager


def ids_above(path: str) -> list[int]:
    """The ids that a path leads through, from the root down to the parent."""
    return [int(part) for part in path.strip("/").split("/")[:-1]]


class EnterpriseQuerySet(models.QuerySet["Enterprise"]):
    """Verbs over the tree."""

    def within(self, root: Enterprise) -> Self:
        """`root` and all its descendants (E1)."""
        return self.filter(path__startswith=root.path)


class Enterprise(models.Model):
    """A node in a tree of organisations that make or sell connected devices (E1)."""

    name = models.CharField(_("name"), max_length=120)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children", verbose_name=_("parent enterprise")
    )
    # "/1/7/": the ids from the root to this node. A subtree is one prefix, a line of ancestors one split.
    path = models.CharField(max_length=500, unique=True, editable=False)
    time_zone = models.CharField(_("time zone"), max_length=64, default="Asia/Shanghai")
    currency = models.CharField(_("currency"), max_length=3, default="CNY")
    created_at = models.DateTimeField(_("created"))

    objects = tenant_manager(EnterpriseQuerySet, path="id")

    class Meta:
        verbose_name = _("enterprise")
        verbose_name_plural = _("organization")
        ordering = ("path",)

    def __str__(self) -> str:
        return self.name

    @property
    def ancestor_ids(self) -> list[int]:
        """Ids from the root down to the parent; empty at the root."""
        return ids_above(self.path)

    @property
    def depth(self) -> int:
        """0 at the root."""
        return len(self.ancestor_ids)


class MerchantStatus(StrEnum):
    """Life of a merchant id (E2)."""

    DRAFT = "DRAFT"
    VERIFIED = "VERIFIED"
    RETIRED = "RETIRED"


class Merchant(models.Model):
    """Who is paid: a BSS merchant id of one enterprise. At most one is verified, others are drafts or history (E2)."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="merchants", verbose_name=_("enterprise"))
    name = models.CharField(_("legal name"), max_length=160)
    merchant_id = models.CharField(
        _("BSS merchant ID"),
        max_length=32,
        validators=[RegexValidator(r"^[A-Za-z0-9_-]{4,32}$", _("Use 4 to 32 letters, digits, - or _."))],
    )
    status = models.CharField(
        _("status"),
        max_length=10,
        default=MerchantStatus.DRAFT.value,
        choices=[
            (MerchantStatus.DRAFT.value, _("Draft")),
            (MerchantStatus.VERIFIED.value, _("Verified")),
            (MerchantStatus.RETIRED.value, _("Retired")),
        ],
    )
    proposed_by = models.ForeignKey(
        "foundation.User", models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("proposed by")
    )
    verified_by = models.ForeignKey(
        "foundation.User", models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("verified by")
    )
    created_at = models.DateTimeField(_("created"))

    objects = upward_manager()

    class Meta:
        verbose_name = _("merchant")
        verbose_name_plural = _("merchants")
        constraints = [
            models.UniqueConstraint(
                fields=["enterprise"], condition=Q(status="VERIFIED"), name="one_verified_merchant_per_enterprise"
            ),
            models.UniqueConstraint(
                fields=["enterprise"], condition=Q(status="DRAFT"), name="one_draft_merchant_per_enterprise"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.merchant_id})"
