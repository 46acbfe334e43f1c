"""Bank transfers: what people say came in and went out. Nothing counts before a second person has confirmed it."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from billing.models.accounts import MerchantAccount

TWO_PEOPLE = Q(confirmed_by="") | ~Q(confirmed_by=F("recorded_by"))


class BankReceipt(models.Model):
    """Money seen on a merchant's bank account for one payment, recorded by one person and confirmed by another."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    account = models.ForeignKey(MerchantAccount, models.PROTECT, related_name="receipts", verbose_name=_("account"))
    # Our number of the payment that it is for.
    number = models.CharField(_("payment"), max_length=32, db_index=True)
    reference = models.CharField(_("bank reference"), max_length=40)
    amount = models.BigIntegerField(_("amount, minor units"))
    currency = models.CharField(_("currency"), max_length=3)
    received_at = models.DateTimeField(_("received"))
    recorded_by = models.CharField(_("recorded by"), max_length=160)
    recorded_at = models.DateTimeField(_("recorded"))
    confirmed_by = models.CharField(_("confirmed by"), max_length=160, default="")
    confirmed_at = models.DateTimeField(_("confirmed"), null=True)
    rejected_at = models.DateTimeField(_("rejected"), null=True)
    rejected_by = models.CharField(_("rejected by"), max_length=160, default="")

    objects = tenant_manager()

    class Meta:
        verbose_name = _("bank receipt")
        verbose_name_plural = _("bank receipts")
        constraints = [
            models.CheckConstraint(condition=TWO_PEOPLE, name="receipt_needs_two_people"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="receipt_amount_positive"),
            models.CheckConstraint(
                condition=Q(confirmed_at=None) | Q(rejected_at=None), name="receipt_has_one_outcome"
            ),
            models.UniqueConstraint(
                fields=["account", "reference"], condition=Q(rejected_at=None), name="bank_reference_once"
            ),
        ]

    def __str__(self) -> str:
        return self.reference


class BankPayout(models.Model):
    """A refund that people pay out by hand: `recorded_by` has paid it, `confirmed_by` has seen it leave.

    `rejected_by` says that it can't be paid out, or never left; another person than `recorded_by`.
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    account = models.ForeignKey(MerchantAccount, models.PROTECT, related_name="payouts", verbose_name=_("account"))
    number = models.CharField(_("payment"), max_length=32, db_index=True)
    refund_number = models.CharField(_("refund"), max_length=32, unique=True)
    amount = models.BigIntegerField(_("amount, minor units"))
    reference = models.CharField(_("bank reference"), max_length=40, default="")
    recorded_by = models.CharField(_("paid out by"), max_length=160, default="")
    recorded_at = models.DateTimeField(_("paid out"), null=True)
    confirmed_by = models.CharField(_("confirmed by"), max_length=160, default="")
    confirmed_at = models.DateTimeField(_("confirmed"), null=True)
    rejected_by = models.CharField(_("rejected by"), max_length=160, default="", db_default="")
    rejected_at = models.DateTimeField(_("rejected"), null=True)
    rejection = models.CharField(_("why not"), max_length=200, default="", db_default="")

    objects = tenant_manager()

    class Meta:
        verbose_name = _("bank payout")
        verbose_name_plural = _("bank payouts")
        constraints = [
            models.CheckConstraint(condition=TWO_PEOPLE, name="payout_needs_two_people"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="payout_amount_positive"),
            models.CheckConstraint(
                condition=Q(confirmed_at=None) | Q(recorded_at__isnull=False), name="payout_is_paid_before_confirmed"
            ),
            models.CheckConstraint(condition=Q(confirmed_at=None) | Q(rejected_at=None), name="payout_has_one_outcome"),
            models.CheckConstraint(
                condition=Q(rejected_at=None) | (~Q(rejected_by=F("recorded_by")) & ~Q(rejection="")),
                name="payout_is_rejected_by_another",
            ),
        ]

    def __str__(self) -> str:
        return self.refund_number
