"""Columns of the files that orders, payments, refunds and exceptions are exported to."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from amp.foundation.lists.columns import Column
from billing.models import MerchantAccount, Order, PaymentAttempt, PaymentException, Refund
from billing.orders import shown_transaction
from billing.services.case_words import told


def _choices(model: Any, field: str) -> Any:
    return model._meta.get_field(field).choices


ORDER_EXPORT = (
    Column(_("order"), "number"),
    Column(_("status"), "status", _choices(Order, "status")),
    Column(_("total"), "total", currency="currency"),
    Column(_("currency"), "currency"),
    Column(_("devices"), "line_count"),
    Column(_("plan"), "plan_name"),
    Column(_("months"), "months"),
    Column(_("merchant"), "merchant_name"),
    Column(_("enterprise"), "enterprise__name"),
    Column(_("channel"), "channel", _choices(Order, "channel")),
    Column(_("by"), "created_by", names_actor=True),
    Column(_("created"), "created_at"),
    Column(_("paid"), "paid_at"),
)

PAYMENT_EXPORT = (
    Column(_("payment"), "number"),
    Column(_("status"), "status", _choices(PaymentAttempt, "status")),
    Column(_("amount"), "amount", currency="currency"),
    Column(_("currency"), "currency"),
    Column(_("order"), "order__number"),
    Column(_("gateway"), "provider", _choices(MerchantAccount, "provider")),
    Column(_("gateway transaction"), "transaction_id", words=shown_transaction),
    Column(_("enterprise"), "enterprise__name"),
    Column(_("created"), "created_at"),
    Column(_("paid"), "paid_at"),
)

EXCEPTION_EXPORT = (
    Column(_("reason"), "kind", _choices(PaymentException, "kind")),
    Column(_("amount"), "amount", currency="currency"),
    Column(_("currency"), "currency"),
    Column(_("payment"), "attempt__number"),
    Column(_("order"), "attempt__order__number"),
    Column(_("detail"), "facts", words=told),
    Column(_("enterprise"), "enterprise__name"),
    Column(_("noticed"), "created_at"),
    Column(_("resolved"), "resolved_at"),
    Column(_("by"), "resolved_by", names_actor=True),
)

REFUND_EXPORT = (
    Column(_("refund"), "number"),
    Column(_("status"), "status", _choices(Refund, "status")),
    Column(_("amount"), "amount", currency="currency"),
    Column(_("currency"), "currency"),
    Column(_("order"), "order__number"),
    Column(_("payment"), "attempt__number"),
    Column(_("effect on the devices"), "effect", _choices(Refund, "effect")),
    Column(_("reason"), "reason"),
    Column(_("asked by"), "requested_by", names_actor=True),
    Column(_("approved by"), "approved_by", names_actor=True),
    Column(_("enterprise"), "enterprise__name"),
    Column(_("asked"), "created_at"),
    Column(_("ended"), "ended_at"),
)
