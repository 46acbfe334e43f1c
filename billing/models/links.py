"""Addresses of ours under which an order can be paid."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from billing.models.orders import Order


class PaymentLink(models.Model):
    """The secret of one pay page: whoever holds it may pay for the order, and see no more than that.

    It lives as long as the order waits. It is looked up by its digest; sealed, since a screen shows its code again.
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    order = models.ForeignKey(Order, models.PROTECT, related_name="links", verbose_name=_("order"))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    sealed_token = models.TextField(editable=False)
    # Where a payer goes afterwards: a path of ours, sealed, for it may hold a device's token (F85); "" is the pay page.
    sealed_return_path = models.TextField(default="", editable=False)
    created_at = models.DateTimeField(_("created"))

    objects = tenant_manager()

    class Meta:
        verbose_name = _("payment link")
        verbose_name_plural = _("payment links")

    def __str__(self) -> str:
        return f"{self.order}"
