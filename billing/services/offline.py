"""Bank transfers by two people: one records what the bank shows, another confirms; only then it is money.

Confirming goes through the same `settle` and `settle_refund` as any gateway's word.
"""

from __future__ import annotations

import re
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from amp.foundation.crashing import crash_point
from amp.foundation.money import MAX_MINOR
from amp.foundation.scoping import system_scope
from amp.foundation.services.events import record_about
from amp.foundation.services.refusals import Refused
from billing.models import BankPayout, BankReceipt, Order, PaymentAttempt, Provider, Refund
from billing.services.offline_books import facts_of, payout_facts
from billing.services.refund_work import settle_refund
from billing.services.refunds import checked_reason
from billing.services.settlement import Settled, settle

REFERENCE = re.compile(r"[0-9A-Za-z][0-9A-Za-z ./-]{2,39}")


class TransferRefused(Refused):
    """The receipt or the payout can't be recorded or confirmed like this."""


def record_receipt(
    *,
    attempt: PaymentAttempt,
    amount: int,
    currency: str,
    reference: str,
    received_at: datetime,
    by: str,
    now: datetime,
) -> BankReceipt:
    """What one person saw on the bank statement; pays for nothing yet. `amount` is minor units.

    Raises TransferRefused: no bank transfer, a date ahead, or a reference that is recorded already.
    """
    reference = " ".join(reference.split())
    if attempt.provider != Provider.OFFLINE.value:
        raise TransferRefused.because(_("This payment isn't made by bank transfer."))
    if not REFERENCE.fullmatch(reference):
        message = _("Type the bank's reference: 3 to 40 letters, digits, spaces, points, slashes and hyphens.")
        raise TransferRefused.because(message, "reference")
    if not 0 < amount <= MAX_MINOR:
        raise TransferRefused.because(_("Type the amount that was received."), "amount")
    if received_at > now:
        raise TransferRefused.because(_("This day has not come yet."), "received_on")
    try:
        with transaction.atomic():
            return _recorded(attempt, amount, currency, reference, received_at, by, now)
    except IntegrityError:
        raise TransferRefused.because(
            _("A receipt with this bank reference is recorded already."), "reference"
        ) from None


def confirm_receipt(*, receipt: BankReceipt, by: str, now: datetime) -> Settled | None:
    """Another person has seen it too: the payment is settled, as a gateway's notice would; None where it was already.

    Raises TransferRefused for who recorded it, and for a receipt that was rejected.
    """
    with system_scope(), transaction.atomic():  # the seller's rows, wherever the buyer's order is
        receipt = _locked_receipt(receipt)
        if receipt.confirmed_at:
            return None
        if receipt.rejected_at:
            raise TransferRefused.because(_("This receipt was rejected. Record it again."))
        if receipt.recorded_by == by:
            raise TransferRefused.because(_("Another person has to confirm it: you recorded it."))
        receipt.confirmed_by, receipt.confirmed_at = by, now
        receipt.save(update_fields=["confirmed_by", "confirmed_at"])
        attempt = PaymentAttempt.objects.get(number=receipt.number)
        _record("payment.receipt_confirmed", attempt, receipt, by, now)
        crash_point("receipt.confirmed")
        return settle(attempt_id=attempt.pk, facts=facts_of(receipt), now=now)


def reject_receipt(*, receipt: BankReceipt, by: str, now: datetime) -> BankReceipt:
    """It isn't on the account, or was typed wrong. Raises TransferRefused once it is confirmed."""
    with system_scope(), transaction.atomic():
        receipt = _locked_receipt(receipt)
        if receipt.confirmed_at:
            raise TransferRefused.because(_("This receipt is confirmed already. Refund it instead."))
        if receipt.rejected_at is None:
            receipt.rejected_by, receipt.rejected_at = by, now
            receipt.save(update_fields=["rejected_by", "rejected_at"])
            attempt = PaymentAttempt.objects.get(number=receipt.number)
            _record("payment.receipt_rejected", attempt, receipt, by, now)
        return receipt


@transaction.atomic
def record_payout(*, payout: BankPayout, reference: str, by: str, now: datetime) -> BankPayout:
    """One person has paid the refund out at the bank. Raises TransferRefused."""
    reference = " ".join(reference.split())
    if not REFERENCE.fullmatch(reference):
        message = _("Type the bank's reference: 3 to 40 letters, digits, spaces, points, slashes and hyphens.")
        raise TransferRefused.because(message, "reference")
    payout = BankPayout.objects.select_for_update().get(pk=payout.pk)
    if payout.rejected_at:
        raise TransferRefused.because(_("This payout was rejected. Ask for another refund."))
    if payout.recorded_at:
        raise TransferRefused.because(_("This refund is paid out already. Another person confirms it."))
    payout.reference, payout.recorded_by, payout.recorded_at = reference, by, now
    payout.save(update_fields=["reference", "recorded_by", "recorded_at"])
    _record_payout("refund.paid_out", payout, by, now)
    crash_point("payout.noted")
    return payout


