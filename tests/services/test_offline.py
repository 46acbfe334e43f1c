"""Bank transfers: recorded by one person, confirmed by another, settled like any payment; refunds likewise."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from billing.models import (
    BankPayout,
    BankReceipt,
    Order,
    OrderChannel,
    PaymentAttempt,
    PaymentException,
    Provider,
    Refund,
)
from billing.providers.protocol import GatewayRefused
from billing.services.accounts import AccountRefused, gateway_of, open_account
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.offline import (
    TransferRefused,
    confirm_payout,
    confirm_receipt,
    record_payout,
    record_receipt,
    reject_payout,
    reject_receipt,
)
from billing.services.polling import poll_due_attempts
from billing.services.refund_work import work_refunds
from billing.services.refunds import RefundRefused
from tests.services.gateway import books_in_order, wire
from tests.services.offline_bench import receive, transfer_account
from tests.services.refunding import ANN, BOB, HALFWAY, refund_of, work
from tests.services.shop import NOW, Loopback, Shop, kinds, money, open_shop

__all__ = ["books_in_order", "wire"]


@pytest.fixture
def shop() -> Shop:
    shop = open_shop(devices=2)
    transfer_account(shop)
    return shop


def recorded(attempt: PaymentAttempt) -> BankReceipt:
    return record_receipt(
        attempt=attempt,
        amount=attempt.amount,
        currency="CNY",
        reference="ABC-123",
        received_at=NOW,
        by=ANN,
        now=NOW,
    )


def test_a_transfer_waits_two_weeks_and_shows_its_reference(shop: Shop) -> None:
    attempt = shop.attempt()
    assert attempt.code.replace(" ", "") == attempt.number
    assert attempt.expires_at == Order.objects.get().expires_at == NOW + timedelta(days=14)


def test_unconfirmed_means_not_paid(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    recorded(attempt)
    poll_due_attempts(now=NOW + timedelta(minutes=5), wall=NOW)
    assert Order.objects.get().status == "PENDING"
    assert money(attempt.order) == {}


def test_another_person_confirms_and_the_same_settle_pays_the_order(shop: Shop) -> None:
    attempt = shop.attempt()
    receipt = recorded(attempt)
    with pytest.raises(TransferRefused, match="Another person"):
        confirm_receipt(receipt=receipt, by=ANN, now=NOW)
    assert confirm_receipt(receipt=receipt, by=BOB, now=NOW)
    assert confirm_receipt(receipt=receipt, by=BOB, now=NOW) is None
    fulfil_paid_orders(now=NOW)
    assert Order.objects.get().status == "FULFILLED"
    assert money(attempt.order) == {"RECEIVED": 39_800, "APPLIED": 39_800}
    assert kinds(f"order:{attempt.order_id}")[1:4] == [
        "payment.receipt_recorded",
        "payment.receipt_confirmed",
        "order.paid",
    ]


def test_the_database_itself_wants_two_people(shop: Shop) -> None:
    receipt = recorded(shop.attempt())
    with pytest.raises(IntegrityError, match="receipt_needs_two_people"), transaction.atomic():
        BankReceipt.objects.filter(pk=receipt.pk).update(confirmed_by=ANN, confirmed_at=NOW)


def test_a_wrong_amount_is_a_case_for_staff_like_any_other_F30(shop: Shop) -> None:
    receive(shop.attempt(), amount=1)
    assert PaymentException.objects.get().kind == "AMOUNT_MISMATCH"
    assert Order.objects.get().status == "PENDING"


def test_a_second_transfer_of_the_same_payment_is_proposed_for_refund_F31(shop: Shop) -> None:
    attempt = shop.attempt()
    receive(attempt)
    receive(attempt, reference="BANK0002")
    assert Refund.objects.get().amount == 39_800


def test_a_bank_reference_is_recorded_once_per_account_unless_it_was_rejected(shop: Shop) -> None:
    attempt = shop.attempt()
    receipt = recorded(attempt)
    with pytest.raises(TransferRefused, match="recorded already"):
        recorded(attempt)
    reject_receipt(receipt=receipt, by=ANN, now=NOW)
    with pytest.raises(TransferRefused, match="rejected"):
        confirm_receipt(receipt=receipt, by=BOB, now=NOW)
    confirm_receipt(receipt=recorded(attempt), by=BOB, now=NOW)
    with pytest.raises(TransferRefused, match="confirmed already"):
        reject_receipt(receipt=BankReceipt.objects.latest("pk"), by=BOB, now=NOW)


def test_two_merchants_may_have_the_same_bank_reference(shop: Shop) -> None:
    receive(shop.attempt())
    other = open_shop(name="Other")
    transfer_account(other)
    attempt = other.attempt()
    receive(attempt)
    assert PaymentAttempt.objects.get(pk=attempt.pk).status == "PAID"


def test_what_is_typed_wrong_is_refused_with_its_field(shop: Shop) -> None:
    attempt = shop.attempt()
    wrong = [
        ({"reference": "a"}, "reference"),
        ({"reference": "x\x00yz"}, "reference"),
        ({"amount": 0}, "amount"),
        ({"amount": 10**18}, "amount"),
        ({"received_at": NOW + timedelta(days=1)}, "received_on"),
    ]
    for change, field in wrong:
        with pytest.raises(TransferRefused) as refused:
            receive(attempt, **change)
        assert refused.value.problems[0].field == field


def test_the_public_page_never_asks_for_a_transfer(shop: Shop) -> None:
    order = shop.order(device_ids=shop.ids[:1], channel=OrderChannel.PUBLIC)
    with pytest.raises(AccountRefused, match="can't take payments"):
        shop.attempt(order)


def test_test_money_never_stands_beside_a_bank_account(shop: Shop) -> None:
    secret = secrets.token_bytes(32)
    with pytest.raises(AccountRefused, match="side by side"):
        open_account(merchant=shop.merchant, provider=Provider.SANDBOX, secret=secret, actor=ANN, now=NOW)


def test_a_refund_is_paid_out_by_one_person_and_confirmed_by_another(shop: Shop, wire: Loopback) -> None:
    receive(shop.attempt())
    fulfil_paid_orders(now=NOW)
    order = Order.objects.get()
    refund = refund_of(order)
    work(wire)
    payout = BankPayout.objects.get()
    with pytest.raises(TransferRefused, match="Nobody has paid"):
        confirm_payout(payout=payout, by=BOB, now=HALFWAY)
    record_payout(payout=payout, reference="OUT-1", by=ANN, now=HALFWAY)
    with pytest.raises(TransferRefused, match="paid out already"):
        record_payout(payout=payout, reference="OUT-2", by=BOB, now=HALFWAY)
    with pytest.raises(TransferRefused, match="Another person"):
        confirm_payout(payout=payout, by=ANN, now=HALFWAY)
    assert Refund.objects.get().status == "PROCESSING"
    for _ in range(2):
        assert confirm_payout(payout=payout, by=BOB, now=HALFWAY).status == "SUCCEEDED"
    work(wire)
    assert Order.objects.get().status == "REFUNDED"
    assert Refund.objects.get(pk=refund.pk).lines.filter(taken_seconds=None).count() == 0


def test_more_than_was_received_is_never_paid_out_F44(shop: Shop) -> None:
    attempt = shop.attempt()
    receive(attempt)
    gateway = gateway_of(attempt.account)
    gateway.refund(attempt.number, refund_number="REFUND01", amount=39_800, wall=NOW)
    with pytest.raises(GatewayRefused, match="More than"):
        gateway.refund(attempt.number, refund_number="REFUND02", amount=1, wall=NOW)


def to_pay_out(shop: Shop) -> tuple[Refund, BankPayout]:
    receive(shop.attempt())
    fulfil_paid_orders(now=NOW)
    refund = refund_of(Order.objects.get(), now=NOW)
    work_refunds(now=NOW, wall=NOW)
    return refund, BankPayout.objects.get()


def test_a_rejected_payout_is_a_failed_refund_whose_money_can_be_refunded_again_F44(shop: Shop, wire: Loopback) -> None:
    refund, payout = to_pay_out(shop)
    record_payout(payout=payout, reference="OUT-1", by=ANN, now=NOW)
    with pytest.raises(TransferRefused, match="Another person"):
        reject_payout(payout=payout, reason="wrong account", by=ANN, now=NOW)
    with pytest.raises(RefundRefused, match="Say why"):
        reject_payout(payout=payout, reason="  ", by=BOB, now=NOW)
    for _ in range(2):
        reject_payout(payout=payout, reason="wrong account", by=BOB, now=NOW)
    refund.refresh_from_db()
    assert (refund.status, refund.problem) == ("FAILED", "wrong account")
    attempt = PaymentAttempt.objects.get()
    assert (attempt.refunded, money(attempt.order).get("REFUNDED")) == (0, None)
    assert kinds(f"order:{attempt.order_id}").count("refund.payout_rejected") == 1
    for verb in (lambda: confirm_payout(payout=payout, by=BOB, now=NOW), lambda: pay_again(payout)):
        with pytest.raises(TransferRefused, match="was rejected"):
            verb()
    again = refund_of(attempt.order, now=NOW)
    work_refunds(now=NOW, wall=NOW)
    second = BankPayout.objects.get(refund_number=again.number)
    confirm_payout(payout=record_payout(payout=second, reference="OUT-2", by=ANN, now=NOW), by=BOB, now=NOW)
    again.refresh_from_db()
    assert again.status == "SUCCEEDED"
    assert money(attempt.order)["REFUNDED"] == attempt.amount
    with pytest.raises(TransferRefused, match="confirmed already"):
        reject_payout(payout=second, reason="too late", by=BOB, now=NOW)


def pay_again(payout: BankPayout) -> BankPayout:
    return record_payout(payout=payout, reference="OUT-3", by=ANN, now=NOW)


def test_a_payout_that_nobody_has_made_may_be_rejected_by_whoever_may_confirm(shop: Shop, wire: Loopback) -> None:
    refund, payout = to_pay_out(shop)
    reject_payout(payout=payout, reason="no account is known", by=ANN, now=NOW)
    refund.refresh_from_db()
    assert (refund.status, refund.problem) == ("FAILED", "no account is known")


def test_the_database_itself_wants_another_person_to_reject_a_payout(shop: Shop, wire: Loopback) -> None:
    _refund, payout = to_pay_out(shop)
    record_payout(payout=payout, reference="OUT-1", by=ANN, now=NOW)
    stored = BankPayout.objects.filter(pk=payout.pk)
    for change in ({"rejected_by": ANN, "rejection": "x"}, {"rejected_by": BOB, "rejection": ""}):
        with pytest.raises(IntegrityError, match="payout_is_rejected_by_another"), transaction.atomic():
            stored.update(rejected_at=NOW, **change)
    with pytest.raises(IntegrityError, match="payout_has_one_outcome"), transaction.atomic():
        stored.update(rejected_at=NOW, rejected_by=BOB, rejection="x", confirmed_at=NOW, confirmed_by=BOB)
