"""Money that goes back: refunds and their lines (F44)."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from billing.models.orders import Order, OrderLine
from billing.models.payments import PaymentAttempt, PaymentException
from billing.refunds import LIVE, Effect, RefundStatus

IS_LIVE = Q(status__in=sorted(status.value for status in LIVE))


class Refund(models.Model):
    """One payment given back, whole or in part. Its number is the gateway's idempotency key, stored before the call.

    With lines it gives back what those order lines cost; without, money of the payment that no line has used.
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    order = models.ForeignKey(Order, models.PROTECT, related_name="refunds", verbose_name=_("order"))
    attempt = models.ForeignKey(PaymentAttempt, models.PROTECT, related_name="refunds", verbose_name=_("payment"))
    # The case that it resolves; where the refund fails, the case is open again.
    exception = models.ForeignKey(PaymentException, models.PROTECT, null=True, related_name="refunds")
    number = models.CharField(_("refund"), max_length=32, unique=True)
    amount = models.BigIntegerField(_("amount, minor units"))
    currency = models.CharField(_("currency"), max_length=3)
    reason = models.CharField(_("reason"), max_length=200)
    effect = models.CharField(
        _("effect on the devices"),
        max_length=8,
        choices=[
            (Effect.KEEP.value, _("Devices keep their time")),
            (Effect.SHORTEN.value, _("Time is shortened")),
            (Effect.STOP.value, _("Service stops at once")),
        ],
    )
    status = models.CharField(
        _("status"),
        max_length=10,
        default=RefundStatus.REQUESTED.value,
        choices=[
            (RefundStatus.REQUESTED.value, _("Waits for approval")),
            (RefundStatus.APPROVED.value, _("Approved")),
            (RefundStatus.PROCESSING.value, _("At the gateway")),
            (RefundStatus.SUCCEEDED.value, _("Refunded")),
            (RefundStatus.FAILED.value, _("Failed")),
        ],
    )
    has_lines = models.BooleanField()
    # Whether it was above the threshold when it was asked for: then requester and approver are two people.
    needs_two = models.BooleanField(default=False)
    requested_by = models.CharField(_("asked by"), max_length=160)
    approved_by = models.CharField(_("approved by"), max_length=160, default="")
    created_at = models.DateTimeField(_("asked"))
    approved_at = models.DateTimeField(_("approved"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    problem = models.CharField(_("problem"), max_length=300, default="")
    # A second click or a retry finds the refund it made (F33); scoped by who asked (F34).
    once_key = models.CharField(max_length=120, unique=True, null=True)
    # What was asked for with that key; the same key with anything else is refused (R7).
    once_content = models.CharField(max_length=64, default="", db_default="", editable=False)
    # Next call to the gateway, or next try at the devices once the money is back; null where nothing is left to do.
    due_at = models.DateTimeField(null=True)
    attempts_made = models.PositiveSmallIntegerField(default=0)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_amount_positive"),
            models.UniqueConstraint(
                fields=["attempt"], condition=Q(has_lines=False) & IS_LIVE, name="one_live_refund_of_unused_money"
            ),
            models.CheckConstraint(
                condition=Q(needs_two=False) | Q(approved_by="") | ~Q(approved_by=F("requested_by")),
                name="large_refund_needs_two_people",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["APPROVED", "PROCESSING", "SUCCEEDED"]) | ~Q(approved_by=""),
                name="refund_on_its_way_is_approved",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="refund_due"),
            models.Index(fields=["enterprise", "-id"], name="refund_of_enterprise"),
            models.Index(fields=["enterprise", "status", "-id"], name="refund_by_status"),
            models.Index(fields=["created_at", "id"], name="refund_made"),
        ]

    def __str__(self) -> str:
        return self.number


class RefundLine(models.Model):
    """What a refund gives back of one order line, and what becomes of its device.

    `wanted_seconds` is the time to take: 0 to keep all, null to stop at once. `taken_seconds` and `ends_at` are what
    came of it; they stay null until the money is back.
    """

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    refund = models.ForeignKey(Refund, models.PROTECT, related_name="lines", verbose_name=_("refund"))
    line = models.ForeignKey(OrderLine, models.PROTECT, related_name="refund_lines", verbose_name=_("line"))
    amount = models.BigIntegerField(_("amount, minor units"))
    # Mirrors its refund, so that the database can refuse a second one.
    is_live = models.BooleanField(default=True)
    wanted_seconds = models.BigIntegerField(_("time to take"), null=True)
    taken_seconds = models.BigIntegerField(_("time taken"), null=True)
    ends_at = models.DateTimeField(_("new end"), null=True)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("refund line")
        verbose_name_plural = _("refund lines")
        constraints = [
            models.UniqueConstraint(fields=["refund", "line"], name="line_once_per_refund"),
            models.UniqueConstraint(fields=["line"], condition=Q(is_live=True), name="one_live_refund_per_line"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_line_amount_positive"),
            models.CheckConstraint(
                condition=Q(wanted_seconds__isnull=True) | Q(wanted_seconds__gte=0),
                name="refund_takes_no_negative_time",
            ),
        ]
        indexes = [
            models.Index(fields=["refund", "id"], condition=Q(taken_seconds__isnull=True), name="refund_line_undone")
        ]

    def __str__(self) -> str:
        return f"{self.refund_id}/{self.line_id}"
