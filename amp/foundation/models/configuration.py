"""What is the same for the whole platform and may be changed while it runs (G5)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class PlatformConfiguration(models.Model):
    """One row: the decisions of the platform's administrators. Without a row, defaults hold.

    Expiry alerts are off by default (N1); the moment of switching on is kept, because nothing is due for what lies
    before it (N5).
    """

    order_minutes = models.PositiveSmallIntegerField(_("minutes to pay an order"), null=True)
    # Above so many minor units, another person approves a refund; null: as installed.
    refund_threshold = models.BigIntegerField(_("refunds without a second person up to, minor units"), null=True)
    # P8: null means as installed.
    lock_settle_minutes = models.PositiveSmallIntegerField(_("minutes that locks settle after an outage"), null=True)
    lock_allowance = models.PositiveIntegerField(_("locks an hour without a person, at least"), null=True)
    lock_allowance_percent = models.PositiveSmallIntegerField(_("locks an hour, percent of the devices"), null=True)
    sim_alerts_since = models.DateTimeField(_("SIM expiry alerts since"), null=True)
    rtk_alerts_since = models.DateTimeField(_("RTK expiry alerts since"), null=True)
    device_alerts_since = models.DateTimeField(_("device service expiry alerts since"), null=True)
    changed_at = models.DateTimeField(_("changed"), null=True)

    class Meta:
        verbose_name = _("platform configuration")
        verbose_name_plural = _("platform configuration")
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="one_platform_configuration"),
            models.CheckConstraint(
                condition=Q(order_minutes=None) | Q(order_minutes__gte=5, order_minutes__lte=1440),
                name="order_minutes_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(lock_settle_minutes=None) | Q(lock_settle_minutes__lte=1440),
                name="lock_settle_minutes_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(lock_allowance=None) | Q(lock_allowance__gte=1, lock_allowance__lte=1_000_000),
                name="lock_allowance_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(lock_allowance_percent=None) | Q(lock_allowance_percent__lte=100),
                name="lock_allowance_percent_in_bounds",
            ),
            models.CheckConstraint(
                condition=Q(refund_threshold=None) | Q(refund_threshold__gte=0), name="refund_threshold_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return str(_("Platform configuration"))
