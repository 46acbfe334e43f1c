"""Money that no order line has used, and the refund that is proposed of it where a payment came twice (F31)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F, Sum
from django.utils.translation import gettext_noop

from amp.foundation.services.events import record_about
from billing.models import EntryKind, MoneyEntry, PaymentAttempt, PaymentException, Refund
from billing.orders import new_refund_number
from billing.refunds import LIVE, SYSTEM, Effect, RefundStatus

SECOND_PAYMENT = gettext_noop("The order was paid twice.")


def unused_money(attempt: PaymentAttempt, currency: str) -> int:
    """What no line has used of a payment and no refund has taken or is about to take, minor units."""
    entries = MoneyEntry.objects.filter(attempt=attempt, line=None, currency=currency)
    came = entries.filter(kind=EntryKind.UNAPPLIED.value).aggregate(sum=Sum("amount"))["sum"] or 0
    refunds = Refund.objects.filter(attempt=attempt, has_lines=False, currency=currency)
    gone = refunds.exclude(status=RefundStatus.FAILED.value).aggregate(sum=Sum("amount"))["sum"] or 0
    return int(came - gone)


def propose_refund(case: PaymentException, attempt: PaymentAttempt, *, currency: str, now: datetime) -> Refund | None:
    """Ask, in nobody's name, for the refund of what came twice; a person decides. Call under the payment's lock.

    A proposal that still waits grows with the next payment; None where a refund of the payment is on its way.
    """
    live = Refund.objects.filter(attempt=attempt, has_lines=False, status__in=[each.value for each in LIVE]).first()
    amount = unused_money(attempt, currency)
    if amount <= 0 or (live and not _is_proposal(live, currency)):
        return None
    if live:
        Refund.objects.filter(pk=live.pk).update(amount=F("amount") + amount)
        live.refresh_from_db()
    refund: Refund = live or make_refund(
        attempt, amount, currency, SECOND_PAYMENT, Effect.KEEP, has_lines=False, asked_by=SYSTEM, now=now, case=case
    )
    reserve(attempt, amount, currency)
    return refund


def make_refund(
    attempt: PaymentAttempt,
    amount: int,
    currency: str,
    reason: str,
    effect: Effect,
    *,
    has_lines: bool,
    asked_by: str,
    now: datetime,
    case: PaymentException | None = None,
    **more: Any,
) -> Refund:
    """A refund that is asked for, with its number, on the record."""
    refund: Refund = Refund.objects.create(
        enterprise_id=attempt.enterprise_id,
        order_id=attempt.order_id,
        attempt=attempt,
        exception=case,
        number=new_refund_number(),
        amount=amount,
        currency=currency,
        reason=reason,
        effect=effect.value,
        has_lines=has_lines,
        requested_by=asked_by,
        created_at=now,
        **more,
    )
    record_refund(refund, "refund.requested", actor=asked_by, why=reason, now=now)
    return refund


def reserve(attempt: PaymentAttempt, amount: int, currency: str) -> None:
    """Count `amount` as given back, or no longer where it is negative: the database refuses more than came in (F44).

    A payment counts in its own currency alone; of another one, `unused_money` says under the lock what is left.
    """
    PaymentAttempt.objects.filter(pk=attempt.pk, currency=currency).update(refunded=F("refunded") + amount)


def given_back(attempt: PaymentAttempt, currency: str) -> int:
    """All refunds of a payment in one currency, those on their way included, minor units."""
    refunds = Refund.objects.filter(attempt=attempt, currency=currency).exclude(status=RefundStatus.FAILED.value)
    return refunds.aggregate(sum=Sum("amount"))["sum"] or 0


def record_refund(
    refund: Refund, kind: str, *, actor: str, now: datetime, why: str = "", before: str = "", **more: Any
) -> None:
    """One event about the refund's order (R9)."""
    told = {"refund": refund.number, "status": refund.status, "amount": refund.amount, "currency": refund.currency}
    was = {"status": before} if before else None
    record_about(refund.order, kind, actor=actor, why=why, before=was, after={**told, **more}, now=now)


def _is_proposal(refund: Refund, currency: str) -> bool:
    waits = refund.status == RefundStatus.REQUESTED.value and refund.requested_by == SYSTEM
    return waits and refund.currency == currency
