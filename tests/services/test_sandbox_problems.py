"""The sandbox plays a second payment, silence after success, and every way a refund can go (F31, F45)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from billing.models import PaymentException, Refund, SandboxRefund
from billing.services.polling import poll_due_attempts
from billing.services.sandbox import Trouble, choose_refund_trouble, pay, pay_page
from billing.services.sandbox_refunds import RefundTrouble
from tests.services.gateway import books_in_order, page_of, shop, status_of, wire
from tests.services.refunding import HALFWAY, paid_order, refund_of, work
from tests.services.shop import NOW, WALL, Loopback, Shop, money

__all__ = ["books_in_order", "shop", "wire"]
STEPS = [timedelta(seconds=seconds) for seconds in (0, 5, 20, 80, 200)]


def signed(attempt: object) -> str:
    return attempt.code.rsplit("/", 1)[1]  # type: ignore[attr-defined]


def test_a_second_payment_is_told_with_a_transaction_of_its_own_F31(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    pay(signed=signed(attempt), trouble=Trouble.SECOND, now=NOW, wall=WALL)
    assert money(attempt.order) == {"RECEIVED": 39_800, "UNAPPLIED": 19_900}
    assert PaymentException.objects.get().kind == "SECOND_PAYMENT"
    assert Refund.objects.get().amount == 19_900


def test_a_payment_that_nobody_answers_for_is_found_by_a_later_query_F26(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    pay(signed=signed(attempt), trouble=Trouble.UNANSWERED, now=NOW, wall=WALL)
    for seconds, status in ((10, "PENDING"), (60, "PENDING"), (300, "PAID")):
        now, wall = wire.at(timedelta(seconds=seconds))
        poll_due_attempts(now=now, wall=wall)
        assert status_of(attempt)[1] == status


@pytest.mark.parametrize(
    ("trouble", "outcome", "steps"),
    [
        (RefundTrouble.NONE, "SUCCEEDED", 1),
        (RefundTrouble.LATER, "SUCCEEDED", 3),
        (RefundTrouble.FAIL, "FAILED", 3),
        (RefundTrouble.UNANSWERED, "SUCCEEDED", 2),
    ],
)
def test_every_way_of_a_refund_ends_once_F45(
    shop: Shop, wire: Loopback, trouble: RefundTrouble, outcome: str, steps: int
) -> None:
    order = paid_order(shop)
    code = order.attempts.get().code.rsplit("/", 1)[1]
    choose_refund_trouble(signed=code, trouble=trouble, now=NOW)
    refund = refund_of(order)
    for n, wait in enumerate(STEPS[:steps], 1):
        work(wire, HALFWAY + wait)
        ended = Refund.objects.get(pk=refund.pk).status
        assert ended == (outcome if n == steps else "PROCESSING")
    assert SandboxRefund.objects.count() == 1
    assert money(order).get("REFUNDED", 0) == (19_900 if outcome == "SUCCEEDED" else 0)


def test_the_paid_page_offers_the_problems_of_a_refund(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    page = page_of(order.attempts.get())
    assert "Let the refund fail" in Client().get(page).content.decode()
    assert Client().post(page, {"refunds": "fail"}).status_code == 302
    assert pay_page(signed=page.rsplit("/", 1)[1], now=NOW).refund_trouble is RefundTrouble.FAIL
    assert Client().post(page, {"refunds": "nonsense"}).status_code == 302
    assert pay_page(signed=page.rsplit("/", 1)[1], now=NOW).refund_trouble is RefundTrouble.NONE
