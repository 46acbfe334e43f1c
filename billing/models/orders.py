"""Orders and their lines (Q1, Q2)."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise, Merchant
from amp.foundation.scoping import tenant_manager
from billing.orders import OrderStatus
from catalog.models import Plan
from devices.models import Device


class OrderKind(StrEnum):
    """An order has lines of one kind (Q1)."""

    RENEWAL = "RENEWAL"


class OrderChannel(StrEnum):
    """Where the order came from."""

    PUBLIC = "PUBLIC"
    STAFF = "STAFF"
    API = "API"


class LineStatus(StrEnum):
    """A line waits for money, is queued, then applied once or left unapplied with its money refundable (Q4)."""

    WAITING = "WAITING"
    QUEUED = "QUEUED"
    APPLIED = "APPLIED"
    UNAPPLIED = "UNAPPLIED"


class Order(models.Model):
    """Devices × one plan, sold by one merchant in one currency. Carries a frozen copy of what was offered (E3, F37)."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="orders", verbose_name=_("enterprise"))
    number = models.CharField(_("order"), max_length=20, unique=True)
    kind = models.CharField(max_length=12, default=OrderKind.RENEWAL.value)
    channel = models.CharField(
        _("channel"),
        max_length=8,
        choices=[
            (OrderChannel.PUBLIC.value, _("Renewal page")),
            (OrderChannel.STAFF.value, _("Staff")),
            (OrderChannel.API.value, "API"),
        ],
    )
    status = models.CharField(
        _("status"),
        max_length=20,
        default=OrderStatus.PENDING.value,
        choices=[
            (OrderStatus.PENDING.value, _("Waiting for payment")),
            (OrderStatus.PAID.value, _("Paid")),
            (OrderStatus.FULFILLED.value, _("Fulfilled")),
            (OrderStatus.PARTIALLY_FULFILLED.value, _("Partially fulfilled")),
            (OrderStatus.EXPIRED.value, _("Expired")),
            (OrderStatus.CANCELLED.value, _("Cancelled")),
            (OrderStatus.REFUNDED.value, _("Refunded")),
        ],
    )
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="orders", verbose_name=_("merchant"))
    merchant_name = models.CharField(_("merchant"), max_length=160)
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="orders", verbose_name=_("plan"))
    plan_name = models.CharField(_("plan"), max_length=80)
    level_id = models.BigIntegerField()
    months = models.PositiveSmallIntegerField(_("months"))
    unit_amount = models.BigIntegerField(_("price per device, minor units"))
    total = models.BigIntegerField(_("total, minor units"))
    currency = models.CharField(_("currency"), max_length=3)
    line_count = models.PositiveIntegerField(_("devices"))
    # What was chosen and is not in the order: refusal code → number of devices (Q1).
    left_out = models.JSONField(null=True)
    created_at = models.DateTimeField(_("created"))
    created_by = models.CharField(_("by"), max_length=160)
    expires_at = models.DateTimeField(_("expires"))
    paid_at = models.DateTimeField(_("paid"), null=True)
    fulfilled_at = models.DateTimeField(_("fulfilled"), null=True)
    closed_at = models.DateTimeField(_("closed"), null=True)
    # A second click or a retry finds the order it made (F33); scoped by who asked (F34).
    once_key = models.CharField(max_length=120, unique=True, null=True)
    # Next moment at which a sweep looks at the order: its expiry, or work on its lines.
    due_at = models.DateTimeField(null=True)
    # Tries of the current piece of work; back to 0 whenever one succeeds.
    attempts_made = models.PositiveSmallIntegerField(default=0)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        constraints = [
            models.CheckConstraint(condition=Q(total__gte=0, unit_amount__gte=0), name="order_amounts_not_negative"),
            models.CheckConstraint(condition=Q(line_count__gte=1, line_count__lte=10_000), name="order_size"),
            models.CheckConstraint(
                condition=~Q(status__in=["PAID", "FULFILLED", "PARTIALLY_FULFILLED"]) | Q(paid_at__isnull=False),
                name="paid_order_has_a_moment",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="order_due"),
            models.Index(fields=["enterprise", "-id"], name="order_of_enterprise"),
            models.Index(fields=["enterprise", "status", "-id"], name="order_by_status"),
            models.Index(fields=["created_at", "id"], name="order_made"),
            models.Index(fields=["enterprise", "paid_at"], condition=Q(paid_at__isnull=False), name="order_paid"),
        ]

    def __str__(self) -> str:
        return self.number


class OrderLine(models.Model):
    """One device of an order; applied exactly once, or visibly unapplied (R1, R2, Q4)."""

    enterprise = models.ForeignKey(
        Enterprise, models.PROTECT, db_index=False, related_name="+", verbose_name=_("enterprise")
    )
    order = models.ForeignKey(Order, models.PROTECT, db_index=False, related_name="lines", verbose_name=_("order"))
    device = models.ForeignKey(
        Device, models.PROTECT, db_index=False, related_name="order_lines", verbose_name=_("device")
    )
    amount = models.BigIntegerField(_("amount, minor units"))
    status = models.CharField(
        _("status"),
        max_length=10,
        default=LineStatus.WAITING.value,
        choices=[
            (LineStatus.WAITING.value, _("Waiting")),
            (LineStatus.QUEUED.value, _("Queued")),
            (LineStatus.APPLIED.value, _("Applied")),
            (LineStatus.UNAPPLIED.value, _("Not applied")),
        ],
    )
    # What the customer was shown, and what happened.
    previewed_ends_at = models.DateTimeField(_("previewed end"), null=True)
    ends_at = models.DateTimeField(_("new end"), null=True)
    reason = models.CharField(_("reason"), max_length=60, default="")
    # Given back, or asked to be: refunds that are live or done (F44).
    refunded = models.BigIntegerField(_("refunded, minor units"), default=0, db_default=0)
    # How often it was queued again after it could not be applied: its money is unapplied since the first time.
    retries = models.PositiveSmallIntegerField(default=0, db_default=0)

    objects = tenant_manager()

    class Meta:
        verbose_name = _("order line")
        verbose_name_plural = _("order lines")
        constraints = [
            models.UniqueConstraint(fields=["order", "device"], name="device_once_per_order"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="line_amount_not_negative"),
            models.CheckConstraint(
                condition=Q(refunded__gte=0, refunded__lte=F("amount")), name="line_refunds_within_its_amount"
            ),
        ]
        indexes = [
            models.Index(fields=["order", "id"], condition=Q(status="QUEUED"), name="line_queued"),
            models.Index(fields=["device", "-id"], name="line_of_device"),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}/{self.device_id}"
