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
                condition=Q(refund_threshold=None) | Q(refund_threshold__gte=0), name="refund_threshold_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return str(_("Platform configuration"))
