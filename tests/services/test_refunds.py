"""Refunds: asked for, approved, sent once, and felt by the device when the money is back (F44, F45, Q2, Q4, A14)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import override_settings

from billing.models import (
    Effect,
    LineStatus,
    Order,
    OrderLine,
    PaymentAttempt,
    Refund,
    RefundLine,
    SandboxRefund,
)
from billing.orders import OrderStatus
from billing.refunds import RefundStatus
from billing.services.ordering import OnceKeyReused
from billing.services.refund_quotes import quote_refund
from billing.services.refunds import RefundRefused, approve_refund, reject_refund, request_refund
from devices.lifecycle import Lock, State
from devices.models import Command, DeviceService, EarlyEnd
from devices.services.registration import terminate_device
from tests.services.gateway import books_in_order, wire
from tests.services.refunding import (
    ANN,
    BOB,
    HALF,
    HALFWAY,
    device_trouble,
    ends,
    paid_order,
    refund_of,
    work,
)
from tests.services.shop import NOW, Loopback, Shop, kinds, money, open_shop

__all__ = ["books_in_order", "wire"]
END = NOW.replace(year=2027)


@pytest.fixture
def shop() -> Shop:
    return open_shop(devices=3)


def fresh(row: Any) -> Any:
    return type(row).objects.get(pk=row.pk)


def test_half_used_is_suggested_to_be_half_refunded_F39(shop: Shop, wire: Loopback) -> None:
    quoted = quote_refund(order=paid_order(shop), now=HALFWAY)
    assert (quoted.refundable, quoted.suggested) == (59_700, 29_850)
    assert [each.suggested for each in quoted.lines] == [9_950] * 3
    assert {each.ends_at for each in quoted.lines} == {END}


def test_a_refund_in_full_ends_the_service_and_the_order_Q2(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    refund = refund_of(order)
    assert refund.status == RefundStatus.APPROVED.value
    assert ends(shop) == [END] * 3, "nothing happens to a device before the money is back"
    work(wire)
    assert fresh(refund).status == RefundStatus.SUCCEEDED.value
    assert fresh(order).status == OrderStatus.REFUNDED.value
    assert money(order) == {"RECEIVED": 59_700, "APPLIED": 59_700, "REFUNDED": 59_700}
    services = DeviceService.objects.filter(device_id__in=shop.ids)
    assert {(each.state, each.ends_at, each.desired_lock) for each in services} == {
        (State.EXPIRED.value, HALFWAY, Lock.LOCKED.value)
    }
    assert Command.objects.filter(device_id__in=shop.ids, kind="LOCK", status="PENDING").count() == 3
    assert kinds(f"order:{order.pk}")[-4:] == [
        "refund.approved",
        "refund.sent",
        "order.refunded_in_full",
        "order.refunded",
    ]
    assert SandboxRefund.objects.get().amount == 59_700
    assert device_trouble(HALFWAY) == []


def test_part_of_the_money_takes_part_of_the_time_and_sets_a_new_anchor_A14(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    line = OrderLine.objects.filter(order=order).order_by("device_id").first()
    assert line
    refund_of(order, amount=4_975, line_ids=[line.pk])
    work(wire)
    service = DeviceService.objects.get(device_id=line.device_id)
    end = END - HALF / 2
    assert (service.state, service.ends_at, service.anchor, service.anchor_months) == ("ACTIVE", end, end, 0)
    assert service.due_at == end
    assert ends(shop)[1:] == [END, END]
    assert fresh(order).status == OrderStatus.FULFILLED.value
    assert money(order)["REFUNDED"] == 4_975
    assert not Command.objects.filter(device_id=line.device_id, kind="LOCK").exists()
    assert device_trouble(HALFWAY) == []


def test_what_is_refunded_twice_never_exceeds_what_was_paid_nor_takes_time_twice_F44(
    shop: Shop, wire: Loopback
) -> None:
    order = paid_order(shop)
    line = OrderLine.objects.filter(order=order).order_by("device_id").first()
    assert line
    for part in (4_975, 4_975, 9_950):
        refund_of(order, amount=part, line_ids=[line.pk])
        work(wire)
    assert fresh(line).refunded == 19_900
    assert EarlyEnd.objects.filter(device_id=line.device_id).count() == 2, "the third found no time left"
    assert DeviceService.objects.get(device_id=line.device_id).state == "EXPIRED"
    with pytest.raises(RefundRefused, match="refunded already"):
        refund_of(order, amount=1, line_ids=[line.pk])
    with pytest.raises(RefundRefused, match="at most"):
        refund_of(order, amount=39_801)
    assert device_trouble(HALFWAY) == []


@pytest.mark.parametrize("effect", [Effect.KEEP, Effect.STOP])
def test_a_device_keeps_its_time_or_stops_at_once_as_was_decided(shop: Shop, wire: Loopback, effect: Effect) -> None:
    refund = refund_of(paid_order(shop), amount=3, effect=effect)
    work(wire)
    assert set(ends(shop)) == ({END} if effect is Effect.KEEP else {HALFWAY})
    assert set(refund.lines.values_list("amount", flat=True)) == {1}
    states = set(DeviceService.objects.filter(device_id__in=shop.ids).values_list("state", flat=True))
    assert states == ({"ACTIVE"} if effect is Effect.KEEP else {"EXPIRED"})


def test_somebody_may_choose_other_days_for_one_device(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    line = OrderLine.objects.filter(order=order).order_by("device_id").first()
    assert line
    refund = refund_of(order, amount=9_950, line_ids=[line.pk], days=10)
    work(wire)
    assert DeviceService.objects.get(device_id=line.device_id).ends_at == END - timedelta(days=10)
    assert (refund.lines.get().taken_seconds, refund.lines.get().ends_at) == (864_000, END - timedelta(days=10))
    for days in (-1, 20_000):
        with pytest.raises(RefundRefused, match="days"):
            refund_of(order, line_ids=[line.pk], days=days)
    with pytest.raises(RefundRefused, match="single device"):
        refund_of(order, days=1)


def test_time_of_another_order_stays_when_one_of_two_is_refunded_A15(shop: Shop, wire: Loopback) -> None:
    first = paid_order(shop)
    paid_order(shop)
    assert set(ends(shop)) == {NOW.replace(year=2028)}
    refund_of(first)
    work(wire)
    assert set(ends(shop)) == {NOW.replace(year=2028) - HALF}
    assert device_trouble(HALFWAY) == []


def test_a_device_without_time_left_loses_nothing(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    device = shop_device(shop)
    terminate_device(device=device, actor=ANN, now=NOW)
    refund = refund_of(order)
    work(wire)
    line = RefundLine.objects.get(refund=refund, line__device=device)
    assert (line.taken_seconds, line.ends_at) == (0, None)
    assert DeviceService.objects.get(device=device).state == "TERMINATED"


def shop_device(shop: Shop) -> Any:
    return OrderLine.objects.filter(device_id=shop.ids[0])[0].device


@override_settings(REFUND_THRESHOLD=19_900)
def test_above_the_threshold_another_person_approves(shop: Shop, wire: Loopback) -> None:
    refund = refund_of(paid_order(shop), amount=19_901)
    work(wire)
    assert fresh(refund).status == RefundStatus.REQUESTED.value
    with pytest.raises(RefundRefused, match="Another person"):
        approve_refund(refund=refund, by=ANN, now=HALFWAY)
    approve_refund(refund=refund, by=BOB, now=HALFWAY)
    work(wire)
    assert (fresh(refund).status, fresh(refund).approved_by) == (RefundStatus.SUCCEEDED.value, BOB)
    assert approve_refund(refund=refund, by=BOB, now=HALFWAY).status == RefundStatus.SUCCEEDED.value


@override_settings(REFUND_THRESHOLD=10_000)
def test_many_small_refunds_are_no_way_around_the_second_person(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    lines = list(OrderLine.objects.filter(order=order).order_by("pk").values_list("pk", flat=True))
    found = [refund_of(order, amount=5_000, line_ids=[line]).status for line in lines]
    assert found == ["APPROVED", "APPROVED", "REQUESTED"]


@override_settings(REFUND_THRESHOLD=0)
def test_the_database_itself_wants_two_people(shop: Shop, wire: Loopback) -> None:
    refund = refund_of(paid_order(shop))
    with pytest.raises(IntegrityError, match="large_refund_needs_two_people"), transaction.atomic():
        Refund.objects.filter(pk=refund.pk).update(status="APPROVED", approved_by=ANN)
    with pytest.raises(IntegrityError, match="refund_on_its_way_is_approved"), transaction.atomic():
        Refund.objects.filter(pk=refund.pk).update(status="PROCESSING")


@override_settings(REFUND_THRESHOLD=0)
def test_a_rejected_refund_frees_what_it_had_reserved(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    refund = refund_of(order)
    assert PaymentAttempt.objects.get(order=order).refunded == 59_700
    reject_refund(refund=refund, by=BOB, reason="not agreed", now=HALFWAY)
    assert PaymentAttempt.objects.get(order=order).refunded == 0
    assert set(OrderLine.objects.filter(order=order).values_list("refunded", flat=True)) == {0}
    assert money(order) == {"RECEIVED": 59_700, "APPLIED": 59_700}
    with pytest.raises(RefundRefused, match="rejected"):
        approve_refund(refund=refund, by=BOB, now=HALFWAY)
    again = refund_of(order)
    assert again.number != refund.number
    approve_refund(refund=again, by=BOB, now=HALFWAY)
    with pytest.raises(RefundRefused, match="approved already"):
        reject_refund(refund=again, by=BOB, reason="late", now=HALFWAY)


def test_the_same_key_asks_once_and_another_refund_with_it_is_refused_R7(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    first = refund_of(order, amount=100, once_key="k1")
    assert refund_of(order, amount=100, once_key="k1").pk == first.pk
    with pytest.raises(OnceKeyReused):
        refund_of(order, amount=101, once_key="k1")
    assert Refund.objects.count() == 1


@pytest.mark.parametrize("other", ["lines", "days", "effect", "reason", "amount"])
def test_the_same_key_with_any_other_content_is_refused_and_the_same_content_is_the_same_refund_R7(
    shop: Shop, wire: Loopback, other: str
) -> None:
    order = paid_order(shop)
    first, second = OrderLine.objects.filter(order=order).order_by("pk")[:2]
    asked = {"amount": 100, "line_ids": [first.pk], "days": 3, "effect": Effect.SHORTEN, "reason": "returned"}
    refund = refund_of(order, **asked, once_key="k1")
    assert refund_of(order, **asked | {"line_ids": [first.pk, first.pk]}, once_key="k1").pk == refund.pk
    changes = {"lines": {"line_ids": [second.pk]}, "days": {"days": 4}, "effect": {"effect": Effect.STOP}}
    changes |= {"reason": {"reason": "broken"}, "amount": {"amount": None}}
    with pytest.raises(OnceKeyReused):
        refund_of(order, **asked | changes[other], once_key="k1")
    assert Refund.objects.count() == 1


def test_one_live_refund_per_line_in_the_service_and_in_the_database_F44(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    refund_of(order, amount=100)
    with pytest.raises(RefundRefused, match="on its way"):
        refund_of(order, amount=100)
    line = RefundLine.objects.all()[0]
    other = Refund.objects.get()
    other.pk, other.number = None, "ROTHER0001"
    other.save()
    with pytest.raises(IntegrityError, match="one_live_refund_per_line"), transaction.atomic():
        RefundLine.objects.create(
            enterprise_id=line.enterprise_id, refund=other, line_id=line.line_id, amount=1, wanted_seconds=0
        )
    Refund.objects.filter(pk=other.pk).delete()


def test_the_database_refuses_more_than_was_paid_F44(shop: Shop, wire: Loopback) -> None:
    order = paid_order(shop)
    with pytest.raises(IntegrityError, match="refunds_within_what_was_paid"), transaction.atomic():
        PaymentAttempt.objects.filter(order=order).update(refunded=59_701)
    with pytest.raises(IntegrityError, match="line_refunds_within_its_amount"), transaction.atomic():
        OrderLine.objects.filter(order=order).update(refunded=19_901)


@pytest.mark.parametrize("status", ["PENDING", "PAID", "EXPIRED", "REFUNDED"])
def test_only_an_order_that_is_paid_and_done_is_refunded(shop: Shop, wire: Loopback, status: str) -> None:
    order = paid_order(shop)
    Order.objects.filter(pk=order.pk).update(status=status, due_at=NOW)
    with pytest.raises(RefundRefused):
        refund_of(order)
    Order.objects.filter(pk=order.pk).update(status="FULFILLED", due_at=None)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201, "a\x00b"])
def test_a_refund_says_why(shop: Shop, wire: Loopback, reason: str) -> None:
    with pytest.raises(RefundRefused, match="Say why"):
        refund_of(paid_order(shop), reason=reason)


def test_a_free_order_has_nothing_to_give_back() -> None:
    shop = open_shop(amount=0)
    order = shop.order()
    Order.objects.filter(pk=order.pk).update(status="FULFILLED", paid_at=NOW)
    OrderLine.objects.filter(order=order).update(status=LineStatus.APPLIED.value)
    with pytest.raises(RefundRefused, match="nothing to give back"):
        request_refund(order=order, effect=Effect.KEEP, reason="x", asked_by=ANN, now=NOW)
    Order.objects.filter(pk=order.pk).update(status="PENDING", paid_at=None)
    OrderLine.objects.filter(order=order).update(status=LineStatus.WAITING.value)
