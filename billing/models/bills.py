"""Daily bills of gateways, as they were uploaded, and what became of each line."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from billing.bills import FetchProblem, FetchStatus, LineKind, Result
from billing.models.accounts import MerchantAccount
from billing.models.payments import PaymentAttempt

RESULTS = [
    (Result.MATCHED.value, _("Matched")),
    (Result.DIFFERS.value, _("Amount differs")),
    (Result.TO_SETTLE.value, _("Not booked here yet")),
    (Result.SETTLED.value, _("Booked by this bill")),
    (Result.UNKNOWN.value, _("Number is not ours")),
    (Result.REFUND_MISSING.value, _("Refund not booked")),
    (Result.MISSING_THERE.value, _("Not in the bill")),
]


class Bill(models.Model):
    """One gateway's word about one day of one merchant account. The same file is taken once."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    account = models.ForeignKey(MerchantAccount, models.PROTECT, related_name="+", verbose_name=_("merchant account"))
    day = models.DateField(_("day"))
    file_name = models.CharField(_("file"), max_length=120)
    digest = models.CharField(max_length=64, editable=False)
    lines = models.PositiveIntegerField(_("lines"))
    # Lines that somebody should look at; the rest agrees.
    open_lines = models.PositiveIntegerField(_("to look at"))
    uploaded_at = models.DateTimeField(_("uploaded"))
    uploaded_by = models.CharField(_("by"), max_length=160)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("gateway bill")
        verbose_name_plural = _("gateway bills")
        constraints = [models.UniqueConstraint(fields=["account", "digest"], name="bill_taken_once")]
        indexes = [models.Index(fields=["enterprise", "-id"], name="bill_of_enterprise")]

    def __str__(self) -> str:
        return f"{self.day} · {self.file_name}"


class BillRow(models.Model):
    """One movement of a bill beside our payment; or a payment of ours that the bill doesn't have."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    bill = models.ForeignKey(Bill, models.PROTECT, related_name="rows", verbose_name=_("bill"))
    kind = models.CharField(
        _("movement"),
        max_length=8,
        choices=[(LineKind.PAYMENT.value, _("Payment")), (LineKind.REFUND.value, _("Refund"))],
    )
    merchant_id = models.CharField(max_length=64)
    number = models.CharField(_("payment"), max_length=64)
    transaction_id = models.CharField(_("gateway transaction"), max_length=64)
    amount = models.BigIntegerField(_("amount at the gateway, minor units"))
    currency = models.CharField(_("currency"), max_length=3)
    happened_at = models.DateTimeField(_("at the gateway"))
    attempt = models.ForeignKey(
        PaymentAttempt, models.PROTECT, null=True, related_name="+", verbose_name=_("our payment")
    )
    our_amount = models.BigIntegerField(_("amount with us, minor units"), null=True)
    result = models.CharField(_("result"), max_length=14, choices=RESULTS)
    detail = models.CharField(_("detail"), max_length=300, default="")

    objects = tenant_manager()

    class Meta:
        verbose_name = _("line of a bill")
        verbose_name_plural = _("lines of bills")
        constraints = [models.CheckConstraint(condition=Q(amount__gte=0), name="bill_row_amount_not_negative")]
        indexes = [models.Index(fields=["bill", "result", "-id"], name="bill_row_by_result")]

    def __str__(self) -> str:
        return self.number


class BillFetch(models.Model):
    """The fetching of one account's bill of one day: once, retried while the gateway has not made it."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    account = models.ForeignKey(MerchantAccount, models.PROTECT, related_name="+", verbose_name=_("merchant account"))
    day = models.DateField(_("day"))
    status = models.CharField(
        _("status"),
        max_length=8,
        default=FetchStatus.WAITING.value,
        choices=[
            (FetchStatus.WAITING.value, _("Waiting")),
            (FetchStatus.FETCHED.value, _("Fetched")),
            (FetchStatus.NOTHING.value, _("Nothing to report")),
            (FetchStatus.FAILED.value, _("Failed")),
        ],
    )
    bill = models.ForeignKey(Bill, models.PROTECT, null=True, related_name="+", verbose_name=_("gateway bill"))
    # Next call to the gateway; null once there is nothing left to do by itself.
    due_at = models.DateTimeField(null=True)
    attempts_made = models.PositiveSmallIntegerField(default=0)
    # Of the last call, with the gateway's own words.
    problem = models.CharField(
        max_length=12, default="", choices=[(each.value, each.value) for each in FetchProblem], editable=False
    )
    detail = models.CharField(_("detail"), max_length=200, default="")
    asked_at = models.DateTimeField(_("last asked"), null=True)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("fetching of a bill")
        verbose_name_plural = _("fetching of bills")
        constraints = [
            models.UniqueConstraint(fields=["account", "day"], name="bill_fetched_once"),
            models.CheckConstraint(
                condition=Q(bill__isnull=False) | ~Q(status=FetchStatus.FETCHED.value), name="fetched_bill_is_there"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="bill_fetch_due"),
            models.Index(fields=["enterprise", "-day", "-id"], name="bill_fetch_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.day} · {self.account}"
