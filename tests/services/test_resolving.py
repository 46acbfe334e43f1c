"""Payment exceptions: one click for each case, once, with its money where the ledger says (R1, F27, F30, F31, F36)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from billing.models import (
    LineStatus,
    MoneyEntry,
    Order,
    OrderLine,
    PaymentAttempt,
    PaymentException,
    Refund,
    Resolution,
)
from billing.orders import ExceptionKind
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.ordering import cancel_order
from billing.services.refunds import RefundRefused, approve_refund, reject_refund
from billing.services.resolving import ResolutionRefused, resolve_exception
from billing.services.settlement import settle
from devices.lifecycle import State
from devices.models import DeviceService
from tests.services.gateway import books_in_order, wire
from tests.services.refunding import ANN, BOB, ends, pay_at_sandbox, refund_of, work
from tests.services.shop import ACTOR, MINUTE, NOW, Loopback, Shop, kinds, money, open_shop, paid

__all__ = ["books_in_order", "wire"]
LATER = NOW + 5 * MINUTE


@pytest.fixture
def shop() -> Shop:
    return open_shop(devices=2)


def case() -> PaymentException:
    return PaymentException.objects.get()


def resolve(resolution: Resolution, **changes: Any) -> PaymentException:
    asked: dict[str, Any] = {"exception": case(), "resolution": resolution, "reason": "agreed", "by": ANN, "now": LATER}
    return resolve_exception(**asked | changes)


def mismatch(shop: Shop) -> PaymentAttempt:
    attempt = shop.attempt()
    pay_at_sandbox(attempt)
    settle(attempt_id=attempt.pk, facts=paid(attempt, amount=39_799), now=LATER)
    return attempt


def twice(shop: Shop) -> tuple[PaymentAttempt, PaymentAttempt]:
    order = shop.order()
    first, second = shop.attempt(order), shop.attempt(order, new_code=True)
    for attempt in (first, second):
        pay_at_sandbox(attempt)
        settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    fulfil_paid_orders(now=LATER)
    return first, second


def left_out(shop: Shop) -> Order:
    """An order of which the first device was not renewed: its end was too far ahead at the time."""
    attempt = shop.attempt()
    pay_at_sandbox(attempt)
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    far = NOW + timedelta(days=30 * 365)
    DeviceService.objects.filter(device_id=shop.ids[0]).update(state="ACTIVE", ends_at=far, anchor=far)
    fulfil_paid_orders(now=LATER)
    DeviceService.objects.filter(device_id=shop.ids[0]).update(state="EXPIRED", ends_at=None, anchor=None)
    order = Order.objects.get(pk=attempt.order_id)
    assert order.status == "PARTIALLY_FULFILLED"
    return order


def test_money_of_a_wrong_amount_goes_back_and_renews_nothing_F30(shop: Shop, wire: Loopback) -> None:
    attempt = mismatch(shop)
    with pytest.raises(ResolutionRefused, match="Choose one"):
        resolve(Resolution.KEEP)
    resolve(Resolution.REFUND)
    assert (case().resolved_by, case().resolution) == (ANN, "REFUND")
    work(wire, LATER)
    assert money(attempt.order) == {"RECEIVED": 39_799, "UNAPPLIED": 39_799, "REFUNDED": 39_799}
    assert MoneyEntry.objects.get(kind="REFUNDED").taken_from == "UNAPPLIED"
    assert Order.objects.get(pk=attempt.order_id).status == "PENDING"
    assert set(ends(shop)) == {None}


def test_a_second_click_changes_nothing_and_another_choice_is_refused_F33(shop: Shop, wire: Loopback) -> None:
    mismatch(shop)
    for _ in range(2):
        resolve(Resolution.REFUND)
    assert Refund.objects.count() == 1
    with pytest.raises(ResolutionRefused, match="resolved already"):
        resolve(Resolution.KEEP)


def test_a_second_payment_has_its_refund_proposed_and_a_person_sends_it_F31(shop: Shop, wire: Loopback) -> None:
    _first, second = twice(shop)
    proposed = Refund.objects.get()
    assert (proposed.attempt_id, proposed.amount, proposed.status) == (second.pk, 39_800, "REQUESTED")
    assert proposed.requested_by == "system"
    before = ends(shop)
    work(wire, LATER)
    assert Refund.objects.get().status == "REQUESTED", "nobody has approved it"
    resolve(Resolution.REFUND)
    work(wire, LATER)
    assert (Refund.objects.get().status, Refund.objects.get().requested_by) == ("SUCCEEDED", ANN)
    assert money(second.order) == {"RECEIVED": 79_600, "APPLIED": 39_800, "UNAPPLIED": 39_800, "REFUNDED": 39_800}
    assert ends(shop) == before, "no device is touched"
    assert Order.objects.get(pk=second.order_id).status == "FULFILLED"


@override_settings(REFUND_THRESHOLD=0)
def test_a_large_second_payment_still_needs_two_people(shop: Shop, wire: Loopback) -> None:
    twice(shop)
    resolve(Resolution.REFUND)
    refund = Refund.objects.get()
    assert (refund.status, refund.requested_by) == ("REQUESTED", ANN)
    with pytest.raises(RefundRefused, match="Another person"):
        approve_refund(refund=refund, by=ANN, now=LATER)
    approve_refund(refund=refund, by=BOB, now=LATER)
    work(wire, LATER)
    assert Refund.objects.get().status == "SUCCEEDED"


@override_settings(REFUND_THRESHOLD=0)
def test_a_rejected_refund_opens_its_case_again(shop: Shop, wire: Loopback) -> None:
    mismatch(shop)
    resolve(Resolution.REFUND)
    reject_refund(refund=Refund.objects.get(), by=BOB, reason="ask the bank first", now=LATER)
    assert (case().resolved_at, case().resolution) == (None, "")
    resolve(Resolution.REFUND)
    assert Refund.objects.count() == 2


def test_a_further_transaction_of_the_same_payment_is_proposed_too(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    for transaction_id in ("T1", "T2", "T3"):
        settle(attempt_id=attempt.pk, facts=paid(attempt, transaction_id=transaction_id), now=LATER)
    fulfil_paid_orders(now=LATER)
    assert (Refund.objects.get().amount, case().amount) == (79_600, 79_600)
    assert PaymentAttempt.objects.get().received == 119_400


def late(shop: Shop) -> PaymentAttempt:
    attempt = shop.attempt()
    pay_at_sandbox(attempt)
    cancel_order(order=attempt.order, actor=ACTOR, now=NOW)
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    fulfil_paid_orders(now=LATER)
    return attempt


def test_a_late_payment_is_kept_with_a_note_F27(shop: Shop, wire: Loopback) -> None:
    attempt = late(shop)
    resolve(Resolution.KEEP)
    assert (case().resolution, case().resolution_reason) == ("KEEP", "agreed")
    assert not Refund.objects.exists()
    assert kinds(f"order:{attempt.order_id}")[-1] == "payment.exception_resolved"


def test_a_late_payment_is_refunded_with_all_unused_time_F27(shop: Shop, wire: Loopback) -> None:
    attempt = late(shop)
    resolve(Resolution.REFUND)
    work(wire, LATER)
    assert Order.objects.get(pk=attempt.order_id).status == "REFUNDED"
    assert set(DeviceService.objects.values_list("state", flat=True)) == {State.EXPIRED.value}


def test_devices_left_out_are_tried_again_once_and_start_then_Q4(shop: Shop, wire: Loopback) -> None:
    order = left_out(shop)
    later = LATER + timedelta(days=30)
    for _ in range(2):
        resolve(Resolution.RETRY, now=later)
    assert OrderLine.objects.get(order=order, status=LineStatus.QUEUED.value).retries == 1
    fulfil_paid_orders(now=later)
    assert Order.objects.get(pk=order.pk).status == "FULFILLED"
    assert money(order) == {"RECEIVED": 39_800, "APPLIED": 39_800, "UNAPPLIED": 19_900}
    assert MoneyEntry.objects.get(taken_from="UNAPPLIED").kind == "APPLIED"
    assert DeviceService.objects.get(device_id=shop.ids[0]).ends_at == later.replace(year=2027)


def test_what_fails_again_opens_the_case_again_with_the_same_money_Q4(shop: Shop, wire: Loopback) -> None:
    order = left_out(shop)
    DeviceService.objects.filter(device_id=shop.ids[0]).update(state="TERMINATED", due_at=None)
    resolve(Resolution.RETRY)
    fulfil_paid_orders(now=LATER)
    assert (case().resolved_at, case().amount) == (None, 19_900)
    assert money(order) == {"RECEIVED": 39_800, "APPLIED": 19_900, "UNAPPLIED": 19_900}


def test_devices_left_out_are_refunded_and_nothing_else_is_Q4_F36(shop: Shop, wire: Loopback) -> None:
    order = left_out(shop)
    before = ends(shop)
    resolve(Resolution.REFUND)
    work(wire, LATER)
    assert money(order) == {"RECEIVED": 39_800, "APPLIED": 19_900, "UNAPPLIED": 19_900, "REFUNDED": 19_900}
    assert MoneyEntry.objects.get(kind="REFUNDED").taken_from == "UNAPPLIED"
    assert (ends(shop), Order.objects.get(pk=order.pk).status) == (before, "PARTIALLY_FULFILLED")
    refund_of(order, now=LATER)
    work(wire, LATER)
    assert Order.objects.get(pk=order.pk).status == "REFUNDED"


def test_a_refund_from_the_orders_page_closes_the_case_of_that_money(shop: Shop, wire: Loopback) -> None:
    order = left_out(shop)
    refund_of(order, now=LATER)
    work(wire, LATER)
    assert (case().resolved_by, case().resolution, case().kind) == (
        ANN,
        "REFUND",
        ExceptionKind.UNAPPLIED_LINES.value,
    )


def test_refunded_devices_are_not_tried_again(shop: Shop, wire: Loopback) -> None:
    order = left_out(shop)
    line = OrderLine.objects.get(order=order, status=LineStatus.UNAPPLIED.value)
    refund_of(order, line_ids=[line.pk], now=LATER)
    with pytest.raises(ResolutionRefused, match="No device"):
        resolve(Resolution.RETRY)


def both_left_out(shop: Shop) -> Order:
    """An order of which neither device was renewed."""
    attempt = shop.attempt()
    pay_at_sandbox(attempt)
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    far = NOW + timedelta(days=30 * 365)
    DeviceService.objects.filter(device_id__in=shop.ids).update(state="ACTIVE", ends_at=far, anchor=far)
    fulfil_paid_orders(now=LATER)
    DeviceService.objects.filter(device_id__in=shop.ids).update(state="EXPIRED", ends_at=None, anchor=None)
    return Order.objects.get(pk=attempt.order_id)


def test_the_rest_of_a_line_that_was_refunded_in_part_is_refunded_by_its_case_R1(shop: Shop, wire: Loopback) -> None:
    order = both_left_out(shop)
    first = OrderLine.objects.filter(order=order).order_by("pk")[0]
    refund_of(order, line_ids=[first.pk], amount=1, now=LATER)
    work(wire, LATER)
    assert case().resolved_at is None
    resolve(Resolution.REFUND)
    work(wire, LATER)
    assert money(order)["REFUNDED"] == 39_800, "nothing is left behind a case that is closed"
    assert Order.objects.get(pk=order.pk).status == "REFUNDED"


@override_settings(REFUND_THRESHOLD=0)
def test_money_whose_refund_fails_is_before_a_person_again_whoever_asked_for_it_R1(shop: Shop, wire: Loopback) -> None:
    order = both_left_out(shop)
    first = OrderLine.objects.filter(order=order).order_by("pk")[0]
    refund = refund_of(order, line_ids=[first.pk], now=LATER)
    resolve(Resolution.RETRY)
    fulfil_paid_orders(now=LATER)
    assert Order.objects.get(pk=order.pk).status == "PARTIALLY_FULFILLED"
    reject_refund(refund=refund, by=BOB, reason="no", now=LATER)
    assert (case().resolved_at, case().resolution) == (None, "")


@override_settings(REFUND_THRESHOLD=0)
def test_a_refund_of_two_cases_that_is_rejected_opens_both(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    settle(attempt_id=attempt.pk, facts=paid(attempt, amount=39_799), now=LATER)
    settle(attempt_id=attempt.pk, facts=paid(attempt, transaction_id="T2"), now=LATER)
    mismatched = PaymentException.objects.get(kind="AMOUNT_MISMATCH")
    resolve_exception(exception=mismatched, resolution=Resolution.REFUND, reason="x", by=ANN, now=LATER)
    reject_refund(refund=Refund.objects.get(), by=BOB, reason="no", now=LATER)
    assert set(PaymentException.objects.values_list("resolved_at", flat=True)) == {None}


@override_settings(REFUND_THRESHOLD=0)
def test_money_that_comes_while_a_refund_waits_is_told_to_wait_too(shop: Shop, wire: Loopback) -> None:
    attempt = shop.attempt()
    for transaction_id in ("T1", "T2"):
        settle(attempt_id=attempt.pk, facts=paid(attempt, transaction_id=transaction_id), now=LATER)
    fulfil_paid_orders(now=LATER)
    resolve(Resolution.REFUND)
    settle(attempt_id=attempt.pk, facts=paid(attempt, transaction_id="T3"), now=LATER)
    with pytest.raises(RefundRefused, match="on its way"):
        resolve(Resolution.REFUND)
    assert case().resolved_at is None
