"""The brakes of P8: how many LOCKs went lately, and what holds the others."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from devices.brakes import HoldReason


class HoldStatus(StrEnum):
    """A hold takes LOCKs in while HOLDING; then they leave in slices, until it is OVER."""

    HOLDING = "HOLDING"
    RELEASING = "RELEASING"
    CANCELLING = "CANCELLING"
    OVER = "OVER"


REASON_CHOICES = [
    (HoldReason.SETTLING.value, _("Online times settle after an outage")),
    (HoldReason.TOO_MANY.value, _("Too many locks in an hour")),
]
HOLD_CHOICES = [
    (HoldStatus.HOLDING.value, _("Holds")),
    (HoldStatus.RELEASING.value, _("Being released")),
    (HoldStatus.CANCELLING.value, _("Being cancelled")),
    (HoldStatus.OVER.value, _("Over")),
]


class LockCount(models.Model):
    """LOCKs of an enterprise that went lately, by minute; whoever orders or releases LOCKs there holds this row."""

    enterprise = models.OneToOneField(
        Enterprise, models.PROTECT, primary_key=True, related_name="+", verbose_name=_("enterprise")
    )
    # Number of the minute since 1970 → LOCKs; at most an hour's.
    minutes = models.JSONField(default=dict)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("count of locks")
        verbose_name_plural = _("counts of locks")

    def __str__(self) -> str:
        return f"{self.enterprise_id}"


class LockHold(models.Model):
    """One time that a brake came on for an enterprise: why, since when, and who ended it how.

    `due_at` is the next look: at whether presence has settled, or at the next slice of those that leave. It is null
    while a person has to decide, and when it is over.
    """

    enterprise = models.ForeignKey(
        Enterprise, models.PROTECT, db_index=False, related_name="+", verbose_name=_("enterprise")
    )
    reason = models.CharField(_("why"), max_length=10, choices=REASON_CHOICES)
    status = models.CharField(_("status"), max_length=10, choices=HOLD_CHOICES, default=HoldStatus.HOLDING.value)
    # How many LOCKs could go in an hour when the brake came on.
    allowance = models.PositiveIntegerField(_("allowed in an hour"), null=True)
    began_at = models.DateTimeField(_("since"))
    due_at = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(_("decided"), null=True)
    decided_by = models.CharField(_("by"), max_length=160, default="", db_default="")
    # How many LOCKs it held when it was decided.
    number = models.PositiveIntegerField(_("locks"), null=True)
    ended_at = models.DateTimeField(_("over since"), null=True)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("hold on locks")
        verbose_name_plural = _("holds on locks")
        constraints = [
            models.UniqueConstraint(fields=["enterprise", "reason"], condition=Q(status="HOLDING"), name="one_hold_on"),
            models.CheckConstraint(
                condition=Q(status="HOLDING", decided_at=None) | ~Q(status="HOLDING") & Q(decided_at__isnull=False),
                name="a_hold_ends_by_decision",
            ),
            models.CheckConstraint(
                condition=Q(status="OVER", ended_at__isnull=False, due_at=None)
                | ~Q(status="OVER") & Q(ended_at__isnull=True),
                name="a_hold_that_is_over_has_an_end",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="hold_due"),
            models.Index(fields=["enterprise", "-id"], name="hold_of_enterprise"),
            models.Index(fields=["status"], condition=~Q(status="OVER"), name="hold_at_work"),
        ]

    def __str__(self) -> str:
        return f"{self.reason} {self.enterprise_id} {self.began_at}"
