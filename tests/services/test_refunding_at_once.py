"""Refunds asked for, sent and felt by many at once: money goes back once, and more without the locks (R1, R2, F44)."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest
from django.db import IntegrityError
from django.db.models import QuerySet
from psycopg.errors import UniqueViolation

from billing.models import Effect, MoneyEntry, Order, PaymentAttempt, Refund
from billing.providers.protocol import RefundFacts, RefundState
from billing.services import refund_work, refunds
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.refund_work import settle_refund, work_refunds
from billing.services.refunds import RefundRefused, request_refund
from billing.services.settlement import settle
from devices.models import EarlyEnd
from tests.services.gateway import books_in_order
from tests.services.shop import NOW, Shop, money, open_shop, paid
from tests.stack.waiting import at_once, failures

__all__ = ["books_in_order"]

pytestmark = pytest.mark.django_db(transaction=True)
CROWD = 8
PRICE = 19_900
REFUSED_BY_THE_DATABASE = {IntegrityError, UniqueViolation}  # by an INSERT, by a COPY


@pytest.fixture
def order() -> Order:
    shop: Shop = open_shop()
    attempt = shop.attempt()
    settle(attempt_id=attempt.pk, facts=paid(attempt, paid_at=NOW), now=NOW)
    fulfil_paid_orders(now=NOW)
    return Order.objects.get(pk=attempt.order_id)


def ask(order: Order, **more: Any) -> Refund:
    return request_refund(
        order=order, effect=Effect.SHORTEN, reason="returned", asked_by="ann@example.com", now=NOW, **more
    )


def sent(refund: Refund) -> RefundFacts:
    Refund.objects.filter(pk=refund.pk).update(status="PROCESSING", due_at=None)
    return RefundFacts(refund.number, RefundState.SUCCEEDED, refund.amount)


def test_of_many_who_refund_a_line_at_once_one_does_F44(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    meet(monkeypatch, refunds, "quote_refund")
    failed = failures(at_once(*[lambda: ask(order)] * CROWD))
    assert [type(failure) for failure in failed] == [RefundRefused] * (CROWD - 1)
    assert (Refund.objects.count(), PaymentAttempt.objects.get().refunded) == (1, PRICE)


def test_without_the_locks_they_all_read_before_the_first_writes_and_the_database_refuses(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the crowd does collide, and then the constraints are the last guard."""
    with monkeypatch.context() as patch:
        patch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows.all())
        meet(patch, refunds, "quote_refund")
        failed = failures(at_once(*[lambda: ask(order)] * CROWD))
    assert {type(failure) for failure in failed} <= REFUSED_BY_THE_DATABASE
    assert len(failed) == CROWD - 1
    assert Refund.objects.count() == 1


def test_the_same_key_at_once_asks_once_and_all_get_the_same_refund_R7(order: Order) -> None:
    found: list[int] = []
    assert failures(at_once(*[lambda: found.append(ask(order, once_key="click").pk)] * CROWD)) == []
    assert set(found) == {Refund.objects.get().pk}


def test_a_word_of_success_that_comes_many_times_at_once_is_booked_once(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund = ask(order)
    facts = sent(refund)
    meet(monkeypatch, refund_work, "check_step")
    assert failures(at_once(*[lambda: settle_refund(refund_id=refund.pk, facts=facts, now=NOW)] * CROWD)) == []
    assert money(order) == {"RECEIVED": PRICE, "APPLIED": PRICE, "REFUNDED": PRICE}
    assert MoneyEntry.objects.filter(kind="REFUNDED").count() == 1
    work_refunds(now=NOW, wall=NOW)


def test_without_the_locks_only_the_ledgers_unique_source_keeps_the_second_booking_away(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the one above."""
    refund = ask(order)
    facts = sent(refund)
    with monkeypatch.context() as patch:
        patch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows.all())
        meet(patch, refund_work, "check_step")
        failed = failures(at_once(*[lambda: settle_refund(refund_id=refund.pk, facts=facts, now=NOW)] * CROWD))
    assert REFUSED_BY_THE_DATABASE & {type(failure) for failure in failed}
    assert money(order)["REFUNDED"] == PRICE
    work_refunds(now=NOW, wall=NOW)


def test_many_workers_take_the_devices_time_once_R2(order: Order) -> None:
    refund = ask(order)
    settle_refund(refund_id=refund.pk, facts=sent(refund), now=NOW)
    assert failures(at_once(*[lambda: work_refunds(now=NOW, wall=NOW)] * CROWD)) == []
    assert EarlyEnd.objects.count() == 1
    assert Refund.objects.get().due_at is None


def meet(patch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    """All callers come through `name` before the first one goes on, where no lock keeps them from it."""
    read, gate = getattr(module, name), threading.Barrier(CROWD)

    def together(*args: Any, **more: Any) -> Any:
        found = read(*args, **more)
        with contextlib.suppress(threading.BrokenBarrierError):
            gate.wait(timeout=1.5)
        return found

    patch.setattr(module, name, together)
