"""Requests for a fapiao, the Chinese tax invoice."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from billing.fapiao import FapiaoStatus
from billing.models.orders import Order


class FapiaoRequest(models.Model):
    """Somebody asked for the fapiao of one order. It is issued outside the product, which records its number."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    order = models.ForeignKey(Order, models.PROTECT, related_name="fapiao_requests", verbose_name=_("order"))
    status = models.CharField(
        _("status"),
        max_length=10,
        default=FapiaoStatus.REQUESTED.value,
        choices=[
            (FapiaoStatus.REQUESTED.value, _("Requested")),
            (FapiaoStatus.ISSUED.value, _("Issued")),
            (FapiaoStatus.REFUSED.value, _("Refused")),
        ],
    )
    title = models.CharField(_("buyer's name"), max_length=100)
    tax_number = models.CharField(_("tax number"), max_length=20)
    email = models.CharField(_("e-mail"), max_length=254)
    amount = models.BigIntegerField(_("amount, minor units"))
    currency = models.CharField(_("currency"), max_length=3)
    requested_at = models.DateTimeField(_("requested"))
    requested_by = models.CharField(_("by"), max_length=160)
    number = models.CharField(_("fapiao number"), max_length=24, default="")
    reason = models.CharField(_("reason"), max_length=200, default="")
    decided_at = models.DateTimeField(_("decided"), null=True)
    decided_by = models.CharField(_("decided by"), max_length=160, default="")

    objects = tenant_manager()

    class Meta:
        verbose_name = _("fapiao request")
        verbose_name_plural = _("fapiao requests")
        constraints = [
            # One that was refused may be asked for again, with other particulars.
            models.UniqueConstraint(
                fields=["order"], condition=~Q(status=FapiaoStatus.REFUSED.value), name="one_live_fapiao_per_order"
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="fapiao_amount_positive"),
            models.CheckConstraint(
                condition=~Q(status=FapiaoStatus.ISSUED.value) | ~Q(number=""), name="issued_fapiao_has_a_number"
            ),
            models.CheckConstraint(
                condition=~Q(status=FapiaoStatus.REFUSED.value) | ~Q(reason=""), name="refused_fapiao_has_a_reason"
            ),
        ]
        indexes = [
            models.Index(fields=["enterprise", "status", "-id"], name="fapiao_by_status"),
            models.Index(fields=["requested_at", "id"], name="fapiao_made"),
        ]

    def __str__(self) -> str:
        return self.title
