"""Refunds whose call, answer or worker is lost: money goes back once, time is taken once (F44, F45, R2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from billing.models import (
    MoneyEntry,
    PaymentAttempt,
    Refund,
    SandboxRefund,
)
from billing.providers.protocol import RefundFacts, RefundState
from billing.refunds import RefundStatus
from billing.services.refund_work import settle_refund, work_refunds
from devices.models import EarlyEnd, Period
from tests.services.gateway import books_in_order, wire
from tests.services.refunding import HALFWAY, ends, paid_order, refund_of, work
from tests.services.shop import NOW, Loopback, Shop, money, open_shop

__all__ = ["books_in_order", "wire"]
END = NOW.replace(year=2027)


@pytest.fixture
def shop() -> Shop:
    return open_shop(devices=3)


def fresh(row: Any) -> Any:
    return type(row).objects.get(pk=row.pk)


def test_a_lost_answer_is_asked_about_and_pays_back_once_F45(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    refund = refund_of(order)
    wire.lost_answers = ("gateway/refund",)
    work(wire)
    assert fresh(refund).status == RefundStatus.PROCESSING.value
    assert money(order) == {"RECEIVED": 59_700, "APPLIED": 59_700}
    wire.lost_answers = ()
    wire.paths.clear()
    work(wire, HALFWAY + timedelta(seconds=5))
    assert wire.paths == ["/sandbox/gateway/query_refund"], "known to the gateway: it isn't sent again"
    assert fresh(refund).status == RefundStatus.SUCCEEDED.value
    assert SandboxRefund.objects.count() == 1


def test_a_lost_request_is_repeated_with_the_same_number_F45(shop: Shop, wire: Loopback) -> None:
    refund = refund_of(paid_order(shop))
    wire.lost_requests = ("gateway/refund",)
    work(wire)
    wire.lost_requests = ()
    work(wire, HALFWAY + timedelta(seconds=5))
    assert SandboxRefund.objects.get().number == refund.number == fresh(refund).number
    assert fresh(refund).status == RefundStatus.SUCCEEDED.value


def test_a_worker_that_dies_after_the_call_pays_back_once(
    shop: Shop, wire: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund = refund_of(paid_order(shop))
    with monkeypatch.context() as killed:
        killed.setattr("billing.services.refund_work.settle_refund", _killed)
        with pytest.raises(KeyboardInterrupt):
            work_refunds(now=HALFWAY, wall=wire.wall)
    assert (fresh(refund).status, SandboxRefund.objects.count()) == (RefundStatus.PROCESSING.value, 1)
    work(wire, HALFWAY + timedelta(seconds=30))
    assert fresh(refund).status == RefundStatus.PROCESSING.value, "leased"
    work(wire, HALFWAY + timedelta(seconds=60))
    assert fresh(refund).status == RefundStatus.SUCCEEDED.value
    assert SandboxRefund.objects.count() == 1
    assert MoneyEntry.objects.filter(kind="REFUNDED").count() == 3


def _killed(*_args: Any, **_more: Any) -> Any:
    raise KeyboardInterrupt


def test_a_worker_that_dies_between_devices_takes_time_once(
    shop: Shop, wire: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slice is one transaction: killed after the cut and before its own row, nothing was cut."""
    refund = refund_of(paid_order(shop), amount=29_850)
    wire.now = wire.wall = HALFWAY
    work_refunds(now=HALFWAY, wall=HALFWAY)
    with monkeypatch.context() as killed:
        killed.setattr("billing.services.refund_effects.update_rows", _killed)
        with pytest.raises(KeyboardInterrupt), transaction.atomic():
            work(wire)
    assert EarlyEnd.objects.count() == 0
    work(wire, HALFWAY + timedelta(seconds=60))
    assert EarlyEnd.objects.count() == 3
    assert set(refund.lines.values_list("taken_seconds", flat=True)) != {None}


def test_a_device_that_was_cut_already_is_not_cut_again_R2(shop: Shop, wire: Loopback) -> None:
    """Even where the refund's own row was lost: the cut's source is unique."""
    refund = refund_of(paid_order(shop), amount=14_925)
    work(wire)
    before = ends(shop)
    refund.lines.update(taken_seconds=None, ends_at=None)
    Refund.objects.filter(pk=refund.pk).update(due_at=HALFWAY)
    work(wire)
    assert ends(shop) == before
    assert set(refund.lines.values_list("ends_at", flat=True)) == set(before)


def test_a_word_that_comes_twice_or_late_books_once(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    refund = refund_of(order)
    work(wire)
    for state in (RefundState.SUCCEEDED, RefundState.FAILED, RefundState.PROCESSING):
        settle_refund(refund_id=refund.pk, facts=RefundFacts(refund.number, state, refund.amount), now=HALFWAY)
    assert money(order)["REFUNDED"] == 59_700
    with pytest.raises(ValueError, match="another refund"):
        settle_refund(refund_id=refund.pk, facts=RefundFacts("ROTHER", RefundState.SUCCEEDED), now=HALFWAY)


def test_another_amount_than_was_asked_for_books_nothing(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    refund = refund_of(order)
    wire.lost_requests = ("gateway",)
    work(wire)
    settle_refund(refund_id=refund.pk, facts=RefundFacts(refund.number, RefundState.SUCCEEDED, 1), now=HALFWAY)
    assert (fresh(refund).status, fresh(refund).problem) == ("PROCESSING", "The gateway says 1 (minor units).")
    assert "REFUNDED" not in money(order)


def test_a_refusal_counts_only_where_the_gateway_knows_of_no_such_refund(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    refund = refund_of(order, amount=100)
    Refund.objects.filter(pk=refund.pk).update(status="PROCESSING", attempts_made=0)
    SandboxRefund.objects.create(
        trade_id=SandboxRefund.trade.field.related_model.objects.get().pk,
        number=refund.number,
        amount=99,
        created_at=NOW,
    )
    work(wire)
    assert fresh(refund).status == "PROCESSING", "refused, but the gateway has paid something under this number"
    SandboxRefund.objects.all().delete()
    SandboxRefund.trade.field.related_model.objects.update(amount=50)
    work(wire, HALFWAY + timedelta(hours=2))
    assert (fresh(refund).status, fresh(order).status) == ("FAILED", "FULFILLED")
    assert PaymentAttempt.objects.get(order=order).refunded == 0
    assert set(ends(shop)) == {END}


def test_a_period_is_never_changed_only_cut_R9(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    before = list(Period.objects.order_by("pk").values())
    refund_of(order)
    work(wire)
    assert list(Period.objects.order_by("pk").values()) == before