def confirm_payout(*, payout: BankPayout, by: str, now: datetime) -> Refund:
    """Another person has seen it leave the account: the refund has succeeded. Again changes nothing.

    Raises TransferRefused.
    """
    with system_scope(), transaction.atomic():
        refund = Refund.objects.get(number=payout.refund_number)
        Order.objects.select_for_update(no_key=True).get(pk=refund.order_id)
        payout = BankPayout.objects.select_for_update().get(pk=payout.pk)
        if payout.confirmed_at is None:
            if payout.recorded_at is None:
                raise TransferRefused.because(_("Nobody has paid it out yet."))
            if payout.rejected_at:
                raise TransferRefused.because(_("This payout was rejected. Ask for another refund."))
            if payout.recorded_by == by:
                raise TransferRefused.because(_("Another person has to confirm it: you paid it out."))
            payout.confirmed_by, payout.confirmed_at = by, now
            payout.save(update_fields=["confirmed_by", "confirmed_at"])
            _record_payout("refund.payout_confirmed", payout, by, now)
            crash_point("payout.confirmed")
        return settle_refund(refund_id=refund.pk, facts=payout_facts(payout), now=now)


def reject_payout(*, payout: BankPayout, reason: str, by: str, now: datetime) -> Refund:
    """It can't be paid out, or it never left the account: the refund has failed for that reason, its money is free.

    Once somebody has paid it out, only another person may say so: else one person could have it paid twice (F44).
    Again changes nothing. Raises TransferRefused, also once it is confirmed; RefundRefused where the reason is none.
    """
    reason = checked_reason(reason)
    with system_scope(), transaction.atomic():
        refund = Refund.objects.get(number=payout.refund_number)
        Order.objects.select_for_update(no_key=True).get(pk=refund.order_id)
        payout = BankPayout.objects.select_for_update().get(pk=payout.pk)
        if payout.confirmed_at:
            raise TransferRefused.because(_("This payout is confirmed already: the money is back."))
        if payout.rejected_at is None:
            if payout.recorded_by == by:
                raise TransferRefused.because(_("Another person has to reject it: you paid it out."))
            payout.rejected_by, payout.rejected_at, payout.rejection = by, now, reason
            payout.save(update_fields=["rejected_by", "rejected_at", "rejection"])
            _record_payout("refund.payout_rejected", payout, by, now, why=reason)
        return settle_refund(refund_id=refund.pk, facts=payout_facts(payout), problem=payout.rejection, now=now)


def _recorded(
    attempt: PaymentAttempt, amount: int, currency: str, reference: str, received_at: datetime, by: str, now: datetime
) -> BankReceipt:
    with system_scope():
        receipt: BankReceipt = BankReceipt.objects.create(
            enterprise_id=attempt.enterprise_id,
            account_id=attempt.account_id,
            number=attempt.number,
            reference=reference,
            amount=amount,
            currency=currency,
            received_at=received_at,
            recorded_by=by,
            recorded_at=now,
        )
    _record("payment.receipt_recorded", attempt, receipt, by, now)
    return receipt


def _locked_receipt(receipt: BankReceipt) -> BankReceipt:
    """Order first (F23)."""
    order_id = PaymentAttempt.objects.values_list("order_id", flat=True).get(number=receipt.number)
    Order.objects.select_for_update(no_key=True).get(pk=order_id)
    locked: BankReceipt = BankReceipt.objects.select_for_update(of=("self",)).get(pk=receipt.pk)
    return locked


def _record(kind: str, attempt: PaymentAttempt, receipt: BankReceipt, by: str, now: datetime) -> None:
    told = {
        "payment": attempt.number,
        "reference": receipt.reference,
        "amount": receipt.amount,
        "currency": receipt.currency,
    }
    record_about(attempt.order, kind, actor=by, after=told, now=now)


def _record_payout(kind: str, payout: BankPayout, by: str, now: datetime, why: str = "") -> None:
    refund = Refund.objects.get(number=payout.refund_number)
    told = {"refund": refund.number, "reference": payout.reference, "amount": payout.amount}
    record_about(refund.order, kind, actor=by, why=why, after=told, now=now)
