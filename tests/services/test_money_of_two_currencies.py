"""Money of another currency than was asked for is never added to the rest (R1, F30, F31, F44)."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.test import override_settings

from billing.invariants import violations
from billing.models import Order, PaymentAttempt, PaymentException, Refund, Resolution
from billing.services.refund_proposals import unused_money
from billing.services.refunds import RefundRefused, request_refund_of_unused
from billing.services.resolving import resolve_exception
from billing.services.settlement import settle
from tests.services.gateway import books_in_order, wire
from tests.services.refunding import ANN
from tests.services.shop import MINUTE, NOW, Shop, open_shop, paid

__all__ = ["books_in_order", "wire"]
LATER = NOW + 5 * MINUTE
migration = import_module("billing.migrations.0013_facts_and_currencies")


@pytest.fixture
def shop() -> Shop:
    return open_shop(devices=1)


def paid_three_times(shop: Shop) -> PaymentAttempt:
    """199 yuan as asked, then 100 dollars and 50 yuan with the same code."""
    attempt = shop.attempt()
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    for transaction, amount, currency in (("USD1", 10_000, "USD"), ("CNY2", 5_000, "CNY")):
        facts = paid(attempt, transaction_id=transaction, amount=amount, currency=currency)
        settle(attempt_id=attempt.pk, facts=facts, now=LATER)
    return PaymentAttempt.objects.get(pk=attempt.pk)


def cases() -> list[tuple[str, int, str]]:
    return sorted(PaymentException.objects.values_list("kind", "amount", "currency"))


def test_a_payment_counts_in_its_own_currency_and_the_rest_is_a_case_of_its_own(shop: Shop) -> None:
    attempt = paid_three_times(shop)
    assert (attempt.received, attempt.paid_amount, attempt.paid_currency) == (24_900, 19_900, "CNY")
    assert cases() == [("SECOND_PAYMENT", 5_000, "CNY"), ("SECOND_PAYMENT", 10_000, "USD")]
    assert (unused_money(attempt, "USD"), unused_money(attempt, "CNY")) == (0, 5_000), "dollars are on their way back"
    assert violations() == []


def test_what_was_paid_in_another_currency_is_shown_in_it(shop: Shop) -> None:
    attempt = shop.attempt()
    settle(attempt_id=attempt.pk, facts=paid(attempt, currency="USD"), now=LATER)
    attempt.refresh_from_db()
    assert (attempt.received, attempt.paid_amount, attempt.paid_currency) == (0, 19_900, "USD")
    assert cases() == [("AMOUNT_MISMATCH", 19_900, "USD")]


def test_a_case_is_refunded_and_closed_in_its_currency_alone(shop: Shop) -> None:
    attempt = paid_three_times(shop)
    [proposed] = Refund.objects.all()
    assert (proposed.amount, proposed.currency) == (10_000, "USD")
    yuan, dollars = (PaymentException.objects.get(currency=each) for each in ("CNY", "USD"))
    with pytest.raises(RefundRefused, match="on its way"):  # one refund of unused money at a time
        resolve_exception(exception=yuan, resolution=Resolution.REFUND, reason="twice", by=ANN, now=LATER)
    resolve_exception(exception=dollars, resolution=Resolution.REFUND, reason="twice", by=ANN, now=LATER)
    attempt.refresh_from_db()
    assert attempt.refunded == 0, "no yuan is on its way back"
    assert violations() == []


@override_settings(REFUND_THRESHOLD=19_900)
def test_the_second_person_is_asked_for_by_the_sum_of_one_currency(shop: Shop) -> None:
    attempt = shop.attempt()
    settle(attempt_id=attempt.pk, facts=paid(attempt, currency="USD"), now=LATER)
    Order.objects.filter(pk=attempt.order_id).update(status="PENDING")
    refund = request_refund_of_unused(
        attempt=attempt, currency="USD", reason="dollars", asked_by=ANN, now=LATER, case=None
    )
    assert refund.status == "APPROVED", "19,900 is at the threshold"
    assert violations() == []


def test_what_older_versions_had_added_up_is_parted(shop: Shop) -> None:
    """The migration, on rows as they were."""
    attempt = paid_three_times(shop)
    PaymentException.objects.filter(currency="CNY").delete()
    PaymentException.objects.update(amount=15_000)
    PaymentAttempt.objects.update(received=34_900, refunded=10_000, paid_currency="")
    migration.count_by_currency(apps, None)
    attempt.refresh_from_db()
    assert (attempt.received, attempt.refunded, attempt.paid_currency) == (24_900, 0, "CNY")
    assert cases() == [("SECOND_PAYMENT", 5_000, "CNY"), ("SECOND_PAYMENT", 10_000, "USD")]
    assert violations() == []


@pytest.mark.parametrize(
    ("sentence", "facts"),
    [
        (
            "10000 USD paid, 19900 CNY asked (minor units)",
            {
                "code": "paid_otherwise",
                "paid": 10_000,
                "paid_currency": "USD",
                "asked": 19_900,
                "asked_currency": "CNY",
            },
        ),
        ("paid to M1, sold by M2", {"code": "paid_to_another", "paid_to": "M1", "sold_by": "M2"}),
        ("paid after the order had ended; order A-B-C", {"code": "paid_late", "order": "A-B-C"}),
        ("transaction T1 for order A-B-C", {"code": "paid_twice", "transaction": "T1", "order": "A-B-C"}),
        (
            "1 of 3 devices of order A-B-C could not be renewed",
            {"code": "not_renewed", "unapplied": 1, "devices": 3, "order": "A-B-C"},
        ),
        ("something else", {"code": "noted", "note": "something else"}),
    ],
)
def test_stored_sentences_become_facts(sentence: str, facts: dict[str, object]) -> None:
    assert migration.facts_in(sentence) == facts
