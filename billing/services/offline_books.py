"""The books of bank transfers: what an account's people have confirmed, in the words of a gateway."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Sum

from billing.models import BankPayout, BankReceipt, MerchantAccount, PaymentAttempt
from billing.orders import GatewayFacts, GatewayState
from billing.providers.protocol import GatewayRefused, RefundFacts, RefundState


class Books:
    """One account's receipts and payouts; implements `providers.protocol.OfflineBooks`."""

    def __init__(self, account: MerchantAccount) -> None:
        self._account = account

    def trade(self, number: str) -> GatewayFacts:
        """PAID by its first confirmed receipt; NOT_FOUND for what was never asked for here."""
        receipt = self._confirmed(number).order_by("confirmed_at", "pk").first()
        if receipt:
            return facts_of(receipt)
        known = PaymentAttempt.objects.filter(number=number, account=self._account).exists()
        return GatewayFacts(number, GatewayState.NOT_PAID if known else GatewayState.NOT_FOUND)

    @transaction.atomic
    def pay_out(self, number: str, refund_number: str, amount: int) -> RefundFacts:
        """Note that somebody has to pay back; once per refund number, never more than was received (F44)."""
        account = MerchantAccount.objects.select_for_update(no_key=True).get(pk=self._account.pk)
        known = BankPayout.objects.filter(refund_number=refund_number).first()
        if known and (known.account_id, known.number, known.amount) != (account.pk, number, amount):
            raise GatewayRefused("This refund number was used for another refund.")
        if known is None:
            received = self._confirmed(number).aggregate(sum=Sum("amount"))["sum"] or 0
            payouts = BankPayout.objects.filter(account=account, number=number, rejected_at=None)
            gone = payouts.aggregate(sum=Sum("amount"))["sum"] or 0
            if not 0 < amount <= received - gone:
                raise GatewayRefused("More than was received can't be paid back.")
            known = BankPayout.objects.create(
                enterprise_id=account.enterprise_id,
                account=account,
                number=number,
                refund_number=refund_number,
                amount=amount,
            )
        return payout_facts(known)

    def payout(self, number: str, refund_number: str) -> RefundFacts:
        """NOT_FOUND where nobody was asked to pay."""
        payouts = BankPayout.objects.filter(account=self._account, number=number)
        known = payouts.filter(refund_number=refund_number).first()
        return payout_facts(known) if known else RefundFacts(refund_number, RefundState.NOT_FOUND)

    def _confirmed(self, number: str) -> Any:
        return BankReceipt.objects.filter(account=self._account, number=number, confirmed_at__isnull=False)


def facts_of(receipt: BankReceipt) -> GatewayFacts:
    """One confirmed receipt as a gateway would tell it; banks repeat references, so ours names the account too."""
    return GatewayFacts(
        receipt.number,
        GatewayState.PAID,
        merchant_id=receipt.account.merchant.merchant_id,
        amount=receipt.amount,
        currency=receipt.currency,
        transaction_id=f"{receipt.account_id}:{receipt.reference}",
        paid_at=receipt.received_at,
    )


def payout_facts(payout: BankPayout) -> RefundFacts:
    """SUCCEEDED once it is confirmed, FAILED once it is rejected."""
    state = RefundState.SUCCEEDED if payout.confirmed_at else RefundState.PROCESSING
    return RefundFacts(payout.refund_number, RefundState.FAILED if payout.rejected_at else state, payout.amount)
