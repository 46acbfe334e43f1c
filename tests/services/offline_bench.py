"""Bank transfers on the contract's bench: two people record and confirm what a payer would have sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from billing.models import PaymentAttempt, Provider
from billing.providers.protocol import PaymentRequest
from billing.services.accounts import gateway_of, notify_url, open_account
from billing.services.offline import confirm_receipt, record_receipt
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


def offline_bench(shop: Shop, wire: Loopback) -> Any:
    from tests.services.test_provider_contract import Bench

    account = transfer_account(shop)
    made = shop.attempt()
    url = notify_url(account)
    asked = PaymentRequest("CONTRACT0001", 19_900, "CNY", "Yearly 1", url, "", NOW + timedelta(minutes=30))

    def pay_there(code: str) -> None:
        number = code.replace(" ", "")
        attempt = PaymentAttempt.objects.filter(number=number).first() or _like(made, number)
        if not attempt.transaction_id:
            receive(attempt, reference=f"BANK{number}"[:40])

    def no_notice() -> tuple[dict[str, str], bytes]:
        return {}, b'{"amount":19900}'

    return Bench(gateway_of(account), asked, pay_there, no_notice, wire, is_called=False)


def _like(made: PaymentAttempt, number: str) -> PaymentAttempt:
    copy = PaymentAttempt.objects.get(pk=made.pk)
    copy.pk, copy.number = None, number
    copy.save()
    return copy
