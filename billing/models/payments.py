"""Payment attempts at gateways, and what staff must look at."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q, Value
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise
from amp.foundation.scoping import tenant_manager
from billing.models.accounts import MerchantAccount
from billing.models.orders import Order
from billing.orders import AttemptStatus, CodeForm, ExceptionKind, PayWay, shown_transaction
from billing.refunds import Resolution


class PaymentAttempt(models.Model):
    """One try to be paid for an order. Its number is the gateway's idempotency key, stored before the call (F45)."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    order = models.ForeignKey(Order, models.PROTECT, related_name="attempts", verbose_name=_("order"))
    account = models.ForeignKey(MerchantAccount, models.PROTECT, related_name="+", verbose_name=_("merchant account"))
    provider = models.CharField(_("gateway"), max_length=12)
    number = models.CharField(_("payment"), max_length=32, unique=True)
    amount = models.BigIntegerField(_("amount, minor units"))
    currency = models.CharField(_("currency"), max_length=3)
    status = models.CharField(
        _("status"),
        max_length=8,
        default=AttemptStatus.CREATED.value,
        choices=[
            (AttemptStatus.CREATED.value, _("Created")),
            (AttemptStatus.UNKNOWN.value, _("Outcome unknown")),
            (AttemptStatus.PENDING.value, _("Waiting for payment")),
            (AttemptStatus.PAID.value, _("Paid")),
            (AttemptStatus.CLOSED.value, _("Closed")),
            (AttemptStatus.FAILED.value, _("Failed")),
        ],
    )
    way = models.CharField(
        _("way of paying"),
        max_length=8,
        default=PayWay.SCREEN.value,
        choices=[
            (PayWay.SCREEN.value, _("QR code on a screen")),
            (PayWay.BROWSER.value, _("Phone's browser")),
            (PayWay.IN_APP.value, _("Inside the gateway's app")),
        ],
    )
    # The payer at the gateway and on the network, where a way of paying needs them; kept, for a retry sends the same.
    payer_id = models.CharField(max_length=128, default="", editable=False)
    payer_ip = models.CharField(max_length=45, default="", editable=False)
    # What the payer scans or opens; stored, because asking again would kill the first code.
    code = models.TextField(blank=True, default="")
    code_form = models.CharField(
        max_length=10, default="", editable=False, choices=[(f.value, f.value) for f in CodeForm]
    )
    # Null while there is no code; some gateways let it die long before the payment expires.
    code_expires_at = models.DateTimeField(null=True, editable=False)
    transaction_id = models.CharField(_("gateway transaction"), max_length=64, null=True)
    paid_amount = models.BigIntegerField(_("paid, minor units"), null=True)
    # What was paid in, which may be another currency than was asked for; empty while unpaid.
    paid_currency = models.CharField(max_length=3, default="", db_default="", editable=False)
    # This payment is the one that pays for the order; a second or a mismatched one never is.
    settles = models.BooleanField(default=False)
    # All money in `currency` that came in for this number, a second transaction included; what of it is given back, or
    # asked to be. Money in another currency is in the ledger alone, and never added to this.
    received = models.BigIntegerField(_("received, minor units"), default=0)
    refunded = models.BigIntegerField(_("refunded, minor units"), default=0)
    # The gateway's success time (A16), and the product's time when we learned of it.
    paid_at = models.DateTimeField(_("paid"), null=True)
    learned_at = models.DateTimeField(_("learned"), null=True)
    created_at = models.DateTimeField(_("created"))
    expires_at = models.DateTimeField(_("expires"))
    # Next query at the gateway, and how many were made.
    due_at = models.DateTimeField(null=True)
    queries = models.PositiveSmallIntegerField(default=0)
    queried_at = models.DateTimeField(_("last asked"), null=True)
    # Where the browser goes after paying: a path of ours, sealed, for it may hold a device's token (F85).
    sealed_return_path = models.TextField(default="", editable=False)
    problem = models.CharField(_("problem"), max_length=300, default="")

    objects = tenant_manager()

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        constraints = [
            # Each transaction of a gateway counts once, whatever is repeated (R1, F24).
            models.UniqueConstraint(fields=["provider", "transaction_id"], name="gateway_transaction_once"),
            models.UniqueConstraint(fields=["order"], condition=Q(settles=True), name="one_payment_settles_an_order"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="attempt_amount_positive"),
            models.CheckConstraint(
                condition=Q(refunded__gte=0, refunded__lte=F("received")), name="refunds_within_what_was_paid"
            ),
            models.CheckConstraint(
                condition=~Q(status="PAID") | Q(paid_at__isnull=False, transaction_id__isnull=False),
                name="paid_attempt_has_its_facts",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="attempt_due"),
            models.Index(fields=["enterprise", "-id"], name="attempt_of_enterprise"),
            models.Index(fields=["enterprise", "status", "-id"], name="attempt_by_status"),
            models.Index(fields=["created_at", "id"], name="attempt_made"),
            # A gateway's bill is compared with what its account was paid on that day.
            models.Index(fields=["account", "paid_at"], condition=Q(paid_at__isnull=False), name="attempt_paid"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def reference(self) -> str:
        """The gateway's own number, or the bank's reference, as people know it."""
        return shown_transaction(self.transaction_id)


class PaymentException(models.Model):
    """Money that came in and could not simply be applied, or may have come while its gateway never answered; nothing
    happens to it without a person (R1). Of the latter `amount` is what was asked for."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    attempt = models.ForeignKey(PaymentAttempt, models.PROTECT, related_name="exceptions", verbose_name=_("payment"))
    kind = models.CharField(
        _("reason"),
        max_length=20,
        choices=[
            (ExceptionKind.AMOUNT_MISMATCH.value, _("Amount or currency differs")),
            (ExceptionKind.MERCHANT_MISMATCH.value, _("Merchant differs")),
            (ExceptionKind.LATE.value, _("Paid after the order had ended")),
            (ExceptionKind.SECOND_PAYMENT.value, _("Second payment of a paid order")),
            (ExceptionKind.UNAPPLIED_LINES.value, _("Devices could not be renewed")),
            (ExceptionKind.UNANSWERED.value, _("The gateway never answered")),
        ],
    )
    amount = models.BigIntegerField(_("amount, minor units"))
    currency = models.CharField(_("currency"), max_length=3)
    # What happened: a code and what it is about, told in the reader's language (`services.case_words`).
    facts = models.JSONField(_("detail"), default=dict, db_default=Value({}, models.JSONField()))
    created_at = models.DateTimeField(_("noticed"))
    resolved_at = models.DateTimeField(_("resolved"), null=True)
    resolved_by = models.CharField(_("by"), max_length=160, default="")
    resolution = models.CharField(
        _("resolution"),
        max_length=8,
        default="",
        choices=[
            (Resolution.REFUND.value, _("Refunded")),
            (Resolution.KEEP.value, _("Kept as it is")),
            (Resolution.RETRY.value, _("Tried again")),
        ],
    )
    resolution_reason = models.CharField(_("why"), max_length=200, default="")

    objects = tenant_manager()

    class Meta:
        verbose_name = _("payment exception")
        verbose_name_plural = _("payment exceptions")
        # Money of two currencies is two cases: amounts are added within one.
        constraints = [models.UniqueConstraint(fields=["attempt", "kind", "currency"], name="one_exception_of_a_kind")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}"
