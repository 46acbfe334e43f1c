"""A paid order that the workers gave up: its lines are refunded, or tried again by a person's word (Q4, F15)."""

from __future__ import annotations

from typing import Any

import pytest

from billing.models import Effect, Order, OrderLine, PaymentException, Resolution
from billing.orders import OrderStatus
from billing.services import fulfilment
from billing.services.fulfilment import fulfil_paid_orders, retry_fulfilment
from billing.services.refund_quotes import quote_refund
from billing.services.refunds import RefundRefused
from billing.services.resolving import resolve_exception
from billing.services.settlement import settle
from tests.services.gateway import books_in_order, wire
from tests.services.refunding import ANN, HALFWAY, ends, pay_at_sandbox, refund_of, work
from tests.services.shop import NOW, Loopback, Shop, money, open_shop, paid
from tests.services.test_refunds import END, fresh

__all__ = ["books_in_order", "wire"]


@pytest.fixture
def shop() -> Shop:
    return open_shop(devices=3)


def stuck_order(shop: Shop) -> Order:
    """Paid; two of three devices are renewed, and the worker has given up the last one."""
    attempt = shop.attempt()
    pay_at_sandbox(attempt)
    settle(attempt_id=attempt.pk, facts=paid(attempt, paid_at=NOW), now=NOW)
    renew = fulfilment.renew_services

    def poisonous(requests: Any, **more: Any) -> Any:
        if any(each.device_id == shop.ids[0] for each in requests):
            raise ArithmeticError
        return renew(requests, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fulfilment, "renew_services", poisonous)
        for _ in range(20):
            Order.objects.exclude(due_at=None).update(due_at=NOW)
            fulfil_paid_orders(now=NOW)
    order = Order.objects.get()
    assert (order.status, order.due_at) == ("PAID", None)
    assert list(order.lines.order_by("device_id").values_list("status", flat=True)) == ["QUEUED", "APPLIED", "APPLIED"]
    return order


def test_lines_of_an_order_that_the_worker_gave_up_can_be_refunded_Q4(shop: Shop, wire: Loopback) -> None:
    order = stuck_order(shop)
    line = OrderLine.objects.get(order=order, device_id=shop.ids[0])
    quoted = {each.line.pk: each.share.refundable for each in quote_refund(order=order, now=HALFWAY).lines}
    assert quoted[line.pk] == 19_900
    refund_of(order, line_ids=[line.pk], now=NOW)
    assert fresh(order).status == OrderStatus.PARTIALLY_FULFILLED.value
    assert (fresh(line).status, fresh(line).reason) == ("UNAPPLIED", "given_up")
    fulfil_paid_orders(now=NOW)
    work(wire, NOW)
    assert money(order) == {"RECEIVED": 59_700, "APPLIED": 39_800, "UNAPPLIED": 19_900, "REFUNDED": 19_900}
    assert ends(shop) == [None, END, END]
    assert [case.resolution for case in PaymentException.objects.all()] == ["REFUND"]


def test_what_is_not_refunded_of_such_an_order_is_tried_again_by_a_persons_word_Q4(shop: Shop, wire: Loopback) -> None:
    order = stuck_order(shop)
    applied = OrderLine.objects.filter(order=order, status="APPLIED").values_list("pk", flat=True)
    refund_of(order, line_ids=[applied[0]], effect=Effect.KEEP, now=NOW)
    case = PaymentException.objects.get()
    assert (case.kind, case.amount) == ("UNAPPLIED_LINES", 19_900)
    resolve_exception(exception=case, resolution=Resolution.RETRY, reason="mended", by=ANN, now=NOW)
    fulfil_paid_orders(now=NOW)
    assert ends(shop) == [END, END, END]
    assert fresh(order).status == OrderStatus.FULFILLED.value
    work(wire, NOW)


def test_an_order_that_is_still_being_worked_on_is_not_refunded(shop: Shop, wire: Loopback) -> None:
    order = stuck_order(shop)
    retry_fulfilment(order=order, actor=ANN, now=NOW)
    assert len(quote_refund(order=fresh(order), now=NOW).lines) == 2
    with pytest.raises(RefundRefused, match="still being renewed"):
        refund_of(fresh(order), now=NOW)
    fulfil_paid_orders(now=NOW)
