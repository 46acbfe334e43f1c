"""`settle` turns facts into money facts once, whatever is repeated, late, wrong or at once (R1, R2, F24–F31)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError

from billing.invariants import violations
from billing.models import LineStatus, MoneyEntry, PaymentAttempt, PaymentException
from billing.orders import AttemptStatus, ExceptionKind, GatewayFacts, GatewayState, OrderStatus, Outcome
from billing.services import settlement
from billing.services.fulfilment import fulfil_paid_orders
from billing.services.ordering import cancel_order
from billing.services.polling import _expire
from billing.services.settlement import settle
from devices.models import Device, DeviceService
from devices.services.registration import terminate_device
from tests.services.gateway import books_in_order
from tests.services.shop import ACTOR, MINUTE, NOW, Shop, kinds, money, open_shop, paid, paid_periods

__all__ = ["books_in_order"]

LATER = NOW + 5 * MINUTE


@pytest.fixture
def shop() -> Shop:
    return open_shop(devices=2)


def fresh(row: Any) -> Any:
    """The row as it is now."""
    return type(row).objects.get(pk=row.pk)


def test_a_payment_pays_the_order_and_each_device_is_renewed_from_the_success_time_A16(shop: Shop) -> None:
    attempt = shop.attempt()
    settled = settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    assert settled == (Outcome.PAID, OrderStatus.PAID, AttemptStatus.PAID, None)
    order = fresh(attempt.order)
    assert (order.paid_at, order.due_at) == (NOW + MINUTE, LATER)
    assert set(order.lines.values_list("status", flat=True)) == {LineStatus.QUEUED.value}
    assert money(order) == {"RECEIVED": 39_800}
    assert violations() == []
    fulfil_paid_orders(now=LATER)
    order = fresh(order)
    assert (order.status, order.due_at, order.fulfilled_at) == (OrderStatus.FULFILLED.value, None, LATER)
    assert money(order) == {"RECEIVED": 39_800, "APPLIED": 39_800}
    ends = {*DeviceService.objects.filter(device_id__in=shop.ids).values_list("ends_at", flat=True)}
    assert ends == {(NOW + MINUTE).replace(year=2027)} == {*order.lines.values_list("ends_at", flat=True)}
    assert kinds(f"order:{order.pk}") == ["order.created", "order.paid", "order.fulfilled"]


def test_the_same_facts_again_change_nothing_before_and_after_fulfilment_F24(shop: Shop) -> None:
    attempt = shop.attempt()
    for _ in range(3):
        settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    fulfil_paid_orders(now=LATER)
    again = settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER + MINUTE)
    assert again == (Outcome.NOTHING_NEW, OrderStatus.FULFILLED, AttemptStatus.PAID, None)
    assert fulfil_paid_orders(now=LATER + MINUTE) == 0
    assert paid_periods(shop) == 2
    assert money(attempt.order) == {"RECEIVED": 39_800, "APPLIED": 39_800}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"amount": 39_799}, ExceptionKind.AMOUNT_MISMATCH),
        ({"currency": "USD"}, ExceptionKind.AMOUNT_MISMATCH),
        ({"merchant_id": "BSS-Other"}, ExceptionKind.MERCHANT_MISMATCH),
    ],
)
def test_what_differs_renews_nothing_and_waits_for_a_person_with_its_money_F30(
    shop: Shop, change: dict[str, Any], kind: ExceptionKind
) -> None:
    attempt = shop.attempt()
    facts = paid(attempt, **change)
    for _ in range(2):
        settle(attempt_id=attempt.pk, facts=facts, now=LATER)
    assert fulfil_paid_orders(now=LATER) == 0
    assert fresh(attempt.order).status == OrderStatus.PENDING.value
    assert money(attempt.order) == {"RECEIVED": facts.amount, "UNAPPLIED": facts.amount}
    case = PaymentException.objects.get(attempt=attempt)
    assert (case.kind, case.amount, case.currency) == (kind.value, facts.amount, facts.currency)
    assert "payment.exception" in kinds(f"order:{attempt.order_id}")


def test_after_a_wrong_payment_the_right_one_still_pays_the_order(shop: Shop) -> None:
    order = shop.order()
    wrong = shop.attempt(order)
    settle(attempt_id=wrong.pk, facts=paid(wrong, amount=1), now=LATER)
    right = shop.attempt(order)
    assert right.pk != wrong.pk
    assert settle(attempt_id=right.pk, facts=paid(right), now=LATER).outcome is Outcome.PAID
    assert money(order) == {"RECEIVED": 39_801, "UNAPPLIED": 1}


@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_a_payment_after_the_order_ended_is_honoured_and_flagged_F27(shop: Shop, end: str) -> None:
    attempt = shop.attempt()
    if end == "expired":
        _expire(attempt.order_id, NOW + 31 * MINUTE)
    else:
        cancel_order(order=attempt.order, actor=ACTOR, now=NOW)
    settle(attempt_id=attempt.pk, facts=GatewayFacts(attempt.number, GatewayState.CLOSED), now=NOW + 31 * MINUTE)
    late = NOW + timedelta(hours=3)
    settled = settle(attempt_id=attempt.pk, facts=paid(attempt, paid_at=late), now=late)
    assert settled == (Outcome.PAID_LATE, OrderStatus.PAID, AttemptStatus.PAID, ExceptionKind.LATE)
    fulfil_paid_orders(now=late)
    assert fresh(attempt.order).status == OrderStatus.FULFILLED.value
    assert paid_periods(shop) == 2
    assert money(attempt.order) == {"RECEIVED": 39_800, "APPLIED": 39_800}
    assert PaymentException.objects.get().kind == ExceptionKind.LATE.value


def test_a_late_payment_for_a_device_that_is_gone_is_left_unapplied_Q4_F36(shop: Shop) -> None:
    attempt = shop.attempt()
    _expire(attempt.order_id, NOW + 31 * MINUTE)
    terminate_device(device=Device.objects.get(pk=shop.ids[0]), actor=ACTOR, now=NOW + 32 * MINUTE)
    late = NOW + timedelta(hours=3)
    settle(attempt_id=attempt.pk, facts=paid(attempt, paid_at=late), now=late)
    fulfil_paid_orders(now=late)
    order = fresh(attempt.order)
    assert order.status == OrderStatus.PARTIALLY_FULFILLED.value
    assert dict(order.lines.values_list("device_id", "status")) == {
        shop.ids[0]: LineStatus.UNAPPLIED.value,
        shop.ids[1]: LineStatus.APPLIED.value,
    }
    assert money(order) == {"RECEIVED": 39_800, "APPLIED": 19_900, "UNAPPLIED": 19_900}
    cases = dict(PaymentException.objects.values_list("kind", "amount"))
    assert cases == {"LATE": 39_800, "UNAPPLIED_LINES": 19_900}


def test_a_second_payment_renews_nothing_and_its_money_stays_visible_F31(shop: Shop) -> None:
    order = shop.order()
    first, second = shop.attempt(order), shop.attempt(order, new_code=True)
    settle(attempt_id=first.pk, facts=paid(first), now=LATER)
    for _ in range(2):
        settled = settle(attempt_id=second.pk, facts=paid(second), now=LATER)
    fulfil_paid_orders(now=LATER)
    assert settled.outcome is Outcome.NOTHING_NEW
    assert paid_periods(shop) == 2
    assert money(order) == {"RECEIVED": 79_600, "APPLIED": 39_800, "UNAPPLIED": 39_800}
    assert PaymentException.objects.get().kind == ExceptionKind.SECOND_PAYMENT.value
    assert list(PaymentAttempt.objects.filter(settles=True)) == [first]


def test_a_second_transaction_of_one_attempt_is_booked_once_as_unapplied_F31(shop: Shop) -> None:
    attempt = shop.attempt()
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    for transaction_id in ("OTHER1", "OTHER1", "OTHER2"):
        settle(attempt_id=attempt.pk, facts=paid(attempt, transaction_id=transaction_id), now=LATER)
    assert money(attempt.order) == {"RECEIVED": 3 * 39_800, "UNAPPLIED": 2 * 39_800}
    assert PaymentException.objects.get().amount == 2 * 39_800
    assert fresh(attempt).transaction_id == f"T{attempt.number}"


def test_one_transaction_under_two_numbers_counts_once_F24(shop: Shop) -> None:
    first, second = shop.attempt(), shop.attempt()
    settle(attempt_id=first.pk, facts=paid(first), now=LATER)
    facts = paid(second, transaction_id=f"T{first.number}")
    assert settle(attempt_id=second.pk, facts=facts, now=LATER).outcome is Outcome.TAKEN
    assert fresh(second.order).status == OrderStatus.PENDING.value
    assert money(second.order) == {}
    assert "payment.exception" in kinds(f"order:{second.order_id}")


@pytest.mark.parametrize("state", [GatewayState.NOT_PAID, GatewayState.CLOSED, GatewayState.NOT_FOUND])
def test_a_stale_poll_after_the_payment_is_ignored(shop: Shop, state: GatewayState) -> None:
    attempt = shop.attempt()
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    settled = settle(attempt_id=attempt.pk, facts=GatewayFacts(attempt.number, state), now=LATER + MINUTE)
    assert settled == (Outcome.NOTHING_NEW, OrderStatus.PAID, AttemptStatus.PAID, None)


def test_facts_about_another_payment_are_an_error_not_a_settlement(shop: Shop) -> None:
    first, second = shop.attempt(), shop.attempt()
    with pytest.raises(ValueError, match="another payment"):
        settle(attempt_id=first.pk, facts=paid(second), now=LATER)


def test_a_crash_while_settling_leaves_nothing_and_the_next_notice_does_it_all(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = shop.attempt()
    with monkeypatch.context() as patch:
        patch.setattr(settlement, "_mark_order_paid", _crash)
        with pytest.raises(MemoryError):
            settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    assert fresh(attempt).status == AttemptStatus.PENDING.value
    assert money(attempt.order) == {}
    assert settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER).outcome is Outcome.PAID


def test_the_database_itself_refuses_a_second_booking_and_a_second_settling_payment_R1(shop: Shop) -> None:
    order = shop.order()
    first, second = shop.attempt(order), shop.attempt(order, new_code=True)
    settle(attempt_id=first.pk, facts=paid(first), now=LATER)
    entry = MoneyEntry.objects.get()
    entry.pk = None
    with pytest.raises(IntegrityError, match="money_moves_once"), _savepoint():
        entry.save(force_insert=True)
    with pytest.raises(IntegrityError, match="one_payment_settles_an_order"), _savepoint():
        PaymentAttempt.objects.filter(pk=second.pk).update(settles=True)
    with pytest.raises(IntegrityError, match="append-only"), _savepoint():
        MoneyEntry.objects.update(amount=1)


def _savepoint() -> Any:
    from django.db import transaction

    return transaction.atomic()


def _crash(*_: Any, **__: Any) -> None:
    raise MemoryError
