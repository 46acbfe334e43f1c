"""Bank transfers on the contract's bench: two people record and confirm what a payer would have sent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from billing.models import BankReceipt, MerchantAccount, PaymentAttempt, Provider
from billing.services.accounts import open_account
from billing.services.offline import confirm_receipt, record_receipt
from tests.gateways.books import Fault
from tests.gateways.process import Sent
from tests.services.refunding import ANN, BOB
from tests.services.shop import NOW, Loopback, Shop


def transfer_account(shop: Shop) -> Any:
    return open_account(merchant=shop.merchant, provider=Provider.OFFLINE, secret=b"", actor=ANN, now=NOW)


def receive(attempt: PaymentAttempt, reference: str = "BANK0001", **changes: Any) -> Any:
    """Ann records, Bob confirms what was asked for."""
    seen: dict[str, Any] = {
        "attempt": attempt,
        "amount": attempt.amount,
        "currency": attempt.currency,
        "reference": reference,
        "received_at": NOW,
        "by": ANN,
        "now": NOW,
    }
    receipt = record_receipt(**seen | changes)
    return receipt, confirm_receipt(receipt=receipt, by=BOB, now=NOW)


class OfflineBench:
    """A bank account, its payers, and the two people who record and confirm what came in.

    `pay` confirms at once; where `waits` is set, as `tell` follows later, the receipts wait for `confirm`.
    """

    kind = "offline"

    def __init__(self, wire: Loopback) -> None:
        self.wire, self.waits, self.waiting = wire, False, list[BankReceipt]()
        self._attempt: PaymentAttempt | None = None

    def open(self, shop: Shop) -> MerchantAccount:
        account: MerchantAccount = transfer_account(shop)
        self._shop = shop
        return account

    def at(self, later: timedelta) -> tuple[datetime, datetime]:
        return self.wire.at(later)

    def pay(self, account: MerchantAccount, code: str, fault: str = "") -> bool:
        """A transfer with that reference comes in; only once for each number that nobody asked for twice."""
        number = code.replace(" ", "")
        attempt = PaymentAttempt.objects.filter(number=number).first() or self._like(account, number)
        if not self.waits and BankReceipt.objects.filter(number=number).exists():
            return False
        amount = attempt.amount - 1 if fault == Fault.WRONG_AMOUNT else attempt.amount
        receipt = record_receipt(
            attempt=attempt,
            amount=amount,
            currency=attempt.currency,
            reference=f"BANK{BankReceipt.objects.count():04}",
            received_at=NOW,
            by=ANN,
            now=NOW,
        )
        self.waiting.append(receipt)
        if not self.waits:
            self.confirm()
        return True

    def confirm(self) -> int:
        """The second person confirms what waits; how many receipts."""
        due, self.waiting = self.waiting, []
        for receipt in due:
            confirm_receipt(receipt=receipt, by=BOB, now=self.wire.now)
        return len(due)

    def notices(self) -> list[Sent]:
        """A bank sends none."""
        return []

    def fail(self, fault: Fault) -> None:
        raise AssertionError("No call of a bank transfer can be lost.")

    def received(self) -> int:
        confirmed = BankReceipt.objects.filter(confirmed_at__isnull=False)
        return sum(confirmed.values_list("amount", flat=True))

    def _like(self, account: MerchantAccount, number: str) -> PaymentAttempt:
        """A payment of ours under the contract's number: people record receipts of payments that exist."""
        made = self._attempt = self._attempt or self._shop.attempt(provider_account=account)
        return _like(made, number)


def _like(made: PaymentAttempt, number: str) -> PaymentAttempt:
    copy = PaymentAttempt.objects.get(pk=made.pk)
    copy.pk, copy.number = None, number
    copy.save()
    return copy
