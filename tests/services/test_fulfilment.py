"""Lines of paid orders are applied once each, in slices, whoever is killed (R2, Q4, Q6)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from psycopg.errors import DeadlockDetected

from billing.invariants import violations
from billing.models import LineStatus, Order, PaymentException
from billing.orders import OrderStatus
from billing.services import fulfilment
from billing.services.case_words import told
from billing.services.fulfilment import LEASE, RETRIES, fulfil_paid_orders, retry_fulfilment
from billing.services.settlement import settle
from devices.lifecycle import Lock, State
from devices.models import Command, Device, DeviceService, Period
from devices.services.registration import terminate_device
from devices.services.renewal import RenewalRequest, renew_services
from tests.services.gateway import books_in_order
from tests.services.shop import ACTOR, MINUTE, NOW, Shop, kinds, money, open_shop, paid, paid_periods

__all__ = ["books_in_order"]

LATER = NOW + 5 * MINUTE


def paid_order(shop: Shop) -> Order:
    """An order that waits for fulfilment."""
    attempt = shop.attempt()
    settle(attempt_id=attempt.pk, facts=paid(attempt), now=LATER)
    return fresh(attempt.order)


def fresh(order: Order) -> Order:
    """The row as it is now."""
    return Order.objects.get(pk=order.pk)


def test_paying_unlocks_an_expired_device_A16_A22() -> None:
    shop = open_shop()
    paid_order(shop)
    assert fulfil_paid_orders(now=LATER) == 1
    service = DeviceService.objects.get(pk=shop.ids[0])
    assert (service.state, service.desired_lock) == (State.ACTIVE.value, Lock.UNLOCKED.value)
    assert Command.objects.get(device_id=shop.ids[0]).kind == "UNLOCK"


def test_one_year_and_one_year_are_two_years_A15() -> None:
    shop = open_shop()
    for _ in range(2):
        paid_order(shop)
        fulfil_paid_orders(now=LATER)
    assert DeviceService.objects.get(pk=shop.ids[0]).ends_at == (NOW + MINUTE).replace(year=2028)


def test_a_large_order_goes_in_slices_and_shows_its_progress_Q6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fulfilment, "SLICE", 4)
    shop = open_shop(devices=10)
    order = paid_order(shop)
    applied = order.lines.filter(status=LineStatus.APPLIED.value)
    progress = []
    while fulfil_paid_orders(now=LATER, limit=1):
        progress.append((applied.count(), fresh(order).status))
        assert violations() == []
    assert progress == [(4, "PAID"), (8, "PAID"), (10, "FULFILLED")]
    assert paid_periods(shop) == 10
    assert money(order) == {"RECEIVED": 199_000, "APPLIED": 199_000}


def test_an_exact_multiple_of_the_slice_ends_with_its_last_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fulfilment, "SLICE", 2)
    order = paid_order(open_shop(devices=4))
    assert fulfil_paid_orders(now=LATER) == 2
    assert fresh(order).status == OrderStatus.FULFILLED.value


@pytest.mark.parametrize("moment", ["before renewing", "after renewing", "before the order is saved"])
def test_a_worker_killed_in_a_slice_leaves_nothing_half_done_R2(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    monkeypatch.setattr(fulfilment, "SLICE", 4)
    shop = open_shop(devices=10)
    order = paid_order(shop)
    fulfil_paid_orders(now=LATER, limit=1)
    with monkeypatch.context() as patch:
        _kill(patch, moment)
        with pytest.raises(KeyboardInterrupt):
            fulfil_paid_orders(now=LATER)
    assert paid_periods(shop) == 4
    assert money(order)["APPLIED"] == 4 * 19_900
    assert fulfil_paid_orders(now=LATER + LEASE / 2) == 0, "the dead worker's lease still runs"
    assert fulfil_paid_orders(now=LATER + LEASE) == 2
    assert fresh(order).status == OrderStatus.FULFILLED.value
    assert paid_periods(shop) == 10


def test_lines_whose_renewal_was_committed_without_them_are_not_renewed_again_R2() -> None:
    shop = open_shop(devices=2)
    order = paid_order(shop)
    line = order.lines.get(device_id=shop.ids[0])
    request = RenewalRequest(
        line.device_id, order.months, order.level_id, order.plan_name, f"line:{line.pk}", order.paid_at or NOW
    )
    renew_services([request], actor=ACTOR, now=LATER)
    fulfil_paid_orders(now=LATER)
    assert paid_periods(shop) == 2
    assert fresh(order).status == OrderStatus.FULFILLED.value


def test_devices_terminated_meanwhile_are_left_unapplied_and_the_others_go_through_Q4() -> None:
    shop = open_shop(devices=3)
    order = paid_order(shop)
    terminate_device(device=Device.objects.get(pk=shop.ids[1]), actor=ACTOR, now=LATER)
    fulfil_paid_orders(now=LATER)
    assert list(order.lines.order_by("device_id").values_list("status", "reason")) == [
        ("APPLIED", ""),
        ("UNAPPLIED", "terminated"),
        ("APPLIED", ""),
    ]
    assert fresh(order).status == OrderStatus.PARTIALLY_FULFILLED.value
    assert money(order) == {"RECEIVED": 59_700, "APPLIED": 39_800, "UNAPPLIED": 19_900}
    case = PaymentException.objects.get()
    assert (case.kind, case.amount) == ("UNAPPLIED_LINES", 19_900)
    assert told(case.facts) == f"1 of 3 devices of order {order.number} could not be renewed."
    assert kinds(f"order:{order.pk}")[-1] == "order.partially_fulfilled"


def test_a_poisonous_order_holds_up_no_other_and_ends_before_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = open_shop(name="Bad"), open_shop(name="Good")
    bad_order, good_order = paid_order(bad), paid_order(good)

    def renew(requests: Sequence[RenewalRequest], *, actor: str, now: datetime) -> Any:
        if requests[0].device_id == bad.ids[0]:
            raise ValueError("poison")
        return renew_services(requests, actor=actor, now=now)

    with monkeypatch.context() as patch:
        patch.setattr(fulfilment, "renew_services", renew)
        now = LATER
        for delay in (*RETRIES, None):
            fulfil_paid_orders(now=now)
            order = fresh(bad_order)
            assert order.due_at == (now + delay if delay else None)
            now += delay or timedelta()
        assert fulfil_paid_orders(now=now + timedelta(days=9)) == 0
    assert fresh(good_order).status == OrderStatus.FULFILLED.value
    assert kinds(f"order:{bad_order.pk}")[-1] == "order.stuck"
    assert violations() == []
    retry_fulfilment(order=bad_order, actor=ACTOR, now=now)
    fulfil_paid_orders(now=now)
    assert fresh(bad_order).status == OrderStatus.FULFILLED.value


def test_one_device_that_cannot_be_handled_holds_up_no_other_of_its_order_Q4_F15(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = open_shop(devices=5)
    order, bad = paid_order(shop), shop.ids[2]

    def renew(requests: Sequence[RenewalRequest], *, actor: str, now: datetime) -> Any:
        if any(request.device_id == bad for request in requests):
            raise ValueError("poison")
        return renew_services(requests, actor=actor, now=now)

    monkeypatch.setattr(fulfilment, "SLICE", 2)
    with monkeypatch.context() as patch:
        patch.setattr(fulfilment, "renew_services", renew)
        fulfil_paid_orders(now=LATER)
    assert set(order.lines.filter(status=LineStatus.QUEUED.value).values_list("device_id", flat=True)) == {bad}
    assert (fresh(order).status, fresh(order).due_at) == (OrderStatus.PAID.value, LATER + RETRIES[0])
    assert paid_periods(shop) == 4
    fulfil_paid_orders(now=LATER + RETRIES[0])
    assert fresh(order).status == OrderStatus.FULFILLED.value


@pytest.mark.parametrize(("deadlocks", "status"), [(3, OrderStatus.FULFILLED), (4, OrderStatus.PAID)])
def test_a_slice_that_gave_way_to_another_is_tried_three_times_more_at_once_F23(
    monkeypatch: pytest.MonkeyPatch, deadlocks: int, status: OrderStatus
) -> None:
    shop = open_shop()
    order, left = paid_order(shop), iter(range(deadlocks))

    def renew(requests: Sequence[RenewalRequest], *, actor: str, now: datetime) -> Any:
        if next(left, None) is not None:
            raise OperationalError from DeadlockDetected()
        return renew_services(requests, actor=actor, now=now)

    monkeypatch.setattr(fulfilment, "renew_services", renew)
    fulfil_paid_orders(now=LATER)
    assert fresh(order).status == status.value


def test_the_audit_sees_a_line_that_extended_without_being_applied_and_missing_money() -> None:
    """Negative control of the invariants that every test here ends with."""
    shop = open_shop(devices=2)
    order = paid_order(shop)
    fulfil_paid_orders(now=LATER)
    line = order.lines.first()
    assert line is not None
    order.lines.filter(pk=line.pk).update(status=LineStatus.QUEUED.value, amount=1)
    names = {violation.name for violation in violations()}
    assert names >= {
        "money in = money accounted for",
        "each line extends once",
        "sum of lines = total",
        "lines follow their order",
    }
    order.lines.filter(pk=line.pk).update(status=LineStatus.APPLIED.value, amount=19_900)
    assert Period.objects.filter(source=f"line:{line.pk}").count() == 1


def _kill(patch: pytest.MonkeyPatch, moment: str) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    match moment:
        case "before renewing":
            patch.setattr(fulfilment, "renew_services", die)
        case "after renewing":
            patch.setattr(fulfilment, "update_rows", die)
        case _:
            patch.setattr(Order, "save", _dies_when_saving_progress(Order.save, die))


def _dies_when_saving_progress(save: Any, die: Any) -> Any:
    def wrapped(self: Order, *args: Any, **options: Any) -> None:
        (die if "fulfilled_at" in (options.get("update_fields") or ()) else save)(self, *args, **options)

    return wrapped
