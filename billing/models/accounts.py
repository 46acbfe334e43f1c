"""How a merchant is reached at a payment gateway."""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise, Merchant
from amp.foundation.scoping import tenant_manager


class Provider(StrEnum):
    """Gateways that have an adapter in `billing.providers`."""

    SANDBOX = "sandbox"
    WECHAT = "wechat"
    ALIPAY = "alipay"
    OFFLINE = "offline"


PROVIDER_NAMES = [
    (Provider.SANDBOX.value, _("Sandbox (TEST)")),
    (Provider.WECHAT.value, _("WeChat Pay")),
    (Provider.ALIPAY.value, _("Alipay")),
    (Provider.OFFLINE.value, _("Bank transfer")),
]


class MerchantAccount(models.Model):
    """One merchant's account at one gateway. The secret is sealed, bound to `public_id`, and never shown again."""

    enterprise = models.ForeignKey(Enterprise, models.PROTECT, related_name="+", verbose_name=_("enterprise"))
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="accounts", verbose_name=_("merchant"))
    provider = models.CharField(_("gateway"), max_length=12, choices=PROVIDER_NAMES)
    # Names the account in notify addresses; unguessable, never a merchant id.
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    sealed_secret = models.TextField(editable=False)
    # A new secret waits here until a second administrator verifies it; the old one works until then.
    sealed_draft = models.TextField(editable=False, default="")
    drafted_by = models.CharField(max_length=160, default="", editable=False)
    # Names of PayWay that the account offers, since a gateway opens some on request only; empty means all it can.
    ways = models.JSONField(default=list)
    is_active = models.BooleanField(_("active"), default=True)
    # When its next daily bill is to be fetched; null where the gateway gives none.
    bill_due_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(_("created"))

    objects = tenant_manager()

    class Meta:
        verbose_name = _("merchant account")
        verbose_name_plural = _("merchant accounts")
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "provider"], condition=Q(is_active=True), name="one_active_account_per_gateway"
            )
        ]
        indexes = [
            models.Index(fields=["bill_due_at"], condition=Q(bill_due_at__isnull=False), name="account_bill_due")
        ]

    def __str__(self) -> str:
        return f"{self.merchant} · {self.get_provider_display()}"


class SandboxTrade(models.Model):
    """The sandbox gateway's own books: what a real gateway would keep on its side. Never read by settlement."""

    account = models.ForeignKey(MerchantAccount, models.PROTECT, related_name="+")
    number = models.CharField(max_length=32, unique=True)
    transaction_id = models.CharField(max_length=40, unique=True)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    subject = models.CharField(max_length=120)
    notify_url = models.URLField(max_length=300)
    status = models.CharField(max_length=10)
    created_at = models.DateTimeField()
    paid_at = models.DateTimeField(null=True)
    notify_attempts = models.PositiveSmallIntegerField(default=0)
    # Problems that somebody asked for: answers that get lost, a second payment of the same code, and how refunds go.
    lost_answers = models.PositiveSmallIntegerField(default=0)
    second_amount = models.BigIntegerField(default=0)
    second_transaction_id = models.CharField(max_length=40, default="", db_default="")
    second_paid_at = models.DateTimeField(null=True)
    refund_trouble = models.CharField(max_length=16, default="")
    # Next try of the notice, real time; null once it was answered or given up.
    notify_due_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["notify_due_at"], condition=Q(notify_due_at__isnull=False), name="sandbox_notify_due")
        ]

    def __str__(self) -> str:
        return self.number


class SandboxRefund(models.Model):
    """The sandbox gateway's own record of one refund; the same number refunds once."""

    trade = models.ForeignKey(SandboxTrade, models.PROTECT, related_name="refunds")
    number = models.CharField(max_length=32, unique=True)
    amount = models.BigIntegerField()
    status = models.CharField(max_length=10, default="SUCCEEDED")
    # How often it was asked about: one that is to succeed later succeeds at the second question.
    asked = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="sandbox_refund_positive")]

    def __str__(self) -> str:
        return self.number
