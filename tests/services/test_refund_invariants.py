"""What `manage.py audit` says of refunds: nothing where all is well, and each planted lie by its name (R1, F44)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection

from amp.foundation.scoping import system_scope
from billing.invariants import violations
from billing.models import MoneyEntry, OrderLine, PaymentAttempt, Refund, RefundLine
from devices.invariants import violations as device_violations
from devices.models import EarlyEnd
from tests.services.gateway import shop, wire
from tests.services.refunding import HALFWAY, paid_order, refund_of, work
from tests.services.shop import NOW, Loopback, Shop

__all__ = ["shop", "wire"]


@pytest.fixture(autouse=True)
def _system(db: None) -> Iterator[None]:
    with system_scope():
        yield


@pytest.fixture
def refund(shop: Shop, wire: Loopback) -> Refund:
    """Half of a payment is back, half of the time is taken."""
    refund = refund_of(paid_order(shop), amount=4_975)
    work(wire)
    assert violations() == []
    return refund


def _unbook(refund: Refund) -> None:
    with connection.cursor() as cursor:  # as only the database's owner can: past the triggers
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM billing_moneyentry WHERE kind = 'REFUNDED'")
        cursor.execute("SET LOCAL session_replication_role = origin")


def _book_again(refund: Refund) -> None:
    entry = MoneyEntry.objects.get(kind="REFUNDED")
    entry.pk, entry.source = None, f"{entry.source}:again"
    entry.save()


def _book_too_much(refund: Refund) -> None:
    entry = MoneyEntry.objects.get(kind="REFUNDED")
    entry.pk, entry.source, entry.amount = None, f"{entry.source}:more", 10**6
    entry.save()


def _cut_again(refund: Refund) -> None:
    cut = EarlyEnd.objects.get()
    EarlyEnd.objects.create(
        enterprise_id=cut.enterprise_id,
        device_id=cut.device_id,
        number=cut.number,
        previous_ends_at=cut.ends_at,
        ends_at=cut.ends_at - timedelta(days=1),
        source="refund:999999",
        created_at=NOW,
    )


LIES: list[tuple[Callable[[Refund], object], str]] = [
    (lambda refund: MoneyEntry.objects.create(**_received(refund)), "money in = money accounted for"),
    (_unbook, "a refund is booked once"),
    (_book_again, "a refund is booked once"),
    (_book_too_much, "no pot below zero"),
    (lambda refund: PaymentAttempt.objects.update(refunded=0), "refunds within what was paid"),
    (lambda refund: OrderLine.objects.update(refunded=1), "refunds within what was paid"),
    (lambda refund: PaymentAttempt.objects.update(received=4_974, refunded=0), "refunds within what was paid"),
    (lambda refund: RefundLine.objects.update(amount=1), "a refund is the sum of its lines"),
    (lambda refund: RefundLine.objects.update(is_live=True), "a refund is the sum of its lines"),
    (lambda refund: RefundLine.objects.update(taken_seconds=1), "a refund takes time once"),
    (lambda refund: RefundLine.objects.update(taken_seconds=0), "a refund takes time once"),
    (_cut_again, "a refund takes time once"),
]


def _received(refund: Refund) -> dict[str, object]:
    entry = MoneyEntry.objects.get(kind="RECEIVED")
    return {
        "enterprise_id": entry.enterprise_id,
        "merchant_id": entry.merchant_id,
        "attempt_id": entry.attempt_id,
        "kind": "RECEIVED",
        "amount": 1,
        "currency": "CNY",
        "source": "nowhere",
        "created_at": NOW,
    }


@pytest.mark.parametrize(("lie", "name"), LIES)
def test_each_planted_lie_is_found_by_its_name(refund: Refund, lie: Callable[[Refund], object], name: str) -> None:
    lie(refund)
    assert name in {each.name for each in violations()}


def test_a_cut_that_begins_nowhere_is_found(refund: Refund) -> None:
    cut = EarlyEnd.objects.get()
    EarlyEnd.objects.create(
        enterprise_id=cut.enterprise_id,
        device_id=cut.device_id,
        number=cut.number,
        previous_ends_at=cut.ends_at + timedelta(days=1),
        ends_at=cut.ends_at - timedelta(days=1),
        source="refund:999999",
        created_at=NOW,
    )
    assert "a_cut_begins_at_the_end_before_it" in {each.name for each in device_violations(now=HALFWAY)}
