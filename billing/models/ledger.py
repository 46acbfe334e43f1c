"""The money ledger: append-only, one row per movement (R1, R9)."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from amp.foundation.models import Enterprise, Merchant
from amp.foundation.scoping import tenant_manager
from billing.models.orders import OrderLine
from billing.models.payments import PaymentAttempt


class EntryKind(StrEnum):
    """Received = applied + unapplied + refunded, per merchant and currency, when the movements are folded."""

    RECEIVED = "RECEIVED"
    APPLIED = "APPLIED"
    UNAPPLIED = "UNAPPLIED"
    REFUNDED = "REFUNDED"


class MoneyEntry(models.Model):
    """One movement of one payment. `source` is unique ("attempt:3", "line:9"), so nothing is counted twice.

    `taken_from` names the pot that gets smaller by it: money that is refunded, or applied after all.
    """

    enterprise = models.ForeignKey(
        Enterprise, models.PROTECT, db_index=False, related_name="+", verbose_name=_("enterprise")
    )
    merchant = models.ForeignKey(Merchant, models.PROTECT, db_index=False, related_name="+", verbose_name=_("merchant"))
    attempt = models.ForeignKey(PaymentAttempt, models.PROTECT, related_name="entries", verbose_name=_("payment"))
    line = models.ForeignKey(OrderLine, models.PROTECT, null=True, related_name="entries", verbose_name=_("line"))
    kind = models.CharField(
        _("movement"),
        max_length=10,
        choices=[
            (EntryKind.RECEIVED.value, _("Received")),
            (EntryKind.APPLIED.value, _("Applied")),
            (EntryKind.UNAPPLIED.value, _("Unapplied")),
            (EntryKind.REFUNDED.value, _("Refunded")),
        ],
    )
    taken_from = models.CharField(
        _("taken from"),
        max_length=10,
        default="",
        db_default="",
        choices=[(EntryKind.APPLIED.value, _("Applied")), (EntryKind.UNAPPLIED.value, _("Unapplied"))],
    )
    amount = models.BigIntegerField(_("amount, minor units"))
    currency = models.CharField(_("currency"), max_length=3)
    source = models.CharField(max_length=60)
    created_at = models.DateTimeField(_("booked"))

    objects = tenant_manager()

    class Meta:
        verbose_name = _("money entry")
        verbose_name_plural = _("money ledger")
        constraints = [
            models.UniqueConstraint(fields=["kind", "source"], name="money_moves_once"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="money_entry_not_negative"),
            models.CheckConstraint(
                condition=Q(taken_from="") & ~Q(kind=EntryKind.REFUNDED.value)
                | Q(kind=EntryKind.REFUNDED.value, taken_from__in=[EntryKind.APPLIED.value, EntryKind.UNAPPLIED.value])
                | Q(kind=EntryKind.APPLIED.value, taken_from=EntryKind.UNAPPLIED.value),
                name="money_is_taken_from_a_pot",
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "currency", "kind"], name="money_of_merchant"),
            # Totals of a range of days are read from this index alone.
            models.Index(
                fields=["created_at", "id"],
                include=["enterprise", "merchant", "currency", "kind", "taken_from", "amount", "attempt"],
                name="money_by_day",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount} {self.currency}"
